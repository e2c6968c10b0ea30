// @ts-check
/**
 * The marks of one device: what the server says stands, under what this tab has done and the log has not yet confirmed.
 * Lanes are `rules` and each person; a lane is drawn as runs of pixels, however many marks it has. Pure.
 */
import { lowerBound } from "./traces.js";
import { xOf } from "./view.js";

/** @typedef {import("./acts.js").Act} Act */
/**
 * @typedef {object} Mark
 * @property {string} id
 * @property {bigint} start
 * @property {bigint} end equal to `start`: an instant
 * @property {string} label
 * @property {string} author
 * @property {string} tool
 * @property {number} confidence
 * @property {boolean} stands
 * @property {boolean} trim
 * @property {string} reason
 * @property {string} revision of the rule that made it
 * @property {Record<string, number>} evidence
 * @property {number} order
 * @property {string} reviewedBy who accepted it; "": nobody
 * @property {boolean} struck it was taken back before one's eyes: it is shown struck through
 * @property {"saved" | "waiting" | "refused"} state refused: the log did not take it, and is asked again
 */
/** @typedef {{ start: number, end: number, marks: Mark[] }} Run px; several marks where they share pixels */

/** A mark as the server sends it. @param {Record<string, any>} wire @returns {Mark} */
export function markOf(wire) {
    return {
        id: wire.id,
        start: BigInt(wire.start_ns),
        end: BigInt(wire.end_ns),
        label: wire.label,
        author: wire.author,
        tool: wire.tool,
        confidence: wire.confidence ?? 1,
        stands: wire.stands ?? true,
        trim: wire.trim ?? false,
        reason: wire.reason ?? "",
        revision: wire.revision ?? "",
        evidence: wire.evidence ?? {},
        order: wire.order ?? 0,
        reviewedBy: wire.reviewed_by ?? "",
        struck: false,
        state: "saved",
    };
}

/** Whether a mark meets a range, as the server counts it. @param {Mark} mark @param {import("./view.js").View} range @returns {boolean} */
export const meets = (mark, { from, to }) => mark.start < to && (mark.end > from || mark.start >= from);

/** @type {readonly (keyof Mark)[]} all but what explains it, which is another one only under another order */
const FIELDS = ["start", "end", "label", "author", "tool", "confidence", "stands", "trim", "reason", "revision", "order", "reviewedBy", "struck", "state"];

/** Whether two states of a mark are one. @param {Mark} one @param {Mark} other @returns {boolean} */
const same = (one, other) => FIELDS.every((name) => one[name] === other[name]);

/** The lane in which a mark lies. @param {Mark} mark @returns {string} */
export const laneOf = (mark) => (mark.tool === "rule" ? "rules" : mark.author);

/**
 * A mark after an act of this tab; undefined where it is gone.
 * @param {Mark | undefined} mark @param {Act} act @param {string} user @param {Act | undefined} undone what it takes back
 * @returns {Mark | undefined}
 */
export function acted(mark, act, user, undone) {
    const state = act.refused ? "refused" : act.state === "saved" ? "saved" : "waiting";
    if (act.kind === "add") {
        return {
            id: act.mark, start: act.start ?? 0n, end: act.end ?? 0n, label: act.label ?? "", author: user, tool: "operator", confidence: 1, stands: true,
            trim: act.trim, reason: act.reason, revision: "", evidence: {}, order: -1, reviewedBy: "", struck: false, state,
        };
    }
    if (mark === undefined) return undefined;
    if (act.kind === "retract") return { ...mark, stands: false, struck: true, state };
    if (act.kind === "undo") return { ...mark, ...takenBack(mark, undone), struck: false, state };
    const own = act.kind === "edit" || mark.tool === "rule" ? { author: user, tool: "operator" } : {};
    if (act.kind === "accept") return { ...mark, ...own, reviewedBy: user, state };
    const { start = mark.start, end = mark.end, label = mark.label } = act;
    return { ...mark, ...own, start, end, label, reason: act.reason ? act.reason.trim() : mark.reason, state };
}

/**
 * What of a mark is another after something was taken back: of an edit the fields that it changed, and whose the mark is.
 * @param {Mark} mark @param {Act | undefined} undone @returns {Partial<Mark>}
 */
