// @ts-check
/** The lanes of the picture: marks as bars, what is about to be marked, what others are about to mark. */
import { barsOf, placeOf } from "./density.js";
import { BAR, LANE, RULER, wideOf } from "./layout.js";
import { rulerWords } from "./ruler.js";
import { colourOf, isForced, paintOf } from "./textures.js";
import { clock } from "./time.js";
import { xOf } from "./view.js";

/** @typedef {import("./layout.js").Row} Row */
/** @typedef {import("./marks.js").Mark} Mark */
/** @typedef {import("./draw.js").Scene} Scene */

/** px outside of the plot that are drawn: a bar that goes on has no end there. */
const BEYOND = 8;

/** A lane of marks, or of all lanes together. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Scene} scene */
export function drawLane(pen, plot, row, scene) {
    const { view, colours, pending, merged, dense } = scene;
    pen.fillStyle = colours.grid;
    pen.fillRect(0, row.top + LANE - 1, plot, 1);
    if (dense && row.kind === "merged") return drawDensity(pen, plot, row, dense, scene);
    if (dense) return drawAside(pen, row, "more marks than can be drawn: see below, or zoom in", colours);
    const lane = row.kind === "merged" ? merged?.lane : scene.lanes.get(row.name);
    for (const run of lane?.runs(view, plot) ?? []) drawMark(pen, plot, row, run, scene);
    for (const mark of row.kind === "merged" ? [] : (lane?.struck ?? [])) drawStruck(pen, plot, row, mark, scene);
    for (const conflict of row.kind === "merged" ? (merged?.conflicts ?? []) : []) drawConflict(pen, plot, row, conflict, scene);
    if (pending && pending.lane === row.name) drawRange(pen, plot, row, pending, scene);
    for (const ghost of scene.ghosts) if (ghost.user === row.name) drawRange(pen, plot, row, ghost, scene);
}

/** Words in a lane that has nothing to draw. @param {CanvasRenderingContext2D} pen @param {Row} row @param {string} words @param {Record<string, string>} colours */
function drawAside(pen, row, words, colours) {
    pen.fillStyle = colours.second;
    pen.fillText(words, 8, row.top + LANE / 2);
}

/** @typedef {{ most: number, least: number, paths: Path2D[] }} Counted bars of each label, in columns across and the lane's px down, none narrower than `least` */
/** @type {WeakMap<import("./density.js").Dense, Counted>} as they were drawn last: what moves is the pen */
const counted = new WeakMap();

/** While a view moves, bars are stretched by this much at most before they are made anew: the fullest column in view is another one in many a frame. */
const STRETCHED = 1.25;

/** So many marks that they are counted. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {import("./density.js").Dense} dense @param {Scene} scene */
function drawDensity(pen, plot, row, dense, { view, colours, labels, moving }) {
    const { begin, wide, most } = placeOf(dense, view, plot);
    const { paths, most: whole } = countedPaths(dense, most, Math.max(1, 1 / wide), moving);
    const tall = whole / most;
    pen.save();
    pen.transform(wide, 0, 0, tall, begin, row.top + 2 + BAR * (1 - tall));
    dense.parts.forEach(({ label }, i) => {
        pen.fillStyle = paintOf(colours, labels.get(label)?.hue ?? 0, 1 / wide, 1 / tall);
        pen.fill(paths[i]);
    });
    pen.restore();
}

/** @param {import("./density.js").Dense} dense @param {number} most @param {number} least columns, of a px @param {boolean} moving those for nearly as many will do @returns {Counted} */
function countedPaths(dense, most, least, moving) {
    const known = counted.get(dense);
    const near = moving ? STRETCHED : 1;
    if (known && known.least === least && known.most <= most * near && most <= known.most * near) return known;
    const paths = dense.parts.map((part) => {
        const path = new Path2D(); // one filling of many boxes: a third of what as many fillings cost
        const bars = barsOf(part, most);
        for (let i = 0; i < bars.length; i += 3) path.rect(bars[i], bars[i + 1] * BAR, least, Math.max(1, bars[i + 2] * BAR));
        return path;
    });
    const made = { most, least, paths };
    counted.set(dense, made);
    return made;
}

/** Taken back before one's eyes: an outline, struck through. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {Mark} mark @param {Scene} scene */
function drawStruck(pen, plot, row, mark, { view, colours }) {
    const [start, end] = [xOf(view, mark.start, plot), xOf(view, mark.end, plot)];
    if (end < 0 || start > plot) return;
    const [left, right, middle] = [Math.max(-BEYOND, start), Math.max(start + 3, Math.min(plot + BEYOND, end)), row.top + 2 + BAR / 2];
    pen.strokeStyle = colours.second;
    pen.strokeRect(left + 0.5, row.top + 2.5, right - left, BAR - 1);
    if (right - left > 40) drawWords(pen, mark.label, Math.max(0, left), right, row.top + 2, undefined, { ...colours, ink: colours.second });
    pen.beginPath();
    pen.moveTo(left, middle);
    pen.lineTo(right, middle);
    pen.stroke();
}

