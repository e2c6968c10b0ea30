// @ts-check
/** The help dialog: every key, and another letter for those that have one (WCAG 2.1.4). Kept in this browser. */
import { KEYS, UNCHANGED, choiceOf, keyName, keysOf, rechosen } from "./keys.js";
import { element, made, write } from "./page.js";

const KEPT = "sensorloom.keys";

/** The keys that hold now. @type {import("./keys.js").Key[]} */
let keys = keysOf(UNCHANGED);
let choice = UNCHANGED;

/** @returns {readonly import("./keys.js").Key[]} the keys as this person chose them */
export const currentKeys = () => keys;

/** @param {import("./keys.js").Choice} chosen */
function choose(chosen) {
    choice = chosen;
    keys = keysOf(chosen);
    /** @type {HTMLInputElement} */ (element("letters")).checked = !chosen.off;
    try {
        localStorage.setItem(KEPT, JSON.stringify(chosen));
    } catch {
        write(element("keys-words"), "This browser keeps no settings: the keys are so until the page is left.");
    }
}

/** Fills the dialog, and takes what was chosen before. */
export function help() {
    try {
        choose(choiceOf(localStorage.getItem(KEPT)));
    } catch {
        choose(UNCHANGED); // storage is switched off
    }
    element("letters").addEventListener("change", (event) => choose({ ...choice, off: !(/** @type {HTMLInputElement} */ (event.currentTarget).checked) }));
    element("keys-reset").addEventListener("click", () => {
        choose(UNCHANGED);
        list();
    });
    list();
}

function list() {
    const digits = [made("dt", {}, made("kbd", {}, "1–9")), made("dd", {}, "Mark: short an instant, held a range")];
    element("keys").replaceChildren(...digits, ...KEYS.filter((key) => key.words).flatMap((key) => [made("dt", {}, ...sign(key)), made("dd", {}, key.words)]));
}

/** A key's name; of a letter, a field for another one. @param {import("./keys.js").Key} key @returns {(Node | string)[]} */
function sign(key) {
    if (!key.letter) return [made("kbd", {}, keyName(key.key))];
    const now = () => choice.letters[key.action] ?? key.key.slice(-1);
    const input = made("input", { class: "letter", maxlength: "1", size: "1", autocomplete: "off", autocapitalize: "none", "aria-label": `Key: ${key.words}` });
    input.value = now().toUpperCase();
    input.addEventListener("focus", () => input.select());
    input.addEventListener("change", () => {
        const found = rechosen(choice, key.action, input.value);
        if ("choice" in found) choose(found.choice);
        write(element("keys-words"), "words" in found ? found.words : input.value === "" ? `No key any more: ${key.words}` : "");
        input.value = now().toUpperCase();
    });
    return [...(key.key.startsWith("Shift+") ? [made("kbd", {}, "Shift"), " "] : []), input];
}
