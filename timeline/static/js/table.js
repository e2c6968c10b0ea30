// @ts-check
/**
 * The marks as a table: the canvas's equal twin for those who do not see it, or use keys alone. Only the rows that are
 * seen are in the page, however many there are; arrows go through all of them.
 */
import { knows } from "./asking.js";
import { fieldsOf } from "./fields.js";
import { select } from "./gestures.js";
import { byStart } from "./marks.js";
import { element, made, write } from "./page.js";
import { mergedNow } from "./painting.js";
import { clock, duration } from "./time.js";
import { whoseWords } from "./words.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** Rows before and after those that are seen, so that scrolling finds some. */
const BESIDE = 12;
/** How late the table may be behind a view that follows. */
const FOLLOW_MS = 500;
/** px of a row, until one was seen */
const TALL = 33;
/** Where an arrow leads, from row `i` of `n`, with `page` rows on the screen. @type {Record<string, (i: number, n: number, page: number) => number>} */
const LEADS = {
    ArrowDown: (i) => i + 1, ArrowUp: (i) => i - 1, PageDown: (i, _, page) => i + page, PageUp: (i, _, page) => i - page, Home: () => 0, End: (_, n) => n - 1,
};

/** @type {Record<string, (one: Mark, other: Mark) => number>} */
const ORDERS = {
    start: byStart,
    length: (one, other) => Number(one.end - one.start - (other.end - other.start)) || byStart(one, other),
    label: (one, other) => one.label.localeCompare(other.label) || byStart(one, other),
    author: (one, other) => one.author.localeCompare(other.author) || byStart(one, other),
};

/** @param {Timeline} at */
export function tableOf(at) {
    const table = new Table(at);
    at.listeners.push(() => table.render());
    setInterval(() => at.follow && table.render(), FOLLOW_MS); // nothing changes but where one looks
    fieldsOf(at, (mark) => table.focus(mark));
}

class Table {
    /** @param {Timeline} at */
    constructor(at) {
        this.at = at;
        this.order = "start";
        this.down = false;
        /** @type {Mark[]} those in view, in the table's order */
        this.marks = [];
        this.tall = TALL;
        /** Rises with every other list of marks. */
        this.listed = 0;
        this.known = "";
        this.drawn = "";
        /** @type {import("./merged.js").Merged | undefined} as the rows that are drawn say it */
        this.merged = undefined;
        /** @type {string | undefined} the mark whose row Tab leads to */
        this.active = undefined;
        this.box = element("table-scroll");
        this.rows = element("table-rows");
        for (const button of document.querySelectorAll(/** @type {"button"} */ ("#table [data-sort]"))) button.addEventListener("click", () => this.#sort(button));
        this.box.addEventListener("scroll", () => this.render());
        this.rows.addEventListener("keydown", (event) => this.#key(event));
        this.rows.addEventListener("focusin", (event) => {
            this.active = /** @type {HTMLElement} */ (event.target).dataset.mark;
        });
    }

    /** @param {HTMLButtonElement} button */
    #sort(button) {
        const name = button.dataset.sort ?? "start";
        [this.order, this.down] = [name, name === this.order && !this.down];
        for (const cell of document.querySelectorAll("#table th")) cell.removeAttribute("aria-sort");
        button.closest("th")?.setAttribute("aria-sort", this.down ? "descending" : "ascending");
        this.box.scrollTop = 0;
        this.render();
    }

    /** Arrows go through the rows; what other keys do, they do to the row's mark. @param {KeyboardEvent} event */
    #key(event) {
        const id = /** @type {HTMLElement} */ (event.target).dataset.mark;
        const place = this.marks.findIndex((mark) => mark.id === id);
        if (place < 0) return;
        const lead = event.altKey || event.ctrlKey || event.metaKey ? undefined : LEADS[event.key];
        if (!lead) {
            if (!["Tab", "Shift", "Enter", " "].includes(event.key)) this.at.selected = id;
            return;
        }
        event.preventDefault();
        event.stopPropagation();
        const to = lead(place, this.marks.length, Math.max(1, Math.floor(this.box.clientHeight / this.tall) - 1));
        this.focus(this.marks[Math.max(0, Math.min(this.marks.length - 1, to))].id);
    }

