// @ts-check
/** Where rulers, streams and lanes lie on the canvas, in CSS px, and how wide words are. Pure, but for the pen. */

export const GUTTER = 88;
export const RULER = 24;
export const LANE = 22;
export const BAR = 18;
/** Free below the last lane. */
const BELOW = 8;
/** Height of a stream that has named states alone. */
const STATED = 40;
/** Heights of a stream, compact to tall: `,` and `.` go through them. */
export const HEIGHTS = [64, 96, 160, 240];

/** @typedef {{ kind: "stream" | "lane" | "merged", name: string, top: number, height: number }} Row */

/**
 * Streams above one another, then a lane for each name, then what all lanes say together.
 * @param {readonly string[]} streams @param {readonly string[]} lanes @param {number} height of a stream
 * @param {ReadonlySet<string>} [stated] streams of named states alone: a band of words is enough for them
 * @returns {{ rows: Row[], height: number }}
 */
export function layoutOf(streams, lanes, height, stated = new Set()) {
    let top = RULER;
    /** @type {Row[]} */
    const rows = [];
    const add = (/** @type {Row["kind"]} */ kind, /** @type {string} */ name, /** @type {number} */ tall) => {
        rows.push({ kind, name, top, height: tall });
        top += tall;
    };
    for (const name of streams) add("stream", name, stated.has(name) ? STATED : height);
    for (const name of lanes) add("lane", name, LANE);
    add("merged", "merged", LANE);
    return { rows, height: top + BELOW };
}

/** What is left for one stream beside so many lanes and what they say together. @param {number} room px @param {number} lanes @returns {number} */
export const roomFor = (room, lanes) => Math.floor(room) - RULER - (lanes + 1) * LANE - BELOW;

/**
 * Where a stream's channels lie in its row: all over one another, or each in a band of its own.
 * @param {Row} row @param {number} channels @param {boolean} apart @returns {{ top: number, height: number, channels: number[] }[]}
 */
export function bandsOf(row, channels, apart) {
    const all = Array.from({ length: channels }, (_, c) => c);
    if (!apart || channels < 2) return [{ top: row.top, height: row.height, channels: all }];
    const height = row.height / channels;
    return all.map((c) => ({ top: row.top + c * height, height, channels: [c] }));
}

/** The server answers about so many streams at once, as its protocol says. */
const STREAMS_MAX = 64;
/** px of what has no row */
const FAR = 1e9;

/**
 * The streams to ask for: all, where they are not too many; else those that are nearest to what is seen of the rows.
 * @param {readonly string[]} names of all streams @param {readonly Row[]} rows as they are laid out @param {number} top px that are scrolled away @param {number} room px that are seen
 * @returns {string[]} in the order of the names
 */
export function askedFor(names, rows, top, room) {
    if (names.length <= STREAMS_MAX) return [...names];
    const far = new Map(rows.filter((row) => row.kind === "stream").map((row) => [row.name, Math.abs(row.top + row.height / 2 - top - room / 2)]));
    const near = [...names].sort((one, other) => (far.get(one) ?? FAR) - (far.get(other) ?? FAR)).slice(0, STREAMS_MAX);
    return names.filter((name) => near.includes(name));
}

/** The rows that are seen, and those beside them. @param {readonly Row[]} rows @param {number} top px that are scrolled away @param {number} room px that are seen @param {number} [beside] px before and after it @returns {Row[]} */
export const seenOf = (rows, top, room, beside = room) => rows.filter((row) => row.top + row.height > top - beside && row.top < top + room + beside);

/** px beside a stream's lower border in which it is taken hold of, in the gutter. */
const GRIP = 6;

/** The stream whose lower border lies there: a divider. @param {readonly Row[]} rows @param {number} y @returns {Row | undefined} */
export const dividerAt = (rows, y) => rows.find((row) => row.kind === "stream" && row.height !== STATED && Math.abs(row.top + row.height - y) <= GRIP);

/**
 * Which of `HEIGHTS` brings a stream's lower border nearest to `y`: all streams are as tall, so those above it move it, too.
 * @param {readonly Row[]} rows @param {number} place of the stream @param {number} y px @returns {number}
 */
export function heightFor(rows, place, y) {
    const { top, height } = rows[place];
    const tall = rows.slice(0, place + 1).filter((row) => row.kind === "stream" && row.height !== STATED).length;
    const away = HEIGHTS.map((one) => Math.abs(top + height + tall * (one - height) - y));
    return away.indexOf(Math.min(...away));
}

/** @param {readonly Row[]} rows @param {number} y @returns {Row | undefined} */
export const rowAt = (rows, y) => rows.find((row) => y >= row.top && y < row.top + row.height);

/**
 * A figure for people, to at most five digits: `1234.5`, `0.012`, `1.2e9`.
 * @param {number} value @param {number} [more] digits than that @returns {string}
 */
export function figure(value, more = 0) {
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(1 + more).replace("e+", "e");
    return String(Number(value.toPrecision((size >= 1000 ? 6 : 4) + more)));
}

/**
 * The ends of a range, and values in it, as figures: with as many digits as it takes to tell the ends apart.
 * @param {number} low @param {number} high @param {readonly number[]} values @returns {string[]} low, high, values
 */
export function figures(low, high, ...values) {
    let more = 0;
    while (low !== high && more < 11 && figure(low, more) === figure(high, more)) more += 1;
    return [low, high, ...values].map((value) => figure(value, more));
}

/** @type {Map<string, number>} */
const widths = new Map();
const WIDTHS_MAX = 2_000;

/** How wide words are, px, in the font of a picture's words: measured once, since a browser shapes them anew each time. @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} pen of that font @param {string} words @returns {number} */
export function wideOf(pen, words) {
    let wide = widths.get(words);
    if (wide === undefined) {
        if (widths.size >= WIDTHS_MAX) widths.clear();
        widths.set(words, (wide = pen.measureText(words).width));
    }
    return wide;
}
