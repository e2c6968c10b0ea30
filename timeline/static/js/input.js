// @ts-check
/** Keys, mouse and touch of the timeline, each turned into what `commands.js` does. */
import { editing } from "./acts.js";
import { ACTIONS, labelDown, labelUp, select, zoom } from "./commands.js";
import { actionOf } from "./keys.js";
import { GUTTER, rowAt } from "./layout.js";
import { markAt, snapped } from "./marks.js";
import { element } from "./page.js";
import { instantAt, panned, span, viewOf, zoomed } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {{ kind: "pan" | "range" | "edge", x: number, from: bigint, view: import("./view.js").View, mark?: import("./marks.js").Mark, edge?: "start" | "end", moved: boolean }} Drag */

const GRIP = 12;
const GRIP_TOUCH = 44;
const SNAP = 8;

/** @param {Timeline} at */
export function listen(at) {
    keyboard(at);
    wheel(at);
    pointers(at);
    overview(at);
}

/** @param {EventTarget | null} target @returns {boolean} whether keys type there */
const types = (target) => target instanceof HTMLElement && target.closest("input, select, textarea, dialog") !== null;

/** @param {Timeline} at */
function keyboard(at) {
    addEventListener("keydown", (event) => {
        if (types(event.target) || document.querySelector("dialog[open]")) return;
        const press = event.target instanceof HTMLElement && event.target.closest("button, a") && [" ", "Enter"].includes(event.key);
        const letters = /** @type {HTMLInputElement} */ (element("letters")).checked;
        const action = press ? undefined : actionOf(event, letters);
        if (action === undefined) return;
        event.preventDefault();
        if (action.startsWith("label ")) {
            const label = at.labels.find((one) => one.key === action.slice(6));
            if (label && !event.repeat) labelDown(at, label.name);
        } else ACTIONS[action](at);
    });
    addEventListener("keyup", (event) => {
        if (/^[1-9]$/.test(event.key)) labelUp(at);
    });
    const finish = () => labelUp(at); // a key that goes up elsewhere is never heard
    addEventListener("blur", finish);
    addEventListener("pagehide", finish);
}

/** @param {Timeline} at */
function wheel(at) {
    at.canvas.addEventListener("wheel", (event) => {
        if (!at.view) return;
        event.preventDefault();
        const pixels = event.deltaMode === 1 ? 16 : 1;
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
            at.show(panned(at.view, (event.deltaX || event.deltaY) * pixels, at.plot));
            return;
        }
        at.cursor = event.offsetX - GUTTER;
        zoom(at, 1.0015 ** (event.deltaY * pixels));
    }, { passive: false });
}

/** Snaps to others' edges, unless Alt is held. @param {Timeline} at @param {bigint} time @param {PointerEvent} event @returns {bigint} */
function snap(at, time, event) {
    if (event.altKey || !at.view) return time;
    const reach = (span(at.view) * BigInt(SNAP)) / BigInt(Math.ceil(at.plot));
    const { from, to } = at.view;
    const edges = [...at.book.lanes().values()].flatMap((lane) => {
        const [begin, stop] = lane.near({ from, to });
        return stop - begin > 2000 ? [] : lane.marks.slice(begin, stop).filter((mark) => mark.id !== at.selected).flatMap((mark) => [mark.start, mark.end]);
    });
    return snapped(time, edges, reach);
}

