// @ts-check
/** The marks as a table: the canvas's equal twin for those who do not see it; and the fields of one mark. */
import { editing } from "./acts.js";
import { retract, select, selected } from "./commands.js";
import { byStart } from "./marks.js";
import { element, made, write } from "./page.js";
import { clock, duration, exact, instant } from "./time.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** Rows that are in the page at once; the others come with scrolling. */
const ROWS = 200;

/** @type {Record<string, (one: Mark, other: Mark) => number>} */
const ORDERS = {
    start: byStart,
    length: (one, other) => Number(one.end - one.start - (other.end - other.start)) || byStart(one, other),
    label: (one, other) => one.label.localeCompare(other.label) || byStart(one, other),
    author: (one, other) => one.author.localeCompare(other.author) || byStart(one, other),
};

/** @param {Timeline} at */
export function tableOf(at) {
    let [order, down, shown] = ["start", false, ROWS];
    let drawn = "";
    const render = () => {
        if (element("panel").hidden || !at.view) return;
        const { from, to } = at.view;
        const marks = at.book.all().filter((mark) => mark.end >= from && mark.start < to).sort(ORDERS[order]);
        if (down) marks.reverse();
        const state = `${at.book.version} ${order} ${down} ${shown} ${at.selected} ${from} ${to}`;
        if (state === drawn) return;
        drawn = state;
        const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.mark : undefined;
        element("table-rows").replaceChildren(...marks.slice(0, shown).map((mark) => rowOf(at, mark)));
        if (focused) document.querySelector(/** @type {"button"} */ (`#table-rows [data-mark="${CSS.escape(focused)}"]`))?.focus();
        write(element("table-count"), marks.length > shown ? `${shown} of ${marks.length} marks` : `${marks.length} marks`);
    };
    for (const button of document.querySelectorAll(/** @type {"button"} */ ("#table [data-sort]"))) {
        button.addEventListener("click", () => {
            const name = button.dataset.sort ?? "start";
            [order, down] = [name, name === order && !down];
            for (const cell of document.querySelectorAll("#table th")) cell.removeAttribute("aria-sort");
            button.closest("th")?.setAttribute("aria-sort", down ? "descending" : "ascending");
            render();
        });
    }
    element("table-scroll").addEventListener("scroll", (event) => {
        const box = /** @type {HTMLElement} */ (event.currentTarget);
        if (box.scrollTop + box.clientHeight < box.scrollHeight - 200) return;
        shown += ROWS;
        render();
    });
    at.listeners.push(render, () => fields(at));
}

/** @param {Timeline} at @param {Mark} mark @returns {HTMLTableRowElement} */
function rowOf(at, mark) {
    const start = made("button", { type: "button", "data-mark": mark.id }, clock(mark.start));
    start.addEventListener("click", () => select(at, mark));
    const length = mark.start === mark.end ? "instant" : duration(mark.end - mark.start);
    const label = (mark.trim ? "trim" : mark.label) + (mark.state === "saved" ? "" : ` (${mark.state})`);
    const who = mark.tool === "rule" ? "rule" : mark.author;
    const cells = [start, length, label, who].map((content) => made("td", {}, content));
    return made("tr", { "aria-selected": String(mark.id === at.selected) }, ...cells);
}

/** The selected mark's fields; what is being typed stays. @param {Timeline} at */
function fields(at) {
    const mark = selected(at);
    const section = element("mark");
    section.hidden = !mark;
    if (!mark || section.contains(document.activeElement)) return;
    const key = `${mark.id} ${mark.start} ${mark.end} ${mark.label} ${mark.state}`;
    if (section.dataset.key === key) return;
    section.dataset.key = key;
    const facts = Object.entries(mark.evidence).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`).join(", ");
    /** @type {[string, string | Node][]} */
    const pairs = [
        ["Start", timeField(at, mark, "start")],
        ["End", timeField(at, mark, "end")],
        ["Label", labelField(at, mark)],
        ["Who", mark.tool === "rule" ? `rule ${mark.revision}` : mark.author],
        ["Why", facts || mark.reason],
        ["State", mark.state],
    ];
    const back = made("button", { type: "button" }, "Take back");
    back.addEventListener("click", () => retract(at));
    section.replaceChildren(made("h2", {}, "Mark"), made("dl", {}, ...pairs.filter(([, value]) => value !== "").flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)])), made("div", { class: "row" }, back));
}

/** @param {Timeline} at @param {Mark} mark @param {"start" | "end"} edge @returns {HTMLInputElement} */
function timeField(at, mark, edge) {
    const input = made("input", { "aria-label": edge === "start" ? "Start" : "End", autocomplete: "off" });
    input.value = exact(mark[edge]);
    input.disabled = !at.mayMark;
    input.addEventListener("change", () => {
        const time = instant(input.value, mark[edge]);
        input.setAttribute("aria-invalid", String(time === undefined));
        if (time !== undefined) at.act(editing(at.book.get(mark.id) ?? mark, { [edge]: time }), `${edge} ${clock(time)}`);
    });
    return input;
}

/** @param {Timeline} at @param {Mark} mark @returns {Node | string} */
function labelField(at, mark) {
    if (mark.trim) return "trim";
    const names = [...new Set([mark.label, ...at.labels.map((label) => label.name)])];
    const input = made("select", { "aria-label": "Label" }, ...names.map((name) => new Option(name, name, false, name === mark.label)));
    input.disabled = !at.mayMark;
    input.addEventListener("change", () => at.act(editing(at.book.get(mark.id) ?? mark, { label: input.value }), `label ${input.value}`));
    return input;
}
