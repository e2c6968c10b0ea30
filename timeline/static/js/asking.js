// @ts-check
/** What the server is asked for: the overview, what the view shows, and where this tab looks; and the answers. */
import { decode, newest, together } from "./frames.js";
import { askedFor, seenOf } from "./layout.js";
import { changedFrom } from "./lines.js";
import { element } from "./page.js";
import { lastPoint, withSpeed } from "./track.js";
import { addressOf, isStep, span, viewOf } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./view.js").View} View */
/** @typedef {{ number: number, answered?: boolean, marked?: boolean, crowded?: boolean, streams: string[], view: View, frames: import("./frames.js").Frame[] }} Ask */

const ASK_MS = 80;
/** A view that has rested for so long is drawn of its own columns. */
const REST_MS = 300;
/** The address is written when the view has rested for so long: the browser takes ms for it. */
const ADDRESS_MS = 300;
const FRAMES_MAX = 400;
/** So often the overview is made anew at most. */
const RENEW_MS = 5_000;
/** Spans in which the overview counts marks. */
export const CELLS = 200;
/** Where there are more marks they are counted. Of those that are not drawn the first ones are enough, but for the table. */
const [MARKS_MAX, PART] = [20_000, 100];

/** Asks for what is shown, at once, and then for the overview: a signal is what one waits for. @param {Timeline} at */
export function askAll(at) {
    at.overviewed = false;
    at.beside = undefined;
    stop(at, "ask");
    askNow(at);
    count(at);
}

/** Asks how many marks there are where, for the overview. @param {Timeline} at */
function count(at) {
    if (!at.whole) return;
    const { from, to } = at.whole;
    at.counted = { from, to: to + 1n, ms: performance.now(), changed: false };
    at.link.send({ type: "density", request: 1, device: at.device, from_ns: String(from), to_ns: String(to + 1n), columns: CELLS });
}

/** The overview goes on with what it shows: marks that changed, and a recording that has grown by a part that is seen. @param {Timeline} at */
export function renew(at) {
    const { whole, newest: last, counted } = at;
    if (!at.open || !whole || last === undefined || performance.now() - counted.ms < RENEW_MS) return;
    const grown = (last - counted.to) * 50n > span(whole);
    if (!grown && !counted.changed) return;
    if (grown) at.whole = viewOf(whole.from, last);
    count(at);
    const [name] = at.traces.keys();
    if (grown && at.overviewed && !at.beside && name !== undefined) at.beside = asked(at, [name], at.whole ?? whole, at.plot, { beside: true });
}

/** The overview's signal: where the view has all of it, that one; else it is asked for beside the view. @param {Timeline} at @param {Ask} ask the view's, answered */
function overviewAfter(at, ask) {
    if (at.overviewed || !at.whole) return;
    at.overviewed = true;
    const [name] = at.traces.keys();
    const first = ask.streams.includes(name) ? at.traces.get(name) : undefined;
    const whole = ask.view.from <= at.whole.from && ask.view.to >= at.whole.to;
    if (first && whole && span(ask.view) < 4n * span(at.whole)) at.overview = { ...first, frames: [...first.frames], gaps: [...first.gaps], kept: undefined };
    else at.beside = asked(at, [name], at.whole, at.plot, { beside: true });
}

/** Asks for what is shown, once the view rests; where no answer comes soon it is painted anew without one. @param {Timeline} at */
export function askView(at) {
    stop(at, "address");
    rested(at, "ask", ASK_MS, askNow);
    rested(at, "rest", REST_MS, () => at.paint());
}

/**
 * Does something once it was not asked for anew for so long. A timer that runs goes on, and finds out at its end how long it is
 * still to wait: to stop and set one in each frame takes a browser as long as to draw a lane.
 * @param {Timeline} at @param {"ask" | "rest"} name @param {number} ms @param {(at: Timeline) => void} then
 */
function rested(at, name, ms, then) {
    const { timers } = at;
    const due = (timers.due ??= { ask: 0, rest: 0 });
    due[name] = performance.now() + ms;
    const end = () => {
        const left = due[name] - performance.now();
        timers[name] = left > 1 ? setTimeout(end, left) : undefined;
        if (timers[name] === undefined) then(at);
    };
    timers[name] ??= setTimeout(end, ms);
}

/** @param {Timeline} at @param {"ask" | "address"} name */
function stop({ timers }, name) {
    if (timers[name] === undefined) return;
    clearTimeout(timers[name]);
    timers[name] = undefined;
}

