/** A channel's line: what lies in a column is all covered, columns hang together, and nothing comes from nowhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { addLine, strokeLines } from "../../../timeline/static/js/strokes.js";

/** The segments of a path, `[x, y, x, y]` each. */
function segments(low, high, first, last, joined, beside = {}) {
    const found = [];
    let at = [NaN, NaN];
    let [across, down] = [1, 1];
    const told = (x, y) => {
        assert.ok(Number.isInteger(x) && Number.isInteger(y), "a fraction is an object, and a frame makes no garbage");
        return [x * across, y * down];
    };
    const pen = {
        beginPath: () => undefined,
        setTransform: (scaleX, _b, _c, scaleY) => { [across, down] = [scaleX, scaleY]; },
        stroke: () => assert.deepEqual([across, down], [1, 1], "a line is as wide both ways"),
        moveTo: (x, y) => { at = told(x, y); },
        lineTo: (x, y) => { found.push([...at, ...told(x, y)]); at = told(x, y); },
    };
    const columns = { low: Float64Array.from(low), high: Float64Array.from(high), first: Float64Array.from(first), last: Float64Array.from(last), joined: Uint8Array.from(joined), ...beside };
    addLine(pen, columns, 0, { high: 100, top: 0, perUnit: 1, bottom: 100 });
    strokeLines(pen);
    return found;
}

test("a column is a bar from lowest to highest, up to where the one before ended", () => {
    assert.deepEqual(segments([10, 40], [30, 60], [10, 40], [20, 60], [0, 1]), [[0.5, 90, 0.5, 70], [1.5, 80, 1.5, 40]]);
});

test("flat columns are a line from sample to sample, also over empty ones", () => {
    assert.deepEqual(segments([10, 11, NaN, 13], [10, 11, NaN, 13], [10, 11, NaN, 13], [10, 11, NaN, 13], [0, 1, 0, 1]), [[0, 90, 1, 90], [0.5, 90, 1.5, 89], [1.5, 89, 3.5, 87]]);
});

test("the first column comes from nowhere, and what is not joined stays apart", () => {
    assert.deepEqual(segments([NaN, 10, 20], [NaN, 10, 20], [NaN, 10, 20], [NaN, 10, 20], [0, 1, 0]), [[1, 90, 2, 90], [2, 80, 3, 80]]);
    assert.deepEqual(segments([NaN, 10], [NaN, 30], [NaN, 10], [NaN, 20], [0, 1]), [[1.5, 90, 1.5, 70]]);
});

test("a line leads to a bar over empty columns", () => {
    assert.deepEqual(segments([10, NaN, 40], [10, NaN, 60], [10, NaN, 50], [10, NaN, 60], [0, 0, 1]), [[0, 90, 1, 90], [0.5, 90, 2.5, 50], [2.5, 60, 2.5, 40]]);
});

test("a line that leads in comes from outside: joined to a column beside, or over empty ones", () => {
    assert.deepEqual(segments([10, 40], [30, 60], [10, 40], [20, 60], [1, 1], { into: [-0.5, 50] }), [[0.5, 90, 0.5, 50], [1.5, 80, 1.5, 40]]);
    assert.deepEqual(segments([NaN, 10], [NaN, 10], [NaN, 10], [NaN, 10], [0, 1], { into: [-3.2, 20] }), [[-3.5, 80, 1.5, 90]]);
    assert.deepEqual(segments([10], [10], [10], [10], [0], { into: [-1, 20] }), [[0, 90, 1, 90]]);
});
