// @ts-check
/** "Take this range": what is visible as a file, with the line of Python that reads it. */
import { copied, element, say, write } from "./page.js";
import { duration, range } from "./time.js";
import { span } from "./view.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** What is asked for: the view's streams and range, in a format. @param {Timeline} at @param {string} format @returns {string} */
function queryOf(at, format) {
    const { from, to } = /** @type {import("./view.js").View} */ (at.view);
    const query = new URLSearchParams({ device: at.device, from: String(from), to: String(to), format });
    for (const name of at.traces.keys()) query.append("streams", name);
    return query.toString();
}

/** @param {string} query @returns {Promise<Record<string, any>>} a `TakePlan`, or its `words` alone where there is none */
async function planOf(query) {
    try {
        return await (await fetch(`/api/take/plan?${query}`)).json();
    } catch {
        return { words: "No server answers: try again when the line is back." };
    }
}

/** Asks what the file would hold, and offers it. @param {Timeline} at */
async function offer(at) {
    const form = /** @type {HTMLFormElement} */ (element("take-form"));
    const query = queryOf(at, String(new FormData(form).get("format")));
    form.dataset.query = query;
    const plan = await planOf(query);
    if (form.dataset.query !== query) return; // another format was chosen meanwhile
    const gaps = plan.gaps ? `; ${plan.gaps} ${plan.gaps === 1 ? "gap" : "gaps"} with nothing in their place` : "";
    write(element("take-words"), plan.words || `${plan.file}: about ${plan.samples.toLocaleString("en")} samples${gaps}`);
    element("take-columns").textContent = plan.columns?.length ? `Columns: ${plan.columns.join(", ")}` : "";
    /** @type {HTMLInputElement} */ (element("take-python")).value = plan.python ?? "";
    const file = /** @type {HTMLAnchorElement} */ (element("take-file"));
    if (plan.words) file.removeAttribute("href");
    else file.href = `/api/take?${query}`;
}

/** Opens the dialog on what is visible now. @param {Timeline} at */
export function take(at) {
    if (!at.view || at.traces.size === 0) return;
    at.setFollow(false);
    write(element("take-range"), `${at.device}, ${range(at.view.from, at.view.to)} (${duration(span(at.view))}); ${[...at.traces.keys()].join(", ")}`);
    /** @type {HTMLDialogElement} */ (element("take")).showModal();
    void offer(at);
}

/** @param {Timeline} at */
export function takeOf(at) {
    element("take-button").addEventListener("click", () => take(at));
    element("take-form").addEventListener("change", () => void offer(at));
    element("take-copy").addEventListener("click", async () => {
        const line = /** @type {HTMLInputElement} */ (element("take-python"));
        line.select();
        say((await copied(line.value)) ? "The line is copied" : "The line is selected: copy it");
    });
}