/** @param {Timeline} at */
function askNow(at) {
    if (!at.view || !at.open || at.traces.size === 0) return;
    const more = span(at.view) / 4n; // beside the screen, so that a pan shows something at once
    const view = { from: at.view.from - more, to: at.view.to + more };
    at.ask = asked(at, near(at), view, at.plot * 1.5, { follow: true });
    at.link.send({ type: "marks", request: at.asks, device: at.device, from_ns: String(view.from), to_ns: String(view.to), most: MARKS_MAX, part: element("panel").hidden ? PART : MARKS_MAX });
    stop(at, "address");
    at.timers.address = setTimeout(() => keepAddress(at), ADDRESS_MS);
}

/** Writes the view into the address; Back leads to the one before it, where that one stood for a while. @param {Timeline} at */
function keepAddress(at) {
    if (!at.view) return;
    const now = { view: at.view, follow: at.follow, ms: performance.now() };
    const how = isStep(at.stand, now) ? "pushState" : "replaceState";
    at.stand = now;
    history[how]({ follow: at.follow }, "", addressOf(at.device, at.view, at.selected));
}

/** Back or forward: the view that the address names; marks stay as they are. @param {Timeline} at @param {import("./view.js").Place | undefined} place @param {boolean} follow */
export function wentBack(at, place, follow) {
    if (place?.from === undefined || place.to === undefined) return;
    const view = viewOf(place.from, place.to);
    at.selected = place.mark;
    at.stand = { view, follow: follow && at.live, ms: performance.now() };
    if (at.stand.follow) at.setFollow(true);
    else at.show(view);
    at.changed();
}

/** The streams that are asked for: those that are seen, and what fits beside them. @param {Timeline} at @returns {string[]} */
const near = (at) => askedFor([...at.traces.keys()], at.rows, at.top, at.room);

/** Other rows are seen: streams among them that were not asked for are now. @param {Timeline} at @param {number} top px that are scrolled away */
export function scrolled(at, top) {
    at.top = top;
    at.paint();
    const { ask, rows, room } = at;
    if (ask && seenOf(rows, top, room, 0).some(({ kind, name }) => kind === "stream" && !ask.streams.includes(name))) askView(at);
}

/** Asks for a range of streams. @param {Timeline} at @param {string[]} streams @param {View} view @param {number} width px @param {{ follow?: boolean, beside?: boolean }} how @returns {Ask} */
function asked(at, streams, view, width, how) {
    at.asks += 1;
    const columns = Math.min(8192, Math.max(1, Math.ceil(width * devicePixelRatio)));
    at.link.send({ type: "view", view: at.asks, device: at.device, streams, from_ns: String(view.from), to_ns: String(view.to), columns, ...how });
    return { number: at.asks, streams, view, frames: [] };
}

/**
 * Whether the server has said what there is in the view: `answered`, of signals; `marked`, of marks. What it has not said yet
 * is not denied. Without a line nobody will say more.
 * @param {Timeline} at @param {"answered" | "marked"} what @returns {boolean}
 */
export function knows(at, what) {
    const { ask, view } = at;
    if (!at.open || !view || at.traces.size === 0) return true;
    if (!ask || !ask[what]) return false;
    return at.follow || (ask.view.from <= view.from && view.to <= ask.view.to);
}

/** @param {Timeline} at */
export function presence(at) {
    if (!at.view || !at.open) return;
    const held = at.marking.held ?? at.marking.running;
    const pending = at.chosen ?? (held && { start: held.start, end: at.markTime() });
    const [from, to] = [String(at.view.from), String(at.view.to)];
    const wire = pending && pending.end >= pending.start ? { start_ns: String(pending.start), end_ns: String(pending.end), label: held?.label ?? at.armed ?? "" } : null;
    const message = { type: "presence", device: at.device, from_ns: from, to_ns: to, pending: wire };
    const text = JSON.stringify(message);
    if (text !== at.told) at.link.send(message);
    at.told = text;
}

// Its answers.

/** @param {Timeline} at @param {ArrayBuffer} buffer */
export function hearFrame(at, buffer) {
    const frame = decode(buffer);
    const ask = at.ask;
    if (frame.view === at.beside?.number) return void at.beside.frames.push(frame);
    if (!ask || frame.view !== ask.number) return;
    const trace = at.traces.get(ask.streams[frame.stream]);
    if (!frame.live) return void ask.frames.push(frame);
    if (!trace) return;
    const known = trace.frames.at(-1);
    const whole = trace.place ? undefined : together(known, frame);
    if (whole) trace.frames[trace.frames.length - 1] = whole;
    else trace.frames.push(...seenAs(trace, [frame], lastPoint(trace.frames)));
    changedFrom(trace, known && newest(known) < frame.base ? newest(known) : frame.base);
    cameBy(at, newest(frame));
    if (trace.frames.length > FRAMES_MAX && ask.answered && !ask.crowded) {
        ask.crowded = true; // once an answer: frames that come without a pause would put it off, and make the next one void
        askView(at);
    }
    at.paint();
}

