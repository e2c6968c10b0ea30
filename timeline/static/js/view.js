// @ts-check
/**
 * What of a device is on the screen: `[from, to]` in BigInt nanoseconds, and how it moves. A view is a value; each
 * change makes another. The address of the page is the view (`/d/pump-7?from=…&to=…&mark=…`). Pure.
 */
import { DAY, MILLISECOND, exact, instant } from "./time.js";

/** @typedef {{ readonly from: bigint, readonly to: bigint }} View */
/** @typedef {{ device: string, from?: bigint, to?: bigint, mark?: string }} Place */

export const SPAN_MIN = 5n * MILLISECOND;
export const SPAN_MAX = 366n * DAY;
/** Instants lie this far from 1970 at most, as in the log. */
const FARTHEST = 1n << 62n;
/** Positions on the screen count in 1/256 px, so that BigInt arithmetic is exact. */
const SUBPIXEL = 256;

/** @param {View} view @returns {bigint} */
export const span = (view) => view.to - view.from;

/**
 * A view of this range, no narrower and no wider than one may be, about its middle.
 * @param {bigint} from @param {bigint} to @returns {View}
 */
export function viewOf(from, to) {
    const wanted = to - from;
    const allowed = wanted < SPAN_MIN ? SPAN_MIN : wanted > SPAN_MAX ? SPAN_MAX : wanted;
    let begin = from + (wanted - allowed) / 2n;
    if (begin < -FARTHEST) begin = -FARTHEST;
    if (begin + allowed > FARTHEST) begin = FARTHEST - allowed;
    return { from: begin, to: begin + allowed };
}

/** @param {number} px @returns {bigint} */
const subpixels = (px) => BigInt(Math.round(px * SUBPIXEL));

/** The instant at `x` of `width` px. @param {View} view @param {number} x @param {number} width @returns {bigint} */
export function instantAt(view, x, width) {
    return view.from + (span(view) * subpixels(x)) / subpixels(Math.max(1, width));
}

/**
 * Where an instant lies, in px; outside of the view it is below 0 or beyond the width.
 * @param {View} view @param {bigint} at @param {number} width @returns {number}
 */
export function xOf(view, at, width) {
    return (Number(at - view.from) / Number(span(view))) * width;
}

/** So many px to the right. @param {View} view @param {number} px @param {number} width @returns {View} */
export function panned(view, px, width) {
    const by = (span(view) * subpixels(px)) / subpixels(Math.max(1, width));
    return viewOf(view.from + by, view.to + by);
}

/**
 * Shows `factor` times the span; what was at `anchor` stays where it is.
 * @param {View} view @param {number} factor above 1: farther away @param {bigint} anchor @returns {View}
 */
export function zoomed(view, factor, anchor) {
    const before = span(view);
    let after = (before * BigInt(Math.round(factor * 4096))) / 4096n;
    after = after < SPAN_MIN ? SPAN_MIN : after > SPAN_MAX ? SPAN_MAX : after;
    const from = anchor - ((anchor - view.from) * after) / before;
    return viewOf(from, from + after);
}

/**
 * The view moved so that `[start, end]` is in it with a margin of an eighth; widened where it is longer than that.
 * @param {View} view @param {bigint} start @param {bigint} end @returns {View}
 */
export function showing(view, start, end) {
    const margin = span(view) / 8n;
    if (start >= view.from + margin && end <= view.to - margin) return view;
    if (end - start > span(view) - 2n * margin) {
        const around = (end - start) / 6n;
        return viewOf(start - around, end + around);
    }
    const from = start < view.from + margin ? start - margin : end + margin - span(view);
    return viewOf(from, from + span(view));
}

/**
 * The view at the live edge: as wide as before, with a sixteenth of it free at the right.
 * @param {View} view @param {bigint} edge the newest instant @returns {View}
 */
export function following(view, edge) {
    const to = edge + span(view) / 16n;
    return viewOf(to - span(view), to);
}

/** The address of a view. @param {string} device @param {View} view @param {string} [mark] @returns {string} */
export function addressOf(device, view, mark) {
    const query = new URLSearchParams({ from: exact(view.from), to: exact(view.to) });
    if (mark) query.set("mark", mark);
    return `/d/${encodeURIComponent(device)}?${query.toString().replaceAll("%3A", ":")}`;
}

/** A view that stood for so long is one to go back to; what one only passed through is none. */
const STOOD_MS = 1000;

/** @typedef {{ view: View, follow: boolean, ms: number }} Stand a view that is in the address, whether it follows, and since when */

/** Whether the browser's Back leads from one view to the one before it. @param {Stand | undefined} before @param {Stand} now @returns {boolean} */
export function isStep(before, now) {
    if (!before || (before.follow && now.follow) || now.ms - before.ms < STOOD_MS) return false;
    return before.follow !== now.follow || before.view.from !== now.view.from || before.view.to !== now.view.to;
}

/**
 * What an address names; undefined where it is no device's. Times that cannot be read are left away.
 * @param {string} path @param {string} query @returns {Place | undefined}
 */
export function placeOf(path, query) {
    const match = /^\/d\/([^/]+)\/?$/.exec(path);
    if (!match) return undefined;
    let device;
    try {
        device = decodeURIComponent(match[1]);
    } catch {
        return undefined;
    }
    const asked = new URLSearchParams(query);
    const from = instant(asked.get("from") ?? "");
    const to = instant(asked.get("to") ?? "");
    const mark = asked.get("mark") ?? undefined;
    if (from === undefined || to === undefined || to <= from) return { device, mark };
    return { device, from, to, mark };
}
