// @ts-check
/** Small things that every part of the page needs of the browser. */

/** @param {string} id @returns {HTMLElement} the element that index.html has under this id */
export function element(id) {
    const found = document.getElementById(id);
    if (!found) throw new Error(`index.html has no element #${id}`);
    return found;
}

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @param {Record<string, string>} attributes @param {...(Node | string)} content @returns {HTMLElementTagNameMap[T]} */
export function made(tag, attributes = {}, ...content) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...content);
    return node;
}

/** Writes a text where it is another one: a screen reader hears changes only. What there is gets other words: a node made anew takes a browser longer. @param {HTMLElement} node @param {string} text */
export function write(node, text) {
    const first = node.firstChild;
    if (first instanceof Text && !first.nextSibling) {
        if (first.data !== text) first.data = text;
    } else if (node.textContent !== text) node.textContent = text;
}

/** Hides or shows, where it is not so already: a browser takes the same word for a change. @param {HTMLElement} node @param {boolean} hidden */
export function hide(node, hidden) {
    if (node.hidden !== hidden) node.hidden = hidden;
}

/** Sets an attribute where it is another one. @param {Element} node @param {string} name @param {string} value */
export function setTo(node, name, value) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Tells a screen reader, and puts it into the list of what happened. @param {string} words */
export function say(words) {
    element("said").textContent = words;
    const item = made("div", {}, `${new Date().toISOString().slice(11, 19)} ${words}`);
    const log = element("log");
    log.prepend(item);
    while (log.children.length > 100) log.lastElementChild?.remove();
}

/** Goes on with what was said last, where that still stands there. @param {string} words @param {string} more */
export function sayMore(words, more) {
    const said = element("said");
    if (said.textContent === words) said.append(made("span", {}, more));
}

/** Copies a text. @param {string} text @returns {Promise<boolean>} false: this browser does not let it, as over plain HTTP off loopback */
export async function copied(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        return false;
    }
}

/** A button that copies a text, and says whether it did. @param {string} id @param {string} text */
export function copies(id, text) {
    element(id).addEventListener("click", async () => write(element(id), (await copied(text)) ? "Copied" : "Not copied: this browser lets no page copy here; select it above"));
}

/** The colours of the style sheet, as they are now: light, dark or the system's own. @returns {Record<string, string>} */
export function colours() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ground", "ink", "second", "grid", "raised", "alarm", "amber", "trace-1", "trace-2", "trace-3"];
    for (let hue = 1; hue <= 6; hue += 1) names.push(`label-${hue}`);
    const found = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    return found.ground.startsWith("#") ? found : resolved(found);
}

/** Does something whenever the style sheet's colours are other ones: dark, forced, on paper. @param {() => void} then */
export function whenRecoloured(then) {
    for (const query of ["screen and (prefers-color-scheme: dark)", "(forced-colors: active)", "print"]) matchMedia(query).addEventListener("change", then);
}

/** System colours as numbers: a canvas off the screen takes "Canvas" for white also where the system is dark. @param {Record<string, string>} named @returns {Record<string, string>} */
function resolved(named) {
    const probe = made("i");
    probe.style.forcedColorAdjust = "none";
    document.body.append(probe);
    const found = Object.entries(named).map(([name, colour]) => {
        probe.style.color = colour;
        return [name, getComputedStyle(probe).color];
    });
    probe.remove();
    return Object.fromEntries(found);
}

/** @typedef {{ width: number, height: number }} Size CSS px */

/** @param {HTMLCanvasElement} canvas @returns {Size} of its box: whoever asks behind a change waits for a layout */
export const sizeOf = ({ clientWidth: width, clientHeight: height }) => ({ width, height });

/** Fits a canvas's pixels to its box. @param {HTMLCanvasElement} canvas @param {Size} [size] of the box, where it is known @returns {Size & { ratio: number }} */
export function fitted(canvas, { width, height } = sizeOf(canvas)) {
    const ratio = devicePixelRatio || 1;
    const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
    return { width, height, ratio };
}
