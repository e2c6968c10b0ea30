// @ts-check
/** Named states as bands of words: each lasts until the next one, or until a gap, in which nobody knows; nothing lies between two. */
import { BAR, figure, wideOf } from "./layout.js";
import { xOf } from "./view.js";

/** @typedef {import("./draw.js").Trace} Trace */
/** @typedef {{ start: number, end: number, value: number | undefined }} StateRun px; undefined: several states in the width of a tile */

/** @param {Trace["channels"][number]} channel @returns {boolean} whether its values are codes that have names */
export const isStated = ({ states }) => Object.keys(states).length > 0;

/**
 * A channel's states in a view.
 * @param {Pick<Trace, "frames" | "before" | "gaps">} trace @param {number} channel
 * @param {import("./view.js").View} view @param {number} width px @returns {StateRun[]} by start
 */
export function stateRuns({ frames, before, gaps }, channel, view, width) {
    /** @type {StateRun[]} */
    const runs = [];
    const scale = width / Number(view.to - view.from);
    const ends = gaps.map((gap) => xOf(view, gap.start, width)).sort((one, other) => one - other);
    const held = before?.channels[channel];
    /** @type {{ start: number, value: number | undefined } | undefined} */
    let run = held && !Number.isNaN(held.last[0]) ? { start: 0, value: held.last[0] + held.base } : undefined;
    const until = (/** @type {number} */ x) => {
        if (!run) return;
        const { start, value } = run;
        const end = Math.min(ends.find((gap) => gap >= start) ?? x, x, width);
        if (end > Math.max(0, start)) runs.push({ start: Math.max(0, start), end, value });
    };
    for (const frame of frames) {
        const values = frame.channels[channel];
        const base = xOf(view, frame.base, width);
        for (let i = 0; values && i < frame.at.length; i += 1) {
            if (Number.isNaN(values.last[i])) continue;
            const x = base + frame.at[i] * scale;
            const value = values.low[i] === values.high[i] ? values.last[i] + values.base : undefined;
            const broken = run && ends.some((gap) => gap >= /** @type {NonNullable<typeof run>} */ (run).start && gap <= x);
            if (run && !broken && value === run.value) continue;
            until(x);
            run = { start: x, value };
        }
    }
    until(width);
    return runs;
}

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} pen @param {number} plot px @param {{ top: number, height: number }} band
 * @param {Trace} trace @param {number} channel @param {Pick<import("./draw.js").Scene, "view" | "colours">} scene
 */
export function drawStates(pen, plot, band, trace, channel, { view, colours }) {
    const words = trace.channels[channel].states;
    const top = Math.round(band.top + (band.height - BAR) / 2);
    for (const { start, end, value } of stateRuns(trace, channel, view, plot)) {
        pen.strokeStyle = colours.second;
        pen.strokeRect(start + 0.5, top + 0.5, end - start, BAR);
        pen.fillStyle = colours.ink;
        const word = value === undefined ? "…" : (words[String(Math.round(value))] ?? figure(value));
        if (wideOf(pen, word) + 8 < end - start) pen.fillText(word, start + 4, top + BAR / 2 + 1);
    }
}
