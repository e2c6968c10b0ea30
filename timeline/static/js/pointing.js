// @ts-check
/**
 * Mouse, pen and fingers on the canvas. One finger pans streams, two zoom; in a lane a drag chooses a range or moves an
 * edge, two taps set start and end, a long press opens the menu. Nothing needs hover.
 */
import { moveEdge, select } from "./gestures.js";
import { GUTTER, dividerAt, heightFor, rowAt } from "./layout.js";
import { markAt } from "./marks.js";
import { stretch } from "./measuring.js";
import { openMenu } from "./menu.js";
import { snapped } from "./snap.js";
import { instantAt, panned, span, zoomed } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/**
 * @typedef {object} Drag
 * @property {"pan" | "range" | "edge" | "divider"} kind
 * @property {number} x where it began, px @property {bigint} from the instant there @property {import("./view.js").View} view
 * @property {number} [divider] which row's lower border, by its place
 * @property {import("./marks.js").Mark} [mark] under it @property {"start" | "end"} [edge] of it
 * @property {boolean} moved
 * @property {number} now px @property {boolean} free it does not snap
 */
/** @typedef {{ view: import("./view.js").View, distance: number, anchor: bigint }} Pinch */

const GRIP = 12;
const GRIP_TOUCH = 44;
/** Marks' edges and samples draw a point from so many px, an onset from farther away. */
const CLOSE = 8;
const WIDE = 60;
/** Marks of a lane whose edges are looked at; more are a blur. */
const EDGES_MAX = 2000;
const LONG_PRESS_MS = 500;
/** A drag that reaches so near to the border pans on. */
const BORDER = 10;
/** ms in which the view pans as far as the pointer is over that border. */
const PULL_MS = 16;

/** @param {Timeline} at @param {number} px @returns {bigint} ns */
const reach = (at, px) => (at.view ? (span(at.view) * BigInt(px)) / BigInt(Math.ceil(at.plot)) : 0n);

/**
 * Where a point of a drag lies: it snaps, unless Alt is held.
 * @param {Timeline} at @param {bigint} time @param {boolean} free @param {string} [mark] whose own edges do not count @returns {bigint}
 */
function snap(at, time, free, mark) {
    const { view } = at;
    at.hand.snap = undefined;
    if (free || !view) return time;
    const edges = [...at.book.lanes().values()].flatMap((lane) => {
        const [begin, stop] = lane.near(view);
        return stop - begin > EDGES_MAX ? [] : lane.marks.slice(begin, stop).filter((one) => one.id !== mark).flatMap((one) => [one.start, one.end]);
    });
    const traces = [...at.traces.values()].map(({ frames, channels }) => ({ frames, channels: channels.length }));
    at.hand.snap = snapped(time, edges, traces, reach(at, CLOSE), reach(at, WIDE));
    return at.hand.snap?.at ?? time;
}

