// @ts-check
/**
 * One device's timeline in a tab: what is shown, what is asked of the server, what this person does. The parts that
 * decide are pure modules; this one holds the state between them and paints when something changed.
 */
import { entryWords, doingAgain, stacks, takingBack, wireOf } from "./acts.js";
import { draw, drawOverview } from "./draw.js";
import { decode, newest } from "./frames.js";
import { GUTTER, HEIGHTS, layoutOf } from "./layout.js";
import { IDLE, cancelled } from "./marking.js";
import { Markbook, markOf } from "./marks.js";
import { colours, element, fitted, say, write } from "./page.js";
import { clock, duration, range, SECOND } from "./time.js";
import { addressOf, following, instantAt, span, viewOf } from "./view.js";
import { liveWords, markedWords, nothingWords, outboxWords, viewWords } from "./words.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./acts.js").Change} Change */
/** @typedef {import("./draw.js").Trace} Trace */
/** @typedef {{ number: number, overview: boolean, answered?: boolean, streams: string[], view: View, frames: import("./frames.js").Frame[] }} Ask */

const ASK_MS = 80;
const FOLLOW_MS = 50;
const CALM_MS = 1000;
/** The newest sample is live when it is not older than this. */
const LIVE = 10n * SECOND;
const FRAMES_MAX = 400;

export class Timeline {
    /**
     * @param {import("./socket.js").Link} link @param {import("./outbox.js").Outbox} outbox @param {() => bigint} now
     * @param {import("./view.js").Place} place
     */
    constructor(link, outbox, now, place) {
        this.link = link;
        this.outbox = outbox;
        this.now = now;
        this.device = place.device;
        this.view = place.from !== undefined && place.to !== undefined ? viewOf(place.from, place.to) : undefined;
        this.selected = place.mark;
        this.user = "";
        this.mayMark = false;
        this.open = false;
        this.follow = false;
        /** @type {Map<string, Trace>} */
        this.traces = new Map();
        /** @type {Trace | undefined} */
        this.overview = undefined;
        /** @type {View | undefined} everything there is of the device */
        this.whole = undefined;
        /** @type {bigint | undefined} */
        this.newest = undefined;
        this.book = new Markbook();
        /** @type {{ name: string, code: string, key: string, hue: number }[]} */
        this.labels = [];
        this.marking = IDLE;
        /** @type {{ start: bigint, end: bigint } | undefined} chosen, not marked yet */
        this.chosen = undefined;
        /** @type {string | undefined} the label that a drag gives */
        this.armed = undefined;
        /** @type {"start" | "end"} */
        this.edge = "end";
        this.height = 1;
        this.yMode = "robust";
        /** @type {number | undefined} px in the plot */
        this.cursor = undefined;
        /** @type {Set<string>} acts that the log has, and whose mark has not been heard of yet: shown as done meanwhile */
        this.unheard = new Set();
        /** @type {Set<string>} acts whose mark was heard of before their answer */
        this.heard = new Set();
        /** @type {any[]} */
        this.people = [];
        /** @type {{ column: number, hue: number, share: number }[]} */
        this.cells = [];
        /** @type {Ask | undefined} */
        this.ask = undefined;
        this.asks = 0;
        /** @type {bigint | undefined} */
        this.nearest = undefined;
        this.empty = false;
        this.colours = colours();
        this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
        this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
        this.small = /** @type {HTMLCanvasElement} */ (element("overview"));
        this.smallPen = /** @type {CanvasRenderingContext2D} */ (this.small.getContext("2d", { alpha: false }));
        /** @type {(() => void)[]} told after each painting of new content */
        this.listeners = [];
        this.painted = 0;
        /** ms of script that the last painting took */
        this.script = 0;
        /** @type {import("./layout.js").Row[]} */
        this.rows = [];
        /** @type {ReturnType<typeof setTimeout> | undefined} */
        this.timer = undefined;
        /** @type {number | undefined} */
        this.frame = undefined;
        this.told = "";
        this.#watch();
    }

