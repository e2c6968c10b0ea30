// @ts-check
/** What the hand holds on a timeline, beside what the server knows: ruler, snapping point, how channels lie, the queue. */

/** @typedef {import("./acts.js").Who} Who */
/**
 * @typedef {object} Hand
 * @property {boolean} review whether this person may change others' marks
 * @property {number | undefined} height px of the pointer on the canvas, for the ruler
 * @property {import("./ruler.js").Ruler | undefined} ruler
 * @property {boolean} measuring its end goes with the cursor
 * @property {import("./snap.js").Snap | undefined} snap where the point that is dragged has snapped to
 * @property {boolean} apart whether channels of a stream are drawn above one another
 * @property {import("./density.js").Dense | undefined} dense instead of marks, where there are too many
 * @property {import("./density.js").Asked | undefined} asked the density that was asked for
 * @property {import("./merged.js").MergedPart | undefined} merged what all lanes say together, around the view
 * @property {number} queue rules' marks of the device that nobody has looked at
 * @property {number | undefined} wants the request whose answer is to be selected
 * @property {import("./marking.js").Running | null} running the state that goes on, as it is kept
 * @property {{ gesture: string, words: string }} said what was done last, as it was said
 * @property {(1 | -1)[]} steps to the next or previous mark, of which the first waits for the server
 */

/** @returns {Hand} */
export const emptyHand = () => ({ review: false, height: undefined, ruler: undefined, measuring: false, snap: undefined, apart: false, dense: undefined, asked: undefined, merged: undefined, queue: 0, wants: undefined, running: null, said: { gesture: "", words: "" }, steps: [] });
