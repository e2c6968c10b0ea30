// @ts-check
/** The menu of a point or a mark: by a long press, the right button, or the keyboard's menu key. */
import { ACTIONS } from "./commands.js";
import { selected } from "./gestures.js";
import { currentKeys } from "./help.js";
import { keyName } from "./keys.js";
import { element, made } from "./page.js";
import { isOpen } from "./review.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

const HERE = ["start", "end", "trim", "ruler", "goto"];
const MARK = ["edit", "split", "merge", "retract"];
const REVIEW = ["accept", "reject", "acceptAlike"];
const WORDS = /** @type {Record<string, string>} */ ({
    start: "Start edge here", end: "End edge here", trim: "Trim the range", ruler: "Ruler", goto: "Go to a time …", edit: "Edit the mark …", split: "Split here",
    merge: "Unite with the next one", retract: "Take the mark back", accept: "Accept", reject: "Reject", acceptAlike: "Accept all alike in view",
});

/** What the menu offers, by name. @param {Timeline} at @returns {string[]} */
function offered(at) {
    if (!at.mayMark) return ["ruler", "goto"];
    const mark = selected(at);
    return [...(mark && isOpen(mark) ? REVIEW : []), ...(mark ? MARK : []), ...HERE];
}

/** Opens it. @param {Timeline} at @param {number} x px of the page @param {number} y */
export function openMenu(at, x, y) {
    const menu = element("menu");
    menu.replaceChildren(...offered(at).map((name) => {
        const key = currentKeys().find((one) => one.action === name)?.key;
        const item = made("button", { type: "button", role: "menuitem", tabindex: "-1" }, WORDS[name]);
        if (key) item.append(" ", made("kbd", {}, keyName(key)));
        item.addEventListener("click", () => {
            menu.hidePopover();
            at.canvas.focus({ preventScroll: true });
            ACTIONS[name](at);
        });
        return item;
    }));
    menu.showPopover();
    menu.style.left = `${Math.max(0, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`;
    menu.style.top = `${Math.max(0, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`;
    /** @type {HTMLElement | null} */ (menu.firstElementChild)?.focus();
    at.changed();
}

/** Its keys: arrows go through it, Escape closes it. @param {Timeline} at */
export function menuOf(at) {
    const menu = element("menu");
    const close = () => {
        menu.hidePopover();
        at.canvas.focus({ preventScroll: true });
    };
    addEventListener("pointerdown", (event) => { // not a popover's own dismissal: that takes the end of a long press for one
        if (menu.matches(":popover-open") && !menu.contains(/** @type {Node} */ (event.target))) close();
    }, { capture: true });
    menu.addEventListener("keydown", (event) => {
        const items = /** @type {HTMLElement[]} */ ([...menu.children]);
        const now = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
        const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: -1 }[event.key];
        if (event.key === "Tab" || event.key === "Escape") {
            event.preventDefault();
            close();
        }
        if (to === undefined) return;
        event.preventDefault();
        items.at(to % items.length)?.focus();
    });
}
