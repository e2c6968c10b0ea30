/** What is kept of a stream's lines: the same as what would be made anew, made once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PIECE, changedFrom, drawLines, linesOf, seenLines } from "../../../timeline/static/js/lines.js";

const T = 1_795_780_800_000_000_000n;
const SECOND = 1_000_000_000n;
const WIDTH = 1000;
const SCALE = { high: 1, top: 0, perUnit: 50, bottom: 100 };

/** Samples `from` to `to` of a sine at 100 Hz. */
function frame(from, to) {
    const values = Float32Array.from({ length: to - from }, (_, i) => Math.sin((from + i) / 40));
    const at = Float64Array.from(values, (_, i) => i * 1e7);
    return { view: 1, stream: 0, live: true, before: false, base: T + BigInt(from) * 10_000_000n, tile: 0, at, channels: [{ base: 0, low: values, high: values, first: values, last: values }] };
}

const traceOf = (frames) => ({ name: "acc", channels: [{ name: "x", unit: "g", states: {} }], rate: 100, place: undefined, frames, before: undefined, gaps: [], extent: undefined });
const view = (from) => ({ from: T + from, to: T + from + 20n * SECOND });

/** The columns of a view, by pixel. */
function told(trace, seen) {
    const { pieces, left } = linesOf(trace, [0], seen, WIDTH);
    return pieces.flatMap(({ columns }, i) => [...columns[0].low].map((low, x) => [left + i * PIECE + x, low])).filter(([x, low]) => x >= 0 && x < WIDTH && low === low);
}

/** Strokes of a drawing: of paths that were kept, and of lines that were told anew. */
function strokes(trace, seen, scale = SCALE) {
    const found = { kept: 0, lines: 0 };
    const pen = { beginPath() {}, setTransform() {}, moveTo() {}, lineTo() { found.lines += 1; }, stroke(path) { if (path) found.kept += 1; } };
    drawLines(pen, linesOf(trace, [0], seen, WIDTH), 0, 0, scale);
    return found;
}

globalThis.Path2D = class { moveTo() {} lineTo() {} addPath() {} };

test("a view that moved finds its pieces again, whole pixels away", () => {
    const trace = traceOf([frame(0, 4000)]);
    const first = linesOf(trace, [0], view(5n * SECOND), WIDTH);
    const before = told(trace, view(5n * SECOND));
    const moved = linesOf(trace, [0], view(6n * SECOND), WIDTH);
    const kept = moved.pieces.filter((piece) => first.pieces.includes(piece));
    assert.ok(kept.length >= first.pieces.length - 1);
    const shifted = new Map(told(trace, view(6n * SECOND)));
    for (const [x, low] of before) if (x >= 50) assert.equal(shifted.get(x - 50), low);
});

test("what came, and a gap, change what lies there, and nothing before", () => {
    const trace = traceOf([frame(0, 1500)]);
    const before = linesOf(trace, [0], view(0n), WIDTH).pieces;
    trace.frames.push(frame(1500, 1600));
    changedFrom(trace, T + 14_990_000_000n);
    const after = linesOf(trace, [0], view(0n), WIDTH).pieces;
    const same = after.map((piece, i) => piece === before[i]);
    assert.ok(same[0] && !same.at(-1), same.join());
    assert.deepEqual(told(trace, view(0n)), told(traceOf(trace.frames), view(0n)));
    trace.gaps.push({ start: T + 3_005_000_000n, end: T + 3_008_000_000n, reason: "lost" });
    changedFrom(trace, trace.gaps[0].start);
    const columns = linesOf(trace, [0], view(0n), WIDTH).pieces.flatMap((piece) => [...piece.columns[0].joined]);
    assert.equal(columns.filter((joined, i) => joined === 0 && i > 0).length > 0, true);
});

test("pieces that are whole leave paths, made once; that one to which samples come does so when none came for some frames", () => {
    const trace = traceOf([frame(0, 1500)]);
    const first = strokes(trace, view(0n));
    assert.deepEqual(strokes(trace, view(0n)), first);
    const pieces = linesOf(trace, [0], view(0n), WIDTH).pieces;
    const whole = pieces.filter(({ range }) => range.to <= T + 14_990_000_000n);
    const paths = whole.map(({ drawn }) => drawn[0].path);
    assert.ok(first.kept === whole.length && first.kept > 1 && first.lines > 0);
    assert.ok(pieces.every((piece) => whole.includes(piece) || piece.drawn[0] === undefined));
    assert.deepEqual(strokes(trace, view(0n)), { kept: whole.length + 1, lines: 0 }); // what lies behind the samples is not drawn
    assert.ok(whole.every(({ drawn }, i) => drawn[0].path === paths[i]));
    trace.frames.push(frame(1500, 1510));
    changedFrom(trace, T + 14_990_000_000n);
    const next = strokes(trace, view(0n), { ...SCALE, high: 2 });
    assert.ok(next.kept === whole.length && next.lines > first.lines);
    assert.ok(whole.every(({ drawn }, i) => drawn[0].path !== paths[i]), "another y-axis, another path");
});

