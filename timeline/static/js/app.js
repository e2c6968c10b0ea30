// @ts-check
/** The page: who is signed in, which of its two faces it shows, and its buttons and dialogs. */
import { accountOf } from "./account.js";
import { risingClock } from "./clock.js";
import { ACTIONS, goTo, undoWords } from "./commands.js";
import { showDevices, showGallery } from "./gallery.js";
import { labelDown, labelUp, leave, togglePanel } from "./gestures.js";
import { help } from "./help.js";
import { listen } from "./input.js";
import { recalled } from "./knowing.js";
import { menuOf } from "./menu.js";
import { Outbox } from "./outbox.js";
import { copies, element, fitted, hide, made, setTo, write } from "./page.js";
import { review } from "./reviewing.js";
import { Link } from "./socket.js";
import { tableOf } from "./table.js";
import { HUES, isForced, paintOf } from "./textures.js";
import { takeOf } from "./take.js";
import { Timeline } from "./timeline.js";
import { placeOf, span, viewOf } from "./view.js";
import { COMMAND, othersWords, outboxWords, waitingWords } from "./words.js";

const AGAIN_MS = 3000;
/** So often the start page asks what there is, when it shows something. */
const RENEW_MS = 5000;
/** The page is kept in this browser by then, though nothing was to be seen. */
const KEEP_MS = 5000;
/** A server that says nothing for so long is away. */
const PATIENCE_MS = 5000;
/** So long after the first answer, which takes the whole machine to be painted. */
const SEEN_MS = 500;
/** More labels have no keys, and scroll: they would leave the signal no room. */
const FEW = 9;

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
            const answer = await fetch("/api/login", { method: "POST", body, headers: { "Content-Type": "application/json" } }).catch(() => undefined);
            const words = answer?.ok ? "" : answer ? (await answer.json()).words : "No server answers: try again.";
            write(element("login-words"), words);
            if (!answer?.ok) return;
            dialog("login").close();
            resolve();
        };
    });
}

/** What the server says; one that hangs says nothing. @param {string} path @returns {Promise<{ status: number, said: any } | undefined>} */
async function asked(path) {
    try {
        const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
        return { status: answer.status, said: await answer.json() };
    } catch {
        return undefined;
    }
}

/** @returns {Promise<Record<string, any> | undefined>} the session, signed in where there was none; undefined: no server answers */
async function session() {
    const answer = await asked("/api/session");
    if (answer?.status === 200) return answer.said;
    if (answer?.status !== 401) return undefined;
    await signIn();
    return session();
}

/** @param {Timeline} at */
function palette(at) {
    let drawn = "";
    at.listeners.push(() => {
        const state = JSON.stringify([at.labels, at.colours, at.armed, at.marking.held?.label, at.marking.running?.label]);
        setTo(element("state-mode"), "aria-pressed", String(at.marking.stateMode));
        const words = undoWords(at);
        write(element("undo-words"), words);
        setTo(element("undo"), "title", words);
        /** @type {HTMLButtonElement} */ (element("undo")).disabled = words === "";
        if (state === drawn) return;
        const names = at.labels.map((label) => label.name).join("\n");
        if (element("labels").dataset.names !== names) {
            element("labels").dataset.names = names;
            element("labels").classList.toggle("many", at.labels.length > FEW);
            element("labels").replaceChildren(...at.labels.map((label) => labelButton(at, label)));
        }
        for (const button of element("labels").children) {
            const { name } = /** @type {HTMLElement} */ (button).dataset;
            drawSwatch(at, /** @type {HTMLCanvasElement} */ (button.querySelector("canvas")), at.hueOf(name ?? ""));
            setTo(button, "aria-pressed", String(at.armed === name));
            button.classList.toggle("down", at.marking.held?.label === name || at.marking.running?.label === name);
        }
        drawn = state;
    });
}

/** What bars of a label are filled with, where its colour does not say it. @param {Timeline} at @param {HTMLCanvasElement} canvas @param {number} hue */
function drawSwatch({ colours }, canvas, hue) {
    const paint = paintOf(colours, hue);
    hide(canvas, typeof paint === "string" && !isForced(colours));
    if (canvas.hidden) return;
    const { width, height, ratio } = fitted(canvas);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = paint;
    pen.fillRect(0, 0, width, height);
}

/**
 * A label's button: held at the live edge it marks as its key does; in history it is armed for drags and taps.
 * @param {Timeline} at @param {Timeline["labels"][number]} label @returns {HTMLButtonElement}
 */
