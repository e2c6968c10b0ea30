// @ts-check
/**
 * A stream's lines in pieces of so many columns of pixels, kept from frame to frame: what is panned or followed is only
 * moved. Pieces lie at multiples of their own span since 1970, so that a view of the same span finds them again, a whole
 * number of pixels away; each is made of the stream's frames alone, whatever lies in the pieces beside it. While a view is
 * zoomed they are drawn narrower, and made anew once it rests.
 */
import { addLine, addOut, lineOf, strokeLines } from "./strokes.js";
import { newest } from "./frames.js";
import { floorDiv } from "./time.js";
import { columnsOf, seenOf } from "./traces.js";
import { xOf } from "./view.js";

/** @typedef {import("./draw.js").Trace} Trace */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./traces.js").Columns} Columns */
/** @typedef {import("./strokes.js").Scale} Scale */
/** @typedef {{ scale: Scale, path: Path2D }} Drawn a channel's path, and the scale that it was made for */
/** @typedef {{ range: View, columns: (Columns | undefined)[], some: boolean[], drawn: (Drawn | undefined)[], frames: number }} Piece by channel, `some`: whether there is anything; and in how many frames it has been since it was made */
/** @typedef {{ frames: readonly import("./frames.js").Frame[], span: bigint, width: number, pieces: Map<bigint, Piece>, free: Columns[] }} Kept pieces of these frames, for views of this span and width; arrays to use again */
/** @typedef {{ pieces: Piece[], left: number, wide: number, whole: bigint }} Lines what a view shows: pieces side by side, device px of the first one's left border and of a column; to those that end later than `whole` samples may still come */

/** Columns of a piece. */
export const PIECE = 256;
/** While one zooms columns are drawn as narrow as this part of a pixel, and never wider than one: that would be seen, and costs a browser its thinnest lines. */
const NARROWEST = 0.64;

/** A piece to which samples may still come, and that came to so many frames without any, leaves its paths as a whole one does: where one follows it is another one in nearly each frame, and a path that is drawn once costs more than none. */
const STILL = 3;

/**
 * The pieces of a stream that a view shows.
 * @param {Trace} trace in which they are kept @param {readonly number[]} channels those that are lines
 * @param {View} view @param {number} width device px @param {boolean} [moving] the view will be another one soon: pieces of nearly its span will do
 * @returns {Lines}
 */
export function linesOf(trace, channels, view, width, moving = false) {
    const kept = (trace.kept = keptFor(trace, view.to - view.from, width, moving));
    const [across, wide] = [BigInt(PIECE) * kept.span, BigInt(width)];
    const [first, last] = [floorDiv(view.from * wide, across), floorDiv(view.to * wide - 1n, across)];
    for (const place of kept.pieces.keys()) if (place < first || place > last) letGo(kept, place);
    const pieces = [];
    for (let place = first; place <= last; place += 1n) {
        const range = { from: floorDiv(place * across, wide), to: floorDiv((place + 1n) * across, wide) };
        const piece = kept.pieces.get(place) ?? pieceOf(trace, channels, range, kept.free);
        piece.frames += 1;
        kept.pieces.set(place, piece);
        pieces.push(piece);
    }
    const end = trace.frames.at(-1);
    const left = xOf(view, pieces[0].range.from, width);
    const stretch = stretchOf(kept.span, view.to - view.from);
    return { pieces, left: stretch === 1 ? Math.round(left) : left, wide: stretch, whole: end ? newest(end) : view.from };
}

/** px of a column of what was made for a span, in a view of another one. @param {bigint} made @param {bigint} span @returns {number} */
const stretchOf = (made, span) => Number(made) / Number(span);

