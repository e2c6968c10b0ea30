// @ts-check
/** What keys and buttons do to a timeline, by name. */
import { editing, entryWords, merging, splitting, stacks } from "./acts.js";
import { HEIGHTS } from "./layout.js";
import { pressed, released, toggledStates } from "./marking.js";
import { neighbour } from "./marks.js";
import { element, say } from "./page.js";
import { clock, instant } from "./time.js";
import { instantAt, panned, showing, span, viewOf, xOf, zoomed } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** @param {Timeline} at @param {import("./marking.js").Done[]} done */
function addAll(at, done) {
    for (const { label, start, end } of done) at.add(label, start, end);
}

/**
 * A label's key or button goes down: it names a chosen range, else begins to mark.
 * @param {Timeline} at @param {string} label
 */
export function labelDown(at, label) {
    if (!at.mayMark) return;
    if (at.chosen) {
        const { start, end } = at.chosen;
        at.chosen = undefined;
        at.add(label, start, end);
        return;
    }
    const [marking, done] = pressed(at.marking, label, at.markTime(), performance.now());
    at.marking = marking;
    addAll(at, done);
    navigator.vibrate?.(20);
    at.changed();
}

/** @param {Timeline} at */
export function labelUp(at) {
    if (!at.marking.held) return;
    const [marking, done] = released(at.marking, at.markTime(), performance.now());
    at.marking = marking;
    addAll(at, done);
    navigator.vibrate?.(20);
    at.changed();
}

/** @param {Timeline} at @returns {Mark | undefined} the selected mark, where it stands */
export function selected(at) {
    const mark = at.selected === undefined ? undefined : at.book.get(at.selected);
    return mark?.stands ? mark : undefined;
}

/** @param {Timeline} at @param {Mark} mark shown and selected */
export function select(at, mark) {
    at.selected = mark.id;
    if (at.view) {
        const view = showing(at.view, mark.start, mark.end);
        if (view !== at.view) at.show(view);
    }
    say(`${mark.label || "trim"}, ${clock(mark.start)} to ${clock(mark.end)}, by ${mark.tool === "rule" ? "a rule" : mark.author}`);
    at.changed();
}

/** An edge at the cursor: of the selected mark, else of the range that is being chosen. @param {Timeline} at @param {"start" | "end"} edge */
function setEdge(at, edge) {
    const [mark, time] = [selected(at), at.markTime()];
    at.edge = edge;
    if (mark) return at.act(editing(mark, { [edge]: time }), `${edge} ${clock(time)}`);
    const other = at.chosen ? (edge === "start" ? at.chosen.end : at.chosen.start) : time;
    at.chosen = time <= other ? { start: time, end: other } : { start: other, end: time };
    say(`${edge} edge at ${clock(time)}; a label's key marks the range`);
    at.changed();
}

/** @param {Timeline} at @param {bigint} direction */
function nudge(at, direction) {
    const rates = [...at.traces.values()].map((trace) => trace.rate ?? 0);
    const sample = BigInt(Math.round(1e9 / (Math.max(0, ...rates) || 1000)));
    const mark = selected(at);
    if (mark) return at.act(editing(mark, { [at.edge]: mark[at.edge] + direction * sample }), `${at.edge} ${clock(mark[at.edge] + direction * sample, 6)}`);
    if (at.view) at.cursor = xOf(at.view, at.cursorTime() + direction * sample, at.plot);
    at.paint();
}

/** @param {Timeline} at @param {1 | -1} direction */
function step(at, direction) {
    const from = selected(at)?.start ?? at.cursorTime();
    const found = neighbour(at.book.all(), from, direction);
    if (found) select(at, found);
    else say(direction > 0 ? "no later mark" : "no earlier mark");
}

/** @param {Timeline} at */
function trim(at) {
    const range = at.chosen ?? selected(at);
    if (!range || range.start === range.end) return say("Choose a range to trim first: [ and ], or drag in a lane");
    at.chosen = undefined;
    at.add("", range.start, range.end, true);
}

/** @param {Timeline} at */
function unite(at) {
    const mark = selected(at);
    const next = mark && at.book.all().find((other) => other.id !== mark.id && other.start >= mark.start && other.label === mark.label && other.author === mark.author);
    if (mark && next) at.act(merging(mark, next), "united with the next one");
    else say("No later mark of this label and person to unite with");
}

/** @param {Timeline} at */
export function retract(at) {
    const mark = selected(at);
    if (!mark) return say("No mark is selected: J and K go through them");
    const before = { start: mark.start, end: mark.end, label: mark.label };
    at.act([{ kind: "retract", mark: mark.id, before }], `${mark.label || "trim"} taken back`);
}

/** @param {Timeline} at */
function split(at) {
    const mark = selected(at);
    const changes = mark ? splitting(mark, at.cursorTime(), crypto.randomUUID()) : [];
    if (changes.length > 0) at.act(changes, `split at ${clock(at.cursorTime())}`);
    else say("The cursor is not inside of the selected mark");
}

/** @param {Timeline} at @param {boolean} [open] */
export function togglePanel(at, open = element("panel").hidden) {
    element("panel").hidden = !open;
    element("panel-button").setAttribute("aria-expanded", String(open));
    at.moved();
    at.changed();
}

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
    states: (at) => {
        const [marking, done] = toggledStates(at.marking, at.markTime());
        at.marking = marking;
        addAll(at, done);
        say(marking.stateMode ? "state mode on" : "state mode off");
        at.changed();
    },
    start: (at) => setEdge(at, "start"),
    end: (at) => setEdge(at, "end"),
    nudgeLeft: (at) => nudge(at, -1n),
    nudgeRight: (at) => nudge(at, 1n),
    next: (at) => step(at, 1),
    previous: (at) => step(at, -1),
    trim,
    split,
    merge: unite,
    retract,
    edit: (at) => {
        togglePanel(at, true);
        document.querySelector(/** @type {"input"} */ ("#mark input"))?.focus();
    },
    undo: (at) => at.undo(),
    redo: (at) => at.redo(),
    yMode: (at) => {
        at.yMode = { robust: "fixed", fixed: "full" }[at.yMode] ?? "robust";
        say(`y-axis: ${at.yMode}`);
        at.paint();
    },
    lower: (at) => resize(at, -1),
    taller: (at) => resize(at, 1),
    panel: (at) => togglePanel(at),
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
