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
 * @property {[number, number] | undefined} into px and value from where a line leads to the first column that has something
 * @property {[number, number, number, number] | undefined} out px and value, px and value of the line that leads to the first sample beyond
 */

/** Lines from and to what lies farther outside begin there: a path has no room for a year of pixels. */
const OUTSIDE = 1024;
/** Samples this many nominal periods apart are not joined: something is missing between them. */
const BREAK_PERIODS = 2.5;

/**
 * A channel's frames (by time) as `width` columns.
 * @param {readonly Frame[]} frames @param {number} channel @param {View} view @param {number} width device px
 * @param {number | null} rate nominal, Hz; null: samples are joined across any distance but a gap
 * @param {readonly { start: bigint, end: bigint }[]} gaps announced ones
 * @param {Columns} [into] whose arrays are used again, where they are as wide: a frame makes no garbage
 * @returns {Columns}
 */
export function columnsOf(frames, channel, view, width, rate, gaps, into = undefined) {
    const columns = into?.low.length === width ? emptied(into) : emptyColumns(width);
    const pxPerNs = width / Number(view.to - view.from);
    const edges = gaps.map((gap) => xOf(view, gap.start, width)).sort((one, other) => one - other);
    let [before, ended] = [-Infinity, NaN];
    let edge = 0;
    let some = false;
    for (const frame of frames) {
        const values = frame.channels[channel];
        if (values === undefined) continue;
        const base = xOf(view, frame.base, width);
        const reach = rate === null ? Infinity : ((BREAK_PERIODS * 1e9) / rate + frame.tile) * pxPerNs;
        const [start, stop] = visible(frame.at, -base / pxPerNs, (width - base) / pxPerNs);
        const wide = frame.tile * pxPerNs; // above 1: of a view that was wider, until the answer for this one comes
        const { at } = frame;
        const { low } = values;
        for (let i = start; i < stop; i += 1) {
            if (low[i] !== low[i]) continue; // NaN
            const x = base + at[i] * pxPerNs;
            while (edge < edges.length && edges[edge] <= before) edge += 1;
            const joined = x - before <= reach && (edge === edges.length || edges[edge] > x + 1e-6);
            if (x >= width) {
                if (joined) columns.out = [...clipped(before, ended, x, values.first[i] + values.base, -OUTSIDE), ...clipped(x, values.first[i] + values.base, before, ended, width + OUTSIDE)];
                return columns;
            }
            if (wide > 1 && x + wide > 0) {
                spread(columns, x, wide, values, i, joined);
                some = true;
            } else if (x >= 0) {
                if (joined && !some) columns.into = clipped(before, ended, x, values.first[i] + values.base, -OUTSIDE);
                some = true;
                put(columns, Math.floor(x), values, i, joined);
            }
            [before, ended] = [x, values.last[i] + values.base];
        }
    }
    return columns;
}

/**
 * The end `[x, y]` of a line to `[toX, toY]`, no farther out than `limit`.
 * @param {number} x @param {number} y @param {number} toX @param {number} toY @param {number} limit px @returns {[number, number]}
 */
function clipped(x, y, toX, toY, limit) {
    const far = limit < 0 ? x < limit : x > limit;
    return far ? [limit, y + ((toY - y) * (limit - x)) / (toX - x)] : [x, y];
}

/** @param {number} width @returns {Columns} */
function emptyColumns(width) {
    const column = () => new Float64Array(width).fill(NaN);
    return { low: column(), high: column(), first: column(), last: column(), joined: new Uint8Array(width), into: undefined, out: undefined };
}