    /** Brings a mark's row to the screen, and the focus to it. @param {string} id */
    focus(id) {
        const place = this.marks.findIndex((mark) => mark.id === id);
        if (place < 0) return;
        const [top, room] = [place * this.tall, this.box.clientHeight - 2 * this.tall]; // the head lies over the first row
        if (top < this.box.scrollTop) this.box.scrollTop = top;
        else if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
        this.active = id;
        this.render();
        this.#button(id)?.focus({ preventScroll: true });
    }

    /** @param {string} id @returns {HTMLElement | null} */
    #button(id) {
        return this.rows.querySelector(`[data-mark="${CSS.escape(id)}"]`);
    }

    /** The marks in view, in order; found anew where something changed. */
    #find() {
        const { book, view } = this.at;
        if (!view) return;
        const state = `${book.version} ${this.order} ${this.down} ${view.from} ${view.to}`;
        if (state === this.known) return;
        this.known = state;
        const near = [...book.lanes().values()].flatMap((lane) => lane.marks.slice(...lane.near(view)));
        const marks = near.filter((mark) => mark.end >= view.from && mark.start < view.to).sort(ORDERS[this.order]);
        if (this.down) marks.reverse();
        if (marks.length === this.marks.length && marks.every((mark, i) => mark === this.marks[i])) return;
        this.marks = marks;
        this.listed += 1;
    }

    render() {
        if (element("panel").hidden || !this.at.view) return;
        const before = this.marks;
        this.#find();
        const first = Math.max(0, Math.floor(this.box.scrollTop / this.tall) - BESIDE);
        const last = Math.min(this.marks.length, first + Math.ceil(this.box.clientHeight / this.tall) + 2 * BESIDE);
        const merged = mergedNow(this.at);
        const state = `${this.listed} ${first} ${last} ${this.at.selected} ${knows(this.at, "marked")}`;
        if (state === this.drawn && merged === this.merged) return;
        [this.drawn, this.merged] = [state, merged];
        const focused = this.rows.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.mark : undefined;
        if (!this.marks.some((mark) => mark.id === this.active)) this.active = this.marks[Math.max(0, Math.min(this.marks.length - 1, before.findIndex((mark) => mark.id === this.active)))]?.id;
        this.rows.replaceChildren(space(first * this.tall), ...this.marks.slice(first, last).map((mark, i) => this.#row(mark, first + i)), space((this.marks.length - last) * this.tall));
        this.tall = (this.rows.children[1] !== this.rows.lastElementChild && /** @type {HTMLElement} */ (this.rows.children[1]).offsetHeight) || this.tall;
        if (focused && this.active) this.#button(this.active)?.focus({ preventScroll: true });
        element("table").setAttribute("aria-rowcount", String(this.marks.length + 1));
        const count = `${this.marks.length} ${this.marks.length === 1 ? "mark" : "marks"}`;
        write(element("table-count"), this.at.hand.dense ? `${count}, and more: zoom in to list them all` : knows(this.at, "marked") ? count : `${count} so far`);
    }

    /** @param {Mark} mark @param {number} place @returns {HTMLTableRowElement} */
    #row(mark, place) {
        const start = made("button", { type: "button", "data-mark": mark.id, tabindex: mark.id === this.active ? "0" : "-1" }, clock(mark.start));
        start.addEventListener("click", () => select(this.at, mark, false));
        const length = mark.start === mark.end ? "instant" : duration(mark.end - mark.start);
        const label = (mark.trim ? "trim" : mark.label) + (mark.state === "saved" ? "" : " (not saved yet)") + (this.merged?.disputed.has(mark.id) ? " (conflict)" : "");
        const who = whoseWords(mark);
        const cells = [made("td", {}, start), made("td", {}, length), made("td", { title: label }, label), made("td", { title: who }, who)];
        return made("tr", { "aria-selected": String(mark.id === this.at.selected), "aria-rowindex": String(place + 2) }, ...cells);
    }
}

/** Rows that are not in the page. @param {number} height px @returns {HTMLTableRowElement} */
function space(height) {
    const row = made("tr", { "aria-hidden": "true", class: "space" });
    row.style.height = `${height}px`;
    return row;
}