/** @param {Timeline} at */
export function pointers(at) {
    /** @type {Map<number, number>} */
    const down = new Map();
    let drag = /** @type {Drag | undefined} */ (undefined);
    let pinch = /** @type {Pinch | undefined} */ (undefined);
    let press = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
    const x = (/** @type {PointerEvent | MouseEvent} */ event) => event.offsetX - GUTTER;
    const drop = () => {
        clearTimeout(press);
        if (drag?.moved && drag.kind !== "pan" && drag.kind !== "divider") at.chosen = undefined;
        drag = undefined;
        at.hand.snap = undefined;
    };
    at.canvas.addEventListener("pointerdown", (event) => {
        if (!at.view || event.button !== 0) return;
        at.canvas.setPointerCapture(event.pointerId);
        down.set(event.pointerId, x(event));
        if (down.size === 1) {
            drag = begin(at, event, x(event));
            if (event.pointerType === "touch") press = setTimeout(() => {
                drop();
                menuAt(at, event, x(event));
            }, LONG_PRESS_MS);
            return;
        }
        drop();
        const [one, other] = [...down.values()];
        pinch = { view: at.view, distance: Math.max(10, Math.abs(one - other)), anchor: instantAt(at.view, (one + other) / 2, at.plot) };
    });
    at.canvas.addEventListener("pointermove", (event) => {
        if (!at.view) return;
        at.hand.height = event.offsetY;
        if (drag?.divider !== undefined) return resize(at, drag.divider, event.offsetY);
        if (down.size === 0) at.canvas.classList.toggle("divider", x(event) < 0 && dividerAt(at.rows, event.offsetY) !== undefined);
        if (event.pointerType !== "touch") at.cursor = x(event);
        if (down.has(event.pointerId)) down.set(event.pointerId, x(event));
        if (pinch && down.size === 2) {
            const [one, other] = [...down.values()];
            at.show(zoomed(pinch.view, pinch.distance / Math.max(10, Math.abs(one - other)), pinch.anchor));
        } else if (drag) {
            const was = drag.moved;
            move(at, drag, x(event), event.altKey);
            if (drag.moved) clearTimeout(press);
            if (drag.moved && !was && drag.kind !== "pan") pull(at, () => drag, performance.now());
        } else {
            stretch(at);
            at.paint();
        }
    });
    const up = (/** @type {PointerEvent} */ event) => {
        clearTimeout(press);
        down.delete(event.pointerId);
        if (down.size < 2) pinch = undefined;
        const ended = drag;
        if (event.type === "pointercancel") drop();
        drag = undefined;
        at.hand.snap = undefined;
        if (ended && event.type === "pointerup") finish(at, ended, event, x(event));
    };
    at.canvas.addEventListener("pointerup", up);
    at.canvas.addEventListener("pointercancel", up);
    at.canvas.addEventListener("contextmenu", (event) => {
        event.preventDefault();
        drop();
        menuAt(at, event, x(event));
    });
    addEventListener("keydown", (event) => {
        if (event.key === "Escape" && drag) drop();
    });
}

/** Opens the menu at a point, on the mark there; by the keyboard on the selected one. @param {Timeline} at @param {MouseEvent} event @param {number} x */
function menuAt(at, event, x) {
    if (!at.view) return;
    const touch = event instanceof PointerEvent && event.pointerType === "touch";
    const pointed = event.offsetX > 0 || event.offsetY > 0;
    const row = pointed ? rowAt(at.rows, event.offsetY) : undefined;
    const lane = row?.kind === "lane" ? at.book.lanes().get(row.name) : undefined;
    const hit = lane && markAt(lane, at.view, x, at.plot, touch ? GRIP_TOUCH : GRIP);
    if (hit) at.selected = hit.mark.id;
    if (pointed) {
        at.cursor = x;
        at.follow = false;
    }
    const box = at.canvas.getBoundingClientRect();
    openMenu(at, pointed ? event.clientX : box.left + GUTTER + at.cursorAt, pointed ? event.clientY : box.top + 48);
}

/** @param {Timeline} at @param {PointerEvent} event @param {number} x @returns {Drag | undefined} */
function begin(at, event, x) {
    if (!at.view) return undefined;
    const row = rowAt(at.rows, event.offsetY);
    const from = instantAt(at.view, x, at.plot);
    const drag = /** @type {const} */ ({ x, from, view: at.view, moved: false, now: x, free: event.altKey });
    const divided = x < 0 && event.pointerType !== "touch" ? dividerAt(at.rows, event.offsetY) : undefined; // a finger pans there; it has no room for so thin a thing
    if (divided) return { ...drag, kind: "divider", divider: at.rows.indexOf(divided) };
    if (row?.kind !== "lane") return { ...drag, kind: "pan" };
    const lane = at.book.lanes().get(row.name);
    const hit = lane && markAt(lane, at.view, x, at.plot, event.pointerType === "touch" ? GRIP_TOUCH : GRIP);
    if (!at.mayMark) return { ...drag, kind: "pan", mark: hit?.mark };
    if (hit && hit.edge !== "body") return { ...drag, kind: "edge", mark: hit.mark, edge: hit.edge };
    return { ...drag, kind: "range", mark: hit?.mark };
}

