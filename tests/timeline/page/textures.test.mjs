/** Labels are told apart by patterns where colours do not do it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { drawLane } from "../../../timeline/static/js/lanes.js";
import { TILES, paintOf, tileOf } from "../../../timeline/static/js/textures.js";

const LIGHT = { ground: "#FCFCFA", ink: "#1B1F24", second: "#59616B", "label-1": "#009D89", "label-2": "#D86200" };
const FORCED = Object.fromEntries(Object.keys(LIGHT).map((name) => [name, name === "ground" ? "rgb(0, 0, 0)" : "rgb(255, 255, 255)"]));

/** A pattern knows what its tile was filled with. */
globalThis.OffscreenCanvas = class {
    constructor(width, height) { Object.assign(this, { width, height }); }
    getContext() {
        const boxes = [];
        return {
            fillRect(...box) { boxes.push([this.fillStyle, ...box].join()); },
            createPattern: () => ({ boxes, setTransform(matrix) { this.matrix = matrix; } }),
        };
    }
};

test("of six labels in colour none has a pattern, those beyond have one, and where colours are forced twelve differ", () => {
    const hues = Array.from({ length: 12 }, (_, i) => i + 1);
    assert.deepEqual(hues.map((hue) => tileOf(hue, false)), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    assert.equal(new Set(hues.map((hue) => tileOf(hue, true))).size, 12);
    assert.deepEqual([paintOf(LIGHT, 1), paintOf(LIGHT, 0)], ["#009D89", "#59616B"]);
    const [first, again] = [paintOf(LIGHT, 7), paintOf(LIGHT, 8)];
    assert.ok(first.boxes.some((box) => box.startsWith("#009D89")) && again.boxes.some((box) => box.startsWith("#D86200")));
});

test("no tile is another one that is shifted, nor the slanted lines of a rule", () => {
    const shifted = (tile, x, y) => tile.map((_, line) => { const byte = tile[(line + y) % 8]; return ((byte << x) | (byte >> (8 - x))) & 255; });
    const differs = (one, other) => one.reduce((sum, line, i) => sum + (line ^ other[i]).toString(2).replaceAll("0", "").length, 0);
    const slanted = [[1, 2, 4, 8, 16, 32, 64, 128], [3, 6, 12, 24, 48, 96, 192, 129], [17, 34, 68, 136, 17, 34, 68, 136]];
    const all = [...TILES, ...slanted];
    for (let a = 0; a < all.length; a += 1) for (let b = a + 1; b < all.length && a < TILES.length; b += 1) {
        for (let x = 0; x < 8; x += 1) for (let y = 0; y < 8; y += 1) assert.ok(differs(all[a], shifted(all[b], x, y)) >= 8, `${a} ${b}`);
    }
});

/** What boxes are filled with in a lane of one mark of each label. */
function filled(colours, tool) {
    const fills = [];
    const pen = new Proxy({}, {
        get: (own, name) => (name === "measureText" ? () => ({ width: 20 }) : name === "fillRect" ? (x, y, w) => fills.push([own.fillStyle, x, w]) : own[name] ?? (() => undefined)),
        set: (own, name, value) => { own[name] = value; return true; },
    });
    const labels = new Map([["run", { hue: 1, code: "r" }], ["idle", { hue: 2, code: "i" }]]);
    const runs = [...labels.keys()].map((label, i) => ({ start: 100 * i, end: 100 * i + 90, marks: [{ id: label, label, tool, state: "saved", start: 0n, end: 1n }] }));
    const scene = { view: { from: 0n, to: 1n }, colours, labels, lanes: new Map([["anna", { runs: () => runs }]]), ghosts: [] };
    drawLane(pen, 200, { kind: "lane", name: "anna", top: 0, height: 22 }, scene);
    return [0, 100].map((left) => fills.filter(([, x, w]) => x === left && w === 90).map(([fill]) => fill).at(-1));
}

test("bars of two labels are filled alike in no scheme, and a rule's have a strip of their label's pattern", () => {
    assert.deepEqual(filled(LIGHT, "key"), ["#009D89", "#D86200"]);
    for (const tool of ["key", "rule"]) {
        const [one, other] = filled(FORCED, tool);
        assert.equal(one, "rgb(255, 255, 255)");
        assert.ok(other.boxes.length > 1, tool);
    }
    assert.deepEqual(filled(LIGHT, "rule"), [undefined, undefined]); // its hatching has the colour
});
