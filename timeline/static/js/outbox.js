// @ts-check
/**
 * What this browser's people did, kept in IndexedDB: nothing marked is lost with a tab, a process or a connection. An
 * act waits here until the server has confirmed that the log has it; the newest ones stay, to be undone.
 */

/** @typedef {import("./acts.js").Act} Act */

const KEPT = 500;
const STORE = "acts";
const KNOWN = "known";
/** What a page that is left had not yet on the disk, in the browser's other storage, which is written at once. */
const LEFT = "sensorloom-left-";
/** JSON knows no BigInt: this before its digits, which no text of an act has. */
const BIG = "\u0000";

/** The acts in the order in which they were done. @param {Act} one @param {Act} other @returns {number} */
const byTime = (one, other) => (one.clientNs < other.clientNs ? -1 : one.clientNs > other.clientNs ? 1 : 0);

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function answer(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

/** @returns {Promise<IDBDatabase>} */
function opened() {
    const request = indexedDB.open("sensorloom-timeline", 2);
    request.onupgradeneeded = ({ oldVersion }) => {
        if (oldVersion < 1) request.result.createObjectStore(STORE, { keyPath: "act" });
        request.result.createObjectStore(KNOWN);
    };
    return answer(request);
}

export class Outbox {
    constructor() {
        /** Those that were done before are among them once it is `ready`. @type {Act[]} */
        this.acts = [];
        /** @type {import("./clock.js").Known | undefined} the server's clock as it was known last */
        this.clock = undefined;
        /** @type {IDBDatabase | undefined} none: what is done is kept in this tab only */
        this.database = undefined;
        this.ready = false;
        /** Acts that are not on the disk, by name. @type {Map<string, Act>} */
        this.unkept = new Map();
        /** Where pages that were left wrote what is in `acts` now. @type {string[]} */
        this.left = [];
        /** Why this browser keeps nothing, where it does not. @type {unknown} */
        this.refused = undefined;
        /** Opening takes a while, and nobody who only looks waits for it. @type {Promise<void>} */
        this.opened = this.#open();
    }

    async #open() {
        try {
            this.database = await opened();
            const clock = answer(this.database.transaction(KNOWN).objectStore(KNOWN).get("clock"));
            await this.look();
            this.clock = await clock;
        } catch (error) {
            this.database = undefined;
            this.refused = error;
        }
        this.ready = true;
        this.#found();
    }

    /** Takes what the disk has: other tabs of this browser write there, too. What is on its way there stays. */
    async look() {
        const acts = this.database && (await answer(this.database.transaction(STORE).objectStore(STORE).getAll()));
        if (acts) this.acts = [...acts.filter((act) => !this.unkept.has(act.act)), ...this.unkept.values()].sort(byTime);
    }

    /** Writes at once what waits and is not on the disk: a page that is left is not waited for. */
    leave() {
        const acts = [...this.unkept.values()].filter((act) => act.state === "waiting");
        const told = JSON.stringify(acts, (_, value) => (typeof value === "bigint" ? BIG + value : value));
        try {
            if (acts.length > 0) localStorage.setItem(LEFT + crypto.randomUUID(), told);
            for (const name of this.left) localStorage.removeItem(name);
        } catch {
            // a browser that keeps nothing at all: that was told when the mark was set
        }
    }

    /** Takes what pages that were left wrote. */
    #found() {
        const known = new Set(this.acts.map((act) => act.act));
        try {
            for (const name of Object.keys(localStorage).filter((key) => key.startsWith(LEFT))) {
                const big = (/** @type {string} */ _, /** @type {unknown} */ value) => (typeof value === "string" && value.startsWith(BIG) ? BigInt(value.slice(1)) : value);
                const acts = /** @type {Act[]} */ (JSON.parse(localStorage.getItem(name) ?? "[]", big)).filter((act) => !known.has(act.act));
                this.left.push(name);
                this.keep(acts).then(() => localStorage.removeItem(name), () => undefined);
            }
        } catch {
            // a browser that keeps nothing
        }
    }

    /** Keeps acts that are new or changed; at once here, then on the disk. Rejects where the browser does not. @param {readonly Act[]} acts */
    async keep(acts) {
        const names = new Set(acts.map((act) => act.act));
        this.acts = [...this.acts.filter((act) => !names.has(act.act)), ...acts].sort(byTime);
        const gone = this.acts.filter((act) => act.state !== "waiting").slice(0, -KEPT);
        this.acts = this.acts.filter((act) => !gone.includes(act));
        for (const act of acts) this.unkept.set(act.act, act);
        await this.#write(acts, gone);
        for (const act of acts) if (this.unkept.get(act.act) === act) this.unkept.delete(act.act);
    }

    /** @param {readonly Act[]} acts @param {readonly Act[]} gone */
    async #write(acts, gone) {
        if (!this.ready) await this.opened;
        if (!this.database) throw this.refused;
        const transaction = this.database.transaction(STORE, "readwrite", { durability: "strict" });
        const store = transaction.objectStore(STORE);
        for (const act of acts) store.put(act);
        for (const act of gone) store.delete(act.act);
        await new Promise((resolve, reject) => {
            transaction.oncomplete = resolve;
            transaction.onabort = () => reject(transaction.error);
        });
    }

    /** Keeps something that a page without a server needs, in the place of what had this name; done when it lies there. @param {string} name @param {unknown} value */
    async remember(name, value) {
        if (!this.ready) await this.opened;
        const transaction = this.database?.transaction(KNOWN, "readwrite");
        if (!transaction) return;
        transaction.objectStore(KNOWN).put(value, name);
        await new Promise((resolve) => (transaction.oncomplete = transaction.onabort = resolve));
    }

    /** @param {string} name @returns {Promise<any>} what was remembered; undefined: nothing */
    async recall(name) {
        await this.opened;
        return this.database && answer(this.database.transaction(KNOWN).objectStore(KNOWN).get(name));
    }

    /** @param {string} user @param {string} [device] @returns {Act[]} a person's, oldest first */
    of(user, device) {
        return this.acts.filter((act) => act.user === user && (device === undefined || act.device === device));
    }

    /** How much waits until others sign in again, by whom. @param {string} user who is signed in @returns {Map<string, number>} */
    others(user) {
        const found = new Map();
        for (const act of this.acts) if (act.state === "waiting" && act.user !== user) found.set(act.user, (found.get(act.user) ?? 0) + 1);
        return found;
    }

    /** @param {string} user @returns {Act[]} what a person's tab must send */
    waiting(user) {
        return this.of(user).filter((act) => act.state === "waiting");
    }
}
