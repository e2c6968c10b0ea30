// @ts-check
/**
 * The picture: ruler, streams with their gaps, lanes of marks, cursor. It reads a scene and changes nothing but the
 * canvas. Traces are one device pixel; hue is kept for labels, and a mark is never told by colour alone.
 */
import { drawGuide, drawLane, drawMeasure, hatch } from "./lanes.js";
import { GUTTER, LANE, RULER, bandsOf, figures, wideOf } from "./layout.js";
import { drawLines, linesOf, seenLines } from "./lines.js";
import { drawStates, isStated } from "./states.js";
import { duration, floorDiv, tickLabel, tickStep, ticks, DAY, day } from "./time.js";
import { calm, extent, lastOf } from "./traces.js";
import { xOf } from "./view.js";

/** @typedef {import("./layout.js").Row} Row */
/** @typedef {{ start: bigint, end: bigint, reason: string }} Gap */
/** @typedef {{ stream: string, start: bigint, end: bigint, by: bigint }} Unsure where the clock may be off, by how many ns */
/**
 * @typedef {object} Trace
 * @property {string} name
 * @property {{ name: string, unit: string, states: Record<string, string> }[]} channels
 * @property {number | null} rate
 * @property {import("./track.js").Place | undefined} place where its channels have a position: it is drawn as speed, and as a track
 * @property {string} [said] names and units of the channels as the stream is described
 * @property {import("./frames.js").Frame[]} frames by time
 * @property {import("./frames.js").Frame | undefined} before the last sample before the view
 * @property {Gap[]} gaps
 * @property {[number, number] | undefined} extent what was drawn last, of the first band
 * @property {[number, number][]} [extents] of all bands
 * @property {import("./lines.js").Kept} [kept] what was drawn last
 * @property {Words[]} [lasts] by band
 */
/** @typedef {{ frames: readonly import("./frames.js").Frame[], to: bigint, words: string[], old: boolean[] }} Words last values of these frames at the end of a view; `old`: of a slow stream, from before the view */
/**
 * @typedef {object} Scene
 * @property {import("./view.js").View} view
 * @property {Row[]} rows
 * @property {Map<string, Trace>} traces
 * @property {Map<string, import("./marks.js").Lane>} lanes
 * @property {Map<string, { hue: number, code: string }>} labels
 * @property {Record<string, string>} colours by the style sheet's names
 * @property {string} yMode @property {number | undefined} cursor px @property {string | undefined} selected mark
 * @property {{ start: bigint, end: bigint, label: string, lane: string } | undefined} pending
 * @property {boolean} troubled the page says why marks are not saved just now
 * @property {import("./merged.js").Merged | undefined} merged @property {import("./density.js").Dense | undefined} dense
 * @property {import("./snap.js").Snap | undefined} snap @property {import("./ruler.js").Ruler | undefined} ruler
 * @property {boolean} apart channels above one another
 * @property {boolean} moving the view does not rest yet: what is drawn may be of finer columns
 * @property {{ user: string, start: bigint, end: bigint, label: string }[]} ghosts
 * @property {readonly Unsure[]} unsure
 */

/** So many labels of a ruler are kept. */
const LABELS_MAX = 1_000;

/**
 * @param {CanvasRenderingContext2D} pen @param {number} width CSS px @param {number} height @param {number} ratio
 * @param {Scene} scene
 */
export function draw(pen, width, height, ratio, scene) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = scene.colours.ground;
    pen.fillRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    const plot = Math.max(1, width - GUTTER);
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, plot, height);
    pen.clip();
    pen.translate(GUTTER, 0);
    const taken = together(scene.unsure).map((unsure) => drawUnsure(pen, plot, unsure, scene));
    drawRuler(pen, plot, height, scene, taken);
    for (const row of scene.rows) {
        if (row.kind === "stream") drawStream(pen, plot, ratio, row, scene);
        else drawLane(pen, plot, row, scene);
    }
    drawCursor(pen, height, scene);
    drawGuide(pen, plot, height, scene);
    drawMeasure(pen, plot, height, scene);
    pen.restore();
    for (const row of scene.rows) drawGutter(pen, width, row, scene);
}

/** @type {{ step: bigint, labels: Map<bigint, string> }} of the ticks that were drawn last: what is panned has them still */
let known = { step: 0n, labels: new Map() };

