// @ts-check
/**
 * Instants and spans: BigInt nanoseconds UTC. Nothing here turns an instant into a JavaScript number, which would
 * round it to 256 ns; only parts of one (milliseconds of a day, digits of a fraction) are numbers. Pure.
 */

export const MICROSECOND = 1_000n;
export const MILLISECOND = 1_000_000n;
export const SECOND = 1_000_000_000n;
export const MINUTE = 60n * SECOND;
export const HOUR = 60n * MINUTE;
export const DAY = 24n * HOUR;

/** A month of a ruler's step; its ticks lie on the calendar, see `ticks`. */
const MONTH = 30n * DAY;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Steps that people count in, smallest first. @type {readonly bigint[]} */
const STEPS = [
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8].flatMap((power) => [1n, 2n, 5n].map((digit) => digit * 10n ** BigInt(power))),
    ...[1n, 2n, 5n, 10n, 15n, 30n].map((seconds) => seconds * SECOND),
    ...[1n, 2n, 5n, 10n, 15n, 30n].map((minutes) => minutes * MINUTE),
    ...[1n, 2n, 3n, 6n, 12n].map((hours) => hours * HOUR),
    ...[1n, 2n, 7n].map((days) => days * DAY),
    ...[1n, 3n, 12n].map((months) => months * MONTH),
];

/**
 * The quotient rounded towards minus infinity, also where the dividend is negative.
 * @param {bigint} a @param {bigint} b above 0
 */
export function floorDiv(a, b) {
    const quotient = a / b;
    return a < 0n && quotient * b !== a ? quotient - 1n : quotient;
}

/**
 * The smallest step of a ruler whose ticks lie at least `gap` px apart.
 * @param {bigint} span ns that `width` px show @param {number} width @param {number} gap
 * @returns {bigint}
 */
export function tickStep(span, width, gap) {
    const least = (span * BigInt(Math.ceil(gap))) / BigInt(Math.max(1, Math.floor(width)));
    return STEPS.find((step) => step >= least) ?? /** @type {bigint} */ (STEPS.at(-1));
}

/**
 * Ticks of `[from, to]`: at multiples of the step since 1970, from a month on at the first of months.
 * @param {bigint} from @param {bigint} to @param {bigint} step of `tickStep`
 * @returns {bigint[]}
 */
export function ticks(from, to, step) {
    if (step >= MONTH) return monthTicks(from, to, Number(step / MONTH));
    const found = [];
    for (let at = floorDiv(from + step - 1n, step) * step; at <= to; at += step) found.push(at);
    return found;
}

/** @param {bigint} from @param {bigint} to @param {number} months @returns {bigint[]} */
function monthTicks(from, to, months) {
    const begin = new Date(Number(floorDiv(from, MILLISECOND)));
    const found = [];
    for (let month = Math.floor(begin.getUTCMonth() / months) * months; ; month += months) {
        const at = BigInt(Date.UTC(begin.getUTCFullYear(), month, 1)) * MILLISECOND;
        if (at > to) return found;
        if (at >= from) found.push(at);
    }
}

/** @param {bigint} at @returns {[Date, bigint]} the instant to the millisecond, and the nanoseconds of its second */
function parts(at) {
    const second = floorDiv(at, SECOND);
    return [new Date(Number(second) * 1000), at - second * SECOND];
}

/** @param {number} value @param {number} width @returns {string} */
const padded = (value, width = 2) => String(value).padStart(width, "0");

/**
 * Digits of a fraction of a second that tell instants `resolution` apart: 3 for milliseconds, 0 from a second on.
 * @param {bigint} resolution ns @returns {number}
 */
export function fractionDigits(resolution) {
    let digits = 0;
    for (let unit = SECOND; unit > resolution && digits < 9; unit /= 10n) digits += 1;
    return digits;
}

/**
 * `12:04:31.250`: the time of day, with so many digits of a fraction.
 * @param {bigint} at @param {number} [digits] @returns {string}
 */
export function clock(at, digits = 3) {
    const [date, rest] = parts(at);
    const whole = `${padded(date.getUTCHours())}:${padded(date.getUTCMinutes())}:${padded(date.getUTCSeconds())}`;
    return digits === 0 ? whole : `${whole}.${String(rest).padStart(9, "0").slice(0, digits)}`;
}

