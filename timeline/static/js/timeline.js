// @ts-check
/**
 * One device's timeline in a tab: what is shown, what is asked of the server, what this person does. The parts that
 * decide are pure modules; this one holds the state between them and paints when something changed.
 */
import { askView, hearFrame, hearNews, letGo, presence, renew, scrolled, shown } from "./asking.js";
import { bar, hearPeople, line, trouble } from "./bar.js";
import { accepted, act, add, hearChanged, hearDensity, hearMarks, redo, rejected, undo } from "./doing.js";
import { hearNeighbour, keepRunning } from "./gestures.js";
import { emptyHand } from "./hand.js";
import { hearNewer, hearReading, hearWelcome, know } from "./knowing.js";
import { GUTTER } from "./layout.js";
import { IDLE, cancelled } from "./marking.js";
import { Markbook } from "./marks.js";
import { colours, element, say, sizeOf, whenRecoloured } from "./page.js";
import { paintNow } from "./painting.js";
import { hearQueue } from "./reviewing.js";
import { SECOND, clock } from "./time.js";
import { following, instantAt, viewOf } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./draw.js").Trace} Trace */
/** @typedef {ReturnType<typeof setTimeout>} Timer */

/** What is done with what the server says; messages of other types are passed over. @type {Record<string, (at: Timeline, message: any) => unknown>} */
const HEARS = {
    welcome: hearWelcome, devices: hearNewer, labels: hearNewer, reading: hearReading, people: hearPeople, trouble: (at, { words }) => trouble(at, words),
    shown, live: hearNews, marks: hearMarks, changed: hearChanged, density: hearDensity, accepted, rejected, queue: hearQueue, queued: hearQueue, neighbour: hearNeighbour,
};

