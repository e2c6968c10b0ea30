// @ts-check
/**
 * The picture: ruler, streams with their gaps, lanes of marks, cursor. It reads a scene and changes nothing but the
 * canvas. Traces are one device pixel; hue is kept for labels, and a mark is never told by colour alone.
 */
import { BAR, GUTTER, LANE, RULER, figure } from "./layout.js";
import { floorDiv, tickLabel, tickStep, ticks, DAY, day } from "./time.js";
import { columnsOf, calm, extent } from "./traces.js";
import { xOf } from "./view.js";

/** @typedef {import("./layout.js").Row} Row */
/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {{ start: bigint, end: bigint, reason: string }} Gap */
/**
 * @typedef {object} Trace
 * @property {string} name
 * @property {{ name: string, unit: string, states: Record<string, string> }[]} channels
 * @property {number | null} rate
 * @property {import("./frames.js").Frame[]} frames by time
 * @property {import("./frames.js").Frame | undefined} before the last sample before the view
 * @property {Gap[]} gaps
 * @property {[number, number] | undefined} extent what was drawn last
 */
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
 * @property {{ user: string, start: bigint, end: bigint, label: string }[]} ghosts
 */

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
    drawRuler(pen, plot, height, scene);
    for (const row of scene.rows) {
        if (row.kind === "stream") drawStream(pen, plot, ratio, row, scene);
        else drawLane(pen, plot, row, scene);
    }
    drawCursor(pen, height, scene);
    pen.restore();
    for (const row of scene.rows) drawGutter(pen, width, row, scene);
}

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} height @param {Scene} scene */
function drawRuler(pen, plot, height, { view, colours }) {
    const step = tickStep(view.to - view.from, plot, 96);
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    for (const at of ticks(view.from, view.to, step)) {
        const x = Math.round(xOf(view, at, plot)) + 0.5;
        pen.fillStyle = colours.grid;
        pen.fillRect(x - 0.5, 0, 1, height);
        pen.fillStyle = colours.second;
        pen.fillText(tickLabel(at, step), x + 4, RULER / 2);
    }
    if (step >= DAY) return;
    const midnight = floorDiv(view.to, DAY) * DAY;
    if (midnight > view.from) return;
    pen.fillStyle = colours.ground; // the day, where no tick says it
    const words = day(view.from);
    pen.fillRect(0, 0, pen.measureText(words).width + 12, RULER);
    pen.fillStyle = colours.ink;
    pen.fillText(words, 4, RULER / 2);
}

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} ratio @param {Row} row @param {Scene} scene */
function drawStream(pen, plot, ratio, row, scene) {
    const trace = scene.traces.get(row.name);
    pen.fillStyle = scene.colours.grid;
    pen.fillRect(0, row.top + row.height - 1, plot, 1);
    if (!trace) return;
    for (const gap of trace.gaps) drawGap(pen, plot, row, gap, scene);
    if (trace.channels.length === 1 && Object.keys(trace.channels[0].states).length > 0) return drawStates(pen, plot, row, trace, scene);
    const width = Math.ceil(plot * ratio);
    const channels = trace.channels.map((_, c) => columnsOf(trace.frames, c, scene.view, width, trace.rate, trace.gaps));
    const now = extent(channels, scene.yMode === "full" ? "full" : "robust");
    trace.extent = scene.yMode === "fixed" && trace.extent ? trace.extent : calm(trace.extent, now);
    drawBefore(pen, row, trace, scene);
    pen.save();
    pen.setTransform(1, 0, 0, 1, Math.round(GUTTER * ratio), 0);
    const [top, tall] = [row.top * ratio, row.height * ratio];
    const [low, high] = trace.extent;
    const y = (/** @type {number} */ value) => {
        const at = top + ((high - value) / (high - low)) * tall;
        return at < top ? top : at > top + tall - 1 ? top + tall - 1 : at; // a clipped peak stays as a tick at the border
    };
    channels.forEach((columns, c) => {
        pen.strokeStyle = scene.colours[`trace-${(c % 3) + 1}`];
        pen.lineWidth = 1;
        pen.setLineDash(c < 3 ? [] : [4, 2]);
        strokeColumns(pen, columns, y);
    });
    pen.restore();
}

