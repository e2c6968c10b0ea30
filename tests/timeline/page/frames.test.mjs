import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, newest, together } from "../../../timeline/static/js/frames.js";
import { calm, columnsOf, extent, lastOf, seenOf } from "../../../timeline/static/js/traces.js";

const T = 1_795_780_800_000_000_000n;

/** A frame by the layout of timeline/README.md. */
function frame({ kind, base = T, tile = 0, times, values, bases, flags = 0 }) {
    const columns = kind === 1 ? 1 : 4;
    const n = times.length;
    const buffer = new ArrayBuffer(24 + 8 * bases.length + n * (kind === 1 ? 8 : 4) + 4 * n * columns * bases.length);
    const view = new DataView(buffer);
    [1, kind, flags, bases.length].forEach((byte, i) => view.setUint8(i, byte));
    view.setUint32(4, 7, true);
    view.setUint16(8, 2, true);
    view.setUint8(10, tile);
    view.setUint32(12, n, true);
    view.setBigInt64(16, base, true);
    bases.forEach((value, i) => view.setFloat64(24 + 8 * i, value, true));
    let at = 24 + 8 * bases.length;
    for (const time of times) {
        if (kind === 1) view.setBigInt64(at, time, true);
        else view.setUint32(at, Number(time), true);
        at += kind === 1 ? 8 : 4;
    }
    for (const value of values.flat(2)) {
        view.setFloat32(at, value, true);
        at += 4;
    }
    return buffer;
}

test("samples: times to the nanosecond also beyond four seconds, values by channel", () => {
    const found = decode(frame({ kind: 1, flags: 1, times: [0n, 1n, 10_000_000_001n], values: [[0, 1, 2], [5, NaN, 7]], bases: [50, 0] }));
    assert.deepEqual([found.view, found.stream, found.live, found.before, found.base], [7, 2, true, false, T]);
    assert.deepEqual([...found.at], [0, 1, 10_000_000_001]);
    assert.deepEqual([...found.channels[1].low], [5, NaN, 7]);
    assert.equal(newest(found), T + 10_000_000_001n);
});

test("tiles: four values each, at multiples of their span", () => {
    const found = decode(frame({ kind: 2, tile: 30, times: [0n, 3n], values: [[[1, 2], [3, 4], [5, 6], [7, 8]]], bases: [10] }));
    assert.equal(found.tile, 2 ** 30);
    assert.deepEqual([...found.at], [0, 3 * 2 ** 30]);
    assert.deepEqual([found.channels[0].low, found.channels[0].high, found.channels[0].first, found.channels[0].last].map((a) => a[1]), [2, 4, 6, 8]);
});

test("a frame that is cut short, or of another version, is told", () => {
    const whole = frame({ kind: 1, times: [0n, 1n], values: [[1, 2]], bases: [0] });
    assert.throws(() => decode(whole.slice(0, -1)), /55 bytes; expected 56/);
    assert.throws(() => decode(new ArrayBuffer(3)), /3 bytes/);
    new DataView(whole).setUint8(0, 9);
    assert.throws(() => decode(whole), /version 9/);
});

test("columns hold the lowest and highest of their samples, and no line crosses a gap", () => {
    const times = Array.from({ length: 1000 }, (_, i) => BigInt(i) * 10_000_000n).filter((_, i) => i < 400 || i >= 600);
    const values = times.map((at) => Math.sin(Number(at) / 1e8));
    const found = decode(frame({ kind: 1, times, values: [values], bases: [3] }));
    const view = { from: T, to: T + 10_000_000_000n };
    const columns = columnsOf([found], 0, view, 100, 100, []);
    for (let x = 0; x < 100; x += 1) {
        const inside = values.filter((_, i) => Math.floor(Number(times[i]) / 1e8) === x);
        if (inside.length === 0) assert.ok(Number.isNaN(columns.low[x]));
        else {
            assert.ok(Math.abs(columns.low[x] - 3 - Math.min(...inside)) < 1e-6);
            assert.ok(Math.abs(columns.high[x] - 3 - Math.max(...inside)) < 1e-6);
        }
    }
    assert.deepEqual([columns.joined[39], columns.joined[60], columns.joined[61]], [1, 0, 1]);
    const announced = columnsOf([found], 0, view, 100, null, [{ start: T + 4_000_000_000n, end: T + 6_000_000_000n }]);
    assert.equal(announced.joined[60], 0);
    assert.equal(columnsOf([found], 0, view, 100, null, []).joined[60], 1);
    assert.ok(extent([columns], "full")[0] < 2.01 && extent([columns], "full")[1] > 3.99);
    const few = { low: Float64Array.from({ length: 8000 }, (_, x) => (x === 4001 ? 7 : x === 4003 ? -Infinity : NaN)), into: undefined, out: undefined };
    assert.deepEqual(extent([{ ...few, high: few.low }], "robust"), [7 - 0.07, 7 + 0.07]); // one sample in a column that no stride meets
    assert.equal(extent([columnsOf([], 0, view, 100, 100, [])], "robust"), undefined);
});

