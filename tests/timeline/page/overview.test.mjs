/** The overview's picture, by a canvas that notes what is drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawOverview } from "../../../timeline/static/js/overview.js";

const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;

/** A canvas's pen that keeps each call as a list. */
function noting(calls) {
    return new Proxy({}, { get: (_, name) => (name === "measureText" ? () => ({ width: 20 }) : (...told) => void calls.push([name, ...told])), set: () => true });
}

/** What is drawn of a stream's first channel. @param {Record<string, string>} states */
function drawn(states) {
    const calls = [];
    globalThis.OffscreenCanvas = class {
        constructor(width, height) { Object.assign(this, { width, height }); }
        getContext() { return noting(calls); }
    };
    const values = Float32Array.from([0, 1, 0]);
    const frame = { view: 1, stream: 0, live: false, before: false, base: T, tile: 0, at: Float64Array.from([0, 30e9, 60e9]), channels: [{ base: 0, low: values, high: values, first: values, last: values }] };
    const trace = { name: "gate", channels: [{ name: "gate", unit: "", states }], rate: null, place: undefined, frames: [frame], before: undefined, gaps: [], extent: undefined };
    const whole = { from: T, to: T + 100n * S };
    drawOverview(noting([]), 188, 48, 1, { whole, view: whole, trace, colours: {}, cells: [], people: [] });
    return calls;
}

test("named states are bands in the overview, too: no line leads from one to the next", () => {
    const calls = drawn({ 0: "closed", 1: "open" });
    assert.deepEqual(calls.filter(([name]) => name === "lineTo"), []);
    assert.deepEqual(calls.filter(([name]) => name === "strokeRect").map(([, x, , width]) => [Math.round(x), Math.round(width)]), [[1, 30], [31, 30], [61, 40]]);
    assert.deepEqual(calls.filter(([name]) => name === "fillText").map(([, words]) => words), ["closed", "open", "closed"]);
});

test("other values are a line", () => {
    assert.ok(drawn({}).some(([name]) => name === "lineTo"));
});
