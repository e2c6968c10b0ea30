// @ts-check
/** More marks than one wants to have: how many of each label there are in each column, as the server counted. Pure. */
import { xOf } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {{ request: number, view: View, columns: number }} Asked the request's number, and its range */
/** @typedef {{ label: string, column: Float64Array, below: Float64Array, count: Float64Array }} Part of a label: in which columns it has marks, how many, and how many of others lie below them; by column */
/** @typedef {Asked & { labels: string[], cells: [number, number, number][], totals: Float64Array, parts: Part[] }} Dense cells: column, place in `labels`, marks; totals: marks of each column */
/** @typedef {{ label: string, bars: Float64Array }} Bars of a label: x, top, width and height of each, px, of a lane of height 1 */

/** Columns of this many px are asked for. */
export const COLUMN = 4;

/**
 * An answer made ready for frames: each label's columns, in which the labels before it lie below.
 * @param {Asked} asked @param {string[]} labels @param {[number, number, number][]} cells @returns {Dense}
 */
export function denseOf(asked, labels, cells) {
    const totals = new Float64Array(asked.columns);
    const parts = labels.map((label, place) => {
        const own = cells.filter((cell) => cell[1] === place);
        const column = Float64Array.from(own, (cell) => cell[0]);
        const count = Float64Array.from(own, (cell) => cell[2]);
        const below = column.map((at) => totals[at]);
        column.forEach((at, i) => (totals[at] += count[i]));
        return { label, column, below, count };
    });
    return { ...asked, labels, cells, totals, parts };
}

/**
 * The columns of a view as bars: as high as the column is full, beside the fullest one, and each label's part of it.
 * @param {Dense} dense @param {View} view @param {number} width px @returns {Bars[]}
 */
export function barsOf({ view: asked, columns, totals, parts }, view, width) {
    const begin = xOf(view, asked.from, width);
    const wide = (xOf(view, asked.to, width) - begin) / columns;
    const [first, last] = [Math.max(0, Math.ceil(-begin / wide - 1)), Math.min(columns - 1, Math.floor((width - begin) / wide))];
    let most = 1;
    for (let at = first; at <= last; at += 1) if (totals[at] > most) most = totals[at];
    return parts.map(({ label, column, below, count }) => {
        const bars = new Float64Array(4 * column.length);
        let used = 0;
        for (let i = 0; i < column.length; i += 1) {
            if (column[i] < first || column[i] > last) continue;
            const height = count[i] / most;
            bars[used] = begin + column[i] * wide;
            bars[used + 1] = 1 - below[i] / most - height;
            bars[used + 2] = Math.max(1, wide);
            bars[used + 3] = height;
            used += 4;
        }
        return { label, bars: bars.subarray(0, used) };
    });
}