/** Two labels at once: a double outline, and a glyph. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {{ start: bigint, end: bigint }} range @param {Scene} scene */
function drawConflict(pen, plot, row, range, { view, colours }) {
    const [start, end] = [xOf(view, range.start, plot), xOf(view, range.end, plot)];
    const [left, right] = [Math.max(-BEYOND, start), Math.min(plot + BEYOND, end)];
    if (end >= 0 && start <= plot) dispute(pen, left, row.top + 2, Math.max(2, right - left), colours);
}

/** A double red outline and "!". @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {Record<string, string>} colours */
function dispute(pen, x, y, width, colours) {
    pen.save();
    pen.strokeStyle = colours.ground;
    pen.lineWidth = 3;
    if (width > 7) pen.strokeRect(x + 2, y + 2, width - 4, BAR - 4); // between the lines: red on orange is hardly seen
    pen.strokeStyle = colours.alarm;
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), BAR - 1);
    if (width > 7) pen.strokeRect(x + 3.5, y + 3.5, width - 7, BAR - 7);
    if (width > 12) {
        pen.fillStyle = colours.ground;
        pen.fillRect(x + width - 13, y + 2, 11, BAR - 4);
        pen.fillStyle = colours.alarm;
        pen.font = "bold 14px system-ui, sans-serif";
        pen.textAlign = "center";
        pen.fillText("!", x + width - 7.5, y + BAR / 2 + 1);
    }
    pen.restore();
}

/** Where a dragged point has snapped to: a line from top to bottom, and its time. @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} height @param {Scene} scene */
export function drawGuide(pen, plot, height, { view, snap, colours }) {
    if (!snap) return;
    const x = Math.round(xOf(view, snap.at, plot));
    pen.fillStyle = colours.ink;
    for (let y = RULER; y < height; y += 6) pen.fillRect(x, y, 1, 4);
    label(pen, `${clock(snap.at, 6)} ${snap.kind}`, x + 6, RULER + 10, plot, colours);
}

/** Two lines and what lies between them. @param {CanvasRenderingContext2D} pen @param {number} plot @param {number} height @param {Scene} scene */
export function drawMeasure(pen, plot, height, { view, ruler, colours }) {
    if (!ruler) return;
    const [from, to] = [xOf(view, ruler.from.at, plot), xOf(view, ruler.to.at, plot)];
    pen.fillStyle = colours.ink;
    for (const x of [from, to]) pen.fillRect(Math.round(x), RULER, 1, height - RULER);
    pen.fillRect(Math.min(from, to), RULER + 26, Math.abs(to - from), 1);
    label(pen, rulerWords(ruler), Math.min(from, to) + 6, RULER + 38, plot, colours);
}

/** Words on the ground, not beyond the right border. @param {CanvasRenderingContext2D} pen @param {string} words @param {number} x @param {number} y @param {number} plot @param {Record<string, string>} colours */
function label(pen, words, x, y, plot, colours) {
    const wide = wideOf(pen, words);
    const left = Math.max(0, Math.min(x, plot - wide - 8));
    pen.fillStyle = colours.raised;
    pen.fillRect(left - 4, y - 9, wide + 8, 18);
    pen.fillStyle = colours.ink;
    pen.textAlign = "left";
    pen.fillText(words, left, y + 1);
}

/** A range that is about to be marked: dashed. @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {{ start: bigint, end: bigint, label: string }} range @param {Scene} scene */
function drawRange(pen, plot, row, range, { view, colours, labels }) {
    const [start, end] = [xOf(view, range.start, plot), xOf(view, range.end, plot)];
    pen.save();
    const known = labels.get(range.label);
    pen.strokeStyle = known ? colourOf(colours, known.hue) : colours.ink;
    pen.lineWidth = 2;
    pen.setLineDash([4, 3]);
    pen.strokeRect(Math.min(start, end), row.top + 2, Math.max(2, Math.abs(end - start)), BAR - 1);
    pen.restore();
    pen.fillStyle = colours.ink;
    if (Math.abs(end - start) > 40) pen.fillText(range.label, Math.min(start, end) + 4, row.top + LANE / 2);
}

