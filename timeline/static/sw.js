// @ts-check
/**
 * The page without a server. What it is made of is kept whole, in a cache that bears its version's name; the server puts
 * `self.page` before the first line, so that another page is another worker. A server that answers is always asked first
 * for the page itself: an upgraded page is never a stale one. Its files have the version in their addresses, and so are
 * of the same page wherever they come from: what is kept is not asked for again.
 */

/**
 * @typedef {object} Page what the server's page is made of
 * @property {string} version the hash of all of it
 * @property {Record<string, string>} files SHA-256 in hexadecimal by path; all but "/" lie under `/static/VERSION/`
 */
const worker = /** @type {ServiceWorkerGlobalScope & { page: Page }} */ (/** @type {unknown} */ (self));
const PREFIX = "sensorloom-page-";
const CACHE = PREFIX + worker.page.version;
/** A server that takes longer is as good as none. */
const PATIENCE_MS = 4000;

/** @param {ArrayBuffer} bytes @returns {Promise<string>} */
async function digest(bytes) {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keeps every file of the page, or none: one of another version would be a page that never was. */
async function keep() {
    const answers = await Promise.all(Object.entries(worker.page.files).map(async ([path, hash]) => {
        const answer = await fetch(path, { cache: "no-store" });
        if (!answer.ok || (await digest(await answer.clone().arrayBuffer())) !== hash) throw new Error(`${path} is not the file of version ${worker.page.version}`);
        return /** @type {const} */ ([path, answer]);
    }));
    const cache = await caches.open(CACHE);
    await Promise.all(answers.map(([path, answer]) => cache.put(path, answer)));
    await worker.skipWaiting();
}

/** Lets go of old versions, but for the one before, which a tab may be loading; and serves the tabs that are open already. */
async function begin() {
    const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
    await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
    await worker.clients.claim();
}

/** The page that the server gives; where it says nothing, the one that is kept. @param {Request} request @returns {Promise<Response>} */
async function whole(request) {
    const asked = fetch(request);
    const patience = new Promise((_, reject) => setTimeout(reject, PATIENCE_MS));
    try {
        const told = /** @type {Response} */ (await Promise.race([asked, patience]));
        if (told.status < 500) return told;
    } catch {
        // no server, or none that answers
    }
    return (await caches.match("/", { cacheName: CACHE })) ?? asked;
}

/** A file of a version. @param {Request} request @returns {Promise<Response>} */
async function file(request) {
    return (await caches.match(request)) ?? fetch(request);
}

worker.addEventListener("install", (event) => event.waitUntil(keep()));
worker.addEventListener("activate", (event) => event.waitUntil(begin()));
worker.addEventListener("fetch", (event) => {
    const { request } = event;
    const { origin, pathname } = new URL(request.url);
    if (request.method !== "GET" || origin !== location.origin) return;
    if (pathname.startsWith("/static/")) event.respondWith(file(request));
    else if (request.mode === "navigate" && (pathname === "/" || pathname.startsWith("/d/"))) event.respondWith(whole(request));
});
