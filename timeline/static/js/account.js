// @ts-check
/** Who is signed in, and signing out: a tablet goes from hand to hand at the end of a shift. */
import { element, write } from "./page.js";
import { leavingWords } from "./words.js";

/**
 * @typedef {object} Work what a page has of the person who is signed in
 * @property {import("./outbox.js").Outbox} outbox
 * @property {() => string} user
 * @property {() => void} leave ends what is held or goes on
 */

/** What waits may take so long to be sent before one is signed out: later it waits until that person is back. */
const SENT_MS = 3000;
const LOOK_MS = 50;

/** Opens and fills the dialog. @param {Work} work */
export function accountOf(work) {
    const dialog = /** @type {HTMLDialogElement} */ (element("who"));
    element("account").addEventListener("click", async () => {
        write(element("who-name"), element("account").textContent ?? "");
        dialog.showModal();
        const waits = work.outbox.waiting(work.user()).length;
        write(element("who-words"), leavingWords(work.user(), waits, Boolean((await session())?.by_link)));
    });
    element("sign-out").addEventListener("click", async () => {
        const words = await signOut(work);
        write(element("who-words"), words);
        if (words === "") location.reload(); // it asks who comes next
    });
}

/** @returns {Promise<Record<string, any> | undefined>} undefined: no server answers, or nobody is signed in */
async function session() {
    const answer = await fetch("/api/session").catch(() => undefined);
    return answer?.ok ? answer.json() : undefined;
}

/** @param {Work} work @returns {Promise<string>} why not; "": it is done */
async function signOut({ outbox, user, leave }) {
    leave();
    for (let ms = 0; ms < SENT_MS && outbox.waiting(user()).length > 0; ms += LOOK_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const csrf = (await session())?.csrf;
    const answer = csrf && (await fetch("/api/logout", { method: "POST", headers: { "X-CSRF-Token": csrf } }).catch(() => undefined));
    if (!answer || !answer.ok) return "No server answers: you are still signed in. Try again when the line is back.";
    await outbox.remember("welcome", undefined); // else a page without a server would take the next one for this person
    return "";
}
