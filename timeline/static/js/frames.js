// @ts-check
/**
 * Binary frames of samples and tiles, as timeline/README.md lays them out. Typed arrays lie on the frame's own bytes
 * where they can; times are read as pairs of u32, so that no BigInt is made for a sample. Pure.
 */

/**
 * Samples or tiles of one stream.
 * @typedef {object} Frame
 * @property {number} view the view's number
 * @property {number} stream which of the view's streams
 * @property {boolean} live new, not of the view's answer
 * @property {boolean} before one sample: the last one before the view's range
 * @property {bigint} base ns
 * @property {number} tile ns that a tile covers; 0: samples
 * @property {Float64Array} at `(count,)` ns less `base`: where a sample lies, a tile begins; exact below 2 ** 53
 * @property {Channel[]} channels
 */
/**
 * Values of a channel, less its base; NaN: none there. Of samples all four are the same array.
 * @typedef {{ base: number, low: Float32Array, high: Float32Array, first: Float32Array, last: Float32Array }} Channel
 */

const VERSION = 1;
const HEADER = 24;
const SAMPLES = 1;
const TILES = 2;
const LIVE = 1;
const BEFORE = 2;

/**
 * The frame in these bytes.
 * @param {ArrayBuffer} buffer @returns {Frame}
 * @throws {RangeError} says what is wrong with it
 */
export function decode(buffer) {
    if (buffer.byteLength < HEADER) throw new RangeError(`a frame of ${buffer.byteLength} bytes; its header has ${HEADER}`);
    const head = new DataView(buffer);
    const [version, kind, flags, count] = [head.getUint8(0), head.getUint8(1), head.getUint8(2), head.getUint8(3)];
    if (version !== VERSION) throw new RangeError(`a frame of version ${version}; this page reads ${VERSION}`);
    if (kind !== SAMPLES && kind !== TILES) throw new RangeError(`a frame of kind ${kind}; known: ${SAMPLES}, ${TILES}`);
    const n = head.getUint32(12, true);
    const columns = kind === SAMPLES ? 1 : 4;
    const expected = HEADER + 8 * count + n * (kind === SAMPLES ? 8 : 4) + 4 * n * count * columns;
    if (buffer.byteLength !== expected) throw new RangeError(`a frame of ${buffer.byteLength} bytes; expected ${expected}`);
    const tile = kind === TILES ? 2 ** head.getUint8(10) : 0;
    const timesAt = HEADER + 8 * count;
    const at = kind === SAMPLES ? offsets(buffer, timesAt, n) : places(buffer, timesAt, n, tile);
    const valuesAt = timesAt + n * (kind === SAMPLES ? 8 : 4);
    const channels = Array.from({ length: count }, (_, c) => {
        const column = (/** @type {number} */ k) => new Float32Array(buffer, valuesAt + 4 * n * (c * columns + k), n);
        const low = column(0);
        const base = head.getFloat64(HEADER + 8 * c, true);
        return kind === SAMPLES
            ? { base, low, high: low, first: low, last: low }
            : { base, low, high: column(1), first: column(2), last: column(3) };
    });
    return {
        view: head.getUint32(4, true),
        stream: head.getUint16(8, true),
        live: (flags & LIVE) !== 0,
        before: (flags & BEFORE) !== 0,
        base: head.getBigInt64(16, true),
        tile,
        at,
        channels,
    };
}

/** @param {ArrayBuffer} buffer @param {number} start @param {number} n @returns {Float64Array} */
function offsets(buffer, start, n) {
    const pairs = new Uint32Array(buffer, start, 2 * n);
    const at = new Float64Array(n);
    for (let i = 0; i < n; i += 1) at[i] = pairs[2 * i] + pairs[2 * i + 1] * 4294967296;
    return at;
}

/** @param {ArrayBuffer} buffer @param {number} start @param {number} n @param {number} tile @returns {Float64Array} */
function places(buffer, start, n, tile) {
    const numbers = new Uint32Array(buffer, start, n);
    const at = new Float64Array(n);
    for (let i = 0; i < n; i += 1) at[i] = numbers[i] * tile;
    return at;
}

/** The instant of the last sample, or of the last tile's begin. @param {Frame} frame @returns {bigint} */
export function newest(frame) {
    const n = frame.at.length;
    return n === 0 ? frame.base : frame.base + BigInt(frame.at[n - 1]);
}

/** Samples that small frames are put together to. */
const TOGETHER = 256;

/**
 * Two live frames of samples as one, where the second one goes on after the first: what is followed comes in frames of a few
 * samples, and each costs whoever draws it. Undefined where they are no such two, or too many samples.
 * @param {Frame | undefined} one @param {Frame} other @returns {Frame | undefined}
 */
export function together(one, other) {
    if (!one?.live || !other.live || one.view !== other.view || one.tile > 0 || other.tile > 0) return undefined;
    const count = one.at.length + other.at.length;
    if (count > TOGETHER || other.base <= newest(one) || one.channels.length !== other.channels.length) return undefined;
    const later = Number(other.base - one.base);
    const at = new Float64Array(count);
    at.set(one.at);
    other.at.forEach((ns, i) => (at[one.at.length + i] = ns + later));
    const channels = one.channels.map(({ base, low }, c) => {
        const { base: moved, low: more } = other.channels[c];
        const values = new Float32Array(count);
        values.set(low);
        for (let i = 0; i < more.length; i += 1) values[low.length + i] = more[i] + (moved - base);
        return { base, low: values, high: values, first: values, last: values };
    });
    return { ...one, at, channels };
}