const [BAR_MS, FOLLOW_MS, CALM_MS] = [200, 50, 1000];
/** The newest sample is live when it is not older than this. */
const LIVE = 10n * SECOND;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

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
        /** Whether the page that was loaded again, or gone back to, followed. (An address that somebody was sent shows what it names.) */
        this.followed = history.state?.follow === true;
        /** The server's time less the tab's as its welcome said it, until it is measured: a tab's clock may be hours wrong. @type {bigint | undefined} */
        this.guess = undefined;
        this.user = "";
        this.mayMark = false;
        this.open = false;
        /** Whether the view goes with the live edge, and whether its next step is due. */
        this.following = { on: false, due: false };
        /** @type {Map<string, Trace>} */
        this.traces = new Map();
        /** @type {Trace | undefined} */
        this.overview = undefined;
        /** @type {View | undefined} everything there is of the device */
        this.whole = undefined;
        /** @type {bigint | undefined} */
        this.newest = undefined;
        this.book = new Markbook();
        this.hand = emptyHand();
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
        /** px of the canvas's box, as it was set last */
        this.tall = 0;
        /** px of height that rows may take without scrolling */
        this.room = 0;
        /** px of them that are scrolled away */
        this.top = 0;
        this.yMode = "robust";
        /** @type {number | undefined} px in the plot, or beside it: where the pointer is; see `cursorAt` */
        this.cursor = undefined;
        /** @type {Set<string>} acts that the log has, and whose mark has not been heard of yet: shown as done meanwhile */
        this.unheard = new Set();
        /** @type {Set<string>} acts whose mark was heard of before their answer */
        this.heard = new Set();
        /** What the server said of people, devices and labels: a page without one goes on with it. @type {Record<string, any>} */
        this.welcome = {};
        /** What the server does before it can say what there is, in its words. */
        this.reading = "";
        /** Whether the notice says that something is wrong: what is not saved is amber meanwhile. */
        this.troubled = false;
        /** @type {import("./draw.js").Unsure[]} where a stream's clock is, in the view */
        this.unsure = [];
        /** @type {any[]} */
        this.people = [];
        /** How many marks there are of everything: by which label, from when to when. @type {import("./overview.js").Cell[]} */
        this.cells = [];
        /** The range that they were counted in, when (ms), and whether marks have changed since. */
        this.counted = { from: 0n, to: 0n, ms: 0, changed: false };
        /** @type {import("./asking.js").Ask | undefined} */
        this.ask = undefined;
        /** The overview, while it is asked for beside the view. @type {import("./asking.js").Ask | undefined} */
        this.beside = undefined;
        this.asks = 0;
        /** Whether the overview was asked for over this line, or is there. */
        this.overviewed = false;
        /** @type {bigint | undefined} */
        this.nearest = undefined;
        this.empty = false;
        this.colours = colours();
        this.canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
        this.pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
        this.small = /** @type {HTMLCanvasElement} */ (element("overview"));
        // sizes are read when they change, behind a layout that was made anyway: a frame that reads them would wait for one
        this.size = sizeOf(this.canvas);
        this.smallSize = sizeOf(this.small);
        this.smallPen = /** @type {CanvasRenderingContext2D} */ (this.small.getContext("2d", { alpha: false }));
        /** @type {(() => void)[]} told after each painting of new content */
        this.listeners = [];
        this.painted = 0;
        /** ms of script that the last painting took */
        this.script = 0;
        /** @type {import("./layout.js").Row[]} */
        this.rows = [];
        /** Of asking, of exact lines, of the address, of the canvas's words: what waits for a view to rest, and until when; of the range's words. @type {{ ask?: Timer, rest?: Timer, address?: Timer, words?: Timer, range?: Timer, due?: { ask: number, rest: number } }} */
        this.timers = {};
        /** @type {number | undefined} */
        this.frame = undefined;
        this.told = "";
        /** @type {import("./view.js").Stand | undefined} the view in the address */
        this.stand = undefined;
        /** Acts that waited when the line came back: told when they are in the log. @type {string[]} */
        this.sending = [];
        /** The server's time when the line was lost, or was last there. */
        this.lost = 0n;
        this.#watch();
    }

    #watch() {
        const plot = element("plot");
        const observer = new ResizeObserver((entries) => {
            const room = entries.find(({ target }) => target === plot)?.contentRect.height ?? this.room;
            const [size, smallSize] = [sizeOf(this.canvas), sizeOf(this.small)];
            const [wider, before] = [size.width !== this.size.width, this.plot];
            Object.assign(this, { room, size, smallSize });
            if (this.cursor !== undefined) this.cursor *= this.plot / before; // it stays at its instant, also beside a panel
            if (wider) this.moved();
            else this.paint();
        });
        for (const node of [plot, this.canvas, this.small]) observer.observe(node);
        plot.addEventListener("scroll", () => scrolled(this, plot.scrollTop));
        whenRecoloured(() => {
            this.colours = colours();
            this.changed();
            paintNow(this); // a sheet is printed before the next frame
        });
        setInterval(() => bar(this), BAR_MS);
        setInterval(() => {
            presence(this);
            renew(this);
        }, 1000);
    }

    // Time.

    /** The server's time. */
    serverNow() {
        return this.now() + (this.guess ?? this.link.clock.offset);
    }

    /** Whether samples come; in an outage, whether they came until it began: then nobody here can know that they ended. @returns {boolean} */
    get live() {
        const seen = this.open ? this.serverNow() : this.lost;
        return this.newest !== undefined && seen - this.newest < LIVE;
    }

    /** The live edge: now, where samples come; else the newest one. @returns {bigint} */
    edgeNow() {
        return this.newest === undefined || this.live ? this.serverNow() : this.newest;
    }

    /** Where a mark is set: the live edge while one follows, else the cursor. @returns {bigint} */
    markTime() {
        return this.follow || !this.view ? this.edgeNow() : this.cursorTime();
    }

    /** @returns {bigint} */
    cursorTime() {
        return this.view ? instantAt(this.view, this.cursorAt, this.plot) : this.edgeNow();
    }

    /** px of the cursor in the plot, never beside it: nothing is marked where nobody sees it. @returns {number} */
    get cursorAt() {
        return Math.max(0, Math.min(this.plot, this.cursor ?? this.plot / 2));
    }

    /** px of the plot's width */
    get plot() {
        return Math.max(1, this.size.width - GUTTER);
    }

    // What the server says.

    /** @param {ArrayBuffer} buffer */
    hearFrame(buffer) {
        hearFrame(this, buffer);
    }

    /** @param {import("./socket.js").Message} message */
    hear(message) {
        HEARS[message.type]?.(this, message);
    }

    /** See `knowing.js`. @param {Record<string, any>} message the server's `welcome` */
    know(message) {
        know(this, message);
    }

    /** @param {any[]} labels */
    setLabels(labels) {
        this.labels = labels.map((label, i) => ({ ...label, hue: i + 1 }));
        this.changed();
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
        askView(this);
    }

    /** Something other than the view changed. */
    changed() {
        this.paint();
        keepRunning(this);
        for (const listener of this.listeners) listener();
    }

    get follow() {
        return this.following.on;
    }

    set follow(on) {
        this.following.on = on;
        if (on) this.#step();
    }

    /** The next step at the live edge: what does not follow wakes nobody. */
    #step() {
        if (this.following.due) return;
        this.following.due = true;
        setTimeout(() => requestAnimationFrame(() => {
            this.following.due = false;
            if (!this.follow) return;
            if (this.view) {
                this.view = following(this.view, this.edgeNow());
                letGo(this);
                this.paint();
            }
            this.#step();
        }), calm.matches ? CALM_MS : FOLLOW_MS);
    }

    setFollow(on = !this.follow) {
        this.follow = on;
        if (on && this.view) this.view = following(this.view, this.edgeNow());
        this.moved();
    }

    // Marks.

    /** @param {string} label @returns {number} */
    hueOf(label) {
        return this.labels.find((known) => known.name === label)?.hue ?? 0;
    }

    /** See `doing.js`. @param {readonly import("./acts.js").Change[]} changes @param {string} [words] */
    act(changes, words) {
        act(this, changes, words);
    }

    /** See `doing.js`. @param {string} label @param {bigint} start @param {bigint} end @param {boolean} [trim] */
    add(label, start, end, trim) {
        add(this, label, start, end, trim);
    }

    undo() {
        undo(this);
    }

    redo() {
        redo(this);
    }

    cancel() {
        const { held, running } = this.marking;
        this.marking = cancelled(this.marking, Boolean(this.chosen ?? this.selected ?? this.hand.ruler) || this.hand.measuring);
        if (held) say(`${held.label} from ${clock(held.start)} on is not marked`);
        else if (running && !this.marking.running) say(`${running.label} from ${clock(running.start)} on is not marked`);
        this.chosen = undefined;
        this.selected = undefined;
        Object.assign(this.hand, { ruler: undefined, measuring: false, snap: undefined });
        this.changed();
    }

    // The line.

    /** See `bar.js`. @param {boolean} open */
    line(open) {
        line(this, open);
    }

    /** See `bar.js`. @param {string} words "": nothing any more */
    trouble(words) {
        trouble(this, words);
    }

    // Painting.

    /** Paints at the next frame. */
    paint() {
        this.frame ??= requestAnimationFrame(() => this.paintDue());
    }

    /** What would be painted at the next frame is painted now: what a key does is in the very next frame. */
    paintDue() {
        if (this.frame === undefined) return;
        cancelAnimationFrame(this.frame);
        this.frame = undefined;
        paintNow(this);
    }
}
