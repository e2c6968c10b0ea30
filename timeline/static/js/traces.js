// @ts-check
/**
 * Frames made into lines on the screen: lowest and highest value per column of pixels, broken where samples are missing.
 * Positions are floats relative to the view. Pure.
 */
import { xOf } from "./view.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {import("./view.js").View} View */
/**
 * A channel as columns of pixels; NaN: nothing there. `joined[x]` is 1 where a line leads here from the column before
 * that has something.
 * @typedef {object} Columns
 * @property {Float64Array} low
 * @property {Float64Array} high
 * @property {Float64Array} first
 * @property {Float64Array} last
 * @property {Uint8Array} joined
 */

/** Samples this many nominal periods apart are not joined: something is missing between them. */
const BREAK_PERIODS = 2.5;

/**
 * A channel's frames (by time) as `width` columns.
 * @param {readonly Frame[]} frames @param {number} channel @param {View} view @param {number} width device px
 * @param {number | null} rate nominal, Hz; null: samples are joined across any distance but a gap
 * @param {readonly { start: bigint, end: bigint }[]} gaps announced ones
 * @returns {Columns}
 */
export function columnsOf(frames, channel, view, width, rate, gaps) {
    const columns = emptyColumns(width);
    const pxPerNs = width / Number(view.to - view.from);
    const edges = gaps.map((gap) => xOf(view, gap.start, width)).sort((one, other) => one - other);
    let before = -Infinity;
    let edge = 0;
    for (const frame of frames) {
        const values = frame.channels[channel];
        if (values === undefined) continue;
        const base = xOf(view, frame.base, width);
        const reach = rate === null ? Infinity : ((BREAK_PERIODS * 1e9) / rate + frame.tile) * pxPerNs;
        const [start, stop] = visible(frame.at, -base / pxPerNs, (width - base) / pxPerNs);
        for (let i = start; i < stop; i += 1) {
            if (Number.isNaN(values.low[i])) continue;
            const x = base + frame.at[i] * pxPerNs;
            while (edge < edges.length && edges[edge] <= before) edge += 1;
            const joined = x - before <= reach && !(edge < edges.length && edges[edge] <= x + 1e-6);
            put(columns, Math.floor(x), values, i, joined);
            before = x;
        }
    }
    return columns;
}

/** @param {number} width @returns {Columns} */
function emptyColumns(width) {
    const column = () => new Float64Array(width).fill(NaN);
    return { low: column(), high: column(), first: column(), last: column(), joined: new Uint8Array(width) };
}

/**
 * The places of a rising array that lie in a range, and one more at either side for the lines that lead out.
 * @param {Float64Array} at @param {number} from @param {number} to @returns {[number, number]}
 */
export function visible(at, from, to) {
    return [Math.max(0, lowerBound(at, from) - 1), Math.min(at.length, lowerBound(at, to) + 1)];
}

/** @param {Float64Array} sorted @param {number} value @returns {number} the first place that is not below it */
export function lowerBound(sorted, value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (sorted[middle] < value) low = middle + 1;
        else high = middle;
    }
    return low;
}

/**
 * What lies outside goes into the border's column: a line leads in from there.
 * @param {Columns} columns @param {number} column @param {import("./frames.js").Channel} values @param {number} i
 * @param {boolean} joined
 */
function put(columns, column, values, i, joined) {
    const width = columns.low.length;
    const x = column < 0 ? 0 : column >= width ? width - 1 : column;
    const outside = x !== column;
    const { base } = values;
    if (Number.isNaN(columns.first[x])) {
        columns.first[x] = values.first[i] + base;
        columns.low[x] = (outside ? values.last[i] : values.low[i]) + base;
        columns.high[x] = (outside ? values.last[i] : values.high[i]) + base;
        columns.joined[x] = joined ? 1 : 0;
    } else if (!outside) {
        columns.low[x] = Math.min(columns.low[x], values.low[i] + base);
        columns.high[x] = Math.max(columns.high[x], values.high[i] + base);
    }
    columns.last[x] = values.last[i] + base;
}

/**
 * The lowest and highest values that the y-axis shows: all of the view's, or without the outermost 0.1 % (of 2,048).
 * @param {readonly Columns[]} channels @param {"robust" | "full"} mode @returns {[number, number] | undefined}
 */
export function extent(channels, mode) {
    const columns = channels.flatMap(({ low, high }) => [low, high]);
    const size = columns.reduce((sum, column) => sum + column.length, 0);
    const stride = mode === "full" ? 1 : Math.max(1, Math.floor(size / 2048));
    const picked = [];
    for (const column of columns) {
        for (let x = 0; x < column.length; x += stride) if (!Number.isNaN(column[x])) picked.push(column[x]);
    }
    if (picked.length === 0) return undefined;
    const sorted = Float64Array.from(picked).sort();
    const cut = mode === "robust" ? Math.floor(sorted.length * 0.001) : 0;
    return padded(sorted[cut], sorted[sorted.length - 1 - cut]);
}

/** @param {number} low @param {number} high @returns {[number, number]} a little more on both sides */
function padded(low, high) {
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
    return [low - margin, high + margin];
}

/**
 * The extent that is drawn: the one before while it still fits, so that the picture is calm when one pans or follows.
 * @param {[number, number] | undefined} before @param {[number, number] | undefined} now
 * @returns {[number, number]}
 */
export function calm(before, now) {
    if (now === undefined) return before ?? [0, 1];
    if (before === undefined) return now;
    const fits = before[0] <= now[0] && before[1] >= now[1] && now[1] - now[0] > 0.6 * (before[1] - before[0]);
    return fits ? before : now;
}
