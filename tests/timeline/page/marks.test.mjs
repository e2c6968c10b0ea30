import assert from "node:assert/strict";
import { test } from "node:test";
import * as acts from "../../../timeline/static/js/acts.js";
import { best, backoff, measured, risingClock, withMeasure } from "../../../timeline/static/js/clock.js";
import * as marking from "../../../timeline/static/js/marking.js";
import { Markbook, markAt, markOf, neighbour } from "../../../timeline/static/js/marks.js";

const T = 1_795_780_800_000_000_000n;
const S = 1_000_000_000n;
const VIEW = { from: T, to: T + 100n * S };
const wire = (id, start, end, extra = {}) => ({
    id, device: "pump-7", start_ns: String(T + start * S), end_ns: String(T + end * S), label: "run", author: "op-1", tool: "operator", order: 1, ...extra,
});

/** A person at a desk: does gestures and keeps the acts, as the outbox does. */
class Desk {
    acts = [];
    clock = 0n;

    do(changes, way = "do", takes = undefined) {
        const gesture = `g${this.acts.length}`;
        for (const change of changes) {
            this.clock += 1n;
            this.acts.push({
                act: `a${this.acts.length}`, gesture, way, takes, device: "pump-7", user: "op-1", trim: false, reason: "",
                clientNs: this.clock, offsetNs: 0n, roundTripNs: 0n, state: "waiting", ...change,
            });
        }
    }

    undo() {
        const entry = acts.stacks(this.acts).done.at(-1);
        if (entry) this.do(acts.takingBack(entry), "undo", entry.gesture);
    }

    redo() {
        const entry = acts.stacks(this.acts).undone.at(-1);
        if (entry) this.do(acts.doingAgain(entry), "redo", entry.gesture);
    }

    book(saved = []) {
        const book = new Markbook();
        book.take(saved.map(markOf));
        book.overlay(this.acts, this.acts, "op-1");
        return book;
    }
}

const said = (book) => book.all().map((mark) => `${mark.label} ${(mark.start - T) / S}-${(mark.end - T) / S}`);

test("an added mark is undone, done again, undone again: each by an event that names the one before", () => {
    const desk = new Desk();
    desk.do([{ kind: "add", mark: "m", start: T, end: T + S, label: "run" }]);
    const steps = [];
    for (const step of ["undo", "redo", "undo", "redo"]) {
        desk[step]();
        steps.push(said(desk.book()).length);
    }
    assert.deepEqual(steps, [0, 1, 0, 1]);
    assert.deepEqual(desk.acts.map((act) => [act.kind, act.undoes]), [["add", undefined], ["undo", undefined], ["undo", 2n], ["undo", undefined], ["undo", 4n]]);
    assert.equal(desk.acts.length, 5);
});

test("an edit and a retract are undone by their own time; after a new gesture nothing can be done again", () => {
    const desk = new Desk();
    const saved = [wire("m", 10n, 20n)];
    const mark = () => desk.book(saved).get("m");
    desk.do(acts.editing(mark(), { end: T + 30n * S, label: "fault" }));
    assert.deepEqual(said(desk.book(saved)), ["fault 10-30"]);
    desk.undo();
    assert.deepEqual(said(desk.book(saved)), ["run 10-20"]);
    assert.equal(desk.acts[1].undoes, desk.acts[0].clientNs);
    desk.redo();
    assert.deepEqual(said(desk.book(saved)), ["fault 10-30"]);
    desk.do([{ kind: "retract", mark: "m" }]);
    assert.deepEqual(said(desk.book(saved)), []);
    desk.undo();
    assert.deepEqual(said(desk.book(saved)), ["fault 10-30"]);
    desk.do([{ kind: "add", mark: "n", start: T, end: T, label: "idle" }]);
    assert.equal(acts.stacks(desk.acts).undone.length, 0);
});

test("a split and a merge are one gesture each", () => {
    const desk = new Desk();
    const saved = [wire("m", 10n, 20n)];
    desk.do(acts.splitting(desk.book(saved).get("m"), T + 14n * S, "n"));
    assert.deepEqual(said(desk.book(saved)), ["run 10-14", "run 14-20"]);
    const book = desk.book(saved);
    desk.do(acts.merging(book.get("m"), book.get("n")));
    assert.deepEqual(said(desk.book(saved)), ["run 10-20"]);
    desk.undo();
    assert.deepEqual(said(desk.book(saved)), ["run 10-14", "run 14-20"]);
    desk.undo();
    assert.deepEqual(said(desk.book(saved)), ["run 10-20"]);
    assert.deepEqual(acts.splitting(desk.book(saved).get("m"), T + 10n * S, "o"), []);
});

