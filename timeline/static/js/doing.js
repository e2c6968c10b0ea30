// @ts-check
/** What this person does to marks, and what becomes of it: seen at once, kept in this browser, sent, and in the log. */
import { doingAgain, entryWords, fallen, misfit, misfitOf, placed, stacks, takingBack, wireOf } from "./acts.js";
import { CELLS } from "./asking.js";
import { COLUMN, denseOf } from "./density.js";
import { markOf, meets } from "./marks.js";
import { say, sayMore } from "./page.js";
import { clock } from "./time.js";
import { changedWords, markedWords } from "./words.js";

/** @typedef {import("./acts.js").Change} Change */
/** @typedef {import("./timeline.js").Timeline} Timeline */

/** Whether this person marks; who does not is told so. @param {Timeline} at @returns {boolean} */
export function may(at) {
    if (!at.mayMark) say(at.user ? `${at.user} looks here, and may not mark: an admin can change that` : "Nothing is marked yet: the server has not said who you are");
    return at.mayMark;
}

/** What waits, over what stands. @param {Timeline} at */
export function overlay(at) {
    const own = at.outbox.of(at.user, at.device);
    at.book.overlay(own.filter((act) => act.state === "waiting" || at.unheard.has(act.act)), own, at.user);
    at.changed();
}

/**
 * Does a gesture: it is seen at once, kept in this browser, and sent.
 * @param {Timeline} at @param {readonly Change[]} changes @param {string} [words] @param {"do" | "undo" | "redo"} [way] @param {string} [takes]
 */
export function act(at, changes, words = "", way = "do", takes = undefined) {
    if (!may(at) || changes.length === 0) return;
    const wrong = misfitOf(changes);
    if (wrong) return say(`Not done: ${wrong}`); // of what belongs together one part alone would be wrong
    const gesture = crypto.randomUUID();
    const { offset, roundTrip } = at.link.clock;
    const names = changes.map(() => crypto.randomUUID());
    const acts = changes.map((change, i) => ({
        ...change, act: names[i], behind: names[i - 1], gesture, way, takes, device: at.device, user: at.user, trim: change.trim ?? false,
        reason: change.reason ?? "", clientNs: at.now(), offsetNs: offset, roundTripNs: roundTrip, liveTab: at.follow && at.live && change.kind === "add" ? at.link.tab : undefined, state: /** @type {const} */ ("waiting"),
    }));
    const kept = at.outbox.keep(acts);
    if (at.outbox.ready && at.open && at.welcome.user === at.user) for (const act of acts) at.link.send(wireOf(act)); // before it is painted: the log is farther away than the screen
    overlay(at);
    if (words) say(words);
    at.hand.said = { gesture, words };
    kept.catch((error) => at.trouble(`This browser does not keep marks (${error}): leave the page open until the outbox is empty.`));
}

/** @param {Timeline} at @param {string} label @param {bigint} start @param {bigint} end @param {boolean} [trim] */
export function add(at, label, start, end, trim = false) {
    const mark = crypto.randomUUID();
    at.selected = mark;
    act(at, [{ kind: "add", mark, start, end, label: trim ? undefined : label, trim, reason: trim ? "trimmed on the timeline" : "" }], markedWords(trim ? "trim" : label, start, end));
}

/** @param {Timeline} at */
export function undo(at) {
    const entry = stacks(at.outbox.of(at.user)).done.at(-1);
    if (entry) act(at, takingBack(entry), `undone: ${entryWords(entry)}`, "undo", entry.gesture);
}

/** @param {Timeline} at */
export function redo(at) {
    const entry = stacks(at.outbox.of(at.user)).undone.at(-1);
    if (entry) act(at, doingAgain(entry), `done again: ${entryWords(entry)}`, "redo", entry.gesture);
}

/**
 * Sends what waits, once the clock is measured again: what was marked at the live edge of an outage lies where it was in the
 * sensor's time, however the tab's clock ran meanwhile.
 * @param {Timeline} at
 */
export function sendWaiting(at) {
    const { before, clock, tab } = at.link;
    void at.outbox.remember("clock", { ...clock, at: at.now() });
    const waiting = at.outbox.waiting(at.user);
    const acts = waiting.map((act) => placed(act, tab, before.at, at.link.offsetAt(act.clientNs)));
    const moved = acts.filter((act, i) => act !== waiting[i]);
    if (moved.length > 0) at.outbox.keep(moved).catch(() => undefined);
    overlay(at);
    for (const act of acts) {
        const words = misfit(act);
        if (words) void rejected(at, { act: act.act, words }); // it is kept by a page of before: no server takes it
        else at.link.send(wireOf(act));
    }
}