/**
 * @param {CanvasRenderingContext2D} pen in device px @param {import("./traces.js").Columns} columns
 * @param {(value: number) => number} y
 */
function strokeColumns(pen, columns, y) {
    const { low, high, first, last, joined } = columns;
    pen.beginPath();
    for (let x = 0; x < low.length; x += 1) {
        if (Number.isNaN(low[x])) continue;
        const [bottom, top] = [y(low[x]), y(high[x])];
        if (joined[x]) pen.lineTo(x + 0.5, y(first[x]));
        else pen.moveTo(x + 0.5, y(first[x]));
        if (bottom - top > 0.5) {
            pen.lineTo(x + 0.5, bottom);
            pen.lineTo(x + 0.5, top);
            pen.lineTo(x + 0.5, y(last[x]));
        } else if (!joined[x]) pen.lineTo(x + 1, y(first[x])); // a lone sample is a dot
    }
    pen.stroke();
}

/** A gap: hatched absence with its reason. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Gap} gap @param {Scene} scene */
function drawGap(pen, plot, row, gap, { view, colours }) {
    const start = Math.max(0, xOf(view, gap.start, plot));
    const end = Math.min(plot, xOf(view, gap.end, plot));
    if (end < 0 || start > plot) return;
    hatch(pen, start, row.top + 1, Math.max(1, end - start), row.height - 2, colours.grid, 8);
    const words = pen.measureText(gap.reason).width;
    if (words + 16 > end - start) return;
    pen.fillStyle = colours.second;
    pen.textAlign = "center";
    pen.fillText(gap.reason, (start + end) / 2, row.top + row.height / 2);
    pen.textAlign = "left";
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {number} height @param {string} colour @param {number} step */
function hatch(pen, x, y, width, height, colour, step) {
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    pen.strokeStyle = colour;
    pen.beginPath();
    for (let at = Math.floor((x - height) / step) * step; at < x + width; at += step) {
        pen.moveTo(at, y + height);
        pen.lineTo(at + height, y);
    }
    pen.stroke();
    pen.restore();
}

/** Named states: a lane of words, never interpolated. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Trace} trace @param {Scene} scene */
function drawStates(pen, plot, row, trace, { view, colours }) {
    const words = trace.channels[0].states;
    let from = 0;
    let value = trace.before ? trace.before.channels[0].last[0] + trace.before.channels[0].base : NaN;
    const top = row.top + row.height / 2 - BAR / 2;
    const until = (/** @type {number} */ x) => {
        if (!Number.isNaN(value) && x > from) {
            pen.strokeStyle = colours.second;
            pen.strokeRect(from + 0.5, top + 0.5, x - from, BAR);
            pen.fillStyle = colours.ink;
            const word = words[String(Math.round(value))] ?? figure(value);
            if (pen.measureText(word).width + 8 < x - from) pen.fillText(word, from + 4, top + BAR / 2 + 1);
        }
        from = Math.max(0, x);
    };
    for (const frame of trace.frames) {
        const [base, scale] = [xOf(view, frame.base, plot), plot / Number(view.to - view.from)];
        for (let i = 0; i < frame.at.length; i += 1) {
            const next = frame.channels[0].last[i] + frame.channels[0].base;
            if (next === value) continue;
            until(base + frame.at[i] * scale);
            value = next;
        }
    }
    until(plot);
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

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Scene} scene */
function drawLane(pen, plot, row, scene) {
    const { view, colours, pending } = scene;
    pen.fillStyle = colours.grid;
    pen.fillRect(0, row.top + LANE - 1, plot, 1);
    for (const run of scene.lanes.get(row.name)?.runs(view, plot) ?? []) drawMark(pen, row, run.start, run.end, run.marks[0], scene);
    if (pending && pending.lane === row.name) drawRange(pen, plot, row, pending, scene);
    for (const ghost of scene.ghosts) if (ghost.user === row.name) drawRange(pen, plot, row, ghost, scene);
}

/** A range that is about to be marked: dashed. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {{ start: bigint, end: bigint, label: string }} range @param {Scene} scene */
function drawRange(pen, plot, row, range, { view, colours, labels }) {
    const [start, end] = [xOf(view, range.start, plot), xOf(view, range.end, plot)];
    pen.save();
    pen.strokeStyle = colours[`label-${labels.get(range.label)?.hue ?? 0}`] ?? colours.ink;
    pen.lineWidth = 2;
    pen.setLineDash([4, 3]);
    pen.strokeRect(Math.min(start, end), row.top + 2, Math.max(2, Math.abs(end - start)), BAR - 1);
    pen.restore();
    pen.fillStyle = colours.ink;
    if (Math.abs(end - start) > 40) pen.fillText(range.label, Math.min(start, end) + 4, row.top + LANE / 2);
}

/** @param {CanvasRenderingContext2D} pen @param {Row} row @param {number} start px @param {number} end @param {Mark} mark @param {Scene} scene */
function drawMark(pen, row, start, end, mark, scene) {
    const { colours, labels } = scene;
    const known = labels.get(mark.label);
    const colour = mark.trim ? colours.second : (colours[`label-${known?.hue ?? 0}`] ?? colours.second);
    const [top, width] = [row.top + 2, Math.max(mark.start === mark.end ? 3 : 1, end - start)];
    if (mark.tool === "rule" || mark.trim) {
        hatch(pen, start, top, width, BAR, colour, mark.trim ? 4 : 6);
        pen.strokeStyle = colour;
        pen.strokeRect(start + 0.5, top + 0.5, Math.max(0, width - 1), BAR - 1);
    } else {
        pen.fillStyle = colour;
        pen.globalAlpha = mark.state === "saved" ? 1 : 0.5;
        pen.fillRect(start, top, width, BAR);
        pen.globalAlpha = 1;
    }
    if (mark.state !== "saved") outline(pen, start, top, width, mark.state === "refused" ? colours.alarm : colours.ink, [4, 3]);
    if (mark.id === scene.selected) outline(pen, start - 1, top - 1, width + 2, colours.ink, []);
    const left = Math.max(0, start);
    const words = mark.trim ? "trim" : end - left >= 40 ? mark.label : end - left >= 16 ? (known?.code ?? mark.label.slice(0, 2)) : "";
    if (words) drawWords(pen, words, left, end, top, mark.tool === "rule" || mark.trim ? undefined : colour, colours);
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {string} colour @param {number[]} dash */
function outline(pen, x, y, width, colour, dash) {
    pen.save();
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.setLineDash(dash);
    pen.strokeRect(x + 0.5, y + 0.5, width, BAR);
    pen.restore();
}

/** A bar's words, on its colour or, over hatches, on the ground. @param {CanvasRenderingContext2D} pen @param {string} words @param {number} left @param {number} end @param {number} top @param {string | undefined} colour @param {Record<string, string>} colours */
function drawWords(pen, words, left, end, top, colour, colours) {
    const room = end - left - 8;
    if (room < 8) return;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, end - left, BAR);
    pen.clip();
    if (colour === undefined) {
        pen.fillStyle = colours.ground;
        pen.fillRect(left + 2, top + 2, Math.min(room + 4, pen.measureText(words).width + 6), BAR - 4);
    }
    pen.fillStyle = colour === undefined ? colours.ink : readable(colour);
    pen.fillText(words, left + 4, top + BAR / 2 + 1);
    pen.restore();
}

/**
 * Black or white: what reads better on a colour of the style sheet (WCAG 2.2, relative luminance).
 * @param {string} colour `#RRGGBB` @returns {string}
 */
export function readable(colour) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#FFFFFF";
}

