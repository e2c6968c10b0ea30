// @ts-check
/**
 * A stream with latitude and longitude as a track, and as speed. Positions are in degrees (WGS 84); over a view they are put
 * on a plane about the track's middle, on which a degree of longitude is shorter by the cosine of the latitude. Pure.
 */

/** @typedef {import("./frames.js").Frame} Frame */
/** @typedef {{ at: bigint, lat: number, lon: number, speed: number }} Point speed in m/s since the point before; NaN: not known */
/** @typedef {{ lat: number, lon: number, speed: number }} Place of channels; `speed` -1: it is made of the positions */
/** @typedef {{ x: number, y: number, speed: number, joined: boolean }} Step px */

/** Mean radius of the earth (IUGG), m. */
const RADIUS = 6_371_008.8;
const RADIAN = Math.PI / 180;
/** Points that a track is drawn with at most. */
const MOST = 4000;
/** Points farther apart in time are not joined. */
const BREAK_S = 30;

/** Where a stream's channels have its position, and its own speed if it says one; undefined: no position. @param {readonly { name: string, unit: string }[]} channels @returns {Place | undefined} */
export function positionOf(channels) {
    const place = (/** @type {RegExp} */ name, /** @type {RegExp} */ unit) => channels.findIndex((channel) => name.test(channel.name) && unit.test(channel.unit));
    const [lat, lon] = [place(/^lat(itude)?$/i, /^(deg|°|)$/), place(/^(lon|lng|long|longitude)$/i, /^(deg|°|)$/)];
    return lat < 0 || lon < 0 ? undefined : { lat, lon, speed: place(/^speed$/i, /^m\/s$/) };
}

/** Metres between two positions (haversine). @param {{ lat: number, lon: number }} one @param {{ lat: number, lon: number }} other @returns {number} */
export function metres(one, other) {
    const half = (/** @type {number} */ degrees) => Math.sin((degrees * RADIAN) / 2) ** 2;
    const part = half(other.lat - one.lat) + Math.cos(one.lat * RADIAN) * Math.cos(other.lat * RADIAN) * half(other.lon - one.lon);
    return 2 * RADIUS * Math.asin(Math.min(1, Math.sqrt(part)));
}

/**
 * A frame of a position's stream as what is drawn of it: its speed in m/s, and its points; `last` is where the frame before it
 * ended.
 * @param {Frame} frame @param {Place} place @param {Point | undefined} last @returns {Frame & { points: Point[] }}
 */
export function withSpeed(frame, place, last) {
    const [lat, lon, own] = [frame.channels[place.lat], frame.channels[place.lon], frame.channels[place.speed]];
    const speeds = new Float32Array(frame.at.length).fill(NaN);
    /** @type {Point[]} */
    const points = [];
    let before = last;
    for (let i = 0; i < frame.at.length; i += 1) {
        const here = { at: frame.base + BigInt(frame.at[i]), lat: lat.last[i] + lat.base, lon: lon.last[i] + lon.base, speed: own ? own.last[i] + own.base : NaN };
        if (Number.isNaN(here.lat) || Number.isNaN(here.lon) || (before && here.at <= before.at)) continue;
        const seconds = before ? Number(here.at - before.at) / 1e9 : Infinity;
        if (!own && before && seconds < BREAK_S) here.speed = metres(before, here) / seconds;
        speeds[i] = here.speed;
        points.push(here);
        before = here;
    }
    return { ...frame, channels: [own ?? { base: 0, low: speeds, high: speeds, first: speeds, last: speeds }], points };
}

/** The channel that `withSpeed` leaves. @template {{ name: string, unit: string }} T @param {readonly T[]} channels @param {Place} place @returns {T[]} */
export const speedChannel = (channels, place) => [{ ...channels[place.lat], name: "speed", unit: "m/s" }];

/** The points of frames that lie in a view, thinned evenly. @param {readonly Frame[]} frames @param {import("./view.js").View} view @returns {Point[]} */
export function pointsOf(frames, view) {
    const points = frames.flatMap((frame) => /** @type {{ points?: Point[] }} */ (frame).points ?? []).filter((point) => point.at >= view.from && point.at < view.to);
    const stride = Math.ceil(points.length / MOST);
    return stride <= 1 ? points : points.filter((_, i) => i % stride === 0);
}

/**
 * A track in a box, north up, with as much room as it needs: px, and how long a metre is.
 * @param {readonly Point[]} points @param {number} width @param {number} height @param {number} margin
 * @returns {{ steps: Step[], scale: number }}
 */
export function placedTrack(points, width, height, margin) {
    if (points.length === 0) return { steps: [], scale: 1 };
    const base = points[0];
    const shrink = Math.cos(base.lat * RADIAN);
    const flat = points.map((point) => ({ east: (((point.lon - base.lon + 540) % 360) - 180) * RADIAN * RADIUS * shrink, north: (point.lat - base.lat) * RADIAN * RADIUS }));
    const range = (/** @type {"east" | "north"} */ axis) => flat.reduce(([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);
    const [[west, east], [south, north]] = [range("east"), range("north")];
    const scale = Math.min((width - 2 * margin) / Math.max(1, east - west), (height - 2 * margin) / Math.max(1, north - south));
    const steps = flat.map((point, i) => ({
        x: width / 2 + (point.east - (west + east) / 2) * scale,
        y: height / 2 - (point.north - (south + north) / 2) * scale,
        speed: points[i].speed,
        joined: i > 0 && Number(points[i].at - points[i - 1].at) / 1e9 < BREAK_S,
    }));
    return { steps, scale };
}

/** A round length for a scale bar: the longest of 1, 2 and 5 times a power of ten that fits. @param {number} most metres @returns {number} */
export function barLength(most) {
    const power = 10 ** Math.floor(Math.log10(most));
    return (most >= 5 * power ? 5 : most >= 2 * power ? 2 : 1) * power;
}

/** `200 m`, `5 km`. @param {number} length metres @returns {string} */
export const lengthWords = (length) => (length >= 1000 ? `${length / 1000} km` : length >= 1 ? `${length} m` : `${Math.round(length * 100)} cm`);

/** The last point of frames; undefined where there is none. @param {readonly Frame[]} frames @returns {Point | undefined} */
export const lastPoint = (frames) => frames.flatMap((frame) => /** @type {{ points?: Point[] }} */ (frame).points?.at(-1) ?? []).at(-1);

/**
 * The point that is nearest in time. @param {readonly Point[]} points by time @param {bigint} at @returns {number} its place; -1: there is none
 */
export function nearestPoint(points, at) {
    let [low, high] = [0, points.length];
    while (low < high) {
        const middle = (low + high) >> 1;
        if (points[middle].at < at) low = middle + 1;
        else high = middle;
    }
    if (low === 0) return points.length === 0 ? -1 : 0;
    if (low === points.length) return low - 1;
    return points[low].at - at < at - points[low - 1].at ? low : low - 1;
}
