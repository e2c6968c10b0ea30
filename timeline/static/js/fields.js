// @ts-check
/** The fields of the selected mark, to be read and changed; what is being typed stays. */
import { misfit } from "./acts.js";
import { reshape, retract, selected } from "./gestures.js";
import { element, hide, made, say, write } from "./page.js";
import { clock, exact, instant } from "./time.js";
import { stateWords, whoseWords } from "./words.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** @param {Timeline} at @param {(mark: string) => void} back brings the focus back to a mark's row */
export function fieldsOf(at, back) {
    const section = element("mark");
    section.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        const input = event.target;
        if (!(input instanceof HTMLInputElement)) return;
        event.preventDefault();
        if (event.key === "Escape") input.value = input.defaultValue;
        input.blur(); // what was typed is taken
        if (at.selected) back(at.selected);
    });
    at.listeners.push(() => show(at, section));
}

/**
 * Shows the mark's fields, while the panel is open: for each field that is new the browser looks through all forms of the page,
 * which takes longer than everything else that becomes of a key. A mark that is saved is another one in one word only.
 * @param {Timeline} at @param {HTMLElement} section
 */
function show(at, section) {
    if (element("panel").hidden) return;
    const mark = selected(at);
    hide(section, !mark);
    if (!mark || section.contains(document.activeElement)) return;
    const state = stateWords(mark, at.outbox.acts);
    const key = `${mark.id} ${mark.start} ${mark.end} ${mark.label} ${mark.reason} ${mark.author} ${mark.reviewedBy}`;
    if (section.dataset.key === key) return write(element("mark-state"), state);
    section.dataset.key = key;
    const facts = Object.entries(mark.evidence).map(([name, value]) => made("li", {}, `${name} ${Number(value.toPrecision(4))}`));
    /** @type {[string, string | Node][]} */
    const pairs = [
        ["Start", timeField(at, mark, "start")],
        ["End", timeField(at, mark, "end")],
        ["Label", labelField(at, mark)],
        [mark.trim ? "Reason" : "Note", noteField(at, mark)],
        ["Who", whoseWords(mark)],
        ["Accepted", mark.reviewedBy && `by ${mark.reviewedBy}`],
        ["Why", facts.length > 0 ? made("ul", {}, ...facts) : ""],
        ["State", made("span", { id: "mark-state" }, state)],
    ];
    const back = made("button", { type: "button" }, "Take back");
    back.addEventListener("click", () => retract(at));
    const list = pairs.filter(([, value]) => value !== "").flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)]);
    section.replaceChildren(made("h2", {}, "Mark"), made("dl", {}, ...list), ...(at.mayMark ? [made("div", { class: "row" }, back)] : []));
}

/** The mark as it is now: others may have changed it since. @param {Timeline} at @param {Mark} mark @returns {Mark} */
const now = (at, mark) => at.book.get(mark.id) ?? mark;

/** @param {Timeline} at @param {string} name @param {string} value @returns {HTMLInputElement} */
function field(at, name, value) {
    const input = made("input", { "aria-label": name, autocomplete: "off", value });
    input.disabled = !at.mayMark;
    return input;
}

/** @param {Timeline} at @param {Mark} mark @param {"start" | "end"} edge @returns {HTMLInputElement} */
function timeField(at, mark, edge) {
    const input = field(at, edge === "start" ? "Start" : "End", exact(mark[edge]));
    input.addEventListener("change", () => {
        const time = instant(input.value, mark[edge]);
        input.setAttribute("aria-invalid", String(time === undefined));
        if (time !== undefined) reshape(at, now(at, mark), { [edge]: time }, `${edge} ${clock(time)}`);
    });
    return input;
}

/** @param {Timeline} at @param {Mark} mark @returns {HTMLInputElement} */
function noteField(at, mark) {
    const input = field(at, mark.trim ? "Reason" : "Note", mark.reason);
    input.dir = "auto";
    input.addEventListener("change", () => {
        const note = input.value.trim();
        const wrong = misfit({ reason: note });
        input.setAttribute("aria-invalid", String(wrong !== ""));
        if (wrong) return say(`Not saved: ${wrong}`); // a browser's own limit would cut what is pasted, in silence
        reshape(at, now(at, mark), { reason: note }, `note: ${note}`);
    });
    return input;
}

/** @param {Timeline} at @param {Mark} mark @returns {Node | string} */
function labelField(at, mark) {
    if (mark.trim) return "trim";
    const names = [...new Set([mark.label, ...at.labels.map((label) => label.name)])];
    const input = made("select", { "aria-label": "Label" }, ...names.map((name) => new Option(name, name, false, name === mark.label)));
    input.disabled = !at.mayMark;
    input.addEventListener("change", () => reshape(at, now(at, mark), { label: input.value }, `label ${input.value}`));
    return input;
}
