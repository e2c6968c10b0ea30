import assert from "node:assert/strict";
import { test } from "node:test";
import { barsOf, denseOf, placeOf } from "../../../timeline/static/js/density.js";
import { KEYS, UNCHANGED, actionOf, choiceOf, keyName, keysOf, rechosen } from "../../../timeline/static/js/keys.js";
import { bandsOf } from "../../../timeline/static/js/layout.js";
import { halfway, readable } from "../../../timeline/static/js/lanes.js";
import { Markbook, markOf } from "../../../timeline/static/js/marks.js";
import { merged, mergedPart } from "../../../timeline/static/js/merged.js";
import { ALIKE_MAX, alike, hindrance } from "../../../timeline/static/js/review.js";
import { rulerWords, valueAt } from "../../../timeline/static/js/ruler.js";
import { changePoint, onset, snapped } from "../../../timeline/static/js/snap.js";
import { changedWords, spokenWords, stateWords, whoseWords } from "../../../timeline/static/js/words.js";

const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;
const MS = 1_000_000n;
const mark = (id, start, end, extra = {}) => markOf({
    id, start_ns: String(T + BigInt(start) * S), end_ns: String(T + BigInt(end) * S), label: "run", author: "op-1", tool: "operator", order: 1, ...extra,
});
const rule = (id, start, end, extra = {}) => mark(id, start, end, { author: "rules.yaml", tool: "rule", revision: "r1", ...extra });
const seconds = ({ start, end }) => `${(start - T) / S}-${(end - T) / S}`;

// Snap.

/** A hundred samples a second from T on. */
function frame(values, extra = {}) {
    const column = Float32Array.from(values);
    return { base: T, tile: 0, at: Float64Array.from(values, (_, i) => i * 1e7), channels: [{ base: 0, low: column, high: column, first: column, last: column }], ...extra };
}

/** Noise that is the same at every run. */
function noise(seed) {
    let state = seed;
    return () => {
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
        return state / 1_073_741_824 - 1;
    };
}

test("a step is found to the sample, in noise as well", () => {
    const hiss = noise(1);
    for (const place of [10, 37, 90]) {
        const found = changePoint(Array.from({ length: 100 }, (_, i) => (i < place ? 0 : 5) + hiss()));
        assert.equal(found.place, place);
        assert.ok(found.sharp > 6);
    }
    assert.deepEqual(changePoint([0, 0, 0, 0, 1, 1, 1, 1]), { place: 4, sharp: Infinity });
});

test("a drift, a constant and a few samples have no onset", () => {
    assert.equal(changePoint(Array.from({ length: 100 }, (_, i) => i)), undefined);
    assert.equal(changePoint(Array.from({ length: 100 }, () => 3)), undefined);
    assert.equal(changePoint([1, 2, 9]), undefined);
    for (const astray of [0, 1, 60, 119]) assert.ok(!(changePoint(Array.from({ length: 120 }, (_, i) => (i === astray ? 50 : Math.sin(i)))).sharp >= 6), `${astray}`);
    const ramp = frame(Array.from({ length: 240 }, (_, i) => i));
    assert.equal(onset([{ frames: [ramp], channels: 1 }], T + 1200n * MS, 600n * MS), undefined, "it moves as much everywhere");
    assert.equal(changePoint([]), undefined);
    for (let seed = 1; seed <= 50; seed += 1) {
        const hiss = noise(seed);
        assert.equal(onset([{ frames: [frame(Array.from({ length: 120 }, hiss))], channels: 1 }], T + 600n * MS, 600n * MS), undefined, `seed ${seed}`);
    }
});

test("where a machine begins to shake is an onset, though its mean stays", () => {
    const hiss = noise(3);
    const shaking = frame(Array.from({ length: 200 }, (_, i) => hiss() * (i < 120 ? 0.1 : 3)));
    const found = onset([{ frames: [shaking], channels: 1 }], T + 1100n * MS, 600n * MS);
    assert.ok(found >= T + 1180n * MS && found <= T + 1230n * MS, `${found - T}`);
    const tile = (low, high) => ({ base: 0, low: Float32Array.from(low), high: Float32Array.from(high), first: Float32Array.from(low), last: Float32Array.from(high) });
    const tiles = { base: T, tile: 1e7, at: Float64Array.from({ length: 60 }, (_, i) => i * 1e7), channels: [tile(Array.from({ length: 60 }, (_, i) => (i < 30 ? -1 : -9)), Array.from({ length: 60 }, (_, i) => (i < 30 ? 1 : 9)))] };
    assert.equal(onset([{ frames: [tiles], channels: 1 }], T + 300n * MS, 300n * MS), T + 300n * MS);
});

