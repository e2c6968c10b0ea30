// @ts-check
/** The start page: a row a recording, sortable by each column. */
import { colours, element, fitted, hide, made, whenRecoloured, write } from "./page.js";
import { paintOf } from "./textures.js";
import { clock, day, duration } from "./time.js";
import { addressOf, viewOf } from "./view.js";
import { nobodyWords } from "./words.js";

/** @typedef {Record<string, any>} Row */

/** @type {{ name: string, key: (row: Row) => string | bigint | number }[]} */
const COLUMNS = [
    { name: "Device", key: (row) => row.device },
    { name: "Start (UTC)", key: (row) => BigInt(row.start_ns) },
    { name: "Length", key: (row) => BigInt(row.until_ns) - BigInt(row.start_ns) },
    { name: "Signal", key: (row) => row.samples },
    { name: "Labels", key: (row) => Object.keys(row.labels).sort().join() },
    { name: "Labelled", key: (row) => row.coverage },
    { name: "Flags", key: (row) => row.flags.join() },
];

/** What flags mean: `timeline/server/gallery.py` sets them. @type {Record<string, string>} */
const MEANINGS = {
    gap: "samples are missing, and their gaps were told",
    still: "the first stream's first channel never changes",
    jerky: "the first stream's samples come in bursts: over a tenth of the time passes in steps longer than 1.5 usual ones, where no gap was told",
    "clock unsure": "some times may be off by more than 1 ms",
    unlabelled: "nothing is marked",
    live: "samples came in the last minute",
    "no end": "it was not ended, and no samples come",
};

/** What the rows are sorted by: kept while they are renewed. */
const order = { column: 1, down: true };
/** The rows as they were shown last. */
let shown = "";
/** Paints their pictures. */
let paint = () => {};
whenRecoloured(() => paint());

/** Shows rows, or those that have come anew; whoever is at a link of one stays there. @param {Row[]} rows the newest first @param {(label: string) => number} hueOf */
export function showGallery(rows, hueOf) {
    const now = JSON.stringify(rows);
    if (now === shown) return;
    shown = now;
    const head = element("gallery-head");
    const render = () => {
        const { column, down } = order;
        const { key } = COLUMNS[column];
        const sorted = [...rows].sort((one, other) => (key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0));
        if (down) sorted.reverse();
        const at = document.activeElement?.getAttribute("data-recording");
        element("gallery-rows").replaceChildren(...sorted.map(rowOf));
        if (at) [...document.querySelectorAll(/** @type {"a"} */ ("#gallery-rows a"))].find((link) => link.dataset.recording === at)?.focus({ preventScroll: true });
        paint = () => {
            const ink = colours();
            document.querySelectorAll(/** @type {"canvas"} */ ("#gallery-rows canvas")).forEach((canvas) => {
                const row = sorted[Number(canvas.dataset.row)];
                if (canvas.className === "spark") drawSpark(canvas, row.spark, ink);
                else drawLabels(canvas, row.labels, hueOf, ink);
            });
        };
        paint();
        head.querySelectorAll("th").forEach((cell, i) => {
            if (i === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
            else cell.removeAttribute("aria-sort");
        });
    };
    if (head.children.length === 0) head.append(...COLUMNS.map(({ name }) => made("th", { scope: "col" }, made("button", { type: "button" }, name))));
    head.querySelectorAll("button").forEach((button, i) => {
        button.onclick = () => {
            Object.assign(order, { column: i, down: i === order.column && !order.down });
            render();
        };
    });
    const told = Object.keys(MEANINGS).filter((flag) => rows.some((row) => row.flags.includes(flag)));
    write(element("gallery-flags"), told.map((flag) => `${flag}: ${MEANINGS[flag]}`).join("; "));
    const empty = element("gallery-empty");
    empty.hidden = rows.length > 0;
    empty.textContent = nobodyWords("", 0);
    hide(element("gallery-copy"), rows.length > 0);
    element("gallery").hidden = false;
    render();
}

/** The start page without a server: the devices that this browser has heard of. @param {string[]} names */
export function showDevices(names) {
    const links = names.flatMap((name) => [made("a", { href: `/d/${encodeURIComponent(name)}` }, name), " "]);
    element("gallery-empty").replaceChildren("Devices that were seen here: ", ...links);
    element("gallery-empty").hidden = names.length === 0;
    element("gallery").hidden = false;
}

/** @param {Row} row @param {number} place @returns {HTMLTableRowElement} */
function rowOf(row, place) {
    const [start, until] = [BigInt(row.start_ns), BigInt(row.until_ns)];
    const href = row.end_ns === null ? `/d/${encodeURIComponent(row.device)}` : addressOf(row.device, viewOf(start, until));
    const link = made("a", { href, "data-recording": JSON.stringify([row.device, row.recording]) }, row.device);
    const share = `${Math.round(row.coverage * 100)} %`;
    const labels = Object.entries(row.labels).map(([name, part]) => `${name} ${Math.round(part * 100)} %`).join(", ");
    const cells = [
        link, `${day(start)} ${clock(start, 0)}`, duration(until - start),
        made("canvas", { class: "spark", role: "img", "aria-label": `${row.samples} samples`, "data-row": String(place) }),
        made("canvas", { class: "labelbar", role: "img", "aria-label": labels || "no labels", "data-row": String(place) }),
        share,
    ];
    const flags = row.flags.flatMap((/** @type {string} */ flag, /** @type {number} */ i) => [i ? ", " : "", made("span", { title: MEANINGS[flag] ?? "" }, flag)]);
    return made("tr", {}, ...cells.map((content) => made("td", {}, content)), made("td", {}, ...flags));
}

/** An empty canvas's pen, for CSS px. @param {HTMLCanvasElement} canvas @returns {{ pen: CanvasRenderingContext2D } & ReturnType<typeof fitted>} */
function emptied(canvas) {
    const size = fitted(canvas);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
    pen.clearRect(0, 0, size.width, size.height);
    return { pen, ...size };
}

/** @param {HTMLCanvasElement} canvas @param {([number, number] | null)[]} spark lowest and highest per span @param {Record<string, string>} ink */
function drawSpark(canvas, spark, ink) {
    const { pen, width, height, ratio } = emptied(canvas);
    pen.fillStyle = ink["trace-2"];
    const there = /** @type {[number, number][]} */ (spark.filter((one) => one !== null));
    const [low, high] = [Math.min(...there.map((one) => one[0])), Math.max(...there.map((one) => one[1]))];
    const scale = (height - 2) / (high - low || 1);
    spark.forEach((one, i) => {
        if (one) pen.fillRect((i * width) / spark.length, (high - one[1]) * scale, Math.max(1 / ratio, width / spark.length), Math.max(1, (one[1] - one[0]) * scale));
    });
}

/** @param {HTMLCanvasElement} canvas @param {Record<string, number>} labels shares @param {(label: string) => number} hueOf @param {Record<string, string>} ink */
function drawLabels(canvas, labels, hueOf, ink) {
    const { pen, width, height } = emptied(canvas);
    pen.fillStyle = ink.grid;
    pen.fillRect(0, 0, width, height);
    let x = 0;
    for (const [name, share] of Object.entries(labels)) {
        pen.fillStyle = paintOf(ink, hueOf(name));
        pen.fillRect(x, 0, share * width, height);
        x += share * width;
    }
}
