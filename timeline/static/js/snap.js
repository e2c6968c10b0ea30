// @ts-check
/**
 * Where a point snaps to: an onset of the signal under it, another mark's edge, a sample. Over what is drawn: nothing is
 * asked of the server while one drags. Pure.
 */
import { lowerBound } from "./traces.js";

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {{ frames: readonly Frame[], channels: number }} Drawn a stream's frames, by time, and how many channels it has */
/** @typedef {{ at: bigint, kind: "onset" | "edge" | "sample" }} Snap */

/** Fewer samples on a side, or a smaller part of all, tell no change from noise, or from one that lies astray. */
const SIDE_MIN = 3;
const SIDE_PART = 24;
/** So many samples of a channel are looked at. */
const AROUND = 2048;
/** A change of the mean is an onset from so many standard errors on. */
const SHARP = 6;

/**
 * A drawn channel around an instant: where its samples (or tiles) lie, in ns from `from` on, their values, and how much
 * they move: the height of a tile, the step from the sample before.
 * @typedef {{ at: number[], values: number[], moves: number[] }} Piece
 */

/** @param {readonly Frame[]} frames by time @param {number} channel @param {bigint} from @param {bigint} to @returns {Piece} */
export function around(frames, channel, from, to) {
    /** @type {Piece} */
    const found = { at: [], values: [], moves: [] };
    for (const frame of frames) {
        const values = frame.channels[channel];
        if (!values) continue;
        const base = Number(frame.base - from);
        const start = lowerBound(frame.at, -base);
        const stop = lowerBound(frame.at, Number(to - from) - base + 1);
        for (let i = start; i < stop && found.at.length < AROUND; i += 1) {
            if (Number.isNaN(values.first[i])) continue;
            const value = (values.low[i] + values.high[i]) / 2 + values.base;
            found.at.push(base + frame.at[i]);
            found.moves.push(frame.tile > 0 ? values.high[i] - values.low[i] : Math.abs(value - (found.values.at(-1) ?? value)));
            found.values.push(value);
        }
    }
    return found;
}

/**
 * The place where the mean of values changes the most: the split that leaves the least squares around two means (CUSUM).
 * None where a straight line leaves less: a drift has no onset.
 * @param {readonly number[]} values
 * @returns {{ place: number, sharp: number } | undefined} the first value after it, and the change in standard errors
 */
export function changePoint(values) {
    const n = values.length;
    const side = Math.max(SIDE_MIN, Math.ceil(n / SIDE_PART));
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    let [squares, leaning, sum, best, place] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i += 1) {
        const between = i < side || n - i < side ? 0 : (sum * sum * n) / (i * (n - i)); // squares that a split before `i` explains
        if (between > best) [best, place] = [between, i];
        const away = values[i] - mean;
        sum += away;
        squares += away * away;
        leaning += away * (i - (n - 1) / 2);
    }
    const line = (leaning * leaning * 12) / (n * (n * n - 1)); // squares that a straight line explains
    if (place === 0 || best <= line) return undefined;
    const left = Math.max(0, squares - best) / (n - 2);
    return { place, sharp: left === 0 ? Infinity : Math.sqrt(best / left) };
}

/**
 * The onset near an instant over all channels: the sharpest change within reach, of the value or of how much it moves.
 * @param {readonly Drawn[]} traces @param {bigint} at @param {bigint} reach ns @returns {bigint | undefined}
 */
export function onset(traces, at, reach) {
    let [found, sharpest] = [/** @type {bigint | undefined} */ (undefined), SHARP];
    for (const { frames, channels } of traces) {
        for (let channel = 0; channel < channels; channel += 1) {
            const near = around(frames, channel, at - reach, at + reach);
            for (const series of [near.values, near.moves]) {
                const change = changePoint(series);
                if (change && change.sharp > sharpest) [found, sharpest] = [at - reach + BigInt(near.at[change.place]), change.sharp];
            }
        }
    }
    return found;
}

/**
 * The nearest target within reach. @param {bigint} at @param {Iterable<bigint>} targets @param {bigint} reach ns @returns {bigint | undefined}
 */
export function nearest(at, targets, reach) {
    let [found, far] = [/** @type {bigint | undefined} */ (undefined), reach];
    for (const target of targets) {
        const away = target > at ? target - at : at - target;
        if (away <= far) [found, far] = [target, away];
    }
    return found;
}

/**
 * Where `at` snaps to: another mark's edge within `close`, else an onset within `wide`, else the nearest sample within
 * `close`, else nowhere. An edge goes before an onset: two marks that meet leave no gap.
 * @param {bigint} at @param {Iterable<bigint>} edges @param {readonly Drawn[]} traces
 * @param {bigint} close ns @param {bigint} wide ns @returns {Snap | undefined}
 */
export function snapped(at, edges, traces, close, wide) {
    const edge = nearest(at, edges, close);
    if (edge !== undefined) return { at: edge, kind: "edge" };
    const change = onset(traces, at, wide);
    if (change !== undefined) return { at: change, kind: "onset" };
    const samples = traces.flatMap(({ frames }) => frames.filter((frame) => frame.tile === 0).flatMap((frame) => besides(frame, at)));
    const sample = nearest(at, samples, close);
    return sample === undefined ? undefined : { at: sample, kind: "sample" };
}

/** The samples of a frame before and after an instant. @param {Frame} frame @param {bigint} at @returns {bigint[]} */
function besides(frame, at) {
    const place = lowerBound(frame.at, Number(at - frame.base));
    return [place - 1, place].filter((i) => i >= 0 && i < frame.at.length).map((i) => frame.base + BigInt(frame.at[i]));
}
