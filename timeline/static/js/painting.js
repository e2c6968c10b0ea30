// @ts-check
/** A timeline painted: its scene, its overview, and the words that stand beside them. */
import { knows } from "./asking.js";
import { draw } from "./draw.js";
import { HEIGHTS, layoutOf, roomFor, seenOf } from "./layout.js";
import { drawOverview } from "./overview.js";
import { drawTrack } from "./map.js";
import { mergedPart } from "./merged.js";
import { element, fitted, hide, write } from "./page.js";
import { isStated } from "./states.js";
import { duration, range } from "./time.js";
import { span, viewOf } from "./view.js";
import { COMMAND, nobodyWords, nothingWords, offlineWords, viewWords } from "./words.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./view.js").View} View */

/** The canvas's words follow the picture after so long. */
const TELL_MS = 200;
/** The range's words are other ones at most so often. */
const RANGE_MS = 100;
/** Of more rows only those are drawn that are seen, or nearly. */
const MANY = 64;

/** @param {Timeline} at */
export function paintNow(at) {
    const lanes = at.book.lanes();
    const others = at.people.filter((person) => person.device === at.device && person.pending).map((person) => person.user);
    const names = [...new Set(["rules", ...(at.mayMark ? [at.user] : []), ...lanes.keys(), ...others])];
    const tall = phone.matches ? Math.max(HEIGHTS[at.height], roomFor(at.room, names.length)) : HEIGHTS[at.height]; // its one stream takes what there is
    const { rows, height } = layoutOf(streamsOf(at), names, tall, statedOf(at));
    at.rows = rows;
    if (at.tall !== height) at.canvas.style.height = `${(at.tall = height)}px`;
    const size = fitted(at.canvas, { width: at.size.width, height }); // as observed: a frame does not wait for a layout
    const small = fitted(at.small, at.smallSize);
    const words = missing(at);
    hide(element("nothing"), words === "");
    write(element("nothing-words"), words);
    hide(element("copy"), !words.endsWith(COMMAND));
    hide(element("nearest"), at.nearest === undefined || !at.empty || !at.open);
    if (!at.view) return blank(at, size, small);
    const began = performance.now();
    draw(at.pen, size.width, size.height, size.ratio, scene(at, lanes, rows.length > MANY ? seenOf(rows, at.top, at.room) : rows));
    overview(at, small);
    drawTrack(at);
    at.script = performance.now() - began;
    at.painted += 1;
    if (at.timers.range === undefined) tellRange(at);
    if (!at.follow) at.timers.words ??= setTimeout(() => tell(at), TELL_MS);
}

/** Nothing to see yet: paper, not the black of a canvas that nobody has painted. @param {Timeline} at @param {...{ width: number, height: number, ratio: number }} sizes of the canvas and of the overview */
function blank(at, ...sizes) {
    [at.pen, at.smallPen].forEach((pen, i) => {
        const { width, height, ratio } = sizes[i];
        pen.setTransform(ratio, 0, 0, ratio, 0, 0);
        pen.fillStyle = at.colours.ground;
        pen.fillRect(0, 0, width, height);
    });
}

/** The range in words, so often that eyes can follow: in each frame it would be a tenth of what the picture costs. @param {Timeline} at */
function tellRange(at) {
    if (at.view) write(element("range"), `${range(at.view.from, at.view.to, 0)} (${duration(span(at.view))})`);
    const { painted } = at;
    at.timers.range = setTimeout(() => {
        at.timers.range = undefined;
        if (at.painted !== painted) tellRange(at);
    }, RANGE_MS);
}

/** The canvas's label, once the view rests, where its words are other ones: no screen reader wants those of each frame. @param {Timeline} at */
function tell(at) {
    at.timers.words = at.timers.rest === undefined ? undefined : setTimeout(() => tell(at), TELL_MS);
    if (at.timers.words !== undefined) return;
    if (!at.view) return;
    const marks = [...at.book.lanes().values()].reduce((sum, lane) => sum + lane.marks.length, 0);
    const told = viewWords(at.device, at.view, [...at.traces.keys()], marks);
    if (at.canvas.getAttribute("aria-label") !== told) at.canvas.setAttribute("aria-label", told);
}

