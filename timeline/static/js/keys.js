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
    { key: "Alt+,", action: "nudgeLeft", words: "Edge or cursor a sample back" },
    { key: "Alt+.", action: "nudgeRight", words: "Edge or cursor a sample on" },
    { key: "j", action: "next", words: "Next mark", letter: true },
    { key: "k", action: "previous", words: "Previous mark", letter: true },
    { key: "x", action: "split", words: "Split the mark at the cursor", letter: true },
    { key: "u", action: "merge", words: "Unite the mark with the next one of its label", letter: true },
    { key: "t", action: "trim", words: "Trim: the range gives no windows", letter: true },
    { key: "Delete", action: "retract", words: "Take the mark back" },
    { key: "r", action: "retract", words: "", letter: true },
    { key: "e", action: "edit", words: "Edit the mark", letter: true },
    { key: "f", action: "follow", words: "Follow the live edge", letter: true },
    { key: " ", action: "freeze", words: "Freeze" },
    { key: "z", action: "undo", words: "Undo", letter: true },
    { key: "Ctrl+z", action: "undo", words: "" },
    { key: "Shift+z", action: "redo", words: "Do again", letter: true },
    { key: "Ctrl+Shift+z", action: "redo", words: "" },
    { key: "y", action: "yMode", words: "y-axis: robust, fixed, full", letter: true },
    { key: ",", action: "lower", words: "Lower rows" },
    { key: ".", action: "taller", words: "Taller rows" },
    { key: "i", action: "panel", words: "Marks and what happened", letter: true },
    { key: "Escape", action: "cancel", words: "Cancel" },
    { key: "?", action: "help", words: "This help" },
];

/**
 * What a key press asks for; undefined: nothing of ours. Digits say `label 3`.
 * @param {{ key: string, altKey: boolean, ctrlKey: boolean, metaKey: boolean, shiftKey: boolean }} event
 * @param {boolean} letters whether single letters are keys @returns {string | undefined}
 */
export function actionOf(event, letters) {
    const control = event.ctrlKey || event.metaKey;
    if (/^[1-9]$/.test(event.key) && !event.altKey && !control) return `label ${event.key}`;
    const letter = /^[a-zA-Z]$/.test(event.key);
    const shift = event.shiftKey && letter ? "Shift+" : "";
    const pressed = `${control ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shift}${letter ? event.key.toLowerCase() : event.key}`;
    const found = KEYS.find((key) => key.key === pressed);
    return found && (letters || !found.letter) ? found.action : undefined;
}

/** A key as the help shows it. @param {string} key @returns {string} */
export function keyName(key) {
    const names = { ArrowLeft: "←", ArrowRight: "→", PageUp: "PgUp", PageDown: "PgDn", " ": "Space", "-": "−", Escape: "Esc", Delete: "Del" };
    const name = /** @type {Record<string, string>} */ (names)[key] ?? key;
    return name.replace(/[a-z]$/, (letter) => (name.length === 1 || name.includes("+") ? letter.toUpperCase() : letter));
}
