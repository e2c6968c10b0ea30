// @ts-check
/** What keys, buttons and the menu do to marks: set, move, split, unite, trim, take back. */
import { merging, mayChange, misfit, misfitOf, reshaping, retracting, splitting } from "./acts.js";
import { knows } from "./asking.js";
import { may } from "./doing.js";
import { pressed, released, toggledStates } from "./marking.js";
import { markOf, neighbour } from "./marks.js";
import { element, say } from "./page.js";
import { clock } from "./time.js";
import { showing, xOf } from "./view.js";
import { spokenWords } from "./words.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** ms of a tablet's or phone's vibration, where a range begins and ends */
const BUZZ = 20;

/** @param {Timeline} at @returns {import("./acts.js").Who} */
export const whoOf = (at) => ({ user: at.user, review: at.hand.review });

/** @param {Timeline} at @param {import("./marking.js").Done[]} done */
function addAll(at, done) {
    for (const { label, start, end } of done) at.add(label, start, end);
}

/**
 * A label's key or button goes down: it names a chosen range, else begins to mark.
 * @param {Timeline} at @param {string} label
 */
export function labelDown(at, label) {
    if (!may(at)) return;
    if (at.chosen) {
        const { start, end } = at.chosen;
        at.chosen = undefined;
        at.add(label, start, end);
        return;
    }
    const [marking, done] = pressed(at.marking, label, at.markTime(), performance.now());
    at.marking = marking;
    addAll(at, done);
    navigator.vibrate?.(BUZZ);
    at.changed();
}

/** A label's key or button goes up. @param {Timeline} at @param {string} [label] none: whichever is held */
export function labelUp(at, label = at.marking.held?.label) {
    if (!at.marking.held || at.marking.held.label !== label) return;
    const [marking, done] = released(at.marking, at.markTime(), performance.now());
    at.marking = marking;
    addAll(at, done);
    navigator.vibrate?.(BUZZ);
    at.changed();
}

/** State mode on or off. @param {Timeline} at */
export function toggleStates(at) {
    if (!may(at)) return;
    const [marking, done] = toggledStates(at.marking, at.markTime());
    at.marking = marking;
    addAll(at, done);
    say(marking.stateMode ? "state mode on: each label's key ends the state before and begins its own" : "state mode off");
    at.changed();
}

/** Where a tab keeps the state that goes on, of each person: it outlives a browser that dies, and a tablet's that lets a tab go. */
const GOES_ON = "sensorloom.running.";

/** Keeps the state that goes on, where it is another one. @param {Timeline} at */
export function keepRunning(at) {
    const { running } = at.marking;
    if (running === at.hand.running) return;
    at.hand.running = running;
    try {
        if (running) sessionStorage.setItem(GOES_ON + at.user, JSON.stringify({ user: at.user, device: at.device, label: running.label, start: String(running.start) }));
        else sessionStorage.removeItem(GOES_ON + at.user);
    } catch {
        // a browser that keeps nothing: the state ends with its tab
    }
}

/** Goes on with the state that went on when this tab's page died. @param {Timeline} at */
export function goOn(at) {
    const { user, device, label, start } = JSON.parse(sessionStorage.getItem(GOES_ON + at.user) ?? "{}");
    if (!at.mayMark || user !== at.user || device !== at.device || at.marking.running) return;
    at.marking = { stateMode: true, held: null, running: { label, start: BigInt(start) } };
    say(`state mode goes on: ${label} since ${clock(BigInt(start))}`);
}

/** The page is left: what is held or goes on ends here, rather than nowhere. @param {Timeline} at */
export function leave(at) {
    labelUp(at);
    if (at.marking.running) toggleStates(at);
}

/** @param {Timeline} at @returns {Mark | undefined} the selected mark, where it stands */
export function selected(at) {
    const mark = at.selected === undefined ? undefined : at.book.get(at.selected);
    return mark?.stands ? mark : undefined;
}

/** Says why there is no mark to do something with: while those of the view are on their way, nobody knows. @param {Timeline} at @param {string} words */
export function without(at, words) {
    say(knows(at, "marked") ? words : "The marks here are still on their way: once more in a moment");
}

