// @ts-check
/**
 * What windows are labelled by, of all lanes together, as labeling decides it: a person's range hides rules' marks; marks
 * of one rank do not hide each other. Where two visible ranges of other labels overlap there is a conflict: a window
 * there gets one of the two. Instants and trims are in no conflict: they have no length, or no label. Pure.
 */
import { Lane, byStart } from "./marks.js";

/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./view.js").View} View */
/** @typedef {{ start: bigint, end: bigint }} Range */
/** @typedef {{ lane: Lane, conflicts: Range[], disputed: Set<string> }} Merged visible pieces of marks, where they conflict, and the ids of those that do */

/** @typedef {Merged & { version: number, view: View }} MergedPart of a book at this version, for what lies in `view` */

/**
 * What the lanes say together around a view; what is known, while it holds: nothing changed, and the view lies in it.
 * @param {import("./marks.js").Markbook} book @param {View} view @param {MergedPart | undefined} known @returns {MergedPart}
 */
export function mergedPart(book, view, known) {
    const span = view.to - view.from;
    if (known && known.version === book.version && known.view.from <= view.from && known.view.to >= view.to && known.view.to - known.view.from <= 8n * span) return known;
    const around = { from: view.from - span, to: view.to + span };
    const marks = [...book.lanes().values()].flatMap((lane) => lane.marks.slice(...lane.near(around))).sort(byStart);
    return { ...merged(marks), version: book.version, view: around };
}

/** @param {readonly Mark[]} marks that stand, by start @returns {Merged} */
export function merged(marks) {
    const hiding = unionOf(marks.filter((mark) => mark.tool !== "rule" && !mark.trim && mark.end > mark.start));
    const pieces = marks.flatMap((mark) => (mark.tool === "rule" && !mark.trim ? visible(mark, hiding) : [mark]));
    const ranges = pieces.filter((mark) => !mark.trim && mark.end > mark.start).sort((one, other) => order(one.start, other.start));
    const conflicts = conflictsOf(ranges);
    const disputed = new Set(conflicts.length === 0 ? [] : ranges.filter((mark) => meets(conflicts, mark)).map((mark) => mark.id));
    return { lane: new Lane(pieces), conflicts, disputed };
}

/** @param {bigint} a @param {bigint} b @returns {number} */
const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

/** The disjoint ranges that together cover what these cover. @param {readonly Range[]} ranges by start @returns {Range[]} */
function unionOf(ranges) {
    /** @type {Range[]} */
    const union = [];
    for (const { start, end } of ranges) {
        const last = union.at(-1);
        if (!last || start > last.end) union.push({ start, end });
        else if (end > last.end) last.end = end;
    }
    return union;
}

/** The place of the first of disjoint ranges that ends after an instant. @param {readonly Range[]} ranges by start @param {bigint} at @returns {number} */
function firstAfter(ranges, at) {
    let [low, high] = [0, ranges.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (ranges[middle].end <= at) low = middle + 1;
        else high = middle;
    }
    return low;
}

/** @param {readonly Range[]} ranges @param {Range} range @returns {boolean} */
function meets(ranges, range) {
    const place = firstAfter(ranges, range.start);
    return place < ranges.length && ranges[place].start < range.end;
}

/** The pieces of a rule's mark that no person's range hides. @param {Mark} mark @param {readonly Range[]} hiding @returns {Mark[]} */
function visible(mark, hiding) {
    const pieces = [];
    let { start } = mark;
    let place = firstAfter(hiding, start);
    if (mark.end === start) return place < hiding.length && hiding[place].start <= start ? [] : [mark];
    for (; place < hiding.length && hiding[place].start < mark.end; place += 1) {
        if (hiding[place].start > start) pieces.push({ ...mark, start, end: hiding[place].start });
        start = hiding[place].end;
    }
    if (start < mark.end) pieces.push(start === mark.start ? mark : { ...mark, start });
    return pieces;
}

/** Where two labels or more hold at once. @param {readonly Mark[]} ranges by start @returns {Range[]} disjoint, by start */
function conflictsOf(ranges) {
    const ends = [...ranges].sort((one, other) => order(one.end, other.end));
    /** @type {Map<string, number>} how many ranges of a label go on */
    const going = new Map();
    /** @type {Range[]} */
    const conflicts = [];
    let since = /** @type {bigint | undefined} */ (undefined);
    let over = 0;
    for (let next = 0; over < ends.length;) {
        const begins = next < ranges.length && ranges[next].start < ends[over].end;
        const mark = begins ? ranges[next++] : ends[over++];
        const count = (going.get(mark.label) ?? 0) + (begins ? 1 : -1);
        if (count > 0) going.set(mark.label, count);
        else going.delete(mark.label);
        if (going.size > 1 && since === undefined) since = mark.start;
        if (going.size > 1 || since === undefined) continue;
        const last = conflicts.at(-1);
        if (last && last.end === since) last.end = mark.end;
        else conflicts.push({ start: since, end: mark.end });
        since = undefined;
    }
    return conflicts;
}