test("lines lead into columns and out of them as the samples beside lie, however far", () => {
    const second = 1_000_000_000n;
    const found = decode(frame({ kind: 1, times: [0n, 5n * second, 9n * second, 10_000n * second], values: [[1, 2, 3, 4]], bases: [0] }));
    const view = (from, to) => ({ from: T + from * second, to: T + to * second });
    const middle = columnsOf([found], 0, view(4n, 8n), 40, null, []);
    assert.deepEqual([middle.into, middle.out], [[-40, 1], [10, 2, 50, 3]]);
    assert.deepEqual([middle.first[10], middle.low.filter((low) => low === low).length], [2, 1]);
    assert.deepEqual(columnsOf([found], 0, view(10n, 20n), 10, null, []).out, [-1, 3, 1034, 3 + 1035 / 9991]); // through, and cut off
    const broken = columnsOf([found], 0, view(4n, 8n), 40, 1, []);
    assert.deepEqual([broken.into, broken.out], [undefined, undefined]);
    assert.deepEqual(extent([seenOf(middle, 0, 40)], "full"), [1 - 0.12, 3 + 0.12]);
    assert.deepEqual(extent([seenOf(middle, 20, 40)], "full"), [2 - 0.06, 3 + 0.06]);
});

test("tiles of a view that was wider lie in all columns that they cover, and a gap between them stays one", () => {
    const tiles = decode(frame({ kind: 2, tile: 28, times: [0, 1, 2, 5], values: [[1, 2, 3, 5, 2, 3, 4, 6, 1, 2, 3, 5, 2, 3, 4, 6]], bases: [0] }));
    const view = (from, to) => ({ from: T + from * (1n << 28n), to: T + to * (1n << 28n) });
    const as = (columns) => [...columns.low].map((low) => (low === low ? 1 : 0)).join("");
    assert.equal(as(columnsOf([tiles], 0, view(0n, 8n), 8, null, [])), "11100100", "a column each at rest");
    assert.equal(as(columnsOf([tiles], 0, view(0n, 8n), 24, null, [])), "111111111000000111000000");
    const part = columnsOf([tiles], 0, { from: T + (3n << 27n), to: T + (5n << 27n) }, 8, null, []);
    assert.deepEqual([...part.high], [3, 3, 3, 3, 4, 4, 4, 4], "of one that began before the view, too");
});

test("the last value is the newest one up to a view's end, of whichever frame; what is none is passed over", () => {
    const samples = (base, times, values, offset = 0) => decode(frame({ kind: 1, base, times, values: [values], bases: [offset] }));
    const frames = [samples(T, [0n, 10n], [1, 2], 50), samples(T + 100n, [0n, 10n, 20n], [3, 4, NaN]), samples(T + 300n, [0n], [9])];
    assert.deepEqual(lastOf(frames, 0, T + 250n), { value: 4, at: T + 110n });
    assert.deepEqual(lastOf(frames, 0, T + 100n), { value: 3, at: T + 100n });
    assert.deepEqual(lastOf(frames, 0, T + 99n), { value: 52, at: T + 10n });
    assert.deepEqual(lastOf(frames, 0, T + 300n), { value: 9, at: T + 300n });
    assert.equal(lastOf(frames, 0, T - 1n), undefined);
    assert.equal(lastOf(frames, 1, T + 250n), undefined);
});

test("live frames are put together exactly", () => {
    const one = decode(frame({ kind: 1, flags: 1, times: [0n, 10n], values: [[0.5, NaN]], bases: [1000] }));
    const other = decode(frame({ kind: 1, flags: 1, base: T + 20n, times: [0n], values: [[0.25]], bases: [1010] }));
    const whole = together(one, other);
    assert.deepEqual([[...whole.at], [...whole.channels[0].last], whole.channels[0].base], [[0, 10, 20], [0.5, NaN, 10.25], 1000]);
    assert.equal(together(other, one), undefined); // not in time
    assert.equal(together(undefined, one), undefined);
    assert.equal(together({ ...one, live: false }, other), undefined);
    assert.equal(together({ ...one, view: 1 }, other), undefined);
});

test("the y-axis stays while it fits, grows by a step while one pans, and begins anew where little of it is used", () => {
    assert.deepEqual(calm(undefined, undefined), [0, 1]);
    assert.deepEqual(calm(undefined, [2, 4], true), [2, 4]);
    const before = [0, 10];
    assert.equal(calm(before, undefined), before);
    assert.equal(calm(before, [1, 9]), before);
    assert.deepEqual(calm(before, [-1, 9]), [-1, 9], "what rests has no more room than it needs");
    const grown = calm(before, [-1, 9], true);
    assert.deepEqual(grown, [-1 - 10 * 0.08, 10]);
    assert.equal(calm(grown, [-1.7, 9], true), grown, "the next samples lie a little farther out");
    assert.deepEqual(calm(before, [1, 11], true), [0, 11 + 10 * 0.08]);
    assert.deepEqual(calm(before, [4, 9], true), [4, 9]);
    assert.deepEqual(calm(before, [100, 110], true), [100, 110]);
    for (const now of [[-1, 9], [-3, 20], [9, 30], [3, 9.5]]) {
        const found = calm(before, now, true);
        assert.ok(found[0] <= now[0] && found[1] >= now[1], `${now}`);
        assert.equal(calm(found, now), found, "and does not jump when it rests");
    }
});
