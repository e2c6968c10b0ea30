import assert from "node:assert/strict";
import { test } from "node:test";
import { placed } from "../../../timeline/static/js/acts.js";
import { offsetAt, risingClock } from "../../../timeline/static/js/clock.js";

test("between two measures a tab's clock is a straight line; a sleep of the machine is counted, a wall clock set back is not", () => {
    const before = { offset: 100n, roundTrip: 0n, at: 1000n };
    const after = { offset: 700n, roundTrip: 0n, at: 7000n };
    assert.deepEqual([0n, 1000n, 4000n, 7000n, 9000n].map((at) => offsetAt(before, after, at)), [100n, 100n, 400n, 700n, 700n]);
    let [steady, wall] = [1_795_780_800_000, 1_795_780_800_000];
    const now = risingClock(() => steady, () => wall);
    const begun = now();
    [steady, wall] = [steady + 5, wall - 3_600_000];
    assert.equal(now() - begun, 5_000_000n);
    [steady, wall] = [steady + 5, wall + 600_005];
    assert.equal(now() - begun, 600_010_000_000n);
});

test("what was set at the live edge of an outage is placed by the clock's newer offset, once; anything else stays", () => {
    const act = { act: "a1", kind: "add", mark: "m1", start: 10n, end: 20n, state: "waiting", clientNs: 50n, offsetNs: 1n, liveTab: "a" };
    const moved = placed(act, "a", 40n, 4n);
    assert.deepEqual([moved.start, moved.end, moved.offsetNs, moved.liveTab], [13n, 23n, 4n, undefined]);
    assert.equal(placed(moved, "a", 40n, 9n), moved);
    assert.equal(placed(act, "b", 40n, 4n), act);
    assert.equal(placed(act, "a", 50n, 4n), act);
});