/** What a tick says. @param {bigint} at @param {bigint} step @returns {string} */
function labelOf(at, step) {
    if (known.step !== step || known.labels.size > LABELS_MAX) known = { step, labels: new Map() };
    const label = known.labels.get(at) ?? tickLabel(at, step);
    known.labels.set(at, label);
    return label;
}

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} height @param {Scene} scene @param {readonly [number, number][]} taken where other words stand already, px */
function drawRuler(pen, plot, height, { view, colours }, taken) {
    const step = tickStep(view.to - view.from, plot, 96);
    const date = dateOf(view, step); // where no tick says it
    const dated = date ? wideOf(pen, date) + 12 : 0;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const at of ticks(view.from, view.to, step)) {
        const x = Math.round(xOf(view, at, plot)) + 0.5;
        pen.fillStyle = colours.grid;
        pen.fillRect(x - 0.5, 0, 1, height);
        pen.fillStyle = colours.second;
        const words = labelOf(at, step);
        const end = x + 4 + wideOf(pen, words);
        if (x + 4 >= dated && !taken.some(([left, right]) => x + 4 < right && end > left)) pen.fillText(words, x + 4, RULER / 2);
    }
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, dated, RULER);
    pen.fillStyle = colours.ink;
    pen.fillText(date, 4, RULER / 2);
}

/** The day of a view in which no tick says it; "" where one does. @param {import("./view.js").View} view @param {bigint} step @returns {string} */
function dateOf({ from, to }, step) {
    return step >= DAY || floorDiv(to, DAY) * DAY > from ? "" : day(from);
}

/**
 * The ranges of all streams as one ruler's: those that meet are one, as unsure as the worst of them.
 * @param {readonly Unsure[]} unsure @returns {Unsure[]} by start
 */
export function together(unsure) {
    const sorted = [...unsure].sort((one, other) => (one.start < other.start ? -1 : one.start > other.start ? 1 : 0));
    /** @type {Unsure[]} */
    const found = [];
    for (const one of sorted) {
        const last = found.at(-1);
        if (last && one.start <= last.end) found[found.length - 1] = { ...last, end: one.end > last.end ? one.end : last.end, by: one.by > last.by ? one.by : last.by };
        else found.push(one);
    }
    return found;
}

/**
 * An amber ruler, and how far times may be off, at its right end.
 * @param {CanvasRenderingContext2D} pen @param {number} plot @param {Unsure} unsure @param {Scene} scene
 * @returns {[number, number]} where its words stand, px
 */
function drawUnsure(pen, plot, { start, end, by }, { view, colours }) {
    const from = Math.max(0, xOf(view, start, plot));
    const to = Math.min(plot, xOf(view, end, plot));
    if (to < 0 || from > plot) return [0, 0];
    pen.fillStyle = colours.amber;
    pen.fillRect(from, RULER - 3, Math.max(2, to - from), 3);
    const words = `± ${duration(by)}`;
    const width = wideOf(pen, words) + 8;
    if (width > to - from) return [0, 0];
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    pen.fillText(words, to - width + 4, RULER / 2);
    return [to - width, to];
}

/** Where a row's lines lie, below the bands of its named states. @param {Row} row @param {Trace} trace @param {boolean} apart @returns {ReturnType<typeof bandsOf>} */
export function lineBands(row, trace, apart) {
    const lines = trace.channels.flatMap((channel, c) => (isStated(channel) ? [] : [c]));
    const above = (trace.channels.length - lines.length) * LANE;
    const below = { ...row, top: row.top + above, height: row.height - above };
    return bandsOf(below, lines.length, apart).map((band) => ({ ...band, channels: band.channels.map((i) => lines[i]) }));
}

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} ratio @param {Row} row @param {Scene} scene */
function drawStream(pen, plot, ratio, row, scene) {
    const trace = scene.traces.get(row.name);
    pen.fillStyle = scene.colours.grid;
    pen.fillRect(0, row.top + row.height - 1, plot, 1);
    if (!trace) return;
    for (const gap of trace.gaps) drawGap(pen, plot, row, gap, scene);
    const stated = trace.channels.flatMap((channel, c) => (isStated(channel) ? [c] : []));
    const band = stated.length === trace.channels.length ? row.height / stated.length : LANE;
    stated.forEach((c, i) => drawStates(pen, plot, { top: row.top + i * band, height: band }, trace, c, scene));
    if (stated.length === trace.channels.length) return;
    const width = Math.ceil(plot * ratio);
    const bands = lineBands(row, trace, scene.apart);
    const drawn = linesOf(trace, bands.flatMap(({ channels }) => channels), scene.view, width, scene.moving);
    const before = trace.extents?.length === bands.length ? trace.extents : [];
    trace.extents = bands.map((lines, i) => {
        const now = extent(lines.channels.flatMap((c) => seenLines(drawn, c, width)), scene.yMode === "full" ? "full" : "robust");
        return scene.yMode === "fixed" && before[i] ? before[i] : calm(before[i], now, scene.moving);
    });
    trace.extent = trace.extents[0];
    drawBefore(pen, { ...row, ...bands[0] }, trace, scene);
    bands.forEach((lines, i) => drawBand(pen, ratio, lines, /** @type {[number, number][]} */ (trace.extents)[i], drawn, scene));
}

