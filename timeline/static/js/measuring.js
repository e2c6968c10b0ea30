// @ts-check
/** The ruler on a timeline: `M` begins at the cursor, `M` again lets the end lie, once more takes it away. */
import { lineBands } from "./draw.js";
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
    const bands = row && trace ? lineBands(row, trace, at.hand.apart) : [];
    const place = bands.findIndex((band) => height !== undefined && height >= band.top && height < band.top + band.height);
    const band = bands[place];
    if (!row || !trace || height === undefined || !band) return { at: time, stream: "", y: undefined, unit: "" }; // of named states there is no difference
    const stream = `${row.name} ${band.channels.join(" ")}`; // channels apart have axes of their own
    return { at: time, stream, y: valueAt(trace.extents?.[place], (height - band.top) / band.height), unit: trace.channels[band.channels[0]]?.unit ?? "" };
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