/** Rows are as tall as the lower border of one is dragged to. @param {Timeline} at @param {number} place @param {number} y */
function resize(at, place, y) {
    const tall = heightFor(at.rows, place, y);
    if (tall === at.height) return;
    at.height = tall;
    at.moved();
}

/** @param {Timeline} at @param {Drag} drag @param {number} x @param {boolean} free */
function move(at, drag, x, free) {
    if (!at.view || (!drag.moved && Math.abs(x - drag.x) < 4)) return;
    Object.assign(drag, { now: x, free });
    if (drag.kind === "pan") {
        drag.moved = true;
        return at.show(panned(drag.view, drag.x - x, at.plot));
    }
    if (!drag.moved && drag.kind === "range") drag.from = snap(at, drag.from, free);
    drag.moved = true;
    at.follow = false;
    const time = snap(at, instantAt(at.view, x, at.plot), free, drag.mark?.id);
    const fixed = drag.kind === "edge" && drag.mark ? (drag.edge === "start" ? drag.mark.end : drag.mark.start) : drag.from;
    at.chosen = time <= fixed ? { start: time, end: fixed } : { start: fixed, end: time };
    at.paint();
}

/** At the border the view pans on, for as long as the pointer stays there. @param {Timeline} at @param {() => Drag | undefined} dragged @param {number} before ms */
function pull(at, dragged, before) {
    requestAnimationFrame((now) => {
        const drag = dragged();
        if (!drag || !at.view) return;
        const over = drag.now < BORDER ? Math.max(-2 * BORDER, drag.now - BORDER) : Math.max(0, Math.min(2 * BORDER, drag.now - at.plot + BORDER));
        if (over !== 0) {
            at.show(panned(at.view, (over * Math.min(100, now - before)) / PULL_MS, at.plot));
            move(at, drag, drag.now, drag.free);
        }
        pull(at, dragged, now);
    });
}

/** @param {Timeline} at @param {Drag} drag @param {PointerEvent} event @param {number} x */
function finish(at, drag, event, x) {
    const touch = event.pointerType === "touch";
    if (drag.divider !== undefined) return;
    if (drag.moved) return drag.kind === "pan" ? undefined : dropped(at, drag);
    const begun = at.chosen !== undefined && at.chosen.start === at.chosen.end; // by the first of two taps
    if (drag.mark && !(touch && begun)) return select(at, drag.mark);
    at.cursor = x;
    at.canvas.focus({ preventScroll: true });
    if (drag.kind !== "pan" && touch) tapped(at, drag.from);
    else if (drag.kind === "pan") at.follow = false;
    at.changed();
}

/** What was dragged is done: an edge lies there, a range is named or waits for its name. @param {Timeline} at @param {Drag} drag */
function dropped(at, drag) {
    const { chosen } = at;
    if (!chosen) return;
    if (drag.kind === "edge" && drag.mark && drag.edge) {
        at.chosen = undefined;
        const fixed = drag.edge === "start" ? drag.mark.end : drag.mark.start;
        moveEdge(at, drag.mark, drag.edge, chosen.start === fixed ? chosen.end : chosen.start);
    } else if (at.armed) {
        at.chosen = undefined;
        at.add(at.armed, chosen.start, chosen.end);
    }
    at.changed(); // else a label's key or button names it
}

/** The first tap on a lane sets the start, the second one the end. @param {Timeline} at @param {bigint} time */
function tapped(at, time) {
    at.follow = false;
    const { chosen } = at;
    if (!chosen || chosen.start !== chosen.end) at.chosen = { start: time, end: time };
    else at.chosen = time < chosen.start ? { start: time, end: chosen.start } : { start: chosen.start, end: time };
    if (at.chosen.start === at.chosen.end || !at.armed) return;
    const { start, end } = at.chosen;
    at.chosen = undefined;
    at.add(at.armed, start, end);
}
