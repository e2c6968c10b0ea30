// @ts-check
/** What keys, buttons and the menu do to a timeline, by name: here the view and the page, in `gestures.js` and `reviewing.js` the marks. */
import { entryWords, stacks } from "./acts.js";
import { edit, nudge, retract, setEdge, showEdge, split, step, togglePanel, toggleStates, trim, unite } from "./gestures.js";
import { HEIGHTS } from "./layout.js";
import { measure } from "./measuring.js";
import { element, say } from "./page.js";
import { accept, acceptAlike, reject } from "./reviewing.js";
import { take } from "./take.js";
import { instant } from "./time.js";
import { instantAt, panned, span, viewOf, zoomed } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** @param {Timeline} at @param {number} factor */
export function zoom(at, factor) {
    if (!at.view) return;
    if (!at.follow) return at.show(zoomed(at.view, factor, at.cursorTime()));
    at.view = zoomed(at.view, factor, at.edgeNow());
    at.moved();
}

/** @param {Timeline} at @param {number} share of the screen */
const pan = (at, share) => at.view && at.show(panned(at.view, at.plot * share, at.plot));

/** @type {Record<string, (at: Timeline) => void>} */
export const ACTIONS = {
    left: (at) => pan(at, -1 / 8),
    right: (at) => pan(at, 1 / 8),
    screenLeft: (at) => pan(at, -7 / 8),
    screenRight: (at) => pan(at, 7 / 8),
    near: (at) => zoom(at, 0.5),
    far: (at) => zoom(at, 2),
    first: (at) => at.view && at.whole && at.show(viewOf(at.whole.from, at.whole.from + span(at.view))),
    last: (at) => at.view && at.whole && at.show(viewOf(at.edgeNow() - span(at.view), at.edgeNow())),
    goto: () => /** @type {HTMLDialogElement} */ (element("goto")).showModal(),
    follow: (at) => at.setFollow(),
    freeze: (at) => at.setFollow(false),
    states: toggleStates,
    start: (at) => setEdge(at, "start"),
    end: (at) => setEdge(at, "end"),
    showStart: (at) => showEdge(at, "start"),
    showEnd: (at) => showEdge(at, "end"),
    nudgeLeft: (at) => nudge(at, -1n),
    nudgeRight: (at) => nudge(at, 1n),
    next: (at) => step(at, 1),
    previous: (at) => step(at, -1),
    trim,
    split,
    merge: unite,
    retract,
    accept,
    reject,
    acceptAlike,
    edit,
    undo: (at) => at.undo(),
    redo: (at) => at.redo(),
    overlay: (at) => {
        at.hand.apart = !at.hand.apart;
        say(at.hand.apart ? "channels apart" : "channels overlaid");
        at.paint();
    },
    ruler: measure,
    yMode: (at) => {
        at.yMode = { robust: "fixed", fixed: "full" }[at.yMode] ?? "robust";
        say(`y-axis: ${at.yMode}`);
        at.paint();
    },
    lower: (at) => resize(at, -1),
    taller: (at) => resize(at, 1),
    panel: (at) => togglePanel(at),
    take,
    cancel: (at) => at.cancel(),
    help: () => /** @type {HTMLDialogElement} */ (element("help")).showModal(),
};

/** @param {Timeline} at @param {number} by */
function resize(at, by) {
    at.height = Math.max(0, Math.min(HEIGHTS.length - 1, at.height + by));
    at.moved();
}

/** @param {Timeline} at @param {string} text @returns {boolean} whether it names a time */
export function goTo(at, text) {
    const time = at.view && instant(text, instantAt(at.view, at.plot / 2, at.plot));
    if (!at.view || time === undefined) return false;
    at.show(viewOf(time - span(at.view) / 2n, time + span(at.view) / 2n));
    at.cursor = at.plot / 2;
    return true;
}

/** What undo would do. @param {Timeline} at @returns {string} */
export function undoWords(at) {
    const entry = stacks(at.outbox.of(at.user)).done.at(-1);
    return entry ? `Undo: ${entryWords(entry)}` : "";
}
