// @ts-check
/**
 * What this person did to marks, as events, and what follows of them: what can be undone and done again, also after a
 * reload, and what is sent. Nothing is ever changed in place: an undo is an event as well. Pure.
 *
 * A gesture is one act or several that belong together (a split is an edit and an add) and is undone as one.
 */
import { clock } from "./time.js";

/** @typedef {"add" | "edit" | "retract" | "accept" | "undo"} Kind */
/** @typedef {{ start?: bigint, end?: bigint, label?: string, reason?: string }} Fields of a mark, those that are changed; `reason` is its note */
/** @typedef {Fields & { author?: string, tool?: string, reviewedBy?: string }} Before what a mark was */
/** @typedef {{ user: string, review: boolean }} Who a person, and whether they may change others' marks */
/** @typedef {import("./marks.js").Mark} Mark */
/**
 * @typedef {object} Change what is to be done to a mark
 * @property {Kind} kind
 * @property {string} mark its id
 * @property {bigint} [start] @property {bigint} [end] @property {string} [label]
 * @property {boolean} [trim] @property {string} [reason]
 * @property {bigint} [undoes] client_ns of what an undo takes back; none: one's own add
 * @property {Before} [before] of all but an add: what the mark was
 */
/**
 * @typedef {object} Act a change as it was done
 * @property {string} act UUID: it is sent again under it
 * @property {string} gesture @property {"do" | "undo" | "redo"} way @property {string} [takes] the gesture undone or done again
 * @property {Kind} kind @property {string} device @property {string} user @property {string} mark
 * @property {bigint} clientNs @property {bigint} offsetNs @property {bigint} roundTripNs
 * @property {bigint} [start] @property {bigint} [end] @property {string} [label] @property {boolean} trim
 * @property {string} reason @property {bigint} [undoes] @property {Before} [before]
 * @property {string} [liveTab] the tab in which it was set at the live edge, by that tab's clock
 * @property {string} [behind] the act before it of its gesture: it is done only where that one is
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

/**
 * An act that was set at the live edge of an outage, where the offset that is known now puts it; any other one as it is.
 * @param {Act} act @param {string} tab this one: another tab's clock began elsewhere @param {bigint} since tab's time of the last measure before the outage
 * @param {bigint} offset that the clock had when it was set @returns {Act}
 */
export function placed(act, tab, since, offset) {
    if (act.liveTab !== tab || act.clientNs <= since || act.start === undefined || act.end === undefined) return act;
    const by = offset - act.offsetNs;
    return { ...act, start: act.start + by, end: act.end + by, offsetNs: offset, liveTab: undefined };
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
        behind: act.behind ?? null,
    };
}

/**
 * What is refused with an act, itself first: a gesture is done as far as each act of it is.
 * @param {readonly Act[]} acts in the order in which they were done @param {Act} act @returns {Act[]}
 */