// What the server says of it.

/** Marks of a range; where there are too many, their density is asked for. @param {Timeline} at @param {Record<string, any>} message */
export function hearMarks(at, { marks, complete = true, request }) {
    const asked = at.ask && request === at.ask.number ? at.ask.view : undefined;
    if (at.ask && asked) at.ask.marked = true;
    const told = new Set(marks.map((/** @type {any} */ mark) => mark.id));
    for (const act of at.outbox.of(at.user, at.device)) {
        const mark = at.unheard.has(act.act) ? at.book.get(act.mark) : undefined;
        if (mark && (told.has(mark.id) || (complete && asked && meets(mark, asked)))) at.unheard.delete(act.act);
    }
    if (complete && asked) at.book.renew(marks.map(markOf), asked);
    else at.book.take(marks.map(markOf));
    if (complete && asked) at.hand.dense = undefined;
    else if (asked) {
        const { from, to } = asked;
        const columns = Math.ceil((at.plot * 1.5) / COLUMN);
        at.hand.asked = { request, view: asked, columns };
        at.link.send({ type: "density", request, device: at.device, from_ns: String(from), to_ns: String(to), columns });
    }
    overlay(at);
}

/** How many marks there are where: for the lanes, where they are too many, or for the overview. @param {Timeline} at @param {Record<string, any>} message */
export function hearDensity(at, { request, labels, cells }) {
    const { asked } = at.hand;
    if (asked && asked.request === request) at.hand.dense = denseOf(asked, labels, cells);
    else {
        const most = Math.max(1, ...cells.map((/** @type {number[]} */ cell) => cell[2]));
        const { from, to } = at.counted;
        const time = (/** @type {number} */ column) => from + ((to - from) * BigInt(column)) / BigInt(CELLS);
        at.cells = cells.map((/** @type {number[]} */ [column, label, count]) => ({ start: time(column), end: time(column + 1), hue: at.hueOf(labels[label]), share: 0.4 + (0.6 * count) / most }));
    }
    at.paint();
}

/** @param {Timeline} at @param {Record<string, any>} message */
export function hearChanged(at, { mark, event }) {
    at.counted.changed = true;
    at.book.take([{ ...markOf(mark), struck: mark.stands === false && event.kind === "retract" }]);
    const own = at.outbox.of(at.user).find((act) => act.mark === mark.id && String(act.clientNs) === event.client_ns);
    if (own && !at.unheard.delete(own.act) && own.state === "waiting") at.heard.add(own.act);
    const mine = at.selected === mark.id || at.outbox.of(at.user, at.device).some((act) => act.mark === mark.id);
    if (mine && event.author !== at.user && event.kind !== "add") say(`${mark.label || "trim"} ${clock(BigInt(mark.start_ns), 0)}: ${changedWords(event)}`);
    overlay(at);
}

/** @param {Timeline} at @param {Record<string, any>} message */
export async function accepted(at, { act: name, mark }) {
    const act = at.outbox.acts.find((one) => one.act === name);
    if (mark && mark.device === at.device) at.book.take([markOf(mark)]);
    if (act && !mark && !at.heard.delete(name)) at.unheard.add(name);
    const kept = act && at.outbox.keep([{ ...act, state: "saved", refused: undefined }]);
    const { gesture, words } = at.hand.said;
    if (act?.gesture === gesture && at.outbox.acts.every((one) => one.gesture !== gesture || one.state === "saved")) sayMore(words, ", saved");
    overlay(at);
    await kept?.catch(() => undefined); // what is not kept was told when it was done
}

/** @param {Timeline} at @param {Record<string, any>} message */
export async function rejected(at, { act: name, words, again }) {
    const act = at.outbox.acts.find((one) => one.act === name);
    if (!act || act.state === "refused") return;
    const acts = again ? [act] : fallen(at.outbox.acts, act);
    say(again ? `Not saved yet: ${words}` : `Refused: ${words}: ${entryWords({ gesture: act.gesture, acts: [act] })}`);
    const kept = at.outbox.keep(acts.map((one) => ({ ...one, state: again ? "waiting" : "refused", refused: words })));
    overlay(at);
    if (again) setTimeout(() => at.user === act.user && at.link.send(wireOf(act)), 2000); // over another's line it would be theirs
    await kept?.catch(() => undefined); // what is not kept was told when it was done
}
