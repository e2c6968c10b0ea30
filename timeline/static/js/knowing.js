// @ts-check
/** What the server says of what there is: who is here, devices, streams, labels; and where a tab begins to look. */
import { askAll, askView } from "./asking.js";
import { overlay, sendWaiting } from "./doing.js";
import { goOn } from "./gestures.js";
import { IDLE } from "./marking.js";
import { element, say, write } from "./page.js";
import { SECOND, clock } from "./time.js";
import { positionOf, speedChannel } from "./track.js";
import { following, viewOf } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** @param {Timeline} at @param {Record<string, any>} message */
export function hearWelcome(at, message) {
    at.welcome = message;
    if (at.link.measures.length === 0 && message.server_ns) at.guess = BigInt(message.server_ns) - at.now();
    void at.outbox.remember("welcome", message);
    at.know(message);
    at.hand.steps = []; // what another connection was asked is answered by none
    at.link.send({ type: "queue", request: 1, device: at.device, most: 1 });
    at.link.send({ type: "marks", request: 0, device: at.device, from_ns: "0", to_ns: "1", most: 1 }); // what becomes of marks is heard from now on, wherever they lie
    at.link.whenMeasured(() => resume(at));
}

/** What this browser kept is read: what waits is sent where there is a line already. @param {Timeline} at */
export function recalled(at) {
    const { link, outbox } = at;
    if (outbox.clock && link.before.at === 0n) {
        link.before = outbox.clock;
        at.lost = outbox.clock.at + outbox.clock.offset;
    }
    overlay(at);
    if (at.open && link.measures.length > 0) sendWaiting(at);
}

/** What the server does before it can say what there is; "" when it has done it. @param {Timeline} at @param {Record<string, any>} message */
export function hearReading(at, { words }) {
    at.reading = words;
    if (at.open) at.trouble(words);
    at.paint();
}

/** Once the server's time is known: only now does one know where the live edge is, and what to ask for. @param {Timeline} at */
function resume(at) {
    at.guess = undefined;
    if (at.outbox.ready) sendWaiting(at);
    if (at.follow && at.view) at.view = following(at.view, at.edgeNow());
    askAll(at);
}

/** Other devices or labels than in `welcome`. @param {Timeline} at @param {Record<string, any>} message */
export function hearNewer(at, { type, ...news }) {
    at.welcome = { ...at.welcome, ...news };
    void at.outbox.remember("welcome", at.welcome);
    if (news.devices) knowDevices(at, news.devices);
    if (news.labels) at.setLabels(news.labels);
}

/** Who is here, and what there is: as the server says, or as it said last, where there is none now. @param {Timeline} at @param {Record<string, any>} message its `welcome` */
export function know(at, message) {
    const known = at.user === message.user;
    if (!known && at.user !== "") forget(at);
    at.user = message.user;
    at.mayMark = message.may.includes("mark");
    write(element("account"), `${message.user} (${message.role})`);
    at.hand.review = message.may.includes("review");
    element("palette").hidden = !at.mayMark;
    if (!known) goOn(at);
    at.setLabels(message.labels);
    knowDevices(at, message.devices);
    overlay(at);
}

/** Another person signs in: what the one before held, chose or let go on is none of theirs; a state goes on when that one is back. @param {Timeline} at */
function forget(at) {
    const { held, running } = at.marking;
    if (held) say(`${held.label} from ${clock(held.start)} on is not marked: ${at.user} has gone`);
    if (running) say(`${running.label} from ${clock(running.start)} on is ${at.user}'s, and goes on when ${at.user} signs in again`);
    Object.assign(at, { marking: IDLE, chosen: undefined, armed: undefined, selected: undefined });
    at.hand.running = null; // what is kept stays
}

/** @param {Timeline} at @param {any[]} devices */
function knowDevices(at, devices) {
    const select = /** @type {HTMLSelectElement} */ (element("device"));
    const ids = devices.map((one) => one.id);
    if (!ids.includes(at.device)) ids.unshift(at.device); // else it would seem to be another one that one looks at
    if ([...select.options].map((option) => option.value).join("\n") !== ids.join("\n")) {
        select.replaceChildren(...ids.map((id) => new Option(id, id, id === at.device, id === at.device)));
    }
    const device = devices.find((one) => one.id === at.device);
    if (!device) return at.paint();
    const known = [...at.traces.keys()].join("\n");
    at.traces = new Map(device.streams.map((/** @type {any} */ stream) => [stream.name, traceOf(at, stream)]));
    if (device.first_ns && device.last_ns) {
        at.whole = viewOf(BigInt(device.first_ns), BigInt(device.last_ns));
        if (at.newest === undefined || BigInt(device.last_ns) > at.newest) at.newest = BigInt(device.last_ns);
        if (at.view === undefined) begin(at);
        else if (at.followed && at.live) at.setFollow(true);
        at.followed = false;
    }
    if (known !== "" && known !== [...at.traces.keys()].join("\n")) askView(at);
    at.moved();
}

/** @param {Timeline} at @param {Record<string, any>} stream @returns {import("./draw.js").Trace} */
function traceOf(at, stream) {
    const channels = stream.channels.map((/** @type {any} */ one) => ({ name: one.name, unit: one.unit, states: one.states ?? {} }));
    const place = positionOf(channels);
    const said = channels.map((/** @type {any} */ one) => `${one.name} ${one.unit}`).join("\n");
    const was = at.traces.get(stream.name);
    const known = was?.said === said ? was : undefined; // what is here would lie on an axis of another unit
    const about = { name: stream.name, said, channels: place ? speedChannel(channels, place) : channels, place, rate: stream.rate ?? null };
    return { frames: [], before: undefined, gaps: [], extent: undefined, ...known, ...about };
}

/** The first view: the last half minute of what is live, else all there is. @param {Timeline} at */
function begin(at) {
    const { whole, newest: last } = at;
    if (!whole || last === undefined) return;
    at.follow = at.live;
    at.view = at.follow ? following(viewOf(last - 30n * SECOND, last), at.edgeNow()) : whole;
}