/** @param {Columns} columns @returns {Columns} */
function emptied(columns) {
    for (const column of [columns.low, columns.high, columns.first, columns.last]) column.fill(NaN);
    columns.joined.fill(0);
    columns.into = columns.out = undefined;
    return columns;
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
 * The newest value of a channel up to an instant, and when it was.
 * @param {readonly Frame[]} frames by time @param {number} channel @param {bigint} until ns @returns {{ value: number, at: bigint } | undefined}
 */
export function lastOf(frames, channel, until) {
    for (let place = frames.length - 1; place >= 0; place -= 1) {
        const { at, base, channels } = frames[place];
        const values = channels[channel];
        if (base > until || values === undefined) continue;
        let i = lowerBound(at, Number(until - base) + 1) - 1;
        while (i >= 0 && values.last[i] !== values.last[i]) i -= 1; // NaN
        if (i >= 0) return { value: values.last[i] + values.base, at: base + BigInt(at[i]) };
    }
    return undefined;
}

/** @param {Columns} columns @param {number} x column @param {import("./frames.js").Channel} values @param {number} i @param {boolean} joined */
function put({ low, high, first, last, joined: joins }, x, values, i, joined) {
    const { base } = values;
    const [bottom, top] = [values.low[i] + base, values.high[i] + base];
    if (first[x] !== first[x]) { // NaN: nothing there yet
        first[x] = values.first[i] + base;
        low[x] = bottom;
        high[x] = top;
        joins[x] = joined ? 1 : 0;
    } else {
        if (bottom < low[x]) low[x] = bottom;
        if (top > high[x]) high[x] = top;
    }
    last[x] = values.last[i] + base;
}

/** A tile that is wider than a column lies in all that it covers: stripes between them would be gaps. @param {Columns} columns @param {number} x @param {number} wide px @param {Parameters<typeof put>[2]} values @param {number} i @param {boolean} joined */
function spread(columns, x, wide, values, i, joined) {
    const [begin, end] = [Math.max(0, Math.floor(x)), Math.min(columns.low.length, Math.floor(x + wide))];
    for (let at = begin; at < Math.max(begin + 1, end); at += 1) put(columns, at, values, i, at > begin || joined);
}

/** What the y-axis must have room for. @typedef {Pick<Columns, "low" | "high" | "into" | "out">} Seen */

/**
 * What is seen of columns from one to before another, and one value beside at either end, to which the line leads.
 * @param {Columns} columns @param {number} from @param {number} to @returns {Seen}
 */
export function seenOf({ low, high, into, out }, from, to) {
    let [begin, end] = [from - 1, to];
    while (begin >= 0 && low[begin] !== low[begin]) begin -= 1;
    while (end < low.length && low[end] !== low[end]) end += 1;
    return { low: low.subarray(Math.max(0, begin), end + 1), high: high.subarray(Math.max(0, begin), end + 1), into: begin < 0 ? into : undefined, out: end >= low.length ? out : undefined };
}

/** Fewer values tell nothing of those between them. */
const SPARSE = 256;

/**
 * The lowest and highest values that the y-axis shows: all of the view's, or without the outermost 0.1 % (of 2,048).
 * @param {readonly Seen[]} channels @param {"robust" | "full"} mode @returns {[number, number] | undefined}
 */
export function extent(channels, mode) {
    const size = channels.reduce((sum, { low }) => sum + low.length, 0);
    const beside = channels.flatMap(({ into, out }) => [...(into ? [into[1]] : []), ...(out ? [out[1], out[3]] : [])]).filter(Number.isFinite);
    const share = mode === "robust" ? 0.001 : 0;
    const found = (/** @type {number} */ stride) => outermostOf(channels, stride, 1 + Math.ceil(share * (2 * size / stride + 2 * channels.length + beside.length)));
    const stride = mode === "full" ? 1 : Math.max(1, Math.floor(size / 1024));
    let all = found(stride);
    if (all.count < SPARSE && stride > 1) all = found(1); // a slow stream's few samples lie in any columns
    const { lowest, highest } = all;
    const count = all.count + beside.length;
    if (count === 0) return undefined;
    for (const value of beside) {
        lowest.put(value);
        highest.put(-value);
    }
    const cut = Math.floor(count * share);
    return padded(lowest.values[cut], -highest.values[cut]);
}

/** Whether a column has something that lies on an axis: not infinity, which a sensor's driver may say. @param {number} low @param {number} high */
const isThere = (low, high) => high - low < Infinity;

/**
 * How many values every so many columns have, and so many of the outermost ones.
 * @param {readonly Seen[]} channels @param {number} stride @param {number} kept
 * @returns {{ count: number, lowest: Outermost, highest: Outermost }} highest: of their negatives
 */
function outermostOf(channels, stride, kept) {
    const [lowest, highest] = [new Outermost(kept), new Outermost(kept)];
    let count = 0;
    for (const { low, high } of channels) {
        for (let x = 0; x < low.length; x += stride) {
            const bottom = low[x];
            const top = high[x];
            if (!isThere(bottom, top)) continue;
            count += 2;
            if (bottom < lowest.last) {
                lowest.put(bottom);
                lowest.put(top);
            }
            if (-top < highest.last) {
                highest.put(-top);
                highest.put(-bottom);
            }
        }
    }
    return { count, lowest, highest };
}

/** The few smallest of many numbers, which need not be sorted for that. */
class Outermost {
    /** @param {number} count */
    constructor(count) {
        this.values = new Float64Array(count).fill(Infinity);
    }

    /** The largest of them. */
    get last() {
        return this.values[this.values.length - 1];
    }

    /** @param {number} value */
    put(value) {
        const { values } = this;
        let place = values.length - 1;
        if (value >= values[place]) return;
        for (; place > 0 && values[place - 1] > value; place -= 1) values[place] = values[place - 1];
        values[place] = value;
    }
}

/** @param {number} low @param {number} high @returns {[number, number]} a little more on both sides */
function padded(low, high) {
    const margin = (high - low) * 0.06 || Math.abs(high) * 0.01 || 1;
    return [low - margin, high + margin];
}

/** While a view moves an extent that grows gets so much of the range more than it needs, where it grew: the next samples may lie a little farther out. */
const ROOM = 0.08;
/** An extent of which no more than this is used is given up. */
const USED = 0.6;

/**
 * The extent that is drawn: the one before while it still fits, so that the picture is calm when one pans or follows. What grows
 * while one pans grows by a step: with each other extent all lines of the stream are other ones.
 * @param {[number, number] | undefined} before @param {[number, number] | undefined} now @param {boolean} [moving]
 * @returns {[number, number]}
 */
export function calm(before, now, moving = false) {
    if (now === undefined) return before ?? [0, 1];
    if (before === undefined) return now;
    const room = moving ? (now[1] - now[0]) * ROOM : 0;
    const low = now[0] < before[0] ? now[0] - room : before[0];
    const high = now[1] > before[1] ? now[1] + room : before[1];
    if (now[1] - now[0] <= USED * (high - low)) return now;
    if (low === before[0] && high === before[1]) return before;
    return moving ? [low, high] : now;
}