/** What is kept, where it is of these frames and fits. @param {Trace} trace @param {bigint} span @param {number} width @param {boolean} moving @returns {Kept} */
function keptFor({ kept, frames }, span, width, moving) {
    const same = kept && kept.frames === frames && kept.width === width;
    if (same && (kept.span === span || (moving && nearly(kept.span, span)))) return kept;
    for (const place of kept?.pieces.keys() ?? []) letGo(/** @type {Kept} */ (kept), place);
    const made = same && moving ? (span * 4n) / 5n : span; // finer: it goes on being zoomed, in or out
    return { frames, span: made, width, pieces: kept?.pieces ?? new Map(), free: kept?.free ?? [] };
}

/** @param {bigint} made @param {bigint} span @returns {boolean} */
function nearly(made, span) {
    const stretch = stretchOf(made, span);
    return stretch <= 1 && stretch >= NARROWEST;
}

/** @param {Kept} kept @param {bigint} place */
function letGo({ pieces, free }, place) {
    for (const columns of pieces.get(place)?.columns ?? []) if (columns) free.push(columns);
    pieces.delete(place);
}

/** @param {Trace} trace @param {readonly number[]} channels @param {View} range @param {Columns[]} free @returns {Piece} */
function pieceOf({ frames, rate, gaps }, channels, range, free) {
    /** @type {Piece} */
    const piece = { range, columns: [], some: [], drawn: [], frames: 0 };
    for (const c of channels) {
        const columns = (piece.columns[c] = columnsOf(frames, c, range, PIECE, rate, gaps, free.pop()));
        piece.some[c] = columns.low.some((value) => value === value); // a number
    }
    return piece;
}

/** From an instant on a stream is another one: samples came, or a gap. @param {Trace} trace @param {bigint} from */
export function changedFrom({ kept }, from) {
    if (!kept) return;
    for (const [place, { range }] of kept.pieces) if (range.to > from) letGo(kept, place);
}

/** What a view shows of a channel, for its y-axis. @param {Lines} lines @param {number} channel @param {number} width device px @returns {import("./traces.js").Seen[]} */
export function seenLines({ pieces, left, wide }, channel, width) {
    return pieces.map(({ columns }, i) => {
        const at = left + i * PIECE * wide;
        const [from, to] = [Math.max(0, Math.floor(-at / wide)), Math.min(PIECE, Math.ceil((width - at) / wide))];
        const all = /** @type {Columns} */ (columns[channel]);
        return from === 0 && to === PIECE && i > 0 && i < pieces.length - 1 ? { low: all.low, high: all.high, into: undefined, out: undefined } : seenOf(all, from, to);
    });
}

/**
 * Draws a channel: pieces that are whole, or stay as they are, as the paths that they leave, the others in one path. Lines of narrow columns are as
 * narrow across, and as thin as ever down.
 * @param {CanvasRenderingContext2D} pen whose units are device px afterwards @param {Lines} lines @param {number} channel
 * @param {number} origin device px of the view's left border @param {Scale} scale
 */
export function drawLines(pen, { pieces, left, wide, whole }, channel, origin, scale) {
    pen.beginPath();
    pieces.forEach((piece, i) => {
        const columns = /** @type {Columns} */ (piece.columns[channel]);
        const at = origin + left + i * PIECE * wide;
        if (piece.some[channel] && (piece.range.to <= whole || piece.frames >= STILL)) {
            pen.setTransform(wide, 0, 0, 1, at, 0);
            pen.stroke(pathOf(piece, channel, columns, scale));
        } else if (piece.some[channel]) addLine(pen, columns, at, scale, wide);
        if (i === pieces.length - 1) addOut(pen, columns, at, scale, wide);
    });
    strokeLines(pen, wide);
}

/** @param {Piece} piece @param {number} channel @param {Columns} columns @param {Scale} scale @returns {Path2D} */
function pathOf({ drawn }, channel, columns, scale) {
    const known = drawn[channel];
    if (known && sameScale(known.scale, scale)) return known.path;
    const path = lineOf(columns, scale);
    drawn[channel] = { scale, path };
    return path;
}

/** @param {Scale} one @param {Scale} other @returns {boolean} */
const sameScale = (one, other) => one.high === other.high && one.top === other.top && one.perUnit === other.perUnit && one.bottom === other.bottom;
