import assert from "node:assert/strict";
import { test } from "node:test";
import { leavingWords, liveWords, nobodyWords, nothingWords, othersWords, waitingWords } from "../../../timeline/static/js/words.js";

const S = 1_000_000_000n;
const NOON = 1_795_780_800_000_000_000n; // 2026-11-27T12:00:00Z

test("how old the newest sample is, in words that do not mislead", () => {
    const said = [300n, 12_000n, 90_000n, 86_400_000n * 3n, -3_000n, -90_000n].map((ms) => liveWords(NOON, NOON + ms * 1_000_000n));
    assert.deepEqual(said, ["LIVE 0.3 s", "silent 12 s", "silent since 12:00:00", "silent since 2026-11-27 12:00:00", "LIVE 0.0 s", "1 min 30 s ahead of the clock"]);
    assert.equal(liveWords(undefined, NOON), "no samples yet");
});

test("nothing to see is told with its reason: no device, another one, another time", () => {
    assert.match(nobodyWords("pump-8", 0), /^No device has sent data yet/);
    assert.match(nobodyWords("pump-8", 3), /^"pump-8" has sent no data/);
    assert.equal(nothingWords({ from: NOON, to: NOON + 60n * S }, NOON - S), "No samples 2026-11-27 12:00:00 to 12:01:00; nearest 2026-11-27 11:59:59.");
});

test("whoever signs out hears what stays, and that a link opens once", () => {
    assert.equal(leavingWords("anna", 0, false), "");
    assert.match(leavingWords("anna", 2, false), /^2 marks of yours are not in the log yet: .* until anna signs in again\.$/);
    assert.match(leavingWords("anna", 1, true), /^1 mark of yours is .* You came by the link/);
});

test("what others have marked with this browser is counted by who must sign in", () => {
    assert.equal(othersWords(new Map()), "");
    assert.deepEqual([0, 1, 2].map(waitingWords), ["", "1 mark waits in this browser: open a timeline, and it is sent.", "2 marks wait in this browser: open a timeline, and they are sent."]);
    assert.equal(othersWords(new Map([["anna", 3], ["ben", 1]])), "Kept in this browser: 3 marks of anna wait until anna signs in again; 1 mark of ben waits until ben signs in again.");
});