/** @param {CanvasRenderingContext2D} pen @param {number} ratio @param {ReturnType<typeof bandsOf>[number]} band @param {[number, number]} extent @param {import("./lines.js").Lines} drawn @param {Scene} scene */
function drawBand(pen, ratio, band, [low, high], drawn, scene) {
    pen.save();
    const [top, tall] = [band.top * ratio, band.height * ratio];
    const scale = { high, top, perUnit: tall / (high - low), bottom: top + tall - 1 }; // a clipped peak stays as a tick at the border
    for (const c of band.channels) {
        pen.strokeStyle = scene.colours[`trace-${(c % 3) + 1}`];
        pen.lineWidth = 1;
        pen.setLineDash(c < 3 ? [] : [4, 2]);
        drawLines(pen, drawn, c, Math.round(GUTTER * ratio), scale);
    }
    pen.restore();
}

/** A gap: hatched absence with its reason. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Gap} gap @param {Scene} scene */
function drawGap(pen, plot, row, gap, { view, colours }) {
    const start = Math.max(0, xOf(view, gap.start, plot));
    const end = Math.min(plot, xOf(view, gap.end, plot));
    if (end < 0 || start > plot) return;
    hatch(pen, start, row.top + 1, Math.max(1, end - start), row.height - 2, colours.grid, 8);
    const words = wideOf(pen, gap.reason);
    if (words + 16 > end - start) return;
    pen.fillStyle = colours.second;
    pen.textAlign = "center";
    pen.fillText(gap.reason, (start + end) / 2, row.top + row.height / 2);
    pen.textAlign = "left";
}

/** A dimmed dash: the last value of a slow stream from before the view. @param {CanvasRenderingContext2D} pen @param {Row} row @param {Trace} trace @param {Scene} scene */
function drawBefore(pen, row, trace, { colours, view }) {
    if (!trace.before || !trace.extent || trace.before.base >= view.from) return;
    const [low, high] = trace.extent;
    const channel = trace.before.channels[0];
    const y = row.top + ((high - channel.last[0] - channel.base) / (high - low)) * row.height;
    pen.fillStyle = colours.second;
    pen.fillRect(0, Math.min(row.top + row.height - 2, Math.max(row.top, y)), 8, 1);
}

/** @param {CanvasRenderingContext2D} pen @param {number} height @param {Scene} scene */
function drawCursor(pen, height, { cursor, colours }) {
    if (cursor === undefined) return;
    pen.fillStyle = colours.second;
    pen.fillRect(Math.round(cursor), RULER, 1, height - RULER);
}

/** px between figures above one another. */
const FIGURE = 13;
/** px that the ends of a range take of a band's height. */
const ENDS = 44;

/** ns that a view may go on by before the values at its end are read anew: eyes cannot follow more, and a browser shapes each new word. */
const FOLLOWED = 250_000_000n;

/**
 * The newest value of each of a band's channels up to a view's end, in words.
 * @param {Trace} trace @param {number} place of the band @param {readonly number[]} channels @param {import("./view.js").View} view
 * @param {[number, number]} range whose digits they have @returns {Words}
 */
