// @ts-check
/** The ruler on a timeline: `M` begins at the cursor, `M` again lets the end lie, once more takes it away. */
import { rowAt } from "./layout.js";
import { say } from "./page.js";
import { rulerWords, valueAt } from "./ruler.js";
import { clock } from "./time.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** The point under the cursor. @param {Timeline} at @returns {import("./ruler.js").Point} */
function point(at) {
    const { height } = at.hand;
    const row = height === undefined ? undefined : rowAt(at.rows, height);
    const trace = row?.kind === "stream" ? at.traces.get(row.name) : undefined;
    const time = at.markTime();
    if (!row || !trace || height === undefined || at.hand.apart) return { at: time, stream: "", y: undefined, unit: "" };
    return { at: time, stream: row.name, y: valueAt(trace.extent, (height - row.top) / row.height), unit: trace.channels[0]?.unit ?? "" };
}

/** @param {Timeline} at */
export function measure(at) {
    const { hand } = at;
    if (!hand.ruler) {
        const from = point(at);
        Object.assign(hand, { ruler: { from, to: from }, measuring: true });
        say(`ruler from ${clock(from.at)}; M again measures`);
    } else if (hand.measuring) {
        stretch(at);
        hand.measuring = false;
        say(rulerWords(hand.ruler));
    } else hand.ruler = undefined;
    at.paint();
}

/** The ruler's end goes with the cursor. @param {Timeline} at */
export function stretch(at) {
    if (at.hand.ruler && at.hand.measuring) at.hand.ruler = { ...at.hand.ruler, to: point(at) };
}
