// @ts-check
/** The states of the page, in words. Pure. */
import { SECOND, clock, duration, range } from "./time.js";

/** @typedef {import("./view.js").View} View */

/** How old the newest sample is: "LIVE 0.3 s", "silent 12 s"; from a minute on when it was. @param {bigint | undefined} newest @param {bigint} now @returns {string} */
export function liveWords(newest, now) {
    if (newest === undefined) return "no samples yet";
    const age = now > newest ? now - newest : 0n;
    if (age < 5n * SECOND) return `LIVE ${(Number(age / 1_000_000n) / 1000).toFixed(1)} s`;
    return age < 60n * SECOND ? `silent ${age / SECOND} s` : `silent since ${clock(newest, 0)}`;
}

/** @param {number} waiting marks that the log has not confirmed @param {boolean} open @returns {string} */
export function outboxWords(waiting, open) {
    if (open) return `outbox ${waiting}`;
    return waiting === 0 ? "Offline" : `Offline, ${waiting} ${waiting === 1 ? "mark" : "marks"} kept here`;
}

/** @param {string | undefined} device @param {View} view @param {bigint | undefined} nearest @returns {string} */
export function nothingWords(device, view, nearest) {
    if (device === undefined) return "No device has sent data yet. On the device: sensorloom agent run -c agent.toml";
    const words = `No samples ${range(view.from, view.to, 0)}`;
    return nearest === undefined ? `${words}.` : `${words}; nearest ${range(nearest, nearest, 0).split(" to ")[0]}.`;
}

/** A mark for the screen reader: "run marked, 12:04:29 to 12:04:31". @param {string} label @param {bigint} start @param {bigint} end @returns {string} */
export function markedWords(label, start, end) {
    return start === end ? `${label} marked at ${clock(start)}` : `${label} marked, ${clock(start)} to ${clock(end)}`;
}

/** The canvas's label. @param {string} device @param {View} view @param {readonly string[]} streams @param {number} marks @returns {string} */
export function viewWords(device, view, streams, marks) {
    return `Timeline of ${device}, ${range(view.from, view.to, 0)}, ${duration(view.to - view.from)}; streams ${streams.join(", ") || "none"}; ${marks} marks. The table of marks (key I) says the same.`;
}