const phone = matchMedia("(max-width: 599px)");

/** @type {string[]} the streams that a phone's person chooses from */
let offered = [];

/** The streams that are shown: on a phone one, by choice. @param {Timeline} at @returns {string[]} */
function streamsOf(at) {
    const names = [...at.traces.keys()];
    const select = /** @type {HTMLSelectElement} */ (element("stream"));
    if (offered.length !== names.length || names.some((name, i) => offered[i] !== name)) select.replaceChildren(...(offered = names).map((name) => new Option(name)));
    return phone.matches && names.length > 0 ? [select.value] : names;
}

/** @param {Timeline} at @returns {Set<string>} streams of named states alone */
const statedOf = (at) => new Set([...at.traces.values()].filter(({ channels }) => channels.every(isStated)).map(({ name }) => name));

/** Why there is no signal to see; "" where there is one. @param {Timeline} at @returns {string} */
function missing(at) {
    const some = [...at.traces.values()].some((trace) => trace.frames.length > 0);
    if (!at.open && !some && at.reading) return at.reading;
    if (!at.open && !some) return at.link.tries > 0 ? offlineWords() : at.view ? "" : "Connecting …";
    if (!at.view) return nobodyWords(at.device, (at.welcome.devices ?? []).filter((/** @type {any} */ one) => one.id !== at.device).length);
    return at.empty && knows(at, "answered") ? nothingWords(at.view, at.nearest) : "";
}

/** What all lanes say together as it is now. @param {Timeline} at @returns {import("./merged.js").Merged | undefined} none where there are too many marks */
export function mergedNow(at) {
    at.hand.merged = at.hand.dense || !at.view ? undefined : mergedPart(at.book, at.view, at.hand.merged);
    return at.hand.merged;
}

/** @param {Timeline} at @param {Map<string, import("./marks.js").Lane>} lanes @param {import("./layout.js").Row[]} rows @returns {import("./draw.js").Scene} */
function scene(at, lanes, rows) {
    const held = at.marking.held ?? at.marking.running;
    const range = at.chosen ?? (held && { start: held.start, end: at.markTime() });
    const { snap, ruler, apart, dense } = at.hand;
    const here = at.people.filter((person) => person.device === at.device && person.pending);
    return {
        view: /** @type {View} */ (at.view), moving: at.timers.rest !== undefined, rows, traces: at.traces, lanes, colours: at.colours, yMode: at.yMode, selected: at.selected,
        merged: mergedNow(at), dense, snap, ruler, apart,
        labels: new Map(at.labels.map(({ name, hue, code }) => [name, { hue, code }])),
        troubled: at.troubled, unsure: at.unsure, cursor: at.follow ? undefined : at.cursorAt,
        pending: range ? { ...range, label: held?.label ?? at.armed ?? "", lane: at.user } : undefined,
        ghosts: here.map(({ user, pending }) => ({ user, start: BigInt(pending.start_ns), end: BigInt(pending.end_ns), label: pending.label })),
    };
}

/** @param {Timeline} at @param {ReturnType<typeof fitted>} size */
function overview(at, { width, height, ratio }) {
    if (!at.whole || !at.view) return;
    const to = at.newest !== undefined && at.newest > at.whole.to ? at.newest : at.whole.to;
    const people = at.people.filter((person) => person.device === at.device && person.from_ns && person.to_ns);
    drawOverview(at.smallPen, width, height, ratio, {
        whole: viewOf(at.whole.from, to), view: at.view, trace: at.overview, colours: at.colours, cells: at.cells,
        people: people.map((person) => ({ from: BigInt(person.from_ns), to: BigInt(person.to_ns) })),
    });
}