test("a view of another span or width makes its own, of the same arrays", () => {
    const trace = traceOf([frame(0, 4000)]);
    linesOf(trace, [0], view(0n), WIDTH);
    const arrays = [...trace.kept.pieces.values()].map(({ columns }) => columns[0]);
    linesOf(trace, [0], { from: T, to: T + 10n * SECOND }, WIDTH);
    const now = [...trace.kept.pieces.values()].map(({ columns }) => columns[0]);
    assert.ok(now.every((columns) => arrays.includes(columns)));
});

test("the y-axis has room for what is in view, not for what a piece has beside it", () => {
    const spiked = frame(0, 4000);
    const seen = view(10n * SECOND);
    const { left } = linesOf(traceOf([spiked]), [0], seen, WIDTH);
    assert.ok(left < -20);
    spiked.channels[0].low[990] = 99; // some px before the view
    const lows = seenLines(linesOf(traceOf([spiked]), [0], seen, WIDTH), 0, WIDTH).flatMap(({ low }) => [...low]);
    assert.ok(lows.every((low) => !(low > 1)));
});

/** A view of a share of `view(0n)`'s span, about its middle. */
function zoomedBy(percent) {
    const cut = (20n * SECOND * (100n - percent)) / 200n;
    return { from: T + cut, to: T + 20n * SECOND - cut };
}

test("what is zoomed is drawn of narrower columns while it moves, in and out, and made anew once it rests or would be coarse", () => {
    const trace = traceOf([frame(0, 4000)]);
    const shown = (percent, moving = true) => linesOf(trace, [0], zoomedBy(percent), WIDTH, moving);
    shown(100n);
    const made = new Set(trace.kept.pieces.values());
    for (const percent of [101n, 119n, 156n]) {
        const { pieces, left, wide } = shown(percent);
        assert.ok(pieces.some((piece) => made.has(piece)), `${percent}`);
        assert.ok(Math.abs(wide - 100 / Number(percent)) < 1e-9);
        assert.ok(left <= 0 && left + pieces.length * PIECE * wide >= WIDTH, "the view is covered");
        const at = (Number(pieces[0].range.from - zoomedBy(percent).from) / Number(zoomedBy(percent).to - zoomedBy(percent).from)) * WIDTH;
        assert.ok(Math.abs(at - left) < 1e-6, "a piece lies where its time is");
    }
    assert.equal(shown(99n).wide, 0.8, "never wider than a pixel");
    const finer = trace.kept;
    assert.ok(shown(80n).wide < 1 && trace.kept === finer);
    assert.ok(shown(79n).wide === 0.8 && trace.kept !== finer);
    assert.equal(shown(79n, false).wide, 1);
});

test("another answer is never drawn as the frames before it, however little a view was zoomed", () => {
    const trace = traceOf([frame(0, 4000)]);
    linesOf(trace, [0], view(0n), WIDTH);
    const made = new Set(trace.kept.pieces.values());
    trace.frames = [frame(0, 4000)];
    const { pieces, wide } = linesOf(trace, [0], zoomedBy(110n), WIDTH, true);
    assert.ok(wide === 1 && pieces.every((piece) => !made.has(piece)));
});

test("narrow columns are stroked as narrow, and the y-axis has room for what is in view", () => {
    const trace = traceOf([frame(0, 4000)]);
    linesOf(trace, [0], view(0n), WIDTH);
    const lines = linesOf(trace, [0], zoomedBy(90n), WIDTH, true);
    const [stroked, set] = [[], []];
    const pen = { beginPath() {}, setTransform(...matrix) { set.push(matrix); }, moveTo() {}, lineTo() {}, stroke() { stroked.push(set.at(-1)); } };
    drawLines(pen, lines, 0, 0, SCALE);
    drawLines(pen, lines, 0, 0, SCALE);
    assert.equal(lines.wide, 0.8);
    assert.ok(stroked.length > 2 && stroked.every(([across, , , down]) => across === 0.8 && down === 1));
    assert.deepEqual(set.at(-1), [1, 0, 0, 1, 0, 0]);
    trace.frames[0].channels[0].low[80] = 99; // 0.8 s: before the view, which begins at 1 s
    trace.kept = undefined;
    linesOf(trace, [0], view(0n), WIDTH);
    const lows = seenLines(linesOf(trace, [0], zoomedBy(90n), WIDTH, true), 0, WIDTH).flatMap(({ low }) => [...low]);
    assert.ok(lows.length > 0 && lows.every((low) => !(low > 1)));
});
