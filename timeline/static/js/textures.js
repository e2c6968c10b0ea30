// @ts-check
/**
 * What a label's bars are filled with: one of six colours; from the seventh label on the same ones again with a pattern; and
 * where colours are forced, a pattern alone. A pattern is a tile for `fillStyle`, so many boxes of it are filled at once.
 */

/** So many colours labels have. */
export const HUES = 6;
const SIDE = 8;

/** Tiles of 8 × 8 px, a byte a line, a bit that is set in the label's colour. None is slanted as a rule's bar, a trim and a gap are. */
export const TILES = [
    [255, 255, 255, 255, 255, 255, 255, 255], // plain
    [240, 240, 240, 240, 240, 240, 240, 240], // bars
    [0, 56, 124, 124, 124, 56, 0, 0], // dots
    [255, 255, 255, 255, 0, 0, 0, 0], // lines
    [240, 240, 240, 240, 15, 15, 15, 15], // checks
    [240, 120, 60, 30, 15, 135, 195, 225], // falling
    [255, 255, 192, 192, 192, 192, 192, 192], // a grid
    [195, 231, 126, 60, 60, 126, 231, 195], // crosses
    [255, 231, 195, 129, 129, 195, 231, 255], // holes
    [24, 60, 126, 231, 195, 129, 0, 0], // zigzags
    [136, 136, 136, 136, 136, 136, 136, 136], // fine bars
    [255, 0, 0, 0, 255, 0, 0, 0], // fine lines
];

/** @typedef {Record<string, string>} Colours as `colours()` in page.js gives them */
/** @typedef {{ colour: string, tile: number, pattern?: CanvasPattern, ratio?: number }} Look of a label; its pattern, for a screen of so many device px a px */
/** @type {WeakMap<Colours, Look[]>} by the label's number: thousands of bars are drawn in a frame */
const looks = new WeakMap();

/** Whether colours are the system's. @param {Colours} colours @returns {boolean} */
export const isForced = ({ ground = "#" }) => !ground.startsWith("#");

/** Which of `TILES` a label has. @param {number} hue @param {boolean} forced @returns {number} */
export const tileOf = (hue, forced) => (forced ? (hue + TILES.length - 1) % TILES.length : hue <= HUES ? 0 : Math.floor((hue - 1) / HUES) % TILES.length);

/** @param {Colours} colours @param {number} hue the label's number, from 1 on; 0: of no label that is offered @returns {Look} */
function lookOf(colours, hue) {
    let known = looks.get(colours);
    if (!known) looks.set(colours, (known = []));
    return (known[hue] ??= { colour: colours[`label-${((hue - 1) % HUES) + 1}`] ?? colours.second, tile: tileOf(hue, isForced(colours)) });
}

/** A label's colour. @param {Colours} colours @param {number} hue @returns {string} */
export const colourOf = (colours, hue) => lookOf(colours, hue).colour;

/**
 * What a label's bars are filled with.
 * @param {Colours} colours @param {number} hue @param {number} [across] of the pen's units, how many are a px @param {number} [down]
 * @returns {string | CanvasPattern}
 */
export function paintOf(colours, hue, across = 1, down = 1) {
    const look = lookOf(colours, hue);
    if (look.tile === 0) return look.colour;
    const ratio = Math.max(1, Math.round(globalThis.devicePixelRatio ?? 1));
    if (!look.pattern || look.ratio !== ratio) Object.assign(look, { ratio, pattern: patternOf(TILES[look.tile], look.colour, colours.ground, ratio) });
    const pattern = /** @type {CanvasPattern} */ (look.pattern);
    pattern.setTransform({ a: across / ratio, d: down / ratio });
    return pattern;
}

/** @param {number[]} tile @param {string} colour @param {string} ground @param {number} ratio device px a px @returns {CanvasPattern} */
function patternOf(tile, colour, ground, ratio) {
    const canvas = new OffscreenCanvas(SIDE * ratio, SIDE * ratio);
    const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    pen.fillStyle = ground;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = colour;
    tile.forEach((line, y) => {
        for (let x = 0; x < SIDE; x += 1) if (line & (128 >> x)) pen.fillRect(x * ratio, y * ratio, ratio, ratio);
    });
    return /** @type {CanvasPattern} */ (pen.createPattern(canvas, "repeat"));
}