/** The selected mark; says what to do where there is none. @param {Timeline} at @returns {Mark | undefined} */
export function wanted(at) {
    const mark = selected(at);
    if (!mark) without(at, "No mark is selected: J and K go through them");
    return mark;
}

/** Selects a mark. @param {Timeline} at @param {Mark} mark @param {boolean} [moving] the view goes where it lies, with a margin */
export function select(at, mark, moving = true) {
    at.selected = mark.id;
    if (moving) bring(at, mark.start, mark.end);
    say(spokenWords(mark));
    at.changed();
}

/** Moves the view so that a range is in it with a margin. @param {Timeline} at @param {bigint} start @param {bigint} end */
function bring(at, start, end) {
    if (!at.view) return;
    const view = showing(at.view, start, end);
    if (view !== at.view) at.show(view);
}

/**
 * Changes a mark; another person's is copied with the change instead, unless one is a reviewer.
 * @param {Timeline} at @param {Mark} mark @param {import("./acts.js").Fields} fields @param {string} words
 */
export function reshape(at, mark, fields, words) {
    const id = crypto.randomUUID();
    const changes = reshaping(mark, fields, whoOf(at), id);
    const copied = changes[0]?.kind === "add";
    at.selected = copied ? id : mark.id;
    at.act(changes, copied ? `copied, since the mark is ${mark.author}'s: ${words}` : words);
}

/** Moves an edge; one that crosses the other becomes the other. @param {Timeline} at @param {Mark} mark @param {"start" | "end"} edge @param {bigint} time */
export function moveEdge(at, mark, edge, time) {
    const crossed = edge === "start" ? time > mark.end : time < mark.start;
    at.edge = crossed === (edge === "end") ? "start" : "end";
    reshape(at, mark, { [edge]: time }, `${at.edge} ${clock(time, 6)}`);
}

/** An edge at the cursor: of the selected mark, else of the range that is being chosen. @param {Timeline} at @param {"start" | "end"} edge */
export function setEdge(at, edge) {
    const [mark, time] = [selected(at), at.markTime()];
    if (mark && !at.chosen) return moveEdge(at, mark, edge, time);
    at.edge = edge;
    const other = at.chosen ? (edge === "start" ? at.chosen.end : at.chosen.start) : time;
    at.chosen = time <= other ? { start: time, end: other } : { start: other, end: time };
    say(`${edge} edge at ${clock(time)}; a label's key marks the range`);
    at.changed();
}

/** Brings an edge of the selected mark into view, to be nudged. @param {Timeline} at @param {"start" | "end"} edge */
export function showEdge(at, edge) {
    const mark = wanted(at);
    if (!mark) return;
    at.edge = edge;
    bring(at, mark[edge], mark[edge]);
    if (at.view) at.cursor = xOf(at.view, mark[edge], at.plot);
    say(`${edge} ${clock(mark[edge], 6)}; Alt+, and Alt+. move it`);
    at.changed();
}

/** Moves the selected mark's edge, else the cursor, by a sample. @param {Timeline} at @param {bigint} direction */
export function nudge(at, direction) {
    const rates = [...at.traces.values()].map((trace) => trace.rate ?? 0);
    const sample = BigInt(Math.round(1e9 / (Math.max(0, ...rates) || 1000)));
    const mark = selected(at);
    if (mark) return moveEdge(at, mark, at.edge, mark[at.edge] + direction * sample);
    if (at.view) at.cursor = xOf(at.view, at.cursorTime() + direction * sample, at.plot);
    at.paint();
}

/**
 * Goes to the next mark, or to the one before, wherever it lies: the server is asked where a nearer one may not have come yet.
 * @param {Timeline} at @param {1 | -1} direction
 */
export function step(at, direction) {
    if (at.hand.steps.length === 0) {
        const from = beginOf(at);
        const found = neighbour(at.book.all(), from, direction);
        if (!at.open || (found && knowsBetween(at, instantOf(from), found.start))) return arrive(at, found, direction);
        const [start, end, mark] = typeof from === "bigint" ? [from, from, ""] : [from.start, from.end, from.id];
        at.link.send({ type: "neighbour", request: 1, device: at.device, start_ns: String(start), end_ns: String(end), mark, later: direction > 0 });
    }
    at.hand.steps.push(direction);
}