test("a point snaps to an edge nearby, else to an onset, else to the sample; else it stays", () => {
    const step = [{ frames: [frame(Array.from({ length: 100 }, (_, i) => (i < 50 ? 0 : 5)))], channels: 1 }];
    const flat = [{ frames: [frame(Array.from({ length: 100 }, () => 1))], channels: 1 }];
    const at = T + 523n * MS;
    assert.deepEqual(snapped(at, [T + 527n * MS, T + 900n * MS], step, 10n * MS, 200n * MS), { at: T + 527n * MS, kind: "edge" });
    assert.deepEqual(snapped(at, [T + 900n * MS], step, 10n * MS, 200n * MS), { at: T + 500n * MS, kind: "onset" });
    assert.deepEqual(snapped(at, [], flat, 10n * MS, 200n * MS), { at: T + 520n * MS, kind: "sample" });
    assert.equal(snapped(T + 5n * S, [], flat, 10n * MS, 200n * MS), undefined);
});

// What all lanes say together.

test("a person's range hides a rule's marks, which is no conflict", () => {
    const { lane, conflicts, disputed } = merged([rule("r", 0, 10, { label: "idle" }), mark("m", 2, 4), mark("n", 4, 6, { author: "op-2" })]);
    assert.deepEqual(lane.marks.map((one) => `${one.id} ${seconds(one)}`), ["r 0-2", "m 2-4", "n 4-6", "r 6-10"]);
    assert.deepEqual([conflicts, [...disputed]], [[], []]);
});

test("two people's or two rules' ranges of other labels conflict where they overlap; of one label they do not", () => {
    const two = merged([mark("m", 0, 10), mark("n", 5, 15, { author: "op-2", label: "fault" }), mark("o", 12, 20, { author: "op-2" }), mark("p", 30, 40)]);
    assert.deepEqual(two.conflicts.map(seconds), ["5-10", "12-15"]);
    assert.deepEqual([...two.disputed].sort(), ["m", "n", "o"]);
    const rules = merged([rule("r", 0, 10), rule("s", 5, 15, { label: "fault" }), mark("m", 5, 8, { label: "idle" })]);
    assert.deepEqual(rules.conflicts.map(seconds), ["8-10"]);
    assert.deepEqual([...rules.disputed].sort(), ["r", "s"]);
    assert.deepEqual(merged([mark("m", 0, 10), mark("n", 5, 15, { author: "op-2" })]).conflicts, []);
    assert.deepEqual(merged([mark("m", 0, 10), mark("n", 10, 15, { label: "fault" })]).conflicts, [], "they only meet");
});

test("instants and trims are in no conflict; an instant of a rule is hidden too", () => {
    const { lane, conflicts } = merged([mark("m", 0, 10), mark("t", 0, 10, { trim: true, label: "" }), mark("i", 5, 5, { label: "fault" }), rule("r", 5, 5)]);
    assert.deepEqual(conflicts, []);
    assert.deepEqual(lane.marks.map((one) => one.id).sort(), ["i", "m", "t"]);
});

test("conflicts are those that counting labels at every instant finds", () => {
    const draw = noise(7);
    const int = (most) => Math.floor((draw() + 1) / 2 * most);
    for (let round = 0; round < 200; round += 1) {
        const marks = Array.from({ length: 1 + int(8) }, (_, i) => {
            const start = int(20);
            return (int(2) ? mark : rule)(`m${i}`, start, start + int(6), { label: ["run", "idle", "fault"][int(3)] });
        }).sort((one, other) => Number(one.start - other.start));
        const { conflicts } = merged(marks);
        for (let second = 0; second < 26; second += 1) {
            const at = T + BigInt(second) * S;
            const holding = marks.filter((one) => one.start <= at && at < one.end);
            const persons = holding.filter((one) => one.tool !== "rule");
            const labels = new Set((persons.length > 0 ? persons : holding).map((one) => one.label));
            assert.equal(conflicts.some((range) => range.start <= at && at < range.end), labels.size > 1, `round ${round}, second ${second}`);
        }
    }
});

test("what was found around a view holds while nothing changed and the view lies in it", () => {
    const book = new Markbook();
    book.take([mark("m", 0, 10)]);
    const view = { from: T, to: T + 100n * S };
    const part = mergedPart(book, view, undefined);
    assert.equal(mergedPart(book, { from: T + 50n * S, to: T + 150n * S }, part), part);
    assert.notEqual(mergedPart(book, { from: T + 150n * S, to: T + 250n * S }, part), part);
    book.take([mark("n", 5, 15, { label: "fault" })]);
    assert.equal(mergedPart(book, view, part).conflicts.length, 1);
});