test("united marks have both notes; a note that is too long stays whole where it is, and what has one is told apart", () => {
    const [one, other, plain] = [["m", "loud"], ["n", "door open"], ["o", ""]].map(([id, reason], i) => markOf(wire(id, BigInt(10 * i), BigInt(10 * i + 5), { reason })));
    const noted = (first, second) => acts.merging(first, second)[0].reason;
    assert.deepEqual([noted(one, other), noted(plain, other), noted(one, plain), noted(one, { ...other, reason: "loud" })], ["loud; door open", "door open", undefined, undefined]);
    const long = { ...one, reason: "🔊".repeat(2001) };
    assert.match(acts.misfit(acts.merging(long, other)[0]), /^the note has 2012 characters, at most 2000/);
    const [edit, half] = acts.splitting(long, T + 2n * S, "half");
    const [copy] = acts.reshaping({ ...long, author: "op-2" }, { end: T + 3n * S }, { user: "op-1", review: false }, "copy");
    for (const add of [half, copy]) assert.deepEqual([[...add.reason].length, add.reason.endsWith("🔊…"), acts.misfit(add)], [2000, true, ""]);
    assert.deepEqual([edit.reason, acts.misfit(edit)], [undefined, ""]);
    assert.match(acts.misfit({ label: "r".repeat(201) }), /^the label has 201 characters/);
});

test("what the server refused for good is neither undone nor shown", () => {
    const desk = new Desk();
    desk.do([{ kind: "add", mark: "m", start: T, end: T + S, label: "run" }]);
    desk.acts[0] = { ...desk.acts[0], state: "refused", refused: "no such label" };
    assert.deepEqual(acts.stacks(desk.acts), { done: [], undone: [] });
});

test("what belongs to a refused act falls with it, and nothing else does", () => {
    const act = (name, behind, state = "waiting") => ({ act: name, behind, state });
    const [edit, retract, third, other, saved] = [act("a"), act("b", "a"), act("c", "b"), act("d"), act("e", "a", "saved")];
    const names = (one) => acts.fallen([edit, retract, third, other, saved], one).map((it) => it.act);
    assert.deepEqual([names(edit), names(third), names(other)], [["a", "b", "c"], ["c"], ["d"]]);
    assert.deepEqual([acts.wireOf(retract).behind, acts.wireOf(edit).behind], ["a", null]);
});

test("edges that cross swap, and an edit that changes nothing is none", () => {
    const mark = markOf(wire("m", 10n, 20n));
    const [change] = acts.editing(mark, { start: T + 25n * S });
    assert.deepEqual([change.start, change.end], [T + 20n * S, T + 25n * S]);
    assert.deepEqual(acts.editing(mark, { start: mark.start }), []);
});

test("instants on the wire are strings, exact", () => {
    const desk = new Desk();
    desk.do([{ kind: "add", mark: "m", start: T + 1n, end: T + 3n, label: "run" }]);
    const sent = JSON.parse(JSON.stringify(acts.wireOf(desk.acts[0])));
    assert.deepEqual([sent.start_ns, sent.end_ns, sent.undoes_ns, sent.client_ns], [String(T + 1n), String(T + 3n), null, "1"]);
});

test("a key held is a range, short an instant; its repetition changes nothing; another key ends it", () => {
    let [state, done] = marking.pressed(marking.IDLE, "run", T, 0);
    assert.deepEqual(done, []);
    [state, done] = marking.pressed(state, "run", T + S, 500);
    assert.deepEqual(done, []);
    [state, done] = marking.released(state, T + 2n * S, 2000);
    assert.deepEqual(done, [{ label: "run", start: T, end: T + 2n * S }]);
    [state] = marking.pressed(state, "run", T, 0);
    [state, done] = marking.released(state, T + S, marking.HOLD_MS - 1);
    assert.deepEqual(done, [{ label: "run", start: T, end: T }]);
    [state] = marking.pressed(state, "run", T, 0);
    [state, done] = marking.pressed(state, "fault", T + S, 1000);
    assert.deepEqual(done, [{ label: "run", start: T, end: T + S }]);
    assert.equal(state.held.label, "fault");
    assert.deepEqual(marking.released(marking.cancelled(state), T, 0)[1], []);
    const running = { ...marking.IDLE, stateMode: true, running: { label: "run", start: T } };
    assert.deepEqual([marking.cancelled(running, true).running, marking.cancelled(running).running], [running.running, null]);
});

