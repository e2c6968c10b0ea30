// @ts-check
/** Review of what rules marked: whose turn it is, what is alike, what accepting and rejecting does. Pure. */
import { accepting, mayChange, retracting } from "./acts.js";

/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./acts.js").Change} Change */
/** @typedef {import("./acts.js").Who} Who */

/** At most so many are accepted by one press: each is an event in the log. */
export const ALIKE_MAX = 200;

/** Whether nobody has looked at it yet: a rule's mark that nobody touched. @param {Mark} mark @returns {boolean} */
export const isOpen = (mark) => mark.stands && mark.tool === "rule";

/** Why a person may not accept or reject a mark; "": they may. @param {Mark} mark @param {Who} who @returns {string} */
export function hindrance(mark, who) {
    if (mark.tool !== "rule" && mark.author === who.user) return "This mark is yours: another person reviews it";
    return mayChange(mark, who) ? "" : `The mark is ${mark.author}'s: a reviewer accepts or rejects it`;
}

/** Marks of the same rule, revision and label that nobody has looked at. @param {readonly Mark[]} marks @param {Mark} mark @returns {Mark[]} */
export const alike = (marks, mark) => marks.filter((other) => isOpen(other) && other.author === mark.author && other.revision === mark.revision && other.label === mark.label).slice(0, ALIKE_MAX);

/** @param {readonly Mark[]} marks @returns {Change[]} */
export const acceptingAll = (marks) => marks.map(accepting);

/** @param {Mark} mark @returns {Change[]} */
export const rejecting = (mark) => [retracting(mark, "rejected")];