/** @param {CanvasRenderingContext2D} pen @param {number} height @param {Scene} scene */
function drawCursor(pen, height, { cursor, colours }) {
    if (cursor === undefined) return;
    pen.fillStyle = colours.second;
    pen.fillRect(Math.round(cursor), RULER, 1, height - RULER);
}

/** Name, unit and range of a row, at its left; the channels' names at the right ends of their traces. @param {CanvasRenderingContext2D} pen @param {number} width @param {Row} row @param {Scene} scene */
function drawGutter(pen, width, row, { traces, colours }) {
    pen.textAlign = "left";
    pen.fillStyle = colours.ink;
    if (row.kind === "lane") {
        pen.fillStyle = colours.second;
        pen.fillText(row.name, 8, row.top + LANE / 2, GUTTER - 16);
        return;
    }
    pen.fillText(row.name, 8, row.top + 12, GUTTER - 16);
    const trace = traces.get(row.name);
    if (!trace) return;
    pen.fillStyle = colours.second;
    pen.fillText(trace.channels[0]?.unit ?? "", 8, row.top + 28, GUTTER - 16);
    if (trace.extent && Object.keys(trace.channels[0]?.states ?? {}).length === 0) {
        pen.textAlign = "right";
        pen.fillText(figure(trace.extent[1]), GUTTER - 6, row.top + 12, GUTTER / 2);
        pen.fillText(figure(trace.extent[0]), GUTTER - 6, row.top + row.height - 10, GUTTER - 16);
    }
    drawNames(pen, width, row, trace, colours);
}

