// @ts-check
/** The track of a device in the panel: where it was in the view, stronger where it was faster, and where it is at the cursor. */
import { element, fitted, hide, write } from "./page.js";
import { barLength, lengthWords, nearestPoint, placedTrack, pointsOf } from "./track.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {import("./track.js").Step} Step */

const MARGIN = 20;
/** Speeds are told by so many lightnesses. */
const SHADES = 4;

/** Draws the track of the first stream that has positions; hides the section where there is none. @param {Timeline} at */
export function drawTrack(at) {
    const trace = [...at.traces.values()].find((one) => one.place);
    hide(element("track-section"), trace === undefined);
    if (!trace || !at.view || element("panel").hidden) return;
    const canvas = /** @type {HTMLCanvasElement} */ (element("track"));
    const { width, height, ratio } = fitted(canvas);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = at.colours.ground;
    pen.fillRect(0, 0, width, height);
    const points = pointsOf(trace.frames, at.view);
    const { steps, scale } = placedTrack(points, width, height, MARGIN);
    const fastest = points.reduce((most, { speed }) => (speed > most ? speed : most), 0);
    const words = points.length === 0 ? "No position in view" : `${trace.name}: up to ${Number(fastest.toPrecision(3))} m/s; the stronger, the faster`;
    write(element("track-words"), words);
    canvas.setAttribute("aria-label", `Track, north up. ${words}`);
    if (points.length === 0) return;
    drawPath(pen, steps, fastest, at.colours);
    drawBar(pen, width, height, scale, at.colours);
    const here = steps[nearestPoint(points, at.markTime())];
    pen.fillStyle = at.colours.ink;
    pen.strokeStyle = at.colours.ground;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(here.x, here.y, 5, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
}

/** Slow parts first, so that fast ones lie over them. @param {CanvasRenderingContext2D} pen @param {readonly Step[]} steps @param {number} fastest @param {Record<string, string>} colours */
function drawPath(pen, steps, fastest, colours) {
    const inks = [colours["trace-3"], colours["trace-3"], colours["trace-2"], colours["trace-1"]];
    const shadeOf = (/** @type {Step} */ { speed }) => (Number.isNaN(speed) || fastest === 0 ? 0 : Math.min(SHADES - 1, Math.floor((speed / fastest) * SHADES)));
    for (let shade = 0; shade < SHADES; shade += 1) {
        pen.strokeStyle = inks[shade];
        pen.lineWidth = shade === 0 ? 1 : 2;
        pen.beginPath();
        steps.forEach((step, i) => {
            if (!step.joined || shadeOf(step) !== shade) return;
            pen.moveTo(steps[i - 1].x, steps[i - 1].y);
            pen.lineTo(step.x, step.y);
        });
        pen.stroke();
    }
}

/** @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height @param {number} scale px a metre @param {Record<string, string>} colours */
function drawBar(pen, width, height, scale, colours) {
    const length = barLength(width / 3 / scale);
    const [left, y] = [8.5, height - 8.5];
    pen.strokeStyle = colours.second;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(left, y - 4);
    pen.lineTo(left, y);
    pen.lineTo(left + length * scale, y);
    pen.lineTo(left + length * scale, y - 4);
    pen.stroke();
    pen.fillStyle = colours.second;
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "bottom";
    pen.fillText(lengthWords(length), left + 4, y - 3);
}
