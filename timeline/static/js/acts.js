// @ts-check
/**
 * What this person did to marks, as events, and what follows of them: what can be undone and done again, also after a
 * reload, and what is sent. Nothing is ever changed in place: an undo is an event as well. Pure.
 *
 * A gesture is one act or several that belong together (a split is an edit and an add) and is undone as one.
 */
import { clock } from "./time.js";

/** @typedef {"add" | "edit" | "retract" | "undo"} Kind */
/** @typedef {{ start?: bigint, end?: bigint, label?: string }} Fields */
/**
 * @typedef {object} Change what is to be done to a mark
 * @property {Kind} kind
 * @property {string} mark its id
 * @property {bigint} [start] @property {bigint} [end] @property {string} [label]
 * @property {boolean} [trim] @property {string} [reason]
 * @property {bigint} [undoes] client_ns of what an undo takes back; none: one's own add
 * @property {Fields} [before] of an edit: what it replaces
 */
/**
 * @typedef {object} Act a change as it was done
 * @property {string} act UUID: it is sent again under it
 * @property {string} gesture @property {"do" | "undo" | "redo"} way @property {string} [takes] the gesture undone or done again
 * @property {Kind} kind @property {string} device @property {string} user @property {string} mark
 * @property {bigint} clientNs @property {bigint} offsetNs @property {bigint} roundTripNs
 * @property {bigint} [start] @property {bigint} [end] @property {string} [label] @property {boolean} trim
 * @property {string} reason @property {bigint} [undoes] @property {Fields} [before]
 * @property {"waiting" | "saved" | "refused"} state
 * @property {string} [refused] why, in the server's words; with `waiting`, why it is not in the log yet
 */
/** @typedef {{ gesture: string, acts: Act[], undone?: Act[] }} Entry what was done, and the acts that took it back */

/**
 * What can be undone and what can be done again, the newest last.
 * @param {readonly Act[]} acts one person's, oldest first @returns {{ done: Entry[], undone: Entry[] }}
 */
export function stacks(acts) {
    /** @type {Map<string, Act[]>} */
    const gestures = new Map();
    for (const act of acts) {
        if (act.state === "refused") continue;
        const known = gestures.get(act.gesture);
        if (known) known.push(act);
        else gestures.set(act.gesture, [act]);
    }
    let done = /** @type {Entry[]} */ ([]);
    let undone = /** @type {Entry[]} */ ([]);
    for (const [gesture, group] of gestures) {
        const { way, takes } = group[0];
        if (way === "do") {
            done = [...done, { gesture, acts: group }];
            undone = [];
        } else if (way === "undo") {
            const taken = done.find((entry) => entry.gesture === takes);
            if (!taken) continue;
            done = done.filter((entry) => entry !== taken);
            undone = [...undone, { ...taken, undone: group }];
        } else {
            const taken = undone.find((entry) => entry.gesture === takes);
            if (!taken) continue;
            undone = undone.filter((entry) => entry !== taken);
            done = [...done, { gesture, acts: group }];
        }
    }
    return { done, undone };
}

/** The changes that take an entry back, the newest act first. @param {Entry} entry @returns {Change[]} */
export function takingBack(entry) {
    return [...entry.acts].reverse().map((act) => {
        const adds = act.kind === "add" || act.kind === "undo"; // a redone add is the undo of its undo
        return { kind: "undo", mark: act.mark, undoes: adds ? undefined : act.clientNs };
    });
}

/** The changes that do an undone entry again. @param {Entry} entry @returns {Change[]} */
export function doingAgain(entry) {
    return entry.acts.map((act) => {
        if (act.kind === "add" || act.kind === "undo") {
            const back = entry.undone?.find((undo) => undo.mark === act.mark && undo.undoes === undefined);
            return { kind: "undo", mark: act.mark, undoes: back?.clientNs };
        }
        const { kind, mark, start, end, label, reason, before } = act;
        return { kind, mark, start, end, label, reason, before };
    });
}

/** An act as it is sent. @param {Act} act @returns {Record<string, unknown>} */
export function wireOf(act) {
    const ns = (/** @type {bigint | undefined} */ value) => (value === undefined ? null : String(value));
    return {
        type: "act",
        act: act.act,
        kind: act.kind,
        device: act.device,
        mark: act.mark,
        client_ns: String(act.clientNs),
        offset_ns: String(act.offsetNs),
        round_trip_ns: String(act.roundTripNs),
        start_ns: ns(act.start),
        end_ns: ns(act.end),
        label: act.label ?? null,
        trim: act.trim,
        reason: act.reason,
        undoes_ns: ns(act.undoes),
    };
}

/** What an entry is, for the words of undo: "run 12:04:29 to 12:04:31". @param {Entry} entry @returns {string} */
export function entryWords(entry) {
    const act = entry.acts[entry.acts.length - 1];
    const said = act.label || act.before?.label || (act.trim ? "trim" : act.kind === "add" ? "mark" : `${act.kind} of a mark`);
    const start = act.start ?? act.before?.start;
    const end = act.end ?? act.before?.end;
    if (start === undefined) return said;
    return end === undefined || end === start ? `${said} ${clock(start, 0)}` : `${said} ${clock(start, 0)} to ${clock(end, 0)}`;
}

// Gestures on marks that are there.

/**
 * Moves the ends of a mark; ends that cross swap.
 * @param {import("./marks.js").Mark} mark @param {Fields} fields @returns {Change[]}
 */
export function editing(mark, fields) {
    let { start = mark.start, end = mark.end } = fields;
    if (end < start) [start, end] = [end, start];
    const label = fields.label ?? mark.label;
    /** @type {Change} */
    const change = { kind: "edit", mark: mark.id, before: { start: mark.start, end: mark.end, label: mark.label } };
    if (start !== mark.start) change.start = start;
    if (end !== mark.end) change.end = end;
    if (label !== mark.label) change.label = label;
    return change.start === undefined && change.end === undefined && change.label === undefined ? [] : [change];
}

/**
 * Two marks of one: it ends at `at`, another of its label begins there.
 * @param {import("./marks.js").Mark} mark @param {bigint} at within it @param {string} id of the second one @returns {Change[]}
 */
export function splitting(mark, at, id) {
    if (at <= mark.start || at >= mark.end) return [];
    const { end, label, trim, reason } = mark;
    return [...editing(mark, { end: at }), { kind: "add", mark: id, start: at, end, label, trim, reason }];
}

/**
 * One mark of two: the first reaches to the end of the other, which is taken back.
 * @param {import("./marks.js").Mark} mark @param {import("./marks.js").Mark} other @returns {Change[]}
 */
export function merging(mark, other) {
    const start = mark.start < other.start ? mark.start : other.start;
    const end = mark.end > other.end ? mark.end : other.end;
    const before = { start: other.start, end: other.end, label: other.label };
    return [...editing(mark, { start, end }), { kind: "retract", mark: other.id, before }];
}
