// @ts-check
/**
 * The server's clock as this tab knows it: offsets measured by round trips, the shortest of the newest counts. Pure.
 */

/** @typedef {{ offset: bigint, roundTrip: bigint }} Measure server's time less the tab's, and how long asking took */
/** @typedef {Measure & { at: bigint }} Known a measure, and when by the tab's clock */

const KEPT = 8;

/**
 * One measure from a ping's answer.
 * @param {bigint} sent tab's time @param {bigint} server @param {bigint} received tab's time @returns {Measure}
 */
export function measured(sent, server, received) {
    return { offset: server - (sent + received) / 2n, roundTrip: received - sent };
}

/** The newest measures with one more. @param {readonly Measure[]} measures @param {Measure} measure @returns {Measure[]} */
export const withMeasure = (measures, measure) => [...measures, measure].slice(-KEPT);

/** The measure that counts. @param {readonly Measure[]} measures @returns {Measure} */
export function best(measures) {
    const none = { offset: 0n, roundTrip: 0n };
    return measures.reduce((one, other) => (other.roundTrip < one.roundTrip ? other : one), measures[0] ?? none);
}

/**
 * The offset at an instant between two measures: a tab's clock runs a little fast or slow through an outage.
 * @param {Known} before @param {Known} after @param {bigint} at tab's time @returns {bigint} ns
 */
export function offsetAt(before, after, at) {
    if (at <= before.at || after.at <= before.at) return before.offset;
    if (at >= after.at) return after.offset;
    return before.offset + ((after.offset - before.offset) * (at - before.at)) / (after.at - before.at);
}

/** A machine that slept longer than this has not just answered late. */
const SLEPT_MS = 1000;

/**
 * A tab's clock that never says the same instant twice: an author and an instant name an event. It goes on through a sleep
 * of the machine, which the steady clock of some systems does not count; a wall clock that is set back does not move it.
 * @param {() => number} steadyMs milliseconds since 1970, with a fraction, by a clock that nobody sets
 * @param {() => number} wallMs the same by the clock on the wall @returns {() => bigint}
 */
export function risingClock(steadyMs, wallMs = steadyMs) {
    let last = 0n;
    let [slept, behind] = [0, wallMs() - steadyMs()];
    return () => {
        const steady = steadyMs();
        const ahead = wallMs() - steady - behind;
        behind += ahead;
        if (ahead > SLEPT_MS) slept += ahead;
        const ms = steady + slept;
        const whole = Math.floor(ms);
        const now = BigInt(whole) * 1_000_000n + BigInt(Math.floor((ms - whole) * 1e6));
        last = now > last ? now : last + 1n;
        return last;
    };
}

/**
 * Milliseconds until the next try of a connection: 500, 1000, 2000 … 10,000, less up to a quarter at random.
 * @param {number} tries failed ones, from 0 @param {number} chance 0 to 1 @returns {number}
 */
export function backoff(tries, chance) {
    return Math.min(10_000, 500 * 2 ** Math.min(tries, 5)) * (1 - chance / 4);
}