/** @param {Timeline} at */
function pointers(at) {
    /** @type {Map<number, number>} */
    const down = new Map();
    let drag = /** @type {Drag | undefined} */ (undefined);
    /** @type {{ view: import("./view.js").View, distance: number, anchor: bigint } | undefined} */
    let pinch;
    const x = (/** @type {PointerEvent} */ event) => event.offsetX - GUTTER;
    at.canvas.addEventListener("pointerdown", (event) => {
        if (!at.view || event.button !== 0) return;
        at.canvas.setPointerCapture(event.pointerId);
        down.set(event.pointerId, x(event));
        if (down.size === 2) {
            const [one, other] = [...down.values()];
            pinch = { view: at.view, distance: Math.max(10, Math.abs(one - other)), anchor: instantAt(at.view, (one + other) / 2, at.plot) };
            drag = undefined;
            at.chosen = undefined;
        } else drag = begin(at, event, x(event));
    });
    at.canvas.addEventListener("pointermove", (event) => {
        if (!at.view) return;
        if (event.pointerType !== "touch") at.cursor = x(event);
        if (down.has(event.pointerId)) down.set(event.pointerId, x(event));
        if (pinch && down.size === 2) {
            const [one, other] = [...down.values()];
            at.show(zoomed(pinch.view, pinch.distance / Math.max(10, Math.abs(one - other)), pinch.anchor));
        } else if (drag) move(at, drag, event, x(event));
        else at.paint();
    });
    const up = (/** @type {PointerEvent} */ event) => {
        down.delete(event.pointerId);
        if (down.size < 2) pinch = undefined;
        if (drag && event.type === "pointerup") finish(at, drag, event, x(event));
        drag = undefined;
    };
    at.canvas.addEventListener("pointerup", up);
    at.canvas.addEventListener("pointercancel", up);
}

/** @param {Timeline} at @param {PointerEvent} event @param {number} x @returns {Drag | undefined} */
function begin(at, event, x) {
    if (!at.view) return undefined;
    const row = rowAt(at.rows, event.offsetY);
    const from = instantAt(at.view, x, at.plot);
    if (row?.kind !== "lane") return { kind: "pan", x, from, view: at.view, moved: false };
    const lane = at.book.lanes().get(row.name);
    const hit = lane && markAt(lane, at.view, x, at.plot, event.pointerType === "touch" ? GRIP_TOUCH : GRIP);
    if (hit && at.mayMark && hit.edge !== "body" && row.name === at.user) return { kind: "edge", x, from, view: at.view, moved: false, ...hit, edge: hit.edge };
    return { kind: at.mayMark ? "range" : "pan", x, from, view: at.view, mark: hit?.mark, moved: false };
}

/** @param {Timeline} at @param {Drag} drag @param {PointerEvent} event @param {number} x */
function move(at, drag, event, x) {
    if (!at.view || (!drag.moved && Math.abs(x - drag.x) < 4)) return;
    drag.moved = true;
    if (drag.kind === "pan") return at.show(panned(drag.view, drag.x - x, at.plot));
    if (at.follow) at.follow = false;
    if (x < 0 || x > at.plot) at.show(panned(at.view, x < 0 ? x / 4 : (x - at.plot) / 4, at.plot)); // at the border the view pans on
    const time = snap(at, instantAt(at.view, x, at.plot), event);
    const fixed = drag.kind === "edge" && drag.mark ? (drag.edge === "start" ? drag.mark.end : drag.mark.start) : drag.from;
    at.chosen = time <= fixed ? { start: time, end: fixed } : { start: fixed, end: time };
    at.paint();
}

/** @param {Timeline} at @param {Drag} drag @param {PointerEvent} event @param {number} x */
function finish(at, drag, event, x) {
    if (drag.moved) {
        const { chosen } = at;
        if (!chosen || drag.kind === "pan") return;
        if (drag.kind === "edge" && drag.mark) {
            at.chosen = undefined;
            at.selected = drag.mark.id;
            at.act(editing(drag.mark, chosen), "edge moved");
        } else if (at.armed) {
            at.chosen = undefined;
            at.add(at.armed, chosen.start, chosen.end);
        } else at.changed(); // a label's key or button names it
        return;
    }
    if (drag.mark) return select(at, drag.mark);
    at.cursor = x;
    at.canvas.focus({ preventScroll: true });
    if (drag.kind === "range" && event.pointerType === "touch") tapped(at, drag.from);
    else if (drag.kind === "pan") at.follow = false;
    at.changed();
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

/** @param {Timeline} at */
function overview(at) {
    const go = (/** @type {PointerEvent} */ event) => {
        if (!at.whole || !at.view) return;
        const middle = instantAt(at.whole, event.offsetX - GUTTER, Math.max(1, at.small.clientWidth - GUTTER));
        at.show(viewOf(middle - span(at.view) / 2n, middle + span(at.view) / 2n));
    };
    at.small.addEventListener("pointerdown", (event) => {
        at.small.setPointerCapture(event.pointerId);
        go(event);
    });
    at.small.addEventListener("pointermove", (event) => event.buttons && go(event));
}
