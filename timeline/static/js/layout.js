// @ts-check
/** Where rulers, streams and lanes lie on the canvas, in CSS px. Pure. */

export const GUTTER = 88;
export const RULER = 24;
export const LANE = 22;
export const BAR = 18;
/** Heights of a stream, compact to tall: `,` and `.` go through them. */
export const HEIGHTS = [64, 96, 160, 240];

/** @typedef {{ kind: "stream" | "lane", name: string, top: number, height: number }} Row */

/**
 * Streams above one another, then a lane for each name.
 * @param {readonly string[]} streams @param {readonly string[]} lanes @param {number} height of a stream
 * @returns {{ rows: Row[], height: number }}
 */
export function layoutOf(streams, lanes, height) {
    let top = RULER;
    /** @type {Row[]} */
    const rows = [];
    for (const [kind, names, tall] of /** @type {["stream" | "lane", readonly string[], number][]} */ ([["stream", streams, height], ["lane", lanes, LANE]])) {
        for (const name of names) {
            rows.push({ kind, name, top, height: tall });
            top += tall;
        }
    }
    return { rows, height: top + 8 };
}

/** @param {readonly Row[]} rows @param {number} y @returns {Row | undefined} */
export const rowAt = (rows, y) => rows.find((row) => y >= row.top && y < row.top + row.height);

/**
 * A figure for people, to at most five digits: `1234.5`, `0.012`, `1.2e9`.
 * @param {number} value @returns {string}
 */
export function figure(value) {
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(1).replace("e+", "e");
    return String(Number(value.toPrecision(size >= 1000 ? 6 : 4)));
}