export function fallen(acts, act) {
    const names = new Set([act.act]);
    for (const one of acts) if (one.state === "waiting" && one.behind !== undefined && names.has(one.behind)) names.add(one.act);
    return [act, ...acts.filter((one) => one.act !== act.act && names.has(one.act))];
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

/** Characters of a note, and of a label, as the server takes them. */
export const NOTE_MAX = 2000;
const LABEL_MAX = 200;

/** Why no server takes something; "": it may be taken. @param {{ reason?: string, label?: string }} change @returns {string} */
export function misfit({ reason = "", label = "" }) {
    if (isOver(reason, NOTE_MAX)) return `the note has ${lengthOf(reason)} characters, at most ${NOTE_MAX} are kept`;
    return isOver(label, LABEL_MAX) ? `the label has ${lengthOf(label)} characters, at most ${LABEL_MAX} are taken` : "";
}

/** The same of changes that belong together. @param {readonly { reason?: string, label?: string }[]} changes @returns {string} */
export const misfitOf = (changes) => changes.map(misfit).find((why) => why !== "") ?? "";

/** Characters, as the server counts them. @param {string} text @returns {number} */
const lengthOf = (text) => [...text].length;

/** @param {string} text @param {number} most @returns {boolean} */
const isOver = (text, most) => text.length > most && lengthOf(text) > most;

/** A note for another mark: one that is too long, which an import may have brought, stays whole where it is. @param {string} note @returns {string} */
const copied = (note) => (isOver(note, NOTE_MAX) ? `${[...note].slice(0, NOTE_MAX - 1).join("")}…` : note);

// Gestures on marks that are there.

/** The reason of an edit that empties the note: an edit without a reason leaves it. */
const NO_NOTE = " ";

/** @param {Mark} mark @returns {Before} */
const asItWas = ({ start, end, label, reason, author, tool, reviewedBy }) => ({ start, end, label, reason, author, tool, reviewedBy });

/** Whether a person may change a mark: one's own, a rule's, and as a reviewer everybody's. @param {Mark} mark @param {Who} who @returns {boolean} */
export const mayChange = (mark, { user, review }) => review || mark.tool === "rule" || mark.author === user;

/**
 * Changes a mark's ends, label or note; ends that cross swap.
 * @param {Mark} mark @param {Fields} fields @returns {Change[]}
 */
export function editing(mark, fields) {
    const now = changed(mark, fields);
    const change = /** @type {Change} */ ({ kind: "edit", mark: mark.id, before: asItWas(mark) });
    if (now.start !== mark.start) change.start = now.start;
    if (now.end !== mark.end) change.end = now.end;
    if (now.label !== mark.label) change.label = now.label;
    if (now.reason !== mark.reason) change.reason = now.reason || NO_NOTE;
    return Object.keys(change).length > 3 ? [change] : [];
}

/** @param {Mark} mark @param {Fields} fields @returns {Required<Fields>} */
function changed(mark, fields) {
    const { start = mark.start, end = mark.end, label = mark.label, reason = mark.reason } = fields;
    return start <= end ? { start, end, label, reason } : { start: end, end: start, label, reason };
}

/**
 * As `editing`, by whoever it is: another person's mark is not changed but copied, with its fields so, unless one is a reviewer.
 * @param {Mark} mark @param {Fields} fields @param {Who} who @param {string} id of the copy @returns {Change[]}
 */
export function reshaping(mark, fields, who, id) {
    const edit = editing(mark, fields);
    if (edit.length === 0 || mayChange(mark, who)) return edit;
    const { start, end, label, reason } = changed(mark, fields);
    return [{ kind: "add", mark: id, start, end, label: mark.trim ? undefined : label, trim: mark.trim, reason: fields.reason ?? copied(reason) }];
}

/** Says that a mark is right: a rule's becomes that person's. @param {Mark} mark @returns {Change} */
export const accepting = (mark) => ({ kind: "accept", mark: mark.id, before: asItWas(mark) });

/** Takes a mark back. @param {Mark} mark @param {string} [reason] @returns {Change} */
export const retracting = (mark, reason = "") => ({ kind: "retract", mark: mark.id, reason, before: asItWas(mark) });

/**
 * Two marks of one: it ends at `at`, another of its label begins there.
 * @param {Mark} mark @param {bigint} at within it @param {string} id of the second one @returns {Change[]}
 */
export function splitting(mark, at, id) {
    if (at <= mark.start || at >= mark.end) return [];
    const { end, label, trim, reason } = mark;
    return [...editing(mark, { end: at }), { kind: "add", mark: id, start: at, end, label: trim ? undefined : label, trim, reason: copied(reason) }];
}

/**
 * One mark of two: the first reaches to the end of the other, which is taken back; it has the notes of both.
 * @param {Mark} mark @param {Mark} other @returns {Change[]}
 */
export function merging(mark, other) {
    const start = mark.start < other.start ? mark.start : other.start;
    const end = mark.end > other.end ? mark.end : other.end;
    const reason = [...new Set([mark.reason, other.reason])].filter((note) => note !== "").join("; ");
    return [...editing(mark, { start, end, reason }), retracting(other)];
}
