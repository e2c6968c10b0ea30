import assert from "node:assert/strict";
import { test } from "node:test";
import { askAll, askView, hearFrame, renew, scrolled, shown } from "../../../timeline/static/js/asking.js";

const nothing = { hidden: true };
Object.assign(globalThis, { devicePixelRatio: 1, history: { replaceState() {} }, document: { getElementById: () => nothing } });
const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;

/** Timers that go when the test says so. */
function handTimers() {
    let [now, next] = [0, 1];
    const waiting = new Map();
    globalThis.setTimeout = (call, ms) => waiting.set(next, { call, at: now + ms }) && next++;
    globalThis.clearTimeout = (number) => waiting.delete(number);
    Object.defineProperty(performance, "now", { configurable: true, value: () => now });
    return (ms) => {
        now += ms;
        for (const [number, { call, at }] of [...waiting]) if (at <= now && waiting.delete(number)) call();
    };
}

/** A live frame, `i` tenths of a second later, by the layout of timeline/README.md; of so many samples that it is not put together with others. */
function live(view, i, samples = 200) {
    const buffer = new ArrayBuffer(24 + 8 + (8 + 4) * samples);
    const data = new DataView(buffer);
    [1, 1, 1, 1].forEach((byte, at) => data.setUint8(at, byte));
    data.setUint32(4, view, true);
    data.setUint32(12, samples, true);
    data.setBigInt64(16, T + (BigInt(i) * S) / 10n, true);
    return buffer;
}

/** A timeline that follows one stream over a view of an hour, and the views that it asks for. */
function following() {
    const trace = { name: "acc", frames: [], gaps: [], place: undefined };
    const views = [];
    const send = (message) => message.type === "view" && views.push(message);
    const view = { from: T - 3_600n * S, to: T };
    const at = { device: "pump-7", view, rows: [], top: 0, room: 0, open: true, follow: true, traces: new Map([["acc", trace]]), asks: 0, timers: {}, plot: 100, link: { send }, paint() {}, changed() {} };
    return { at, trace, views };
}

test("a device that never pauses is asked about again when its frames are many, once an answer", () => {
    const tick = handTimers();
    const { at, trace, views } = following();
    askView(at);
    tick(100);
    assert.equal(views.length, 1);
    shown(at, { view: 1 });
    let sent = 0;
    const hear = (frames) => {
        for (let i = 0; i < frames; i += 1) {
            hearFrame(at, live(at.asks, (sent += 1)));
            tick(50); // sooner than a view rests
        }
    };
    hear(500);
    assert.equal(views.length, 2);
    hear(500); // the answer takes long: nobody asks over it, which would make it void
    assert.equal(views.length, 2);
    shown(at, { view: 2 });
    assert.ok(trace.frames.length < 1000, `${trace.frames.length} frames`);
    hear(10);
    assert.equal(views.length, 3);
});

test("a link into the middle of a recording asks for its view once, and for the overview beside it", () => {
    const tick = handTimers();
    const { at, views } = following();
    at.follow = false;
    at.whole = { from: T - 86_400n * S, to: T };
    askAll(at);
    shown(at, { view: 1 });
    assert.deepEqual(views.map(({ view, follow, beside }) => ({ view, follow, beside })), [{ view: 1, follow: true, beside: undefined }, { view: 2, follow: undefined, beside: true }]);
    hearFrame(at, live(2, 0)); // whichever frame it is: it is the overview's
    shown(at, { view: 2 });
    assert.equal(at.overview.frames.length, 1);
    assert.equal(at.ask.number, 1);
    tick(60_000);
    assert.equal(views.length, 2);
});

test("small frames that come one after the other are put together, up to 256 samples", () => {
    handTimers();
    const { at, trace } = following();
    askView(at);
    at.ask = { number: 1, streams: ["acc"], view: at.view, frames: [], overview: false };
    for (let i = 0; i < 300; i += 1) hearFrame(at, live(1, i, 1));
    assert.deepEqual(trace.frames.map((frame) => frame.at.length), [256, 44]);
    const [first, second] = trace.frames;
    assert.deepEqual([first.at[255], second.base - first.base], [25.5e9, 25_600_000_000n]);
    hearFrame(at, live(1, 5, 1)); // of before: it stands for itself
    assert.deepEqual(trace.frames.map((frame) => frame.at.length), [256, 44, 1]);
});

test("of more streams than one question may name those that are seen are asked for, also once one scrolls", () => {
    const tick = handTimers();
    const { at, views } = following();
    const names = Array.from({ length: 200 }, (_, i) => `s${i}`);
    at.traces = new Map(names.map((name) => [name, { name, frames: [], gaps: [] }]));
    Object.assign(at, { top: 0, room: 400, rows: names.map((name, i) => ({ kind: "stream", name, top: 24 + 96 * i, height: 96 })) });
    askView(at);
    tick(100);
    assert.deepEqual(views[0].streams, names.slice(0, 64));
    at.traces.get("s150").frames.push({}); // of a view before
    shown(at, { view: 1 });
    assert.equal(at.empty, true);
    scrolled(at, 96 * 30);
    tick(100);
    assert.equal(views.length, 1); // those are there
    scrolled(at, 96 * 150);
    tick(100);
    assert.equal(views.length, 2);
    assert.ok(["s150", "s151", "s152", "s153"].every((name) => views[1].streams.includes(name)));
});

test("the overview goes on with the recording, and counts marks anew that changed, now and then", () => {
    const tick = handTimers();
    const { at, views } = following();
    const counts = [];
    at.link.send = (message) => message.type === "density" ? counts.push(message) : message.type === "view" && views.push(message);
    Object.assign(at, { whole: { from: T - 100n * S, to: T }, newest: T, counted: { from: 0n, to: 0n, ms: 0, changed: false } });
    askAll(at);
    tick(6_000);
    renew(at);
    assert.equal(counts.length, 1); // nothing is another one
    at.counted.changed = true;
    renew(at);
    renew(at);
    assert.equal(counts.length, 2);
    tick(6_000);
    Object.assign(at, { newest: T + 10n * S, overviewed: true });
    renew(at);
    assert.deepEqual([counts.length, counts[2].to_ns, views.at(-1).beside, views.at(-1).to_ns], [3, String(T + 10n * S + 1n), true, String(T + 10n * S)]);
});