test("state mode: no gap and no overlap between one label and the next", () => {
    let state = marking.toggledStates(marking.IDLE, T)[0];
    const done = [];
    for (const [i, label] of ["idle", "run", "fault", "fault"].entries()) {
        const [next, ended] = marking.pressed(state, label, T + BigInt(i) * S, i * 1000);
        state = next;
        done.push(...ended);
    }
    assert.deepEqual(done.map((range) => [range.label, (range.start - T) / S, (range.end - T) / S]), [["idle", 0n, 1n], ["run", 1n, 2n], ["fault", 2n, 3n]]);
    assert.equal(state.running, null);
});

test("the newer state of a mark stays, whichever comes first", () => {
    const book = new Markbook();
    book.take([markOf(wire("m", 1n, 2n, { order: 5, label: "fault" })), markOf(wire("m", 1n, 2n, { order: 3 }))]);
    assert.equal(book.get("m").label, "fault");
    book.take([markOf(wire("m", 1n, 2n, { order: 6, stands: false }))]);
    assert.deepEqual(book.all(), []);
});

test("a lane of 100,000 marks is a few thousand runs, and every mark is under one of them", () => {
    const book = new Markbook();
    book.take(Array.from({ length: 100_000 }, (_, i) => markOf({ ...wire(`m${i}`, 0n, 0n), start_ns: String(T + BigInt(i) * 1_000_000n), end_ns: String(T + BigInt(i) * 1_000_000n + 500_000n) })));
    const runs = book.lanes().get("op-1").runs(VIEW, 1600);
    assert.ok(runs.length <= 3200 && runs.length > 100, `${runs.length}`);
    assert.equal(book.lanes().get("op-1").runs({ from: T + 50n * S, to: T + 50n * S + 10_000_000n }, 1600).length, 10);
});

test("the mark under the pointer is the shortest one; near an end it is that end", () => {
    const book = new Markbook();
    book.take([markOf(wire("long", 0n, 90n)), markOf(wire("short", 40n, 50n))]);
    const lane = book.lanes().get("op-1");
    assert.deepEqual([45, 41, 49.5, 20, 95].map((x) => {
        const found = markAt(lane, VIEW, x * 10, 1000, 12);
        return found && `${found.mark.id} ${found.edge}`;
    }), ["short body", "short start", "short end", "long body", undefined]);
    assert.equal(neighbour(book.all(), T + 10n * S, 1).id, "short");
    assert.equal(neighbour(book.all(), T, -1), undefined);
});

test("of marks that begin together each is the next one once", () => {
    const book = new Markbook();
    book.take([markOf(wire("a", 5n, 9n)), markOf(wire("b", 5n, 9n, { author: "op-2" })), markOf(wire("c", 5n, 7n))]);
    const order = [];
    for (let mark = neighbour(book.all(), T, 1); mark; mark = neighbour(book.all(), mark, 1)) order.push(mark.id);
    assert.deepEqual(order, ["c", "a", "b"]);
    assert.equal(neighbour(book.all(), book.get("b"), -1).id, "a");
});

test("a note is emptied, which undo takes back, and a copy of another's mark is made without it", () => {
    const desk = new Desk();
    const saved = [wire("m", 10n, 20n, { reason: "loud" })];
    const own = markOf(saved[0]);
    const noted = () => desk.book(saved).get("m").reason;
    desk.do(acts.editing(own, { end: T + 30n * S }));
    assert.equal(noted(), "loud");
    desk.do(acts.editing(own, { reason: "" }));
    assert.equal(acts.wireOf(desk.acts.at(-1)).reason, " ");
    assert.equal(noted(), "");
    desk.undo();
    assert.equal(noted(), "loud");
    assert.deepEqual(acts.editing(own, { reason: "loud" }), []);
    const [copy] = acts.reshaping({ ...own, author: "op-2" }, { reason: "" }, { user: "op-1", review: false }, "copy");
    assert.deepEqual([copy.kind, copy.reason], ["add", ""]);
});

test("another person's mark is copied with the change, a rule's and one's own are changed, and all by a reviewer", () => {
    const other = markOf(wire("m", 10n, 20n, { author: "op-2", reason: "loud" }));
    const annotator = { user: "op-1", review: false };
    const [copy] = acts.reshaping(other, { end: T + 30n * S }, annotator, "copy");
    assert.deepEqual([copy.kind, copy.mark, copy.start, copy.end, copy.label, copy.reason], ["add", "copy", T + 10n * S, T + 30n * S, "run", "loud"]);
    assert.deepEqual(acts.reshaping(other, { end: other.end }, annotator, "copy"), []);
    for (const [mark, who] of [[other, { ...annotator, review: true }], [{ ...other, author: "op-1" }, annotator], [{ ...other, tool: "rule" }, annotator]]) {
        assert.equal(acts.reshaping(mark, { end: T + 30n * S }, who, "copy")[0].kind, "edit");
    }
});

