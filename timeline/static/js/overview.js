// @ts-check
/**
 * The overview: the first stream whole, marks as a band, the view as a box. Both are painted once and kept:
 * what moves from frame to frame is the box.
 */
import { GUTTER } from "./layout.js";
import { drawStates, isStated } from "./states.js";
import { addLine, strokeLines } from "./strokes.js";
import { paintOf } from "./textures.js";
import { calm, columnsOf, extent } from "./traces.js";
import { xOf } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {{ start: bigint, end: bigint, hue: number, share: number }} Cell marks of a label in a span: the more, the taller */
/**
 * @typedef {object} Overview
 * @property {View} whole @property {View} view @property {import("./draw.js").Trace | undefined} trace
 * @property {Record<string, string>} colours
 * @property {Cell[]} cells
 * @property {{ from: bigint, to: bigint }[]} people
 */

const BAND = 10;
/** @type {WeakMap<CanvasRenderingContext2D, { canvas: OffscreenCanvas, of: Overview, frames: number, ratio: number }>} */
const pictures = new WeakMap();

/** @param {CanvasRenderingContext2D} pen @param {number} width CSS px @param {number} height @param {number} ratio @param {Overview} scene */
export function drawOverview(pen, width, height, ratio, scene) {
    const { whole, view, colours, people } = scene;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, width, height);
    pen.save();
    pen.translate(GUTTER, 0);
    const plot = Math.max(1, width - GUTTER);
    pen.drawImage(picture(pen, plot, height, ratio, scene), 0, 0, plot, height);
    const [start, end] = [Math.max(0, xOf(whole, view.from, plot)), Math.min(plot, xOf(whole, view.to, plot))];
    pen.fillStyle = colours.grid;
    pen.fillRect(start, 0, Math.max(2, end - start), height);
    pen.strokeStyle = colours.ink;
    pen.strokeRect(Math.round(start) + 0.5, 0.5, Math.max(2, Math.round(end - start) - 1), height - 1);
    pen.strokeStyle = colours.second;
    for (const { from, to } of people) pen.strokeRect(xOf(whole, from, plot), 1.5, Math.max(2, xOf(whole, to, plot) - xOf(whole, from, plot)), 3);
    pen.restore();
}

/**
 * What does not move: the picture of before, while it is of the same samples and marks and its end has not moved by a pixel.
 * @param {CanvasRenderingContext2D} pen whose it is @param {number} width CSS px @param {number} height @param {number} ratio
 * @param {Overview} of @returns {OffscreenCanvas}
 */
function picture(pen, width, height, ratio, of) {
    const [wide, tall] = [Math.ceil(width * ratio), Math.ceil(height * ratio)];
    const kept = pictures.get(pen);
    const frames = of.trace?.frames.length ?? 0;
    const pixel = Number(of.whole.to - of.whole.from) / wide;
    if (
        kept && kept.canvas.width === wide && kept.canvas.height === tall && kept.ratio === ratio && kept.of.colours === of.colours
        && kept.of.trace === of.trace && kept.of.cells === of.cells && kept.frames === frames && kept.of.whole.from === of.whole.from
        && Math.abs(Number(of.whole.to - kept.of.whole.to)) < pixel
    ) return kept.canvas;
    const canvas = new OffscreenCanvas(wide, tall);
    const own = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    own.fillStyle = of.colours.ground;
    own.fillRect(0, 0, wide, tall);
    const stated = of.trace?.channels[0] && isStated(of.trace.channels[0]);
    if (of.trace && !stated) drawSignal(own, wide, Math.ceil((height - BAND) * ratio), of, of.trace);
    own.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (of.trace && stated) {
        own.font = "12px system-ui, sans-serif";
        own.textBaseline = "middle";
        drawStates(own, width, { top: 0, height: height - BAND }, of.trace, 0, { view: of.whole, colours: of.colours });
    }
    for (const { start, end, hue, share } of of.cells) {
        const x = xOf(of.whole, start, width);
        own.fillStyle = paintOf(of.colours, hue);
        own.fillRect(x, height - 8 * share, Math.max(1, xOf(of.whole, end, width) - x), 8 * share);
    }
    pictures.set(pen, { canvas, of, frames, ratio });
    return canvas;
}

/** @param {OffscreenCanvasRenderingContext2D} pen @param {number} wide device px @param {number} tall @param {Overview} of @param {import("./draw.js").Trace} trace */
function drawSignal(pen, wide, tall, of, trace) {
    pen.strokeStyle = of.colours["trace-2"];
    const lines = columnsOf(trace.frames, 0, of.whole, wide, trace.rate, trace.gaps);
    const [low, high] = calm(undefined, extent([lines], "robust"));
    pen.beginPath();
    addLine(pen, lines, 0, { high, top: 0, perUnit: tall / (high - low), bottom: tall });
    strokeLines(pen);
}
