// @ts-check
/** A channel's line on a canvas. Pure, but for the pen. */

/** @typedef {{ high: number, top: number, perUnit: number, bottom: number }} Scale device px: `high` lies at `top`, a unit is so tall; nothing lies above `top` or below `bottom` */
/** @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Pen */

/**
 * Points are told in halves of a pixel across and in sixteenths down: whole numbers. For each fraction that a canvas is
 * told the browser makes an object, of which a frame would leave 300 kB to be swept up.
 */
const ACROSS = 2;
const DOWN = 16;

/**
 * A channel's line as a path of `1 / ACROSS` and `1 / DOWN` px. Where columns of pixels lie side by side a bar from lowest to
 * highest is all that can be seen of it: two points a column rather than five, which is what a frame costs. So is the plain
 * arithmetic: this loop runs for each column of each channel of each frame.
 * @param {Pen | Path2D} path @param {import("./traces.js").Columns} columns @param {Scale} scale
 */
function trace(path, { low, high, first, last, joined, into }, { high: highest, top: upper, perUnit, bottom: lower }) {
    const [least, most, unit] = [Math.round(upper * DOWN), Math.round(lower * DOWN), perUnit * DOWN];
    const y = (/** @type {number} */ value) => {
        const at = Math.round(least + (highest - value) * unit);
        return at < least ? least : at > most ? most : at;
    };
    let some = into !== undefined; // whether a line can lead here
    let before = into ? Math.floor(into[0]) : 0; // the column before
    let ended = into ? y(into[1]) : 0; // where its line ended
    let there = false; // whether the pen is there
    for (let x = 0; x < low.length; x += 1) {
        if (low[x] !== low[x]) continue; // NaN
        let bottom = y(low[x]);
        let top = y(high[x]);
        const end = y(last[x]);
        const middle = ACROSS * x + 1;
        const tall = bottom - top > DOWN;
        const joins = joined[x] === 1 && some;
        if (joins && tall && before === x - 1) {
            if (ended > bottom) bottom = ended;
            if (ended < top) top = ended;
        } else if (joins) {
            if (!there) path.moveTo(ACROSS * before + 1, ended);
            path.lineTo(middle, tall ? y(first[x]) : end);
        }
        if (tall) {
            path.moveTo(middle, bottom);
            path.lineTo(middle, top);
        } else if (!joins) {
            path.moveTo(middle - 1, end); // a lone sample is a dot
            path.lineTo(middle + 1, end);
        }
        some = true;
        before = x;
        ended = end;
        there = joins && !tall;
    }
}

/** Adds a channel's line to a pen's path. @param {Pen} pen whose transform is another one afterwards @param {import("./traces.js").Columns} columns @param {number} left device px of the first column's left border @param {Scale} scale @param {number} [wide] device px of a column */
export function addLine(pen, columns, left, scale, wide = 1) {
    pen.setTransform(wide / ACROSS, 0, 0, 1 / DOWN, left, 0);
    trace(pen, columns, scale);
}

/** Adds the line that leads out of columns. @param {Pen} pen @param {import("./traces.js").Columns} columns @param {number} left @param {Scale} scale @param {number} [wide] */
export function addOut(pen, { out }, left, { high, top, perUnit, bottom }, wide = 1) {
    if (!out) return;
    const y = (/** @type {number} */ value) => Math.min(bottom, Math.max(top, top + (high - value) * perUnit));
    pen.setTransform(wide, 0, 0, 1, left + wide / 2, 0);
    pen.moveTo(Math.floor(out[0]), y(out[1]));
    pen.lineTo(Math.floor(out[2]), y(out[3]));
}

/** What was added, as lines of a pixel, as wide as a column across. @param {Pen} pen whose units are device px afterwards @param {number} [wide] device px of a column */
export function strokeLines(pen, wide = 1) {
    pen.setTransform(wide, 0, 0, 1, 0, 0);
    pen.stroke();
    if (wide !== 1) pen.setTransform(1, 0, 0, 1, 0, 0);
}

/** A channel's line to be stroked again and again, in device px from its first column's left border on. @param {import("./traces.js").Columns} columns @param {Scale} scale @returns {Path2D} */
export function lineOf(columns, scale) {
    const [path, line] = [new Path2D(), new Path2D()];
    trace(path, columns, scale);
    line.addPath(path, { a: 1 / ACROSS, d: 1 / DOWN });
    return line;
}
