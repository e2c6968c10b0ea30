// @ts-check
/** Which key does what, for the keyboard and for the help. Pure. */

/** @typedef {{ key: string, action: string, words: string, letter?: boolean }} Key */

/** Shown in this order; `letter` ones can be switched off (WCAG 2.1.4). @type {readonly Key[]} */
export const KEYS = [
    { key: "s", action: "states", words: "State mode: each label ends the one before", letter: true },
    { key: "[", action: "start", words: "Start edge at the cursor" },
    { key: "]", action: "end", words: "End edge at the cursor" },
    { key: "ArrowLeft", action: "left", words: "Pan left" },
    { key: "ArrowRight", action: "right", words: "Pan right" },
    { key: "PageUp", action: "screenLeft", words: "A screen back" },
    { key: "PageDown", action: "screenRight", words: "A screen on" },
    { key: "+", action: "near", words: "Zoom in" },
    { key: "=", action: "near", words: "" },
    { key: "-", action: "far", words: "Zoom out" },
    { key: "Home", action: "first", words: "To the begin" },
    { key: "End", action: "last", words: "To the end" },
    { key: "g", action: "goto", words: "Go to a time", letter: true },
    { key: "Alt+[", action: "showStart", words: "To the selected mark's start edge" },
    { key: "Alt+]", action: "showEnd", words: "To the selected mark's end edge" },
    { key: "Alt+,", action: "nudgeLeft", words: "Edge or cursor a sample back" },
    { key: "Alt+.", action: "nudgeRight", words: "Edge or cursor a sample on" },
    { key: "j", action: "next", words: "Next mark", letter: true },
    { key: "k", action: "previous", words: "Previous mark", letter: true },
    { key: "x", action: "split", words: "Split the mark at the cursor", letter: true },
    { key: "u", action: "merge", words: "Unite the mark with the next one of its label", letter: true },
    { key: "t", action: "trim", words: "Trim: the range gives no windows", letter: true },
    { key: "Delete", action: "retract", words: "Take the mark back" },
    { key: "a", action: "accept", words: "Accept the mark, and on to the next one of a rule", letter: true },
    { key: "r", action: "reject", words: "Reject the mark, and on to the next one of a rule", letter: true },
    { key: "Shift+a", action: "acceptAlike", words: "Accept all in view that the rule marked alike", letter: true },
    { key: "e", action: "edit", words: "Edit the mark", letter: true },
    { key: "f", action: "follow", words: "Follow the live edge", letter: true },
    { key: " ", action: "freeze", words: "Freeze" },
    { key: "z", action: "undo", words: "Undo", letter: true },
    { key: "Ctrl+z", action: "undo", words: "" },
    { key: "Shift+z", action: "redo", words: "Do again", letter: true },
    { key: "Ctrl+Shift+z", action: "redo", words: "" },
    { key: "o", action: "overlay", words: "Channels overlaid or apart", letter: true },
    { key: "m", action: "ruler", words: "Ruler: begin, measure, away", letter: true },
    { key: "y", action: "yMode", words: "y-axis: robust, fixed, full", letter: true },
    { key: ",", action: "lower", words: "Lower rows" },
    { key: ".", action: "taller", words: "Taller rows" },
    { key: "i", action: "panel", words: "Marks and what happened", letter: true },
    { key: "d", action: "take", words: "Take this range: CSV, NPZ or Parquet", letter: true },
    { key: "Escape", action: "cancel", words: "Cancel" },
    { key: "?", action: "help", words: "This help" },
];

/** What a person changed: the letters of actions by their name, "" for none; and whether letters are keys at all. @typedef {{ off: boolean, letters: Record<string, string> }} Choice */

/** As they are at first. @type {Choice} */
export const UNCHANGED = { off: false, letters: {} };

/** The keys as a person chose them; Shift stays with what has it. @param {Choice} choice @returns {Key[]} */
export function keysOf({ off, letters }) {
    return KEYS.flatMap((key) => {
        if (!key.letter) return [key];
        const chosen = letters[key.action];
        if (off || chosen === "") return [];
        return [chosen === undefined ? key : { ...key, key: key.key.replace(/.$/, chosen) }];
    });
}

/**
 * Gives an action another letter, or none.
 * @param {Choice} choice @param {string} action @param {string} letter "" switches the key off
 * @returns {{ choice: Choice } | { words: string }} why not
 */
export function rechosen(choice, action, letter) {
    const lower = letter.toLowerCase();
    if (!/^[a-z]?$/.test(lower)) return { words: `"${letter}" is no letter from a to z` };
    const letters = { ...choice.letters, [action]: lower };
    const pressed = keysOf({ off: false, letters }).map((key) => key.key);
    const wanted = keysOf({ off: false, letters }).find((key) => key.action === action && key.letter)?.key;
    if (wanted === undefined || pressed.filter((key) => key === wanted).length === 1) return { choice: { ...choice, letters } };
    const other = keysOf(choice).find((key) => key.key === wanted && key.action !== action);
    return { words: `${keyName(wanted)} is taken: ${other?.words ?? "another key"}` };
}

/** What was kept as text; as at first where it says nothing that is one. @param {string | null} text @returns {Choice} */
export function choiceOf(text) {
    try {
        const { off = false, letters = {} } = JSON.parse(text ?? "{}");
        const known = KEYS.filter((key) => key.letter && /^[a-z]?$/.test(letters[key.action] ?? "?")).map((key) => [key.action, letters[key.action]]);
        return { off: off === true, letters: Object.fromEntries(known) };
    } catch {
        return UNCHANGED;
    }
}

/** The signs of places on the keyboard that are keys with Alt. @type {Record<string, string>} */
const SIGNS = { Comma: ",", Period: ".", BracketLeft: "[", BracketRight: "]" };

/**
 * What a key press asks for; undefined: nothing of ours. Digits say `label 3`, and so do their keys where they type something else
 * (AZERTY has digits with Shift) that is no key of ours.
 * @param {{ key: string, code?: string, altKey: boolean, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean }} event
 * @param {readonly Key[]} keys of `keysOf` @returns {string | undefined}
 */
export function actionOf(event, keys) {
    const control = event.ctrlKey || event.metaKey;
    if (/^[1-9]$/.test(event.key) && !event.altKey && !control) return `label ${event.key}`;
    const letter = /^[a-zA-Z]$/.test(event.key);
    const shift = event.shiftKey && letter ? "Shift+" : "";
    const pressed = `${control ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shift}${letter ? event.key.toLowerCase() : event.key}`;
    const placed = event.altKey && !control ? `Alt+${SIGNS[event.code ?? ""]}` : pressed; // with Alt a Mac types other signs
    const bound = (keys.find((key) => key.key === pressed) ?? keys.find((key) => key.key === placed))?.action;
    const [, digit] = /^Digit([1-9])$/.exec(event.code ?? "") ?? [];
    const bare = !control && !event.altKey && !event.shiftKey && !/^[0-9]$/.test(event.key);
    return bound ?? (digit && bare ? `label ${digit}` : undefined);
}

/** A key as the help shows it. @param {string} key @returns {string} */
export function keyName(key) {
    const names = { ArrowLeft: "←", ArrowRight: "→", PageUp: "PgUp", PageDown: "PgDn", " ": "Space", "-": "−", Escape: "Esc", Delete: "Del" };
    const name = /** @type {Record<string, string>} */ (names)[key] ?? key;
    return name.replace(/[a-z]$/, (letter) => (name.length === 1 || name.includes("+") ? letter.toUpperCase() : letter));
}