function lastWords(trace, place, channels, { from, to }, range) {
    const known = (trace.lasts ??= [])[place];
    if (known && known.frames === trace.frames && to > known.to && to - known.to < FOLLOWED) return known;
    const found = channels.flatMap((channel) => lastOf(trace.frames, channel, to) ?? lastOf(trace.before ? [trace.before] : [], channel, to) ?? []);
    const [, , ...words] = figures(...range, ...found.map(({ value }) => value));
    return (trace.lasts[place] = { frames: trace.frames, to, words, old: found.map(({ at }) => at < from) });
}

/** Name, unit, range and last values of a row, at its left; the channels' names at the right ends of their traces. @param {CanvasRenderingContext2D} pen @param {number} width @param {Row} row @param {Scene} scene */
function drawGutter(pen, width, row, scene) {
    const { traces, colours, apart } = scene;
    pen.textAlign = "left";
    pen.fillStyle = colours.ink;
    if (row.kind !== "stream") {
        pen.fillStyle = colours.second;
        pen.fillText(row.name, 8, row.top + LANE / 2, GUTTER - 16);
        return;
    }
    pen.fillText(row.name, 8, row.top + 12, GUTTER - 16);
    const trace = traces.get(row.name);
    if (!trace) return;
    const bands = lineBands(row, trace, apart);
    pen.fillStyle = colours.second;
    pen.fillText(trace.channels.find((channel) => !isStated(channel))?.unit ?? "", 8, row.top + 28, GUTTER - 16);
    if (trace.extent && !trace.channels.every(isStated)) {
        pen.textAlign = "right";
        bands.forEach((band, i) => drawFigures(pen, band, trace, i, scene));
    }
    drawNames(pen, width, row, trace, bands, colours);
}

/** The ends of a band's range and, where there is room between them, the last value of each channel. @param {CanvasRenderingContext2D} pen @param {ReturnType<typeof bandsOf>[number]} band @param {Trace} trace @param {number} place of the band @param {Scene} scene */
function drawFigures(pen, { top, height, channels }, trace, place, { view, colours, moving }) {
    const [right, half] = [GUTTER - 6, GUTTER / 2];
    const range = trace.extents?.[place] ?? /** @type {[number, number]} */ ([0, 1]);
    const [low, high] = figures(...range);
    pen.fillStyle = colours.second;
    pen.fillText(high, right, top + 12, half);
    if (height > 30) pen.fillText(low, right, top + height - 10, place === 0 ? GUTTER - 16 : half);
    if (moving || height < ENDS + FIGURE * channels.length) return;
    const { words, old } = lastWords(trace, place, channels, view, range);
    words.forEach((figure, i) => {
        pen.fillStyle = old[i] ? colours.second : colours.ink; // a third trace's shade is too faint for figures
        pen.fillText(figure, right, top + height / 2 + (i - (words.length - 1) / 2) * FIGURE, GUTTER - 16);
    });
}

/** @param {CanvasRenderingContext2D} pen @param {number} width @param {Row} row @param {Trace} trace @param {ReturnType<typeof bandsOf>} bands @param {Record<string, string>} colours */
function drawNames(pen, width, row, trace, bands, colours) {
    const frame = trace.frames.at(-1);
    if (!frame || trace.extents?.length !== bands.length || trace.channels.length < 2 || frame.at.length === 0) return;
    const places = frame.channels.map((channel, c) => {
        const value = channel.last[channel.last.length - 1] + channel.base;
        const place = bands.findIndex(({ channels }) => channels.includes(c));
        const above = trace.channels.slice(0, c).filter(isStated).length; // bands of states over this one
        const [low, high] = trace.extents?.[place] ?? [0, 1];
        const y = place < 0 ? row.top + (above + 0.5) * LANE : bands[place].top + ((high - value) / (high - low)) * bands[place].height;
        return { name: trace.channels[c]?.name ?? "", c, y };
    }).sort((one, other) => one.y - other.y);
    let floor = row.top + 8;
    pen.textAlign = "right";
    places.forEach(({ name, c, y }, i) => {
        const lowest = row.top + row.height - 8 - 13 * (places.length - 1 - i);
        const at = Math.max(floor, Math.min(Number.isNaN(y) ? floor : y, lowest));
        floor = at + 13;
        pen.fillStyle = colours.ground;
        const words = wideOf(pen, name);
        pen.fillRect(width - words - 8, at - 7, words + 8, 13);
        pen.fillStyle = colours[`trace-${(c % 3) + 1}`];
        pen.fillText(name, width - 4, at);
    });
}
