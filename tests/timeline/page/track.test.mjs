import assert from "node:assert/strict";
import { test } from "node:test";
import * as track from "../../../timeline/static/js/track.js";

const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;
const channel = (values, base) => {
    const rows = Float32Array.from(values, (value) => value - base);
    return { base, low: rows, high: rows, first: rows, last: rows };
};
const frame = (seconds, lats, lons) => ({
    view: 1, stream: 0, live: false, before: false, base: T, tile: 0, at: Float64Array.from(seconds, (second) => second * 1e9), channels: [channel(lats, 48), channel([7, 8, 9, 10].slice(0, lats.length), 0), channel(lons, 11)],
});
const PLACE = { lat: 0, lon: 2, speed: -1 };

test("a position is found by its channels' names and units", () => {
    const named = (...names) => names.map((name) => ({ name, unit: "deg" }));
    assert.deepEqual(track.positionOf(named("lat", "alt", "lon")), { lat: 0, lon: 2, speed: -1 });
    assert.deepEqual(track.positionOf(named("Longitude", "Latitude")), { lat: 1, lon: 0, speed: -1 });
    assert.equal(track.positionOf(named("x", "lat")), undefined);
    assert.equal(track.positionOf([{ name: "lat", unit: "ms" }, { name: "lon", unit: "deg" }]), undefined);
});

test("a degree of a meridian is 111.195 km, and longitudes meet at the date line", () => {
    assert.ok(Math.abs(track.metres({ lat: 0, lon: 0 }, { lat: 1, lon: 0, speed: -1 }) - 111_195) < 1);
    assert.ok(Math.abs(track.metres({ lat: 0, lon: 179.5 }, { lat: 0, lon: -179.5 }) - 111_195) < 1);
    const { steps } = track.placedTrack([{ at: T, lat: 0, lon: 179.9, speed: NaN }, { at: T + S, lat: 0, lon: -179.9, speed: 1 }], 200, 100, 10);
    assert.ok(Math.abs(steps[1].x - steps[0].x - 180) < 1e-6);
});

test("speed is the way since the point before, across frames; not over a silence, nor from a missing position", () => {
    const step = 10 / 111_195; // ten metres north
    const first = track.withSpeed(frame([0, 1, 2], [48, 48 + step, NaN], [11, 11, 11]), PLACE, undefined);
    assert.equal(first.channels.length, 1);
    const own = track.withSpeed(frame([0, 1], [48, 48 + step], [11, 11]), { ...PLACE, speed: 1 }, undefined);
    assert.deepEqual(own.points.map((point) => point.speed), [7, 8]);
    assert.equal(own.channels[0].last[1], 8);
    assert.ok(Number.isNaN(first.channels[0].last[0]));
    assert.ok(Math.abs(first.channels[0].last[1] - 10) < 0.05);
    assert.ok(Number.isNaN(first.channels[0].last[2]));
    const next = track.withSpeed(frame([3, 100], [48 + 3 * step, 49], [11, 11]), PLACE, track.lastPoint([first]));
    assert.ok(Math.abs(next.channels[0].last[0] - 10) < 0.05);
    assert.ok(Number.isNaN(next.channels[0].last[1]));
    assert.deepEqual(track.speedChannel([{ name: "lat", unit: "deg" }, { name: "alt", unit: "m" }, { name: "lon", unit: "deg" }], PLACE), [{ name: "speed", unit: "m/s" }]);
    const seen = track.pointsOf([first, next], { from: T + S, to: T + 50n * S });
    assert.deepEqual(seen.map((point) => point.at), [T + S, T + 3n * S]);
    assert.deepEqual([T, T + S + 1n, T + 9n * S].map((at) => track.nearestPoint(seen, at)), [0, 0, 1]);
    assert.equal(track.nearestPoint([], T), -1);
});

test("a track keeps its shape, north up, inside of its margin; a scale bar is round", () => {
    const points = [[48, 11], [48.01, 11], [48.01, 11.01]].map(([lat, lon], i) => ({ at: T + BigInt(i) * S, lat, lon, speed: 1 }));
    const { steps, scale } = track.placedTrack(points, 320, 240, 16);
    assert.ok(steps[1].y < steps[0].y && steps[2].x > steps[1].x);
    for (const { x, y } of steps) assert.ok(x >= 15.99 && x <= 304.01 && y >= 15.99 && y <= 224.01);
    assert.ok(Math.abs((steps[0].y - steps[1].y) / scale - 1112) < 1);
    assert.ok(Math.abs((steps[2].x - steps[1].x) / scale - 744) < 1);
    assert.deepEqual([1, 3, 7, 99, 2500].map(track.barLength), [1, 2, 5, 50, 2000]);
    assert.deepEqual([0.5, 200, 5000].map(track.lengthWords), ["50 cm", "200 m", "5 km"]);
});
