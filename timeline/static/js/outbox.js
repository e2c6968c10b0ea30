// @ts-check
/**
 * What this browser's people did, kept in IndexedDB: nothing marked is lost with a tab, a process or a connection. An
 * act waits here until the server has confirmed that the log has it; the newest ones stay, to be undone.
 */

/** @typedef {import("./acts.js").Act} Act */

const KEPT = 500;
const STORE = "acts";
const KNOWN = "known";

/** The acts in the order in which they were done. @param {Act} one @param {Act} other @returns {number} */
const byTime = (one, other) => (one.clientNs < other.clientNs ? -1 : one.clientNs > other.clientNs ? 1 : 0);

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function answer(request) {
    return new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
}

export class Outbox {
    /** @param {IDBDatabase | undefined} database none: they are kept in this tab only @param {Act[]} acts */
    constructor(database, acts) {
        this.database = database;
        this.acts = acts.sort(byTime);
    }

    /** The acts that are here, whoever did them. @returns {Promise<Outbox>} */
    static async open() {
        if (!("indexedDB" in globalThis)) return new Outbox(undefined, []);
        try {
            const request = indexedDB.open("sensorloom-timeline", 2);
            request.onupgradeneeded = ({ oldVersion }) => {
                if (oldVersion < 1) request.result.createObjectStore(STORE, { keyPath: "act" });
                request.result.createObjectStore(KNOWN);
            };
            const database = await answer(request);
            const acts = await answer(database.transaction(STORE).objectStore(STORE).getAll());
            return new Outbox(database, acts);
        } catch {
            return new Outbox(undefined, []);
        }
    }

    /** Keeps acts that are new or changed; at once here, then on the disk. @param {readonly Act[]} acts */
    async keep(acts) {
        const names = new Set(acts.map((act) => act.act));
        this.acts = [...this.acts.filter((act) => !names.has(act.act)), ...acts].sort(byTime);
        const gone = this.acts.filter((act) => act.state !== "waiting").slice(0, -KEPT);
        this.acts = this.acts.filter((act) => !gone.includes(act));
        if (!this.database) return;
        const transaction = this.database.transaction(STORE, "readwrite", { durability: "strict" });
        const store = transaction.objectStore(STORE);
        for (const act of acts) store.put(act);
        for (const act of gone) store.delete(act.act);
        await new Promise((resolve, reject) => {
            transaction.oncomplete = resolve;
            transaction.onabort = () => reject(transaction.error);
        });
    }

    /** Keeps something that a page without a server needs, in the place of what had this name. @param {string} name @param {unknown} value */
    remember(name, value) {
        this.database?.transaction(KNOWN, "readwrite").objectStore(KNOWN).put(value, name);
    }

    /** @param {string} name @returns {Promise<any>} what was remembered; undefined: nothing */
    async recall(name) {
        return this.database && answer(this.database.transaction(KNOWN).objectStore(KNOWN).get(name));
    }

    /** @param {string} user @param {string} [device] @returns {Act[]} a person's, oldest first */
    of(user, device) {
        return this.acts.filter((act) => act.user === user && (device === undefined || act.device === device));
    }

    /** @param {string} user @returns {Act[]} what a person's tab must send */
    waiting(user) {
        return this.of(user).filter((act) => act.state === "waiting");
    }
}
