// @ts-check
/** Review by keys, buttons and the menu: marks that wait are accepted or rejected, one after the other. */
import { knows } from "./asking.js";
import { select, selected, wanted, whoOf, without } from "./gestures.js";
import { markOf, neighbour } from "./marks.js";
import { say } from "./page.js";
import { acceptingAll, alike, hindrance, isOpen, rejecting } from "./review.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./marks.js").Mark} Mark */

/** Does something to marks that are reviewed, and goes on to the next one. @param {Timeline} at @param {Mark} mark @param {import("./acts.js").Change[]} changes @param {string} words */
function reviewed(at, mark, changes, words) {
    at.act(changes, words);
    if (!at.mayMark) return;
    const next = neighbour(at.book.all().filter(isOpen), mark, 1);
    if (next) select(at, next);
    else if (at.hand.queue > changes.length) review(at, mark.start + 1n);
}

/** Goes to the next mark that waits for review, wherever it lies. @param {Timeline} at @param {bigint} [from] */
export function review(at, from = selected(at)?.end ?? at.cursorTime()) {
    at.hand.wants = (at.hand.wants ?? 1) + 1;
    at.link.send({ type: "queue", request: at.hand.wants, device: at.device, from_ns: String(from), most: 20 });
}

/** What waits for review. @param {Timeline} at @param {Record<string, any>} message `queue` or `queued` */
export function hearQueue(at, { device, total, request, marks = [] }) {
    if (device !== at.device) return;
    at.hand.queue = total;
    at.book.take(marks.map(markOf));
    const next = marks.map((/** @type {any} */ mark) => at.book.get(mark.id)).find(isOpen);
    if (next && request === at.hand.wants) select(at, next);
    at.changed();
}

/** @param {Timeline} at */
export function accept(at) {
    const mark = wanted(at);
    const words = mark && hindrance(mark, whoOf(at));
    if (!mark || words) return words && say(words);
    reviewed(at, mark, acceptingAll([mark]), `${mark.label || "trim"} accepted`);
}

/** @param {Timeline} at */
export function reject(at) {
    const mark = wanted(at);
    const words = mark && hindrance(mark, whoOf(at));
    if (!mark || words) return words && say(words);
    reviewed(at, mark, rejecting(mark), `${mark.label || "trim"} rejected`);
}

/** Accepts what the same rule marked alike, as far as it is in view. @param {Timeline} at */
export function acceptAlike(at) {
    const [mark, view] = [wanted(at), at.view];
    if (!mark || !view) return;
    if (!isOpen(mark)) return say("Select a rule's mark first: those alike in view are accepted with it");
    if (!knows(at, "marked")) return without(at, "");
    const marks = alike(at.book.all().filter((other) => other.end >= view.from && other.start < view.to), mark);
    reviewed(at, mark, acceptingAll(marks), `${marks.length} ${mark.label || "trim"} marks of this rule accepted`);
}
