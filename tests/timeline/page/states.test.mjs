import assert from "node:assert/strict";
import { test } from "node:test";
import { isStated, stateRuns } from "../../../timeline/static/js/states.js";

const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;
const VIEW = { from: T, to: T + 100n * S };
const frame = (seconds, values, highs = values, base = T) => {
    const [low, high] = [Float32Array.from(values), Float32Array.from(highs)];
    return { view: 1, stream: 0, live: false, before: false, base, tile: 0, at: Float64Array.from(seconds, (second) => second * 1e9), channels: [{ base: 0, low, high, first: low, last: low }] };
};
const runs = (frames, before = undefined, gaps = []) => stateRuns({ frames, before, gaps }, 0, VIEW, 100).map(({ start, end, value }) => [Math.round(start * 1000) / 1000, Math.round(end * 1000) / 1000, value]);

test("a state lasts until the next one, equal ones are one, and the last before the view leads in", () => {
    assert.deepEqual(runs([frame([10, 20, 30], [0, 0, 1])]), [[10, 30, 0], [30, 100, 1]]);
    assert.deepEqual(runs([frame([10], [0]), frame([40], [1])], frame([0], [2], [2], T - 50n * S)), [[0, 10, 2], [10, 40, 0], [40, 100, 1]]);
    assert.deepEqual(runs([]), []);
});

test("in a gap nobody knows: the state ends with it, and begins again with the next sample, though it be the same", () => {
    assert.deepEqual(runs([frame([10, 60], [1, 1])], undefined, [{ start: T + 30n * S, end: T + 50n * S }]), [[10, 30, 1], [60, 100, 1]]);
});

test("a missing value changes nothing; several states within a tile are none of them; what lies outside is cut", () => {
    assert.deepEqual(runs([frame([10, 20, 30], [0, NaN, 1])]), [[10, 30, 0], [30, 100, 1]]);
    assert.deepEqual(runs([frame([10, 20, 30], [0, 0, 1], [0, 1, 1])]), [[10, 20, 0], [20, 30, undefined], [30, 100, 1]]);
    assert.deepEqual(runs([frame([-20, 120], [0, 1])]), [[0, 100, 0]]);
});

test("a channel has states where its codes have names", () => {
    assert.deepEqual([isStated({ name: "a", unit: "", states: {} }), isStated({ name: "a", unit: "", states: { 0: "off" } })], [false, true]);
});
