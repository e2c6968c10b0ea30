// @ts-check
/**
 * Marking by keys and palette buttons: held for a range, short for an instant, or state after state. Instants come in as
 * arguments, changes come out. Pure.
 */

/** Released sooner it is an instant. */
export const HOLD_MS = 250;

/** @typedef {{ label: string, start: bigint, ms: number }} Held a key that is down, since when */
/** @typedef {{ label: string, start: bigint }} Running the state that goes on */
/** @typedef {{ label: string, start: bigint, end: bigint }} Done a range to mark */
/** @typedef {{ stateMode: boolean, held: Held | null, running: Running | null }} Marking */

/** @type {Marking} */
export const IDLE = { stateMode: false, held: null, running: null };

/**
 * A label's key or button goes down. In state mode it ends the running label and begins this one at the same instant;
 * the running label's own key only ends it.
 * @param {Marking} marking @param {string} label @param {bigint} at @param {number} ms @returns {[Marking, Done[]]}
 */
export function pressed(marking, label, at, ms) {
    if (marking.stateMode) {
        const running = marking.running?.label === label ? null : { label, start: at };
        return [{ ...marking, running }, ended(marking, at)];
    }
    if (marking.held?.label === label) return [marking, []]; // the keyboard's own repetition
    const [, done] = released(marking, at, ms);
    return [{ ...marking, held: { label, start: at, ms } }, done];
}

/**
 * The key or button goes up. @param {Marking} marking @param {bigint} at @param {number} ms @returns {[Marking, Done[]]}
 */
export function released(marking, at, ms) {
    const { held } = marking;
    if (held === null) return [marking, []];
    const end = ms - held.ms < HOLD_MS ? held.start : at;
    return [{ ...marking, held: null }, [ordered(held.label, held.start, end)]];
}

/**
 * State mode on or off; what is running ends with it. @param {Marking} marking @param {bigint} at @returns {[Marking, Done[]]}
 */
export function toggledStates(marking, at) {
    return [{ ...marking, stateMode: !marking.stateMode, running: null }, ended(marking, at)];
}

/** Nothing is held any more, nor goes on, unless there was something `else` to cancel; nothing is marked. @param {Marking} marking @param {boolean} [other] @returns {Marking} */
export const cancelled = (marking, other = false) => ({ ...marking, held: null, running: marking.held || other ? marking.running : null });

/** @param {Marking} marking @param {bigint} at @returns {Done[]} */
const ended = ({ running }, at) => (running === null ? [] : [ordered(running.label, running.start, at)]);

/** @param {string} label @param {bigint} a @param {bigint} b @returns {Done} */
export const ordered = (label, a, b) => (a <= b ? { label, start: a, end: b } : { label, start: b, end: a });
