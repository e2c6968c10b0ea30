// @ts-check
/** The page: who is signed in, which of its two faces it shows, and its buttons and dialogs. */
import { risingClock } from "./clock.js";
import { ACTIONS, goTo, labelDown, labelUp, togglePanel, undoWords } from "./commands.js";
import { showGallery } from "./gallery.js";
import { listen } from "./input.js";
import { KEYS, keyName } from "./keys.js";
import { Outbox } from "./outbox.js";
import { element, made, write } from "./page.js";
import { Link } from "./socket.js";
import { tableOf } from "./table.js";
import { Timeline } from "./timeline.js";
import { placeOf } from "./view.js";

/** @param {string} id @returns {HTMLDialogElement} */
const dialog = (id) => /** @type {HTMLDialogElement} */ (element(id));

/** Asks for a name and a password until the server takes them; what waits in the outbox is not touched. @returns {Promise<void>} */
function signIn() {
    const form = /** @type {HTMLFormElement} */ (element("login-form"));
    if (!dialog("login").open) dialog("login").showModal();
    return new Promise((resolve) => {
        form.onsubmit = async (event) => {
            event.preventDefault();
            const body = JSON.stringify(Object.fromEntries(new FormData(form)));
            const answer = await fetch("/api/login", { method: "POST", body, headers: { "Content-Type": "application/json" } });
            const words = answer.ok ? "" : (await answer.json()).words;
            write(element("login-words"), words);
            if (!answer.ok) return;
            dialog("login").close();
            resolve();
        };
    });
}

/** @returns {Promise<Record<string, any>>} the session; asks for a sign-in where there is none */
async function session() {
    const answer = await fetch("/api/session");
    if (answer.ok) return answer.json();
    await signIn();
    return session();
}

/** @param {Timeline} at */
function palette(at) {
    let drawn = "";
    at.listeners.push(() => {
        const state = JSON.stringify([at.labels, at.armed, at.marking.held?.label, at.marking.running?.label]);
        element("state-mode").setAttribute("aria-pressed", String(at.marking.stateMode));
        const words = undoWords(at);
        write(element("undo-words"), words);
        /** @type {HTMLButtonElement} */ (element("undo")).disabled = words === "";
        if (state === drawn) return;
        const names = at.labels.map((label) => label.name).join("\n");
        if (element("labels").dataset.names !== names) {
            element("labels").dataset.names = names;
            element("labels").replaceChildren(...at.labels.map((label) => labelButton(at, label)));
        }
        for (const button of element("labels").children) {
            const { name } = /** @type {HTMLElement} */ (button).dataset;
            button.setAttribute("aria-pressed", String(at.armed === name));
            button.classList.toggle("down", at.marking.held?.label === name || at.marking.running?.label === name);
        }
        drawn = state;
    });
}

/**
 * A label's button: held at the live edge it marks as its key does; in history it is armed for drags and taps.
 * @param {Timeline} at @param {Timeline["labels"][number]} label @returns {HTMLButtonElement}
 */
function labelButton(at, label) {
    const button = made("button", { type: "button", class: `label hue-${label.hue}`, "data-name": label.name }, label.name);
    if (label.key) button.append(" ", made("kbd", {}, label.key));
    const marks = () => at.follow || at.chosen !== undefined || at.marking.stateMode;
    let held = false;
    button.addEventListener("pointerdown", (event) => {
        held = event.button === 0 && marks();
        if (held) labelDown(at, label.name);
    });
    for (const type of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(type, () => labelUp(at));
    button.addEventListener("click", (event) => {
        if (held) held = false;
        else if (event.detail === 0 && marks()) { // by the keyboard: an instant, or a chosen range
            labelDown(at, label.name);
            labelUp(at);
        } else at.armed = at.armed === label.name ? undefined : label.name;
        at.changed();
    });
    return button;
}

/** @param {Timeline} at */
function buttons(at) {
    const pairs = { follow: "follow", "help-button": "help", undo: "undo", "state-mode": "states" };
    for (const [id, action] of Object.entries(pairs)) element(id).addEventListener("click", () => ACTIONS[action](at));
    element("panel-button").addEventListener("click", () => togglePanel(at));
    element("device").addEventListener("change", (event) => {
        location.href = `/d/${encodeURIComponent(/** @type {HTMLSelectElement} */ (event.target).value)}`;
    });
    element("goto-form").addEventListener("submit", (event) => {
        event.preventDefault();
        const found = goTo(at, String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("time")));
        write(element("goto-words"), found ? "" : "This is no time: try 12:04:31 or 2026-11-27T12:04:31.5");
        if (found) dialog("goto").close();
    });
    element("goto-cancel").addEventListener("click", () => dialog("goto").close());
}

function help() {
    const keys = [{ key: "1–9", words: "Mark: short an instant, held a range" }, ...KEYS.filter((key) => key.words)];
    element("keys").replaceChildren(...keys.flatMap(({ key, words }) => [made("dt", {}, made("kbd", {}, keyName(key))), made("dd", {}, words)]));
}

async function start() {
    help();
    const signed = await session();
    write(element("account"), `${signed.user} (${signed.role})`);
    const place = placeOf(location.pathname, location.search);
    if (!place) {
        const answer = await fetch("/api/gallery");
        const { rows } = await answer.json();
        const names = [...new Set(rows.flatMap((/** @type {any} */ row) => Object.keys(row.labels)))].sort();
        showGallery(rows, (label) => (names.indexOf(label) % 6) + 1);
        for (const id of ["device", "follow", "panel-button", "outbox", "live", "clock"]) element(id).hidden = true;
        document.querySelector("label[for='device']")?.remove();
        element("help-button").addEventListener("click", () => dialog("help").showModal());
        return;
    }
    element("timeline").hidden = false;
    const now = risingClock(() => performance.timeOrigin + performance.now());
    const outbox = await Outbox.open();
    const link = new Link(crypto.randomUUID(), now, {
        message: (message) => at.hear(message),
        frame: (frame) => at.hearFrame(frame),
        line: (open, code) => {
            at.line(open);
            if (code === 4401) void signIn().then(() => link.open());
            if (code === 4409) at.trouble("The server speaks another version of the page's language: load the page again.");
        },
    });
    const at = new Timeline(link, outbox, now, place);
    listen(at);
    palette(at);
    buttons(at);
    tableOf(at);
    Object.assign(globalThis, { timeline: at }); // for tests, and for the curious in the browser's console
    link.open();
}

await start();