function takenBack(mark, undone) {
    if (undone?.kind !== "edit" && undone?.kind !== "accept") return { stands: undone?.kind === "retract" || undone?.kind === "undo" };
    const { before = {} } = undone;
    const { author = mark.author, tool = mark.tool, reviewedBy = mark.reviewedBy } = before;
    if (undone.kind === "accept") return { author, tool, reviewedBy };
    return {
        author, tool,
        start: undone.start === undefined ? mark.start : before.start,
        end: undone.end === undefined ? mark.end : before.end,
        label: undone.label === undefined ? mark.label : before.label,
        reason: undone.reason ? before.reason : mark.reason,
    };
}

/** What stands, and what waits, of one device. */
export class Markbook {
    constructor() {
        /** @type {Map<string, Mark>} */
        this.saved = new Map();
        /** @type {Map<string, Mark>} as waiting acts make them */
        this.waiting = new Map();
        /** Rises with every change. */
        this.version = 0;
        /** @type {Map<string, Lane> | undefined} */
        this.built = undefined;
    }

    /**
     * Takes all marks that meet a range: what was known there and is not among them was taken back while no line was open.
     * @param {readonly Mark[]} marks @param {import("./view.js").View} range
     */
    renew(marks, range) {
        const told = new Set(marks.map((mark) => mark.id));
        const gone = [...this.saved.values()].filter((mark) => mark.stands && !told.has(mark.id) && meets(mark, range));
        for (const mark of gone) this.saved.delete(mark.id);
        if (gone.length > 0) this.#changed();
        this.take(marks);
    }

    /** Of two states of a mark the one of the larger order stays; what is told again changes nothing, and the lanes stay. @param {readonly Mark[]} marks */
    take(marks) {
        let news = false;
        for (const mark of marks) {
            const known = this.saved.get(mark.id);
            if (known && (known.order > mark.order || same(known, mark))) continue;
            this.saved.set(mark.id, mark);
            news = true;
        }
        if (news) this.#changed();
    }

    /**
     * Puts the acts that wait over what stands.
     * @param {readonly Act[]} acts of this device, oldest first, those that wait @param {readonly Act[]} all @param {string} user
     */
    overlay(acts, all, user) {
        if (acts.length === 0 && this.waiting.size === 0) return;
        this.waiting = new Map();
        for (const act of acts) {
            const before = this.waiting.get(act.mark) ?? this.saved.get(act.mark);
            const undone = act.kind !== "undo" ? undefined : all.find(
                (other) => other.mark === act.mark && (act.undoes === undefined ? other.kind === "add" : other.clientNs === act.undoes),
            );
            const after = acted(before, act, user, undone);
            if (after) this.waiting.set(act.mark, after);
        }
        this.#changed();
    }

    /** @param {string} id @returns {Mark | undefined} */
    get(id) {
        return this.waiting.get(id) ?? this.saved.get(id);
    }

    /** The standing marks by start. @returns {Mark[]} */
    all() {
        return [...this.lanes().values()].flatMap((lane) => lane.marks).sort(byStart);
    }

    /** The lanes, rules first, then people by name; they hold what stands, and what was struck. @returns {Map<string, Lane>} */
    lanes() {
        if (this.built) return this.built;
        /** @type {Map<string, Mark[]>} */
        const found = new Map([["rules", []]]);
        for (const mark of new Map([...this.saved, ...this.waiting]).values()) {
            if (!mark.stands && !mark.struck) continue;
            const lane = found.get(laneOf(mark));
            if (lane) lane.push(mark);
            else found.set(laneOf(mark), [mark]);
        }
        const names = [...found.keys()].sort((a, b) => (a === "rules" ? -1 : b === "rules" ? 1 : a < b ? -1 : 1));
        this.built = new Map(names.map((name) => [name, new Lane(/** @type {Mark[]} */ (found.get(name)))]));
        return this.built;
    }

    #changed() {
        this.version += 1;
        this.built = undefined;
    }
}

/** @param {Mark} one @param {Mark} other @returns {number} */
export function byStart(one, other) {
    if (one.start !== other.start) return one.start < other.start ? -1 : 1;
    return one.end < other.end ? -1 : one.end > other.end ? 1 : one.id < other.id ? -1 : 1;
}