/** The device has samples up to here. @param {Timeline} at @param {bigint} last */
function cameBy(at, last) {
    if (at.newest === undefined || last > at.newest) at.newest = last;
}

/**
 * Frames as they are drawn: a position's as its speed. @param {import("./draw.js").Trace} trace @param {import("./frames.js").Frame[]} frames
 * @param {import("./track.js").Point} [last] where the frame before them ended @returns {import("./frames.js").Frame[]}
 */
function seenAs({ place }, frames, last) {
    if (!place) return frames;
    let point = last;
    return frames.map((frame) => {
        const seen = withSpeed(frame, place, point);
        point = seen.points.at(-1) ?? point;
        return seen;
    });
}

/** A view's answer is whole: it takes the place of what was there. @param {Timeline} at @param {Record<string, any>} message */
export function shown(at, message) {
    const ask = message.view === at.beside?.number ? at.beside : at.ask;
    if (!ask || message.view !== ask.number) return;
    const gaps = (message.gaps ?? []).map((/** @type {any} */ gap) => ({ stream: gap.stream, start: BigInt(gap.start_ns), end: BigInt(gap.end_ns), reason: gap.reason }));
    const framesOf = (/** @type {number} */ place) => ask.frames.filter((frame) => frame.stream === place && !frame.before);
    ask.answered = true;
    if (ask === at.beside) {
        const known = at.traces.get(ask.streams[0]);
        if (known) at.overview = { ...known, frames: seenAs(known, framesOf(0)), gaps: gaps.filter((/** @type {any} */ gap) => gap.stream === known.name), kept: undefined };
        at.beside = undefined;
        at.paint();
        return;
    }
    ask.streams.forEach((name, place) => {
        const trace = at.traces.get(name);
        if (!trace) return;
        const live = trace.frames.filter((frame) => frame.live && frame.view === ask.number);
        trace.frames = [...seenAs(trace, framesOf(place)), ...live];
        trace.before = trace.place ? undefined : ask.frames.find((frame) => frame.stream === place && frame.before);
        trace.gaps = gaps.filter((/** @type {any} */ gap) => gap.stream === name);
    });
    at.unsure = (message.unsure ?? []).map(unsureOf);
    at.empty = ask.streams.every((name) => !at.traces.get(name)?.frames.length); // of more streams, others have those of a view before
    at.nearest = message.nearest_ns ? BigInt(message.nearest_ns) : undefined;
    if (message.newest_ns) cameBy(at, BigInt(message.newest_ns)); // what came before this tab followed came as history
    if (message.dropped || (at.follow && at.newest !== undefined && at.newest > ask.view.to && !at.live)) askView(at);
    overviewAfter(at, ask);
    at.changed();
}

/** @param {any} wire @returns {import("./draw.js").Unsure} */
const unsureOf = (wire) => ({ stream: wire.stream, start: BigInt(wire.start_ns), end: BigInt(wire.end_ns), by: BigInt(wire.uncertainty_ns) });

/** What is new beside samples: gaps, and where the clock is unsure. @param {Timeline} at @param {Record<string, any>} message */
export function hearNews(at, { gaps = [], unsure = [] }) {
    for (const gap of gaps) {
        const trace = at.traces.get(gap.stream);
        trace?.gaps.push({ start: BigInt(gap.start_ns), end: BigInt(gap.end_ns), reason: gap.reason });
        if (trace) changedFrom(trace, BigInt(gap.start_ns));
    }
    at.unsure.push(...unsure.map(unsureOf));
    at.paint();
}

/** What lies a screen before the view is let go: an hour of following stays small. @param {Timeline} at */
export function letGo(at) {
    if (!at.view) return;
    const oldest = at.view.from - span(at.view);
    for (const trace of at.traces.values()) {
        while (trace.frames.length > 1 && newest(trace.frames[0]) < oldest) trace.frames.shift();
        trace.gaps = since(trace.gaps, oldest);
    }
    at.unsure = since(at.unsure, oldest);
}

/** The ranges that end no sooner than this. @template {{ end: bigint }} T @param {T[]} ranges @param {bigint} oldest @returns {T[]} */
const since = (ranges, oldest) => (ranges.some(({ end }) => end < oldest) ? ranges.filter(({ end }) => end >= oldest) : ranges);
