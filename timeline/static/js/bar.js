// @ts-check
/** The bar at the top: clock, how live it is, what waits, who looks too; and what is said when the line goes and comes. */
import { element, hide, made, say, setTo, write } from "./page.js";
import { clock } from "./time.js";
import { liveWords, othersWords, outboxWords } from "./words.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** @param {Timeline} at @param {boolean} open whether there is a line to the server now */
export function line(at, open) {
    if (at.open && !open) say("Offline: marks are kept here");
    if (!at.open && open) at.sending = at.outbox.waiting(at.user).map((act) => act.act);
    if (at.open && !open) at.lost = at.serverNow();
    at.open = open;
    bar(at);
    at.paint(); // it says why there is nothing to see
}

/** @param {Timeline} at @param {string} words "": nothing any more */
export function trouble(at, words) {
    const notice = element("notice");
    notice.hidden = words === "";
    write(notice, words);
    at.troubled = words !== "";
    at.paint();
    if (words) say(words);
}

/** @param {Timeline} at @param {Record<string, any>} message */
export function hearPeople(at, { people }) {
    at.people = people;
    const names = new Set(people.map((/** @type {any} */ person) => person.user));
    setTo(element("people"), "title", [...names].join(", "));
    element("people").replaceChildren(...[...names].map((name) => made("span", { class: "avatar" }, name)));
    at.paint();
}

/** What the bar says now. @param {Timeline} at */
export function bar(at) {
    write(element("clock"), `${clock(at.markTime())} UTC`);
    write(element("live"), liveWords(at.newest, at.serverNow()));
    setTo(element("follow"), "aria-pressed", String(at.follow));
    const waiting = at.outbox.waiting(at.user).length;
    const open = at.open || at.link.tries === 0; // the first answer is on its way
    write(element("outbox"), outboxWords(waiting, open));
    element("outbox").classList.toggle("waits", waiting > 0 || !open);
    const others = at.user === "" ? "" : othersWords(at.outbox.others(at.user));
    hide(element("others"), others === "");
    write(element("others"), others);
    if (waiting > 0 || at.sending.length === 0) return;
    const sent = at.outbox.acts.filter((act) => act.state === "saved" && at.sending.includes(act.act)).length;
    if (sent > 0) say(sent === 1 ? "1 mark sent" : `${sent} marks sent`); // none: another person has signed in
    at.sending = [];
}