/** Marks of a lane by start, with floats beside them to find those of a view at once. */
export class Lane {
    /** @param {Mark[]} marks */
    constructor(marks) {
        this.marks = marks.filter((mark) => mark.stands).sort(byStart);
        /** Those that were taken back before one's eyes. */
        this.struck = marks.filter((mark) => !mark.stands);
        this.base = this.marks[0]?.start ?? 0n;
        this.starts = Float64Array.from(this.marks, (mark) => Number(mark.start - this.base));
        this.lengths = Float64Array.from(this.marks, (mark) => Number(mark.end - mark.start));
        /** The latest end so far: rising, so that it can be searched. */
        this.reach = Float64Array.from(this.marks, (mark) => Number(mark.end - this.base));
        for (let i = 1; i < this.reach.length; i += 1) this.reach[i] = Math.max(this.reach[i], this.reach[i - 1]);
    }

    /**
     * The places in `marks` of those that may meet a view, reach of the pointer included.
     * @param {import("./view.js").View} view @param {number} [reach] share of the view's span
     * @returns {[number, number]}
     */
    near(view, reach = 0) {
        const from = Number(view.from - this.base);
        const to = Number(view.to - this.base);
        const more = (to - from) * reach;
        return [lowerBound(this.reach, from - more), lowerBound(this.starts, to + more)];
    }

    /**
     * The marks of a view as runs of pixels: those that are narrower than a pixel and share one are one run.
     * @param {import("./view.js").View} view @param {number} width px @returns {Run[]}
     */
    runs(view, width) {
        const from = Number(view.from - this.base);
        const scale = width / Number(view.to - view.from);
        const [begin, stop] = this.near(view);
        /** @type {Run[]} */
        const runs = [];
        let run = /** @type {Run | undefined} */ (undefined);
        for (let i = begin; i < stop; i += 1) {
            const start = (this.starts[i] - from) * scale;
            const end = (this.starts[i] - from + this.lengths[i]) * scale;
            if (end < 0) continue;
            if (run && end - start < 1 && start - run.start < 1 && run.end - run.start <= 1) {
                if (run.marks.length < 8) run.marks.push(this.marks[i]);
            } else {
                run = { start, end: Math.max(end, start + 1), marks: [this.marks[i]] };
                runs.push(run);
            }
        }
        return runs;
    }
}

/**
 * The mark at a point of a lane: the shortest one there, its ends within `reach` px.
 * @param {Lane} lane @param {import("./view.js").View} view @param {number} x @param {number} width @param {number} reach
 * @returns {{ mark: Mark, edge: "start" | "end" | "body" } | undefined}
 */
export function markAt(lane, view, x, width, reach) {
    const [begin, stop] = lane.near(view, reach / width);
    /** @type {{ mark: Mark, edge: "start" | "end" | "body", far: number } | undefined} */
    let found;
    for (const mark of lane.marks.slice(begin, stop)) {
        const [start, end] = [xOf(view, mark.start, width), xOf(view, mark.end, width)];
        if (x < start - reach || x > end + reach || (found && end - start >= found.far)) continue;
        found = { mark, edge: edgeAt(x, start, end, reach), far: end - start };
    }
    return found && { mark: found.mark, edge: found.edge };
}

/**
 * An end's grip is `reach` px outside, and inside no more than a third of the mark: its body stays.
 * @param {number} x @param {number} start @param {number} end @param {number} reach @returns {"start" | "end" | "body"}
 */
function edgeAt(x, start, end, reach) {
    const grip = Math.min(reach, (end - start) / 3);
    if (x < start || (x - start <= grip && x - start <= end - x)) return "start";
    return x > end || end - x <= grip ? "end" : "body";
}

/**
 * The next mark after a mark or an instant, or the one before it; undefined where there is none.
 * @param {readonly Mark[]} marks by start @param {Mark | bigint} at @param {1 | -1} direction @returns {Mark | undefined}
 */
export function neighbour(marks, at, direction) {
    const side = (/** @type {Mark} */ mark) => (typeof at !== "bigint" ? byStart(mark, at) : mark.start > at ? 1 : mark.start < at ? -1 : 0);
    const others = typeof at === "bigint" ? marks : marks.filter((mark) => mark.id !== at.id);
    return direction > 0 ? others.find((mark) => side(mark) > 0) : others.findLast((mark) => side(mark) < 0);
}