/** `2026-11-27`. @param {bigint} at @returns {string} */
export function day(at) {
    const [date] = parts(at);
    return `${date.getUTCFullYear()}-${padded(date.getUTCMonth() + 1)}-${padded(date.getUTCDate())}`;
}

/** `2026-11-27T12:04:31.25Z`, exact to the nanosecond: what `instant` reads. @param {bigint} at @returns {string} */
export function exact(at) {
    const [time, fraction = ""] = clock(at, 9).split(".");
    const digits = fraction.replace(/0+$/, "");
    return `${day(at)}T${time}${digits && `.${digits}`}Z`;
}

/**
 * The instant that a text names: integer nanoseconds, an ISO time (UTC where it names no zone), or a time of day on the
 * day of `near`. Undefined where it is none of these.
 * @param {string} text @param {bigint} [near] @returns {bigint | undefined}
 */
export function instant(text, near) {
    const trimmed = text.trim();
    if (/^-?\d{10,19}$/.test(trimmed)) return BigInt(trimmed);
    const match = /^(?:(\d{4}-\d\d-\d\d)(?:[T ]|$))?(?:(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(trimmed);
    if (!match || (match[1] === undefined && match[2] === undefined)) return undefined;
    const date = match[1] ?? (near === undefined ? undefined : day(near));
    if (date === undefined) return undefined;
    const time = `${(match[2] ?? "00").padStart(2, "0")}:${match[3] ?? "00"}:${match[4] ?? "00"}`;
    const ms = Date.parse(`${date}T${time}${match[6] ?? "Z"}`);
    if (Number.isNaN(ms) || Number(date.slice(8)) > new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).getUTCDate()) return undefined; // 30 February is no 2 March
    return BigInt(ms) * MILLISECOND + BigInt((match[5] ?? "").padEnd(9, "0"));
}

/**
 * What a tick of a ruler with this step says: `12:04`, `12:04:31.250`, at midnight and above the day `27 Nov`.
 * @param {bigint} at @param {bigint} step @returns {string}
 */
export function tickLabel(at, step) {
    const [date] = parts(at);
    if (step >= 12n * MONTH) return String(date.getUTCFullYear());
    if (step >= MONTH) return `${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
    if (at - floorDiv(at, DAY) * DAY === 0n) return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
    if (step >= MINUTE) return clock(at, 0).slice(0, 5);
    return clock(at, fractionDigits(step));
}

/**
 * A span in words, to three figures: `250 ms`, `1.5 s`, `4 min 12 s`, `3 h 5 min`, `12 d 4 h`.
 * @param {bigint} span @returns {string}
 */
export function duration(span) {
    if (span < 0n) return `-${duration(-span)}`;
    if (span < MINUTE) {
        const [unit, name] = span >= SECOND ? [SECOND, "s"]
            : span >= MILLISECOND ? [MILLISECOND, "ms"]
            : span >= MICROSECOND ? [MICROSECOND, "µs"]
            : [1n, "ns"];
        return `${Number((Number((span * 1000n) / unit) / 1000).toPrecision(3))} ${name}`;
    }
    /** @type {[bigint, string, bigint, string][]} */
    const scales = [[DAY, "d", HOUR, "h"], [HOUR, "h", MINUTE, "min"], [MINUTE, "min", SECOND, "s"]];
    for (const [large, name, small, rest] of scales) {
        if (span < large) continue;
        const less = (span % large) / small;
        return less === 0n ? `${span / large} ${name}` : `${span / large} ${name} ${less} ${rest}`;
    }
    return `${span} ns`;
}

/**
 * A range in words: `2026-11-27 12:00:00.000 to 12:05:00.000`; the day comes again where it is another.
 * @param {bigint} from @param {bigint} to @param {number} [digits] @returns {string}
 */
export function range(from, to, digits = 3) {
    const end = day(from) === day(to) ? clock(to, digits) : `${day(to)} ${clock(to, digits)}`;
    return `${day(from)} ${clock(from, digits)} to ${end}`;
}