function labelButton(at, label) {
    const button = made("button", { type: "button", class: `label hue-${((label.hue - 1) % HUES) + 1}`, "data-name": label.name, title: label.name }, made("canvas", { class: "swatch", "aria-hidden": "true" }), made("span", { dir: "auto" }, label.name));
    if (label.key) button.append(" ", made("kbd", {}, label.key));
    const marks = () => at.follow || at.chosen !== undefined || at.marking.stateMode;
    let held = false;
    button.addEventListener("pointerdown", (event) => {
        held = event.button === 0 && marks();
        if (held) labelDown(at, label.name);
    });
    for (const type of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(type, () => labelUp(at, label.name));
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
    element("queue").addEventListener("click", () => review(at));
    at.listeners.push(() => {
        hide(element("queue"), at.hand.queue === 0 || !at.mayMark);
        write(element("queue"), `queue ${at.hand.queue}`);
    });
    element("panel-button").addEventListener("click", () => togglePanel(at));
    element("device").addEventListener("change", (event) => {
        location.href = `/d/${encodeURIComponent(/** @type {HTMLSelectElement} */ (event.target).value)}`;
    });
    element("stream").addEventListener("change", () => at.moved());
    element("goto-form").addEventListener("submit", (event) => {
        event.preventDefault();
        const found = goTo(at, String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("time")));
        write(element("goto-words"), found ? "" : "This is no time: try 12:04:31 or 2026-11-27T12:04:31.5");
        if (found) dialog("goto").close();
    });
    element("nearest").addEventListener("click", () => at.view && at.nearest !== undefined && at.show(viewOf(at.nearest - span(at.view) / 2n, at.nearest + span(at.view) / 2n)));
    element("goto-cancel").addEventListener("click", () => dialog("goto").close());
}

/** The start page: what the server says; without one, that it is tried again. @param {Outbox} outbox @returns {Promise<void>} */
async function gallery(outbox) {
    for (const id of ["device", "follow", "panel-button", "queue", "outbox", "live", "clock"]) element(id).hidden = true;
    document.querySelector("label[for='device']")?.remove();
    element("help-button").addEventListener("click", () => dialog("help").showModal());
    /** @type {Record<string, any> | undefined} */
    let who;
    const meet = async () => {
        who = (await session()) ?? (await outbox.recall("welcome"));
        write(element("account"), who ? `${who.user} (${who.role})` : "");
    };
    await meet();
    accountOf({ outbox, user: () => who?.user ?? "", leave: () => undefined });
    for (;;) {
        const well = document.hidden || (await renewGallery(outbox, meet));
        if (who) await waits(outbox, who.user, well);
        await new Promise((resolve) => setTimeout(resolve, well && document.querySelector("#gallery-rows tr") ? RENEW_MS : AGAIN_MS));
    }
}

/** What waits in this browser: the start page says it, too. @param {Outbox} outbox @param {string} user @param {boolean} well whether a server answers */
async function waits(outbox, user, well) {
    await outbox.look().catch(() => undefined); // a browser that keeps nothing
    const waiting = outbox.waiting(user).length;
    const words = [waitingWords(waiting), othersWords(outbox.others(user))].filter(Boolean).join(" ");
    hide(element("outbox"), waiting === 0);
    write(element("outbox"), outboxWords(waiting, well));
    element("outbox").classList.toggle("waits", waiting > 0);
    hide(element("others"), words === "");
    write(element("others"), words);
}

/** What the server says of the recordings now. @param {Outbox} outbox @param {() => Promise<void>} meet somebody signs in @returns {Promise<boolean>} whether it said it */
async function renewGallery(outbox, meet) {
    const answer = await asked("/api/gallery");
    if (answer?.status === 401) {
        await meet();
        return false;
    }
    const well = answer?.status === 200;
    hide(element("notice"), well);
    if (well) {
        const { rows, palette: names } = answer.said;
        showGallery(rows, (label) => names.indexOf(label) + 1);
        return true;
    }
    write(element("notice"), answer?.said.words ?? "Offline: no server answers. It is tried again every few seconds.");
    if (element("gallery").hidden) showDevices((await outbox.recall("welcome"))?.devices.map((/** @type {any} */ device) => device.id) ?? []);
    return false;
}

/** Keeps the page in this browser: each of its files is asked for once more, so that waits until something was seen. Without a service worker the page needs its server to open. */
function keepPage() {
    void navigator.serviceWorker?.register("/sw.js").catch(() => undefined);
}

/** @param {import("./view.js").Place} place @param {Outbox} outbox */
function timeline(place, outbox) {
    element("timeline").hidden = false;
    const now = risingClock(() => performance.timeOrigin + performance.now(), () => Date.now());
    const link = new Link(crypto.randomUUID(), now, {
        message: (message) => at.hear(message),
        frame: (frame) => at.hearFrame(frame),
        line: (open, code) => {
            at.line(open);
            if (code === 4401) void signIn().then(() => link.open());
            else if (code === 4409) at.trouble("The server speaks another version of the page's language: load the page again.");
            else if (!open) void outbox.recall("welcome").then((known) => known && at.user === "" && at.know(known)); // what it said last
        },
    });
    const at = new Timeline(link, outbox, now, place);
    link.open();
    listen(at);
    menuOf(at);
    palette(at);
    buttons(at);
    tableOf(at);
    takeOf(at);
    accountOf({ outbox, user: () => at.user, leave: () => leave(at) });
    Object.assign(globalThis, { timeline: at }); // for tests, and for the curious in the browser's console
    let kept = false;
    at.listeners.push(() => {
        if (!kept && at.ask?.answered) setTimeout(keepPage, SEEN_MS);
        kept ||= Boolean(at.ask?.answered);
    });
    void outbox.opened.then(() => recalled(at));
}

function start() {
    const place = placeOf(location.pathname, location.search);
    const outbox = new Outbox();
    setTimeout(keepPage, KEEP_MS);
    if (place) timeline(place, outbox);
    else void gallery(outbox);
    help();
    for (const id of ["copy", "gallery-copy"]) copies(id, COMMAND);
}

start();
