// @ts-check
/** A ruler between two points of the picture, in words: Δt, 1/Δt, Δy. Pure. */
import { figure } from "./layout.js";
import { duration } from "./time.js";

/** @typedef {{ at: bigint, stream: string, y: number | undefined, unit: string }} Point an instant, and the value at its height */
/** @typedef {{ from: Point, to: Point }} Ruler */

/**
 * The value at a height of a stream's row. @param {[number, number] | undefined} extent low and high @param {number} share of the row's height from its top @returns {number | undefined}
 */
export const valueAt = (extent, share) => extent && extent[1] - share * (extent[1] - extent[0]);

/**
 * "Δt 250 ms, 1/Δt 4 Hz, Δy 0.5 g": the last only where both points lie in one stream.
 * @param {Ruler} ruler @returns {string}
 */
export function rulerWords({ from, to }) {
    const span = to.at < from.at ? from.at - to.at : to.at - from.at;
    const words = [`Δt ${duration(span)}`];
    if (span > 0n) words.push(`1/Δt ${figure(1e9 / Number(span))} Hz`);
    if (from.stream === to.stream && from.y !== undefined && to.y !== undefined) words.push(`Δy ${figure(to.y - from.y)}${to.unit && ` ${to.unit}`}`);
    return words.join(", ");
}
