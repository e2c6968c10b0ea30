// @ts-check
/** More marks than one wants to have: how many of each label there are in each column, as the server counted. Pure. */
import { xOf } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {{ request: number, view: View, columns: number }} Asked the request's number, and its range */
/** @typedef {{ label: string, column: Float64Array, below: Float64Array, count: Float64Array }} Part of a label: in which columns it has marks, how many, and how many of others lie below them; by column */
/** @typedef {Asked & { labels: string[], cells: [number, number, number][], totals: Float64Array, parts: Part[] }} Dense cells: column, place in `labels`, marks; totals: marks of each column */
/** @typedef {{ begin: number, wide: number, most: number }} Place px at which the first column begins, and of each one; marks of the fullest one in view */

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
 * Where the columns lie in a view, and how full the fullest one is that is seen.
 * @param {Dense} dense @param {View} view @param {number} width px @returns {Place}
 */
export function placeOf({ view: asked, columns, totals }, view, width) {
    const begin = xOf(view, asked.from, width);
    const wide = (xOf(view, asked.to, width) - begin) / columns;
    const [first, last] = [Math.max(0, Math.ceil(-begin / wide - 1)), Math.min(columns - 1, Math.floor((width - begin) / wide))];
    let most = 1;
    for (let at = first; at <= last; at += 1) if (totals[at] > most) most = totals[at];
    return { begin, wide, most };
}

/**
 * A label's columns as bars, each as high as it is full, beside one of `most` marks, which is as high as 1; on the bars of the
 * labels before it.
 * @param {Part} part @param {number} most @returns {Float64Array} column, top and height of each
 */
export function barsOf({ column, below, count }, most) {
    const bars = new Float64Array(3 * column.length);
    for (let i = 0; i < column.length; i += 1) {
        const height = count[i] / most;
        bars[3 * i] = column[i];
        bars[3 * i + 1] = 1 - below[i] / most - height;
        bars[3 * i + 2] = height;
    }
    return bars;
}
