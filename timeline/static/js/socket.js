// @ts-check
/** The tab's line to the server: opened again whenever it breaks, with the server's clock measured over it. */
import { backoff, best, measured, offsetAt, withMeasure } from "./clock.js";

/** @typedef {{ type: string } & Record<string, any>} Message */
/**
 * @typedef {object} Hears
 * @property {(message: Message) => void} message
 * @property {(frame: ArrayBuffer) => void} frame
 * @property {(open: boolean, code: number) => void} line
 */

const PROTOCOL = 1;
const PING_MS = 10_000;
/** A line that owes an answer for so many ticks is dead, whatever TCP thinks of it. In ticks, not by a clock: a tab that stood still has not listened. */
const TICK_MS = 2_500;
const SILENT_TICKS = 4;
/** What no new connection mends: the session is over, another protocol. */
const FINAL = new Set([4401, 4409]);

export class Link {
    /** @param {string} tab UUID @param {() => bigint} now the tab's clock @param {Hears} hears */
    constructor(tab, now, hears) {
        this.tab = tab;
        this.now = now;
        this.hears = hears;
        this.tries = 0;
        this.pings = new Map([[0, 0n]]);
        this.opened = 0n;
        this.measured = 0n;
        this.ping = 0;
        /** @type {import("./clock.js").Measure[]} over the line that is open now */
        this.measures = [];
        /** @type {import("./clock.js").Known} the last one of a line before it */
        this.before = { offset: 0n, roundTrip: 0n, at: 0n };
        /** @type {(() => void)[]} wait for the clock to be measured over this line */
        this.unmeasured = [];
        /** @type {WebSocket | undefined} */
        this.socket = undefined;
        /** @type {number | undefined} ticks since something was asked that has no answer yet */
        this.silent = undefined;
        setInterval(() => this.#ping(), PING_MS);
        setInterval(() => this.#watch(), TICK_MS);
        addEventListener("online", () => this.open());
        addEventListener("offline", () => this.#ping());
    }

    /** Server's time less the tab's, and the round trip in which that was measured. */
    get clock() {
        return this.measures.length > 0 ? best(this.measures) : this.before;
    }

    /** The offset that the clock had at an instant of an outage, measured before and after it. @param {bigint} at tab's time @returns {bigint} */
    offsetAt(at) {
        return offsetAt(this.before, { ...this.clock, at: this.opened }, at);
    }

    /** Once the clock is measured over the line that is open. @param {() => void} then */
    whenMeasured(then) {
        if (this.measures.length > 0) then();
        else this.unmeasured.push(then);
    }

    /** Opens the line, where it is not open. */
    open() {
        if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
        const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
        socket.binaryType = "arraybuffer";
        socket.onopen = () => {
            this.silent = undefined;
            this.opened = this.now();
            this.send({ type: "hello", protocol: PROTOCOL, tab: this.tab });
            for (let i = 0; i < 3; i += 1) this.#ping();
        };
        socket.onmessage = (event) => this.#heard(event.data);
        socket.onclose = (event) => this.#closed(event.code);
        this.socket = socket;
        this.silent = 0;
    }

    /** @param {Record<string, unknown>} message @returns {boolean} whether it went out */
    send(message) {
        if (this.socket?.readyState !== WebSocket.OPEN) return false;
        this.socket.send(JSON.stringify(message));
        if (message.type !== "presence") this.silent ??= 0;
        return true;
    }

    /** @param {string | ArrayBuffer} data */
    #heard(data) {
        this.silent = undefined;
        if (data instanceof ArrayBuffer) return this.hears.frame(data);
        const message = /** @type {Message} */ (JSON.parse(data));
        if (message.type === "pong") {
            const sent = this.pings.get(message.ping);
            if (sent !== undefined) this.measures = withMeasure(this.measures, measured(sent, BigInt(message.server_ns), this.now()));
            this.pings.delete(message.ping);
            this.measured = this.now();
            for (const then of this.unmeasured.splice(0)) then();
            return;
        }
        if (message.type === "welcome") {
            this.tries = 0;
            this.hears.line(true, 0);
        }
        this.hears.message(message);
    }

    /** @param {number} code */
    #closed(code) {
        if (this.measures.length > 0) this.before = { ...best(this.measures), at: this.measured };
        this.measures = [];
        this.unmeasured = [];
        this.silent = undefined;
        const wait = backoff(this.tries, Math.random());
        this.tries += 1;
        this.hears.line(false, code);
        if (!FINAL.has(code)) setTimeout(() => this.open(), wait);
    }

    /** A line that owes an answer is asked once more, then let go. */
    #watch() {
        if (this.silent === undefined || !this.socket) return;
        this.silent += 1;
        if (this.silent === SILENT_TICKS / 2) this.#ping();
        if (this.silent < SILENT_TICKS) return;
        this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
        this.socket.close();
        this.socket = undefined;
        this.#closed(1006);
    }

    #ping() {
        this.ping = (this.ping + 1) % 0x1_0000_0000;
        if (this.pings.size > 16) this.pings.clear();
        const sent = this.now();
        this.pings.set(this.ping, sent);
        this.send({ type: "ping", ping: this.ping, client_ns: String(sent) });
    }
}
