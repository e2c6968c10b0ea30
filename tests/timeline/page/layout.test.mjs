import assert from "node:assert/strict";
import { test } from "node:test";
import { draw } from "../../../timeline/static/js/draw.js";
import { GUTTER, askedFor, figure, figures, layoutOf, seenOf } from "../../../timeline/static/js/layout.js";

test("a figure has as many digits as people read", () => {
    assert.deepEqual([1234.5678, 0.0123456, 1.2e9, 0, -3.00001].map((value) => figure(value)), ["1234.57", "0.01235", "1.2e9", "0", "-3"]);
});

test("the ends of a range are told apart, however near", () => {
    assert.deepEqual(figures(0, 12.5), ["0", "12.5"]);
    assert.deepEqual(figures(12.00001, 12.00003), ["12.00001", "12.00003"]);
    assert.deepEqual(figures(1_000_001, 1_000_002), ["1.000001e6", "1.000002e6"]);
    assert.deepEqual(figures(5, 5), ["5", "5"]);
    assert.deepEqual(figures(12.00001, 12.00003, 12.000021, 3), ["12.00001", "12.00003", "12.00002", "3"]);
});

test("a tick that the day would cover says nothing, rather than its last letters", () => {
    const width = 7; // of a letter
    /** The words of a ruler by where they begin. */
    const told = (from) => {
        const found = [];
        const pen = new Proxy({ measureText: (words) => ({ width: words.length * width }), fillText: (words, x) => found.push([x, words]) }, { get: (own, name) => own[name] ?? (() => undefined), set: () => true });
        const scene = { view: { from, to: from + 60n * 1_000_000_000n }, rows: [], traces: new Map(), lanes: new Map(), labels: new Map(), colours: {}, unsure: [], ghosts: [] };
        draw(pen, 1000 + GUTTER, 200, 1, scene);
        return found.sort(([one], [other]) => one - other);
    };
    for (let second = 0n; second < 60n; second += 1n) {
        const [[at, date], ...ticks] = told(1_795_780_800_000_000_000n + 3_600_000_000_000n + second * 1_000_000_000n);
        assert.deepEqual([at, date], [4, "2026-11-27"]);
        assert.ok(ticks.length > 4 && ticks.every(([x]) => x >= 10 * width + 12), JSON.stringify(ticks));
    }
});

test("of more streams than one question may name those are asked for that are seen", () => {
    const names = Array.from({ length: 200 }, (_, i) => `s${i}`);
    const { rows } = layoutOf(names, [], 96);
    assert.deepEqual(askedFor(names.slice(0, 64), [], 0, 0), names.slice(0, 64));
    assert.deepEqual(askedFor(names, [], 0, 400), names.slice(0, 64)); // nothing is laid out yet
    const asked = askedFor(names, rows, 9_600, 480);
    const seen = seenOf(rows, 9_600, 480, 0);
    assert.equal(asked.length, 64);
    assert.deepEqual(seen.map((row) => row.name), ["s99", "s100", "s101", "s102", "s103", "s104"]);
    assert.ok(seen.every((row) => asked.includes(row.name)));
    assert.equal(seenOf(rows, 9_600, 480).length, 16);
});