/** @param {CanvasRenderingContext2D} pen @param {number} plot @param {Row} row @param {import("./marks.js").Run} run @param {Scene} scene */
function drawMark(pen, plot, row, run, scene) {
    const { colours, labels } = scene;
    const [mark] = run.marks;
    const [start, end] = [Math.max(-BEYOND, run.start), Math.min(plot + BEYOND, run.end)]; // a year's hatches are not drawn
    const known = labels.get(mark.label);
    const hue = known?.hue ?? 0;
    const colour = mark.trim ? colours.second : colourOf(colours, hue);
    const [top, width] = [row.top + 2, Math.max(mark.start === mark.end ? 3 : 1, end - start)];
    const hatched = mark.tool === "rule" || mark.trim;
    const fill = hatched ? undefined : mark.state === "saved" ? paintOf(colours, hue) : halfway(colour, colours.ground);
    if (hatched) {
        hatch(pen, start, top, width, BAR, colour, mark.trim ? 4 : 6);
        if (!mark.trim) drawStrip(pen, start, top, width, paintOf(colours, hue), colours);
    } else {
        pen.fillStyle = fill ?? colours.ground;
        pen.fillRect(start, top, width, BAR);
    }
    if (hatched || (fill && typeof fill !== "string")) { // else one could not see where it ends
        pen.strokeStyle = colour;
        pen.strokeRect(start + 0.5, top + 0.5, Math.max(0, width - 1), BAR - 1);
    }
    if (mark.state !== "saved") { // within the bar: the outline of the selected one is around it
        const colour = mark.state === "refused" || scene.troubled ? colours.amber : colours.ink;
        outline(pen, start + Math.min(2, width / 2), top + 2, Math.max(0, width - 4), BAR - 4, colour, [4, 3]);
    }
    if (row.kind === "lane" && mark.id === scene.selected) outline(pen, start - 0.5, top - 0.5, width + 2, BAR, colours.ink, []);
    const left = Math.max(0, start);
    const words = mark.trim ? "trim" : end - left >= 40 ? mark.label : end - left >= 16 ? (known?.code ?? mark.label.slice(0, 2)) : "";
    if (words) drawWords(pen, words, left, end, top, typeof fill === "string" ? fill : undefined, colours);
    if (row.kind === "lane" && run.marks.some((one) => scene.merged?.disputed.has(one.id))) dispute(pen, start, top, width, colours);
}

/** Of a rule's bar the lower third, where its hatching's colour does not say which label it is. @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {string | CanvasPattern} paint @param {Record<string, string>} colours */
function drawStrip(pen, x, y, width, paint, colours) {
    if (typeof paint === "string" && !isForced(colours)) return;
    pen.fillStyle = colours.ground;
    pen.fillRect(x, y + BAR - 8, width, 8);
    pen.fillStyle = paint;
    pen.fillRect(x, y + BAR - 7, width, 7);
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {number} height @param {string} colour @param {number[]} dash */
function outline(pen, x, y, width, height, colour, dash) {
    pen.save();
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    pen.setLineDash(dash);
    pen.strokeRect(x, y, width, height);
    pen.restore();
}

/** A bar's words, on its colour or, over hatches and patterns, on the ground. @param {CanvasRenderingContext2D} pen @param {string} words @param {number} left @param {number} end @param {number} top @param {string | undefined} colour @param {Record<string, string>} colours */
function drawWords(pen, words, left, end, top, colour, colours) {
    const room = end - left - 8;
    if (room < 8) return;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, end - left, BAR);
    pen.clip();
    if (colour === undefined) {
        pen.fillStyle = colours.ground;
        pen.fillRect(left + 2, top + 2, Math.min(room + 4, wideOf(pen, words) + 6), BAR - 4);
    }
    pen.fillStyle = colour === undefined ? colours.ink : readable(colour);
    pen.fillText(words, left + 4, top + BAR / 2 + 1);
    pen.restore();
}

/**
 * Black or white: what reads better on a colour of the style sheet (WCAG 2.2, relative luminance).
 * @param {string} colour `#RRGGBB`; a system colour where colours are forced @returns {string}
 */
export function readable(colour) {
    if (!colour.startsWith("#")) return "Canvas";
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#FFFFFF";
}

/** Of what is not in the log yet: half its colour, half the ground; undefined where colours are the system's. @param {string} colour @param {string} ground @returns {string | undefined} */
export function halfway(colour, ground) {
    if (!colour.startsWith("#") || !ground.startsWith("#")) return undefined;
    const parts = [1, 3, 5].map((at) => Math.round((parseInt(colour.slice(at, at + 2), 16) + parseInt(ground.slice(at, at + 2), 16)) / 2));
    return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** Fills a box with slanted lines. @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {number} width @param {number} height @param {string} colour @param {number} step px between them */
export function hatch(pen, x, y, width, height, colour, step) {
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
