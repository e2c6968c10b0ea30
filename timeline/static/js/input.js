// @ts-check
/** Keys, the wheel and the overview, each turned into what `commands.js` does; what points at the canvas: `pointing.js`. */
import { wentBack } from "./asking.js";
import { ACTIONS, zoom } from "./commands.js";
import { labelDown, labelUp, leave } from "./gestures.js";
import { currentKeys } from "./help.js";
import { actionOf } from "./keys.js";
import { GUTTER } from "./layout.js";
import { pointers } from "./pointing.js";
import { instantAt, panned, placeOf, span, viewOf } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** @param {Timeline} at */
export function listen(at) {
    keyboard(at);
    wheel(at);
    pointers(at);
    overview(at);
    addEventListener("popstate", (event) => wentBack(at, placeOf(location.pathname, location.search), event.state?.follow === true));
}

/** Whether keys type there; a dialog that was just closed keeps the focus until the next frame. @param {EventTarget | null} target @returns {boolean} */
const types = (target) => target instanceof HTMLElement && !target.closest("dialog:not([open])") && target.closest("input, select, textarea, dialog, [role=menu]") !== null;

/** @param {Timeline} at */
function keyboard(at) {
    /** @type {{ key: string, label: string } | undefined} which key holds a label: where digits need Shift, it has another name once Shift is up */
    let holds;
    const place = (/** @type {KeyboardEvent} */ event) => event.code || event.key;
    addEventListener("keydown", (event) => {
        if (types(event.target) || document.querySelector("dialog[open]")) return;
        const press = event.target instanceof HTMLElement && event.target.closest("button, a") && [" ", "Enter"].includes(event.key);
        const action = press ? undefined : actionOf(event, currentKeys());
        if (action === undefined) return;
        event.preventDefault();
        if (action.startsWith("label ")) {
            const label = at.labels.find((one) => one.key === action.slice(6));
            if (label && !event.repeat) {
                holds = { key: place(event), label: label.name };
                labelDown(at, label.name);
            }
        } else ACTIONS[action](at);
        at.paintDue();
    });
    addEventListener("keyup", (event) => {
        if (holds?.key !== place(event)) return;
        labelUp(at, holds.label);
        holds = undefined;
        at.paintDue();
    });
    addEventListener("blur", () => labelUp(at)); // a key that goes up elsewhere is never heard
    addEventListener("pagehide", () => {
        leave(at);
        at.outbox.leave();
    });
}

/** @param {Timeline} at */
function wheel(at) {
    at.canvas.addEventListener("wheel", (event) => {
        if (!at.view || (event.offsetX < GUTTER && !event.ctrlKey)) return; // beside the plot the rows scroll: there may be more than one sees
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

/** @param {Timeline} at */
function overview(at) {
    const go = (/** @type {PointerEvent} */ event) => {
        if (!at.whole || !at.view) return;
        const middle = instantAt(at.whole, event.offsetX - GUTTER, Math.max(1, at.smallSize.width - GUTTER));
        at.show(viewOf(middle - span(at.view) / 2n, middle + span(at.view) / 2n));
    };
    at.small.addEventListener("pointerdown", (event) => {
        at.small.setPointerCapture(event.pointerId);
        go(event);
    });
    at.small.addEventListener("pointermove", (event) => event.buttons && go(event));
}
