// @ts-check
/** The states of the page, in words. Pure. */
import { DAY, SECOND, clock, day, duration, range } from "./time.js";

/** @typedef {import("./view.js").View} View */

/** How old the newest sample is: "LIVE 0.3 s", "silent 12 s"; from a minute on when it was, from half a day on with its day; or how far it lies ahead, which tells nothing of now. @param {bigint | undefined} newest @param {bigint} now @returns {string} */
export function liveWords(newest, now) {
    if (newest === undefined) return "no samples yet";
    if (newest - now > 5n * SECOND) return `${duration(newest - now)} ahead of the clock`;
    const age = now > newest ? now - newest : 0n;
    if (age < 5n * SECOND) return `LIVE ${(Number(age / 1_000_000n) / 1000).toFixed(1)} s`;
    return age < 60n * SECOND ? `silent ${age / SECOND} s` : `silent since ${age < DAY / 2n ? "" : `${day(newest)} `}${clock(newest, 0)}`;
}

/** @param {number} waiting marks that the log has not confirmed @param {boolean} open @returns {string} */
export function outboxWords(waiting, open) {
    if (open) return `outbox ${waiting}`;
    return waiting === 0 ? "Offline" : `Offline, ${marksWords(waiting)} kept here`;
}

/** @param {number} count @returns {string} */
const marksWords = (count) => `${count} ${count === 1 ? "mark" : "marks"}`;

/** On the start page, which has no line of its own: what waits of who is signed in; "" where nothing does. @param {number} waiting @returns {string} */
export function waitingWords(waiting) {
    return waiting === 0 ? "" : `${marksWords(waiting)} ${waiting === 1 ? "waits" : "wait"} in this browser: open a timeline, and ${waiting === 1 ? "it is" : "they are"} sent.`;
}

/** What others have marked with this browser, that nobody but they may send; "" where there is nothing. @param {Map<string, number>} others how much, by whom @returns {string} */
export function othersWords(others) {
    const each = [...others].map(([user, count]) => `${marksWords(count)} of ${user} ${count === 1 ? "waits" : "wait"} until ${user} signs in again`);
    return each.length === 0 ? "" : `Kept in this browser: ${each.join("; ")}.`;
}

/** What becomes of somebody who signs out. @param {string} user @param {number} waits marks that are not in the log yet @param {boolean} byLink they came by the one-time link @returns {string} */
export function leavingWords(user, waits, byLink) {
    const words = waits === 0 ? [] : [`${marksWords(waits)} of yours ${waits === 1 ? "is" : "are"} not in the log yet: what cannot be sent now stays in this browser until ${user} signs in again.`];
    if (byLink) words.push("You came by the link that the server printed, which opens once: whoever signs out here needs another one, which it prints when it is started again.");
    return words.join(" ");
}

/** What a device runs to send. */
export const COMMAND = "sensorloom agent run -c agent.toml";

/** Of a device of which there is nothing. @param {string} device @param {number} others how many others there are @returns {string} */
export function nobodyWords(device, others) {
    if (others > 0) return `"${device}" has sent no data to this log. Choose one of its devices above.`;
    return `No device has sent data yet. On the device: ${COMMAND}`;
}

/** @param {View} view @param {bigint | undefined} nearest @returns {string} */
export function nothingWords(view, nearest) {
    const words = `No samples ${range(view.from, view.to, 0)}`;
    return nearest === undefined ? `${words}.` : `${words}; nearest ${range(nearest, nearest, 0).split(" to ")[0]}.`;
}

/** A page that was opened without a server. @returns {string} */
export function offlineWords() {
    return "Offline: the signals are at the server, which does not answer. What is marked now is kept here, and sent when it is back.";
}

/** A mark for the screen reader: "run marked, 12:04:29 to 12:04:31". @param {string} label @param {bigint} start @param {bigint} end @returns {string} */
export function markedWords(label, start, end) {
    return start === end ? `${label} marked at ${clock(start)}` : `${label} marked, ${clock(start)} to ${clock(end)}`;
}

/** The canvas's label. @param {string} device @param {View} view @param {readonly string[]} streams @param {number} marks @returns {string} */
export function viewWords(device, view, streams, marks) {
    return `Timeline of ${device}, ${range(view.from, view.to, 0)}, ${duration(view.to - view.from)}; streams ${streams.join(", ") || "none"}; ${marks} marks. The table of marks (key I) says the same.`;
}

/** Whether a mark is in the log, and if not, why. @param {import("./marks.js").Mark} mark @param {readonly import("./acts.js").Act[]} acts @returns {string} */
export function stateWords(mark, acts) {
    if (mark.state === "saved") return "saved";
    const why = acts.find((act) => act.mark === mark.id && act.state === "waiting" && act.refused)?.refused;
    return why === undefined ? "not saved yet" : `not saved yet: ${why}`;
}

/** Whose a mark is: a person's name, or the name of the rules and the beginning of their revision. @param {import("./marks.js").Mark} mark @returns {string} */
export const whoseWords = (mark) => (mark.tool === "rule" ? `${mark.author || "rule"} ${mark.revision.slice(0, 8)}`.trim() : mark.author);

/** A mark that was selected: "run, 12:04:29.000 to 12:04:31.000, by a rule". @param {import("./marks.js").Mark} mark @returns {string} */
export function spokenWords(mark) {
    const when = mark.start === mark.end ? `at ${clock(mark.start)}` : `${clock(mark.start)} to ${clock(mark.end)}`;
    const words = [mark.trim ? "trim" : mark.label, when, `by ${mark.tool === "rule" ? "a rule" : mark.author}`];
    if (mark.reviewedBy) words.push(`accepted by ${mark.reviewedBy}`);
    if (mark.reason) words.push(mark.reason);
    return words.join(", ");
}

/** Of an event of another person or a rule: "op-2 changed the end". @param {{ kind: string, author: string, fields?: string[], reason?: string }} event @returns {string} */
export function changedWords({ kind, author, fields = [], reason = "" }) {
    if (kind === "accept") return `${author} accepted this mark`;
    if (kind === "retract") return reason === "rejected" ? `${author} rejected this mark` : `${author} took this mark back`;
    if (kind === "undo") return `${author} undid a change of this mark`;
    const names = fields.map((field) => `the ${field.replace("_ns", "")}`);
    return `${author} changed ${names.join(" and ") || "the note of this mark"}`;
}