    #watch() {
        new ResizeObserver(() => this.moved()).observe(element("plot"));
        for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
            matchMedia(query).addEventListener("change", () => {
                this.colours = colours();
                this.paint();
            });
        }
        setInterval(() => this.#bar(), 200);
        setInterval(() => this.#presence(), 1000);
        const calm = matchMedia("(prefers-reduced-motion: reduce)");
        const step = () => {
            if (this.follow && this.view) {
                this.view = following(this.view, this.edgeNow());
                this.#prune();
                this.paint();
            }
            setTimeout(() => requestAnimationFrame(step), calm.matches ? CALM_MS : FOLLOW_MS);
        };
        step();
    }

    // Time.

    /** The server's time. */
    serverNow() {
        return this.now() + this.link.clock.offset;
    }

    /** The live edge: now, where samples come; else the newest one. @returns {bigint} */
    edgeNow() {
        const now = this.serverNow();
        return this.newest === undefined || now - this.newest < LIVE ? now : this.newest;
    }

    /** Where a mark is set: the live edge while one follows, else the cursor. @returns {bigint} */
    markTime() {
        return this.follow || !this.view ? this.edgeNow() : this.cursorTime();
    }

    /** @returns {bigint} */
    cursorTime() {
        return this.view ? instantAt(this.view, this.cursor ?? this.plot / 2, this.plot) : this.edgeNow();
    }

    /** px of the plot's width */
    get plot() {
        return Math.max(1, this.canvas.clientWidth - GUTTER);
    }

    // What the server says.

    /** @param {import("./socket.js").Message} message */
    hear(message) {
        if (message.type === "welcome") this.#welcome(message);
        else if (message.type === "devices") this.#devices(message.devices);
        else if (message.type === "labels") this.setLabels(message.labels);
        else if (message.type === "shown") this.#shown(message);
        else if (message.type === "live") this.#gaps(message.gaps ?? []);
        else if (message.type === "marks") this.#marks(message.marks);
        else if (message.type === "changed") this.#changedMark(message);
        else if (message.type === "density") this.#density(message);
        else if (message.type === "accepted") void this.#accepted(message);
        else if (message.type === "rejected") void this.#rejected(message);
        else if (message.type === "people") this.#people(message.people);
        else if (message.type === "trouble") this.trouble(message.words);
    }

    /** @param {Record<string, any>} message */
    #welcome(message) {
        this.user = message.user;
        this.mayMark = message.may.includes("mark");
        element("palette").hidden = !this.mayMark;
        this.setLabels(message.labels);
        this.#devices(message.devices);
        this.overlay();
        for (const act of this.outbox.waiting(this.user)) this.link.send(wireOf(act));
        if (this.whole) this.#askOverview();
        else this.askView();
    }

    /** @param {any[]} devices */
    #devices(devices) {
        const select = /** @type {HTMLSelectElement} */ (element("device"));
        if ([...select.options].map((option) => option.value).join("\n") !== devices.map((one) => one.id).join("\n")) {
            select.replaceChildren(...devices.map((one) => new Option(one.id, one.id, one.id === this.device, one.id === this.device)));
        }
        const device = devices.find((one) => one.id === this.device);
        if (!device) return this.paint();
        const known = [...this.traces.keys()].join("\n");
        this.traces = new Map(device.streams.map((/** @type {any} */ stream) => [stream.name, this.#traceOf(stream)]));
        if (device.first_ns && device.last_ns) {
            this.whole = viewOf(BigInt(device.first_ns), BigInt(device.last_ns));
            if (this.newest === undefined || BigInt(device.last_ns) > this.newest) this.newest = BigInt(device.last_ns);
            if (this.view === undefined) this.#begin();
        }
        if (known !== "" && known !== [...this.traces.keys()].join("\n")) this.askView();
        this.moved();
    }

    /** @param {Record<string, any>} stream @returns {Trace} */
    #traceOf(stream) {
        const known = this.traces.get(stream.name);
        const channels = stream.channels.map((/** @type {any} */ one) => ({ name: one.name, unit: one.unit, states: one.states ?? {} }));
        return { name: stream.name, channels, rate: stream.rate ?? null, frames: [], before: undefined, gaps: [], extent: undefined, ...(known && { frames: known.frames, before: known.before, gaps: known.gaps, extent: known.extent }) };
    }

    /** The first view: the last half minute of what is live, else all there is. */
    #begin() {
        const { whole, newest: last } = this;
        if (!whole || last === undefined) return;
        this.follow = this.serverNow() - last < LIVE;
        this.view = this.follow ? following(viewOf(last - 30n * SECOND, last), this.edgeNow()) : whole;
    }

    /** @param {any[]} labels */
    setLabels(labels) {
        this.labels = labels.map((label, i) => ({ ...label, hue: (i % 6) + 1 }));
        this.changed();
    }

    /** @param {ArrayBuffer} buffer */
    hearFrame(buffer) {
        const frame = decode(buffer);
        const ask = this.ask;
        if (!ask || frame.view !== ask.number) return;
        const trace = this.traces.get(ask.streams[frame.stream]);
        if (!frame.live) return void ask.frames.push(frame);
        if (!trace) return;
        trace.frames.push(frame);
        const at = newest(frame);
        if (this.newest === undefined || at > this.newest) this.newest = at;
        if (trace.frames.length > FRAMES_MAX) this.askView();
        this.paint();
    }

    /** A view's answer is whole: it takes the place of what was there. @param {Record<string, any>} message */
    #shown(message) {
        const ask = this.ask;
        if (!ask || message.view !== ask.number) return;
        const gaps = (message.gaps ?? []).map((/** @type {any} */ gap) => ({ stream: gap.stream, start: BigInt(gap.start_ns), end: BigInt(gap.end_ns), reason: gap.reason }));
        const framesOf = (/** @type {number} */ place) => ask.frames.filter((frame) => frame.stream === place && !frame.before);
        ask.answered = true;
        if (ask.overview) {
            const known = this.traces.get(ask.streams[0]);
            if (known) this.overview = { ...known, frames: framesOf(0), gaps: gaps.filter((/** @type {any} */ gap) => gap.stream === known.name) };
            this.askView();
            return;
        }
        ask.streams.forEach((name, place) => {
            const trace = this.traces.get(name);
            if (!trace) return;
            const live = trace.frames.filter((frame) => frame.live && frame.view === ask.number);
            trace.frames = [...framesOf(place), ...live];
            trace.before = ask.frames.find((frame) => frame.stream === place && frame.before);
            trace.gaps = gaps.filter((/** @type {any} */ gap) => gap.stream === name);
        });
        this.empty = [...this.traces.values()].every((trace) => trace.frames.length === 0);
        this.nearest = message.nearest_ns ? BigInt(message.nearest_ns) : undefined;
        if (message.dropped) this.askView();
        this.changed();
    }

    /** @param {any[]} gaps */
    #gaps(gaps) {
        for (const gap of gaps) this.traces.get(gap.stream)?.gaps.push({ start: BigInt(gap.start_ns), end: BigInt(gap.end_ns), reason: gap.reason });
        this.paint();
    }

    // What is asked of it.

    #askOverview() {
        if (!this.whole || this.traces.size === 0) return this.askView();
        const streams = [[...this.traces.keys()][0]];
        this.#send({ overview: true, streams, view: this.whole, number: 0, frames: [] }, Math.ceil(this.plot * devicePixelRatio), false);
        const { from, to } = this.whole;
        this.link.send({ type: "density", request: 1, device: this.device, from_ns: String(from), to_ns: String(to + 1n), columns: 200 });
    }

    /** Asks for what is shown, once the view rests. */
    askView() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.#askNow(), ASK_MS);
    }

    #askNow() {
        if (!this.view || !this.open || this.traces.size === 0) return;
        if (this.ask?.overview && !this.ask.answered) return; // one view at a time: its answer asks for this one
        const more = span(this.view) / 4n; // beside the screen, so that a pan shows something at once
        const view = { from: this.view.from - more, to: this.view.to + more };
        this.#send({ overview: false, streams: [...this.traces.keys()].slice(0, 64), view, number: 0, frames: [] }, Math.ceil(this.plot * devicePixelRatio * 1.5), true);
        this.link.send({ type: "marks", request: this.asks, device: this.device, from_ns: String(view.from), to_ns: String(view.to), most: 20_000 });
        history.replaceState(null, "", addressOf(this.device, this.view, this.selected));
    }

    /** @param {Ask} ask @param {number} columns @param {boolean} follow */
    #send(ask, columns, follow) {
        this.asks += 1;
        this.ask = { ...ask, number: this.asks };
        const { from, to } = ask.view;
        this.link.send({ type: "view", view: this.asks, device: this.device, streams: ask.streams, from_ns: String(from), to_ns: String(to), columns: Math.min(8192, Math.max(1, columns)), follow });
    }

    #presence() {
        if (!this.view || !this.open) return;
        const held = this.marking.held ?? this.marking.running;
        const pending = this.chosen ?? (held && { start: held.start, end: this.markTime() });
        const [from, to] = [String(this.view.from), String(this.view.to)];
        const wire = pending && pending.end >= pending.start ? { start_ns: String(pending.start), end_ns: String(pending.end), label: held?.label ?? this.armed ?? "" } : null;
        const message = { type: "presence", device: this.device, from_ns: from, to_ns: to, pending: wire };
        const text = JSON.stringify(message);
        if (text !== this.told) this.link.send(message);
        this.told = text;
    }

    // The view.

    /** @param {View} view */
    show(view) {
        this.follow = false;
        this.view = view;
        this.moved();
    }

    /** The view or the canvas is another one. */
    moved() {
        this.paint();
        this.askView();
    }

    /** Something other than the view changed. */
    changed() {
        this.paint();
        for (const listener of this.listeners) listener();
    }

    setFollow(on = !this.follow) {
        this.follow = on;
        if (on && this.view) this.view = following(this.view, this.edgeNow());
        this.moved();
    }

    /** Frames that lie a screen before the view are let go: an hour of following stays small. */
    #prune() {
        if (!this.view) return;
        const oldest = this.view.from - span(this.view);
        for (const trace of this.traces.values()) while (trace.frames.length > 1 && newest(trace.frames[0]) < oldest) trace.frames.shift();
    }

    // Marks.

    /** @param {any[]} marks */
    #marks(marks) {
        this.book.take(marks.map(markOf));
        this.unheard.clear();
        this.overlay();
    }

    /** @param {Record<string, any>} message */
    #changedMark({ mark, event }) {
        this.book.take([markOf(mark)]);
        const own = this.outbox.of(this.user).find((act) => act.mark === mark.id && String(act.clientNs) === event.client_ns);
        if (own && !this.unheard.delete(own.act) && own.state === "waiting") this.heard.add(own.act);
        const other = event.author !== this.user;
        if (other && this.selected === mark.id && event.kind !== "add") say(`${event.author} changed ${(event.fields ?? []).map((/** @type {string} */ field) => `the ${field.replace("_ns", "")}`).join(" and ") || "this mark"}`);
        this.overlay();
    }

    /** @param {Record<string, any>} message */
    #density({ labels, cells }) {
        const most = Math.max(1, ...cells.map((/** @type {number[]} */ cell) => cell[2]));
        this.cells = cells.map((/** @type {number[]} */ [column, label, count]) => ({ column, hue: this.hueOf(labels[label]), share: 0.4 + (0.6 * count) / most }));
        this.paint();
    }

    /** @param {string} label @returns {number} */
    hueOf(label) {
        return this.labels.find((known) => known.name === label)?.hue ?? 0;
    }

    /** What waits, over what stands. */
    overlay() {
        const own = this.outbox.of(this.user, this.device);
        this.book.overlay(own.filter((act) => act.state === "waiting" || this.unheard.has(act.act)), own, this.user);
        this.changed();
    }

    /**
     * Does a gesture: it is seen at once, kept in this browser, and sent.
     * @param {readonly Change[]} changes @param {string} [words] @param {"do" | "undo" | "redo"} [way] @param {string} [takes]
     */
    act(changes, words = "", way = "do", takes = undefined) {
        if (!this.mayMark || changes.length === 0) return;
        const gesture = crypto.randomUUID();
        const { offset, roundTrip } = this.link.clock;
        const acts = changes.map((change) => ({
            ...change, act: crypto.randomUUID(), gesture, way, takes, device: this.device, user: this.user, trim: change.trim ?? false,
            reason: change.reason ?? "", clientNs: this.now(), offsetNs: offset, roundTripNs: roundTrip, state: /** @type {const} */ ("waiting"),
        }));
        const kept = this.outbox.keep(acts);
        this.overlay();
        if (words) say(words);
        kept.catch((error) => this.trouble(`This browser does not keep marks (${error}): leave the page open until the outbox is empty.`));
        for (const act of acts) this.link.send(wireOf(act));
    }

    /** @param {string} label @param {bigint} start @param {bigint} end @param {boolean} [trim] */
    add(label, start, end, trim = false) {
        const mark = crypto.randomUUID();
        this.selected = mark;
        this.act([{ kind: "add", mark, start, end, label: trim ? undefined : label, trim, reason: trim ? "trimmed on the timeline" : "" }], markedWords(trim ? "trim" : label, start, end));
    }

    undo() {
        const entry = stacks(this.outbox.of(this.user)).done.at(-1);
        if (entry) this.act(takingBack(entry), `undone: ${entryWords(entry)}`, "undo", entry.gesture);
    }

    redo() {
        const entry = stacks(this.outbox.of(this.user)).undone.at(-1);
        if (entry) this.act(doingAgain(entry), `done again: ${entryWords(entry)}`, "redo", entry.gesture);
    }

    /** @param {Record<string, any>} message */
    async #accepted({ act: name, mark }) {
        const act = this.outbox.acts.find((one) => one.act === name);
        if (mark && mark.device === this.device) this.book.take([markOf(mark)]);
        if (act && !mark && !this.heard.delete(name)) this.unheard.add(name);
        const kept = act && this.outbox.keep([{ ...act, state: "saved", refused: undefined }]);
        this.overlay();
        await kept;
    }

    /** @param {Record<string, any>} message */
    async #rejected({ act: name, words, again }) {
        const act = this.outbox.acts.find((one) => one.act === name);
        if (!act) return;
        say(again ? `Not saved yet: ${words}` : `Refused: ${words}`);
        const kept = this.outbox.keep([{ ...act, state: again ? "waiting" : "refused", refused: words }]);
        this.overlay();
        if (again) setTimeout(() => this.link.send(wireOf(act)), 2000);
        await kept;
    }

    cancel() {
        this.marking = cancelled(this.marking);
        this.chosen = undefined;
        this.selected = undefined;
        this.changed();
    }

    // The line, people, words.

    /** @param {boolean} open */
    line(open) {
        if (this.open && !open) say("Offline: marks are kept here");
        const waiting = this.outbox.waiting(this.user).length;
        if (!this.open && open && waiting > 0) say(`Connected again; ${waiting} marks are being sent`);
        this.open = open;
        this.#bar();
    }

    /** @param {string} words "" nothing any more */
    trouble(words) {
        const notice = element("notice");
        notice.hidden = words === "";
        write(notice, words);
        if (words) say(words);
    }

    /** @param {any[]} people */
    #people(people) {
        this.people = people;
        const names = [...new Set(people.map((person) => person.user))];
        element("people").replaceChildren(...names.map((name) => {
            const node = document.createElement("span");
            node.className = "avatar";
            node.textContent = name;
            return node;
        }));
        this.paint();
    }

    #bar() {
        write(element("clock"), clock(this.markTime()));
        write(element("live"), liveWords(this.newest, this.serverNow()));
        element("follow").setAttribute("aria-pressed", String(this.follow));
        const waiting = this.outbox.waiting(this.user).length;
        write(element("outbox"), outboxWords(waiting, this.open));
        element("outbox").classList.toggle("waits", waiting > 0 || !this.open);
    }

    // Painting.

    /** Paints at the next frame. */
    paint() {
        if (this.frame !== undefined) return;
        this.frame = requestAnimationFrame(() => {
            this.frame = undefined;
            this.#paintNow();
        });
    }

    #paintNow() {
        const lanes = this.book.lanes();
        const names = [...new Set(["rules", ...(this.mayMark ? [this.user] : []), ...lanes.keys()])];
        const { rows, height } = layoutOf([...this.traces.keys()], names, HEIGHTS[this.height]);
        this.rows = rows;
        this.canvas.style.height = `${height}px`;
        const nothing = element("nothing");
        nothing.hidden = this.view !== undefined && !this.empty;
        if (!this.view) return write(nothing, this.open ? nothingWords(undefined, { from: 0n, to: 0n }, undefined) : "Connecting …");
        write(nothing, nothingWords(this.device, this.view, this.nearest));
        const size = fitted(this.canvas);
        const began = performance.now();
        draw(this.pen, size.width, size.height, size.ratio, this.#scene(lanes, rows));
        this.#paintOverview();
        this.script = performance.now() - began;
        this.painted += 1;
        write(element("range"), `${range(this.view.from, this.view.to, 0)} (${duration(span(this.view))})`);
        const marks = [...lanes.values()].reduce((sum, lane) => sum + lane.marks.length, 0);
        const words = viewWords(this.device, this.view, [...this.traces.keys()], marks);
        if (!this.follow) this.canvas.setAttribute("aria-label", words);
    }

    /** @param {Map<string, import("./marks.js").Lane>} lanes @param {import("./layout.js").Row[]} rows @returns {import("./draw.js").Scene} */
    #scene(lanes, rows) {
        const held = this.marking.held ?? this.marking.running;
        const range = this.chosen ?? (held && { start: held.start, end: this.markTime() });
        const here = this.people.filter((person) => person.device === this.device && person.pending);
        return {
            view: /** @type {View} */ (this.view), rows, traces: this.traces, lanes, colours: this.colours, yMode: this.yMode, selected: this.selected,
            labels: new Map(this.labels.map(({ name, hue, code }) => [name, { hue, code }])),
            cursor: this.follow ? undefined : (this.cursor ?? this.plot / 2),
            pending: range ? { ...range, label: held?.label ?? this.armed ?? "", lane: this.user } : undefined,
            ghosts: here.map(({ user, pending }) => ({ user, start: BigInt(pending.start_ns), end: BigInt(pending.end_ns), label: pending.label })),
        };
    }

    #paintOverview() {
        if (!this.whole || !this.view) return;
        const { width, height, ratio } = fitted(this.small);
        const to = this.newest !== undefined && this.newest > this.whole.to ? this.newest : this.whole.to;
        const people = this.people.filter((person) => person.device === this.device && person.from_ns && person.to_ns);
        drawOverview(this.smallPen, width, height, ratio, {
            whole: viewOf(this.whole.from, to), view: this.view, trace: this.overview, colours: this.colours, cells: this.cells, columns: 200,
            people: people.map((person) => ({ from: BigInt(person.from_ns), to: BigInt(person.to_ns) })),
        });
    }
}