/** The mark beside that the server knows; then what else was asked for meanwhile. @param {Timeline} at @param {Record<string, any>} message */
export function hearNeighbour(at, { device, mark }) {
    const [direction, ...later] = at.hand.steps;
    if (device !== at.device || direction === undefined) return;
    if (mark) at.book.take([markOf(mark)]);
    at.hand.steps = [];
    arrive(at, neighbour(at.book.all(), beginOf(at), direction), direction);
    for (const next of later) step(at, next);
}

/** @param {Timeline} at @param {Mark | undefined} found @param {1 | -1} direction */
function arrive(at, found, direction) {
    if (found) select(at, found);
    else say(`no ${direction > 0 ? "later" : "earlier"} mark${at.open ? "" : " is known here; the server is away"}`);
}

/** Where a step begins. @param {Timeline} at @returns {Mark | bigint} */
const beginOf = (at) => selected(at) ?? at.cursorTime();

/** @param {Mark | bigint} place @returns {bigint} */
const instantOf = (place) => (typeof place === "bigint" ? place : place.start);

/** Whether every mark that begins between two instants has come. @param {Timeline} at @param {bigint} one @param {bigint} other @returns {boolean} */
const knowsBetween = (at, one, other) => knows(at, "marked") && !at.hand.dense && at.ask !== undefined && [one, other].every((time) => at.ask && time >= at.ask.view.from && time <= at.ask.view.to);

/** @param {Timeline} at */
export function trim(at) {
    const range = at.chosen ?? selected(at);
    if (!range || range.start === range.end) return say("Choose a range to trim first: [ and ], or drag in a lane");
    at.chosen = undefined;
    at.add("", range.start, range.end, true);
}

/** @param {Timeline} at */
export function split(at) {
    const mark = wanted(at);
    if (!mark) return;
    const [time, may] = [at.cursorTime(), mayChange(mark, whoOf(at))];
    if (!may) return say(`The mark is ${mark.author}'s: a reviewer splits it`);
    const changes = splitting(mark, time, crypto.randomUUID());
    const cut = misfit(mark) && ", whose note is too long for a second one: it stays whole at the first";
    if (changes.length > 0) at.act(changes, `split at ${clock(time)}${cut}`);
    else say("The cursor is not inside of the selected mark");
}

/** @param {Timeline} at */
export function unite(at) {
    const mark = wanted(at);
    if (!mark) return;
    const next = at.book.all().find((other) => other.id !== mark.id && other.start >= mark.start && other.label === mark.label && other.trim === mark.trim && other.author === mark.author);
    if (!next) return without(at, "No later mark of this label and person to unite with: only what is in view is known");
    if (!between(at, mark.end, next.start)) return without(at, "What lies between the two marks is not in view: zoom out until both are seen");
    if (!mayChange(mark, whoOf(at))) return say(`The marks are ${mark.author}'s: a reviewer unites them`);
    const changes = merging(mark, next);
    const wrong = misfitOf(changes);
    if (wrong) return say(`Not united: of both together ${wrong}; shorten one`);
    at.act(changes, `united with the next one${changes[0].reason ? ", with both notes" : ""}`);
}

/** Whether all marks between two instants are known: those that nobody has seen would be left under a united one. @param {Timeline} at @param {bigint} from @param {bigint} to @returns {boolean} */
function between(at, from, to) {
    if (to <= from || !at.open) return true;
    return at.ask !== undefined && knows(at, "marked") && !at.hand.dense && at.ask.view.from <= from && to <= at.ask.view.to;
}

/** @param {Timeline} at */
export function retract(at) {
    const mark = wanted(at);
    if (!mark) return;
    if (!mayChange(mark, whoOf(at))) return say(`The mark is ${mark.author}'s: a reviewer takes it back`);
    at.act([retracting(mark)], `${mark.label || "trim"} taken back`);
}

/** Opens the fields of the selected mark. @param {Timeline} at */
export function edit(at) {
    if (!wanted(at)) return;
    togglePanel(at, true);
    document.querySelector(/** @type {"input"} */ ("#mark input"))?.focus();
}

/** @param {Timeline} at @param {boolean} [open] */
export function togglePanel(at, open = element("panel").hidden) {
    element("panel").hidden = !open;
    element("panel-button").setAttribute("aria-expanded", String(open));
    at.moved();
    at.changed();
}