test("too many marks are columns: each label's part of the fullest one", () => {
    const asked = { request: 1, view: { from: T, to: T + 10n * S }, columns: 10 };
    const dense = denseOf(asked, ["idle", "run"], [[0, 0, 4], [0, 1, 4], [5, 1, 2], [9, 0, 1]]);
    const place = (from, to) => placeOf(dense, { from: T + BigInt(from) * S, to: T + BigInt(to) * S }, 100);
    assert.deepEqual(place(0, 5), { begin: 0, wide: 20, most: 8 });
    assert.deepEqual(place(5, 10), { begin: -100, wide: 20, most: 2 }, "beside the fullest one in view");
    assert.equal(place(-10, -1).most, 1);
    const bars = (most) => dense.parts.map((part) => [...barsOf(part, most)]);
    assert.deepEqual(bars(8), [[0, 0.5, 0.5, 9, 0.875, 0.125], [0, 0, 0.5, 5, 0.75, 0.25]]);
    assert.deepEqual(bars(2)[1].slice(3), [5, 0, 1]);
});

// Review.

test("one accepts rules' marks, reviewers everybody's, nobody one's own", () => {
    const annotator = { user: "op-1", review: false };
    assert.equal(hindrance(rule("r", 0, 1), annotator), "");
    assert.match(hindrance(mark("m", 0, 1), annotator), /yours/);
    assert.match(hindrance(mark("m", 0, 1, { author: "op-2" }), annotator), /op-2's: a reviewer/);
    assert.equal(hindrance(mark("m", 0, 1, { author: "op-2" }), { ...annotator, review: true }), "");
});

test("alike is what the same rule of the same revision marked with the same label", () => {
    const marks = [rule("a", 0, 1), rule("b", 2, 3), rule("c", 4, 5, { label: "idle" }), rule("d", 6, 7, { revision: "r2" }), mark("e", 8, 9)];
    assert.deepEqual(alike(marks, marks[0]).map((one) => one.id), ["a", "b"]);
    assert.equal(alike(Array.from({ length: 1000 }, (_, i) => rule(`m${i}`, i, i)), marks[0]).length, ALIKE_MAX);
});

test("a rule's mark is said to be of these rules, at their revision, and a person's of that person", () => {
    assert.equal(whoseWords(rule("r", 0, 1, { revision: "0123456789abcdef" })), "rules.yaml 01234567");
    assert.equal(whoseWords(rule("r", 0, 1, { author: "", revision: "" })), "rule");
    assert.equal(whoseWords(mark("m", 0, 1)), "op-1");
});

test("what others did is said in words", () => {
    assert.equal(changedWords({ kind: "edit", author: "op-2", fields: ["end_ns"] }), "op-2 changed the end");
    assert.equal(changedWords({ kind: "edit", author: "op-2", fields: ["start_ns", "label"] }), "op-2 changed the start and the label");
    assert.equal(changedWords({ kind: "retract", author: "op-2", reason: "rejected" }), "op-2 rejected this mark");
    assert.equal(spokenWords(mark("m", 0, 2, { reviewed_by: "op-2", reason: "loud" })), "run, 12:00:00.000 to 12:00:02.000, by op-1, accepted by op-2, loud");
    const act = { mark: "m", state: "waiting", refused: "the disk is full" };
    assert.equal(stateWords(mark("m", 0, 2), [act]), "saved");
    assert.equal(stateWords({ ...mark("m", 0, 2), state: "waiting" }, []), "not saved yet");
    assert.equal(stateWords({ ...mark("m", 0, 2), state: "refused" }, [act]), "not saved yet: the disk is full");
});

test("a mark that is not saved yet is half as bright, and its words are read all the same", () => {
    const half = halfway("#009D89", "#15181C");
    assert.deepEqual([half, readable(half)], ["#0b5b53", "#FFFFFF"]);
    assert.equal(readable(halfway("#009D89", "#FCFCFA")), "#000000");
    assert.equal(halfway("CanvasText", "Canvas"), undefined);
});

// Ruler, channels apart.

test("a ruler says the time between, its inverse, and the difference where both ends lie in one stream", () => {
    const from = { at: T + S, stream: "acc", y: 1.5, unit: "g" };
    assert.equal(rulerWords({ from, to: { ...from, at: T + S + 250n * MS, y: 1 } }), "Δt 250 ms, 1/Δt 4 Hz, Δy -0.5 g");
    assert.equal(rulerWords({ from, to: { ...from, at: T, stream: "gyr" } }), "Δt 1 s, 1/Δt 1 Hz");
    assert.equal(rulerWords({ from, to: { ...from, y: undefined } }), "Δt 0 ns");
    assert.equal(valueAt([-1, 3], 0.25), 2);
});

test("channels lie over one another, or share their row's height", () => {
    const row = { kind: "stream", name: "acc", top: 24, height: 96 };
    assert.deepEqual(bandsOf(row, 3, false), [{ top: 24, height: 96, channels: [0, 1, 2] }]);
    assert.deepEqual(bandsOf(row, 3, true).map(({ top, channels }) => [top, channels]), [[24, [0]], [56, [1]], [88, [2]]]);
});

// Keys.

const press = (key, extra = {}) => ({ key, altKey: false, ctrlKey: false, metaKey: false, shiftKey: false, ...extra });

test("no two keys do different things, and every key has a name", () => {
    const keys = KEYS.map((key) => key.key);
    assert.equal(new Set(keys).size, keys.length);
    assert.ok(KEYS.every((key) => keyName(key.key).length > 0));
    assert.ok(KEYS.every((key) => !/^Alt\+Arrow/.test(key.key)), "Alt+arrow is the browser's");
});

test("a digit's key marks where it types no digit, unless it is another key of ours", () => {
    const azerty = [["&", "Digit1"], ["é", "Digit2"], ["-", "Digit6"], ["ç", "Digit9"], ["à", "Digit0"]];
    assert.deepEqual(azerty.map(([key, code]) => actionOf(press(key, { code }), KEYS)), ["label 1", "label 2", "far", "label 9", undefined]);
    assert.equal(actionOf(press("1", { code: "Digit1", shiftKey: true }), KEYS), "label 1");
    assert.equal(actionOf(press("5", { code: "Digit4" }), KEYS), "label 5"); // what is typed, where it is a digit
    const held = ["shiftKey", "altKey", "ctrlKey", "metaKey"].map((name) => actionOf(press("!", { code: "Digit1", [name]: true }), KEYS));
    assert.deepEqual(held, Array(4).fill(undefined));
});

test("single letters are given away, switched off one by one or all; the others stay", () => {
    const { choice } = rechosen(UNCHANGED, "accept", "Q");
    assert.equal(actionOf(press("q"), keysOf(choice)), "accept");
    assert.equal(actionOf(press("a"), keysOf(choice)), undefined);
    assert.equal(actionOf(press("A", { shiftKey: true }), keysOf(choice)), "acceptAlike");
    assert.match(rechosen(choice, "reject", "q").words, /^Q is taken: Accept/);
    assert.match(rechosen(choice, "reject", "é").words, /no letter/);
    assert.equal(actionOf(press("r"), keysOf(rechosen(choice, "reject", "").choice)), undefined);
    const off = keysOf({ ...choice, off: true });
    assert.deepEqual(["q", "z", "ArrowLeft", "[", "Delete"].map((key) => actionOf(press(key), off)), [undefined, undefined, "left", "start", "retract"]);
    assert.equal(actionOf(press("3"), off), "label 3");
    assert.equal(actionOf(press("z", { ctrlKey: true }), off), "undo");
});

test("with Alt a key is known by its place, too: a Mac types another sign there", () => {
    const signs = /** @type {const} */ ([["≤", "Comma", "nudgeLeft"], ["≥", "Period", "nudgeRight"], ["“", "BracketLeft", "showStart"], ["‘", "BracketRight", "showEnd"]]);
    for (const [key, code, action] of signs) assert.equal(actionOf({ ...press(key, { altKey: true }), code }, KEYS), action);
    assert.equal(actionOf({ ...press(",", { altKey: true }), code: "KeyW" }, KEYS), "nudgeLeft");
    assert.equal(actionOf({ ...press("≤"), code: "Comma" }, KEYS), undefined);
});

test("what was kept is taken where it is a choice, else nothing is changed", () => {
    const { choice } = rechosen(UNCHANGED, "accept", "q");
    assert.deepEqual(choiceOf(JSON.stringify(choice)), choice);
    for (const text of [null, "", "nonsense", "null", "[]", '{"letters":{"accept":"qq","left":"x"},"off":1}']) assert.deepEqual(choiceOf(text), UNCHANGED, `${text}`);
});