/** @param {CanvasRenderingContext2D} pen @param {number} width @param {Row} row @param {Trace} trace @param {Record<string, string>} colours */
function drawNames(pen, width, row, trace, colours) {
    const frame = trace.frames.at(-1);
    const { extent: drawn } = trace;
    if (!frame || !drawn || trace.channels.length < 2 || frame.at.length === 0) return;
    const [low, high] = drawn;
    const places = frame.channels.map((channel, c) => {
        const value = channel.last[channel.last.length - 1] + channel.base;
        return { name: trace.channels[c]?.name ?? "", c, y: row.top + ((high - value) / (high - low)) * row.height };
    }).sort((one, other) => one.y - other.y);
    let floor = row.top + 8;
    pen.textAlign = "right";
    places.forEach(({ name, c, y }, i) => {
        const lowest = row.top + row.height - 8 - 13 * (places.length - 1 - i);
        const at = Math.max(floor, Math.min(Number.isNaN(y) ? floor : y, lowest));
        floor = at + 13;
        pen.fillStyle = colours.ground;
        const words = pen.measureText(name).width;
        pen.fillRect(width - words - 8, at - 7, words + 8, 13);
        pen.fillStyle = colours[`trace-${(c % 3) + 1}`];
        pen.fillText(name, width - 4, at);
    });
}

/**
 * The overview: the first stream whole, marks as a band, the view as a box.
 * @param {CanvasRenderingContext2D} pen @param {number} width @param {number} height @param {number} ratio
 * @param {{ whole: import("./view.js").View, view: import("./view.js").View, trace: Trace | undefined, colours: Record<string, string>,
 *   cells: { column: number, hue: number, share: number }[], columns: number, people: { from: bigint, to: bigint }[] }} scene
 */
export function drawOverview(pen, width, height, ratio, { whole, view, trace, colours, cells, columns, people }) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.ground;
    pen.fillRect(0, 0, width, height);
    pen.save();
    pen.translate(GUTTER, 0);
    const plot = Math.max(1, width - GUTTER);
    const band = height - 10;
    if (trace) {
        const lines = columnsOf(trace.frames, 0, whole, Math.ceil(plot * ratio), trace.rate, trace.gaps);
        const [low, high] = calm(undefined, extent([lines], "robust"));
        pen.save();
        pen.setTransform(1, 0, 0, 1, Math.round(GUTTER * ratio), 0);
        pen.strokeStyle = colours["trace-2"];
        strokeColumns(pen, lines, (value) => Math.min(band, Math.max(0, ((high - value) / (high - low)) * band)) * ratio);
        pen.restore();
    }
    for (const { column, hue, share } of cells) {
        pen.fillStyle = colours[`label-${hue}`] ?? colours.second;
        pen.fillRect((column / columns) * plot, height - 8 * share, Math.max(1, plot / columns), 8 * share);
    }
    const [start, end] = [Math.max(0, xOf(whole, view.from, plot)), Math.min(plot, xOf(whole, view.to, plot))];
    pen.fillStyle = colours.grid;
    pen.fillRect(start, 0, Math.max(2, end - start), height);
    pen.strokeStyle = colours.ink;
    pen.strokeRect(Math.round(start) + 0.5, 0.5, Math.max(2, Math.round(end - start) - 1), height - 1);
    pen.strokeStyle = colours.second;
    for (const { from, to } of people) pen.strokeRect(xOf(whole, from, plot), 1.5, Math.max(2, xOf(whole, to, plot) - xOf(whole, from, plot)), 3);
    pen.restore();
}
