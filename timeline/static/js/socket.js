// @ts-check
/** The tab's line to the server: opened again whenever it breaks, with the server's clock measured over it. */
import { backoff, best, measured, withMeasure } from "./clock.js";

/** @typedef {{ type: string } & Record<string, any>} Message */
/**
 * @typedef {object} Hears
 * @property {(message: Message) => void} message
 * @property {(frame: ArrayBuffer) => void} frame
 * @property {(open: boolean, code: number) => void} line
 */

const PROTOCOL = 1;
const PING_MS = 10_000;
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
        this.ping = 0;
        /** @type {import("./clock.js").Measure[]} */
        this.measures = [];
        /** @type {WebSocket | undefined} */
        this.socket = undefined;
        setInterval(() => this.#ping(), PING_MS);
        addEventListener("online", () => this.open());
    }

    /** Server's time less the tab's, and the round trip in which that was measured. */
    get clock() {
        return best(this.measures);
    }

    open() {
        if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
        const scheme = location.protocol === "https:" ? "wss" : "ws";
        const socket = new WebSocket(`${scheme}://${location.host}/socket`);
        socket.binaryType = "arraybuffer";
        socket.onopen = () => {
            this.send({ type: "hello", protocol: PROTOCOL, tab: this.tab });
            this.measures = [];
            for (let i = 0; i < 3; i += 1) this.#ping();
        };
        socket.onmessage = (event) => this.#heard(event.data);
        socket.onclose = (event) => this.#closed(event.code);
        this.socket = socket;
    }

    /** @param {Record<string, unknown>} message @returns {boolean} whether it went out */
    send(message) {
        if (this.socket?.readyState !== WebSocket.OPEN) return false;
        this.socket.send(JSON.stringify(message));
        return true;
    }

    /** @param {string | ArrayBuffer} data */
    #heard(data) {
        if (data instanceof ArrayBuffer) return this.hears.frame(data);
        const message = /** @type {Message} */ (JSON.parse(data));
        if (message.type === "pong") {
            const sent = this.pings.get(message.ping);
            if (sent !== undefined) this.measures = withMeasure(this.measures, measured(sent, BigInt(message.server_ns), this.now()));
            this.pings.delete(message.ping);
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
        this.hears.line(false, code);
        if (FINAL.has(code)) return;
        setTimeout(() => this.open(), backoff(this.tries, Math.random()));
        this.tries += 1;
    }

    #ping() {
        this.ping = (this.ping + 1) % 0x1_0000_0000;
        if (this.pings.size > 16) this.pings.clear();
        const sent = this.now();
        this.pings.set(this.ping, sent);
        this.send({ type: "ping", ping: this.ping, client_ns: String(sent) });
    }
}
