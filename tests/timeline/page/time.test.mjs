import assert from "node:assert/strict";
import { test } from "node:test";
import * as time from "../../../timeline/static/js/time.js";

const NOON = 1_795_780_800_000_000_000n; // 2026-11-27T12:00:00Z

test("an instant is said and read to the nanosecond, before 1970 too", () => {
    for (const at of [0n, NOON, NOON + 1n, NOON + 250_000_000n, -1n, -1_500_000_000n, NOON + 999_999_999n, 1n << 61n]) {
        assert.equal(time.instant(time.exact(at)), at, time.exact(at));
    }
    assert.equal(time.exact(NOON + 250_000_000n), "2026-11-27T12:00:00.25Z");
    assert.equal(time.exact(NOON), "2026-11-27T12:00:00Z");
});

test("what people type is read: nanoseconds, times of day, other zones; nonsense is not", () => {
    assert.equal(time.instant(String(NOON + 7n)), NOON + 7n);
    assert.equal(time.instant("12:04:31.5", NOON), NOON + 271_500_000_000n);
    assert.equal(time.instant("2026-11-27 13:00:00+01:00"), NOON);
    assert.equal(time.instant("2026-11-27"), NOON - 12n * time.HOUR);
    for (const text of ["", "noon", "25:00", "2026-13-01", "2026-02-30", "2026-02-29T12:00", "12:04"]) {
        assert.equal(time.instant(text, text === "12:04" ? undefined : NOON), undefined, text);
    }
});

test("ticks lie at round times, at least the asked distance apart", () => {
    for (let span = 5n * time.MILLISECOND; span < 366n * time.DAY; span = (span * 13n) / 10n) {
        const step = time.tickStep(span, 1000, 80);
        const found = time.ticks(NOON, NOON + span, step);
        assert.ok(found.length <= 14, `${span}: ${found.length}`);
        assert.ok(found.every((at) => at >= NOON && at <= NOON + span));
        assert.equal(new Set(found.map((at) => time.tickLabel(at, step) + time.day(at))).size, found.length, `${span}`);
    }
    const months = time.ticks(NOON, NOON + 366n * time.DAY, time.tickStep(366n * time.DAY, 1000, 80));
    assert.ok(months.every((at) => time.exact(at).endsWith("-01T00:00:00Z")));
});

test("spans in words", () => {
    const words = { 5_000_000: "5 ms", 1_500_000_000: "1.5 s", 252_000_000_000: "4 min 12 s", 11_100_000_000_000: "3 h 5 min", 12: "12 ns" };
    for (const [span, said] of Object.entries(words)) assert.equal(time.duration(BigInt(span)), said);
    assert.equal(time.range(NOON, NOON + time.MINUTE, 0), "2026-11-27 12:00:00 to 12:01:00");
    assert.equal(time.range(NOON, NOON + time.DAY, 0), "2026-11-27 12:00:00 to 2026-11-28 12:00:00");
});