test("an accepted rule's mark is one's own until that is undone", () => {
    const desk = new Desk();
    const saved = [wire("m", 10n, 20n, { author: "rules.yaml", tool: "rule" })];
    desk.do([acts.accepting(desk.book(saved).get("m"))]);
    assert.deepEqual([desk.book(saved).get("m").author, desk.book(saved).get("m").tool, desk.book(saved).get("m").reviewedBy], ["op-1", "operator", "op-1"]);
    desk.undo();
    assert.equal(desk.acts[1].undoes, desk.acts[0].clientNs);
    assert.deepEqual([desk.book(saved).get("m").author, desk.book(saved).get("m").tool, desk.book(saved).get("m").reviewedBy], ["rules.yaml", "rule", ""]);
    desk.redo();
    assert.equal(desk.acts[2].kind, "accept");
    assert.equal(desk.book(saved).get("m").reviewedBy, "op-1");
});

test("undo takes back the fields that the edit changed, and leaves what another person changed meanwhile", () => {
    const desk = new Desk();
    desk.do(acts.editing(desk.book([wire("m", 10n, 20n)]).get("m"), { end: T + 30n * S }));
    desk.acts[0] = { ...desk.acts[0], state: "saved" };
    const meanwhile = [wire("m", 5n, 30n, { author: "op-2", order: 9 })];
    desk.do([{ kind: "undo", mark: "m", undoes: desk.acts[0].clientNs }], "undo", "g0");
    const book = new Markbook();
    book.take(meanwhile.map(markOf));
    book.overlay(desk.acts.slice(1), desk.acts, "op-1");
    assert.deepEqual(said(book), ["run 5-20"]);
});

test("what was taken back before one's eyes is struck in its lane, and is none of the marks", () => {
    const desk = new Desk();
    const saved = [wire("m", 10n, 20n), wire("n", 30n, 40n)];
    desk.do([acts.retracting(desk.book(saved).get("m"))]);
    const lane = desk.book(saved).lanes().get("op-1");
    assert.deepEqual([lane.marks.map((mark) => mark.id), lane.struck.map((mark) => mark.id)], [["n"], ["m"]]);
    desk.undo();
    assert.deepEqual(desk.book(saved).lanes().get("op-1").struck, []);
});

test("what of a range the server does not tell any more is gone, elsewhere it stays", () => {
    const book = new Markbook();
    book.take([markOf(wire("m", 11n, 12n)), markOf(wire("n", 13n, 14n)), markOf(wire("before", 1n, 10n)), markOf(wire("after", 20n, 20n)), markOf(wire("first", 10n, 10n))]);
    book.renew([markOf(wire("n", 13n, 14n))], { from: T + 10n * S, to: T + 20n * S });
    assert.deepEqual(book.all().map((mark) => mark.id), ["before", "n", "after"]);
});

test("the clock: the shortest round trip counts; instants rise; tries wait longer up to 10 s", () => {
    const measures = [[100n, 1_050n, 300n], [400n, 1_405n, 410n]].map((times) => measured(...times));
    assert.deepEqual(best(measures), { offset: 1000n, roundTrip: 10n });
    assert.deepEqual(best([]), { offset: 0n, roundTrip: 0n });
    assert.equal(Array.from({ length: 30 }).reduce((kept) => withMeasure(kept, measures[0]), []).length, 8);
    const now = risingClock(() => 1_795_780_800_000.5);
    assert.deepEqual([now(), now(), now()], [T + 500_000n, T + 500_001n, T + 500_002n]);
    assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map((tries) => backoff(tries, 0)), [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    assert.equal(backoff(0, 1), 375);
});

test("marks that are told again change nothing: lanes are built once, not with every answer", () => {
    const book = new Markbook();
    const told = () => [markOf(wire("a", 1n, 2n)), markOf(wire("b", 3n, 4n))];
    book.renew(told(), VIEW);
    const [lanes, { version }] = [book.lanes(), book];
    book.take(told());
    book.renew(told(), VIEW);
    book.overlay([], [], "op-1");
    assert.equal(book.lanes(), lanes);
    assert.equal(book.version, version);
    book.take([markOf(wire("a", 1n, 2n, { order: 2, reviewed_by: "op-2" }))]);
    assert.equal(book.version, version + 1);
    assert.equal(book.get("a")?.reviewedBy, "op-2");
    book.renew([markOf(wire("b", 3n, 4n))], VIEW);
    assert.equal(book.get("a"), undefined);
    assert.deepEqual(book.all().map(({ id }) => id), ["b"]);
});
