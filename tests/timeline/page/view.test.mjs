import assert from "node:assert/strict";
import { test } from "node:test";
import { SECOND } from "../../../timeline/static/js/time.js";
import * as views from "../../../timeline/static/js/view.js";

const T = 1_795_780_800_000_000_000n;
const view = views.viewOf(T, T + 100n * SECOND);

test("a position is an instant and back, to a fraction of a pixel, at every zoom", () => {
    for (let span = 5_000_000n; span < views.SPAN_MAX; span *= 7n) {
        const at = views.viewOf(T, T + span);
        for (const x of [0, 1, 333, 999.5, 1000]) assert.ok(Math.abs(views.xOf(at, views.instantAt(at, x, 1000), 1000) - x) < 1 / 128);
    }
});

test("panning there and back is exact, and keeps the span", () => {
    let moved = view;
    for (const px of [3, 250, -253]) moved = views.panned(moved, px, 1000);
    assert.deepEqual(moved, view);
});

test("zooming keeps what lies under the pointer, and ends at 5 ms and a year", () => {
    const at = views.instantAt(view, 250, 1000);
    assert.ok(Math.abs(views.xOf(views.zoomed(view, 0.5, at), at, 1000) - 250) < 0.01);
    let [near, far] = [view, view];
    for (let i = 0; i < 100; i += 1) [near, far] = [views.zoomed(near, 0.5, at), views.zoomed(far, 2, at)];
    assert.equal(views.span(near), views.SPAN_MIN);
    assert.equal(views.span(far), views.SPAN_MAX);
});

test("a mark is shown with a margin; a long one whole; one that is well inside moves nothing", () => {
    assert.equal(views.showing(view, T + 20n * SECOND, T + 30n * SECOND), view);
    const late = views.showing(view, T + 200n * SECOND, T + 201n * SECOND);
    assert.ok(late.from < T + 200n * SECOND && late.to > T + 201n * SECOND && views.span(late) === views.span(view));
    const long = views.showing(view, T, T + 1000n * SECOND);
    assert.ok(long.from < T && long.to > T + 1000n * SECOND);
});

test("a view that stood is a step to go back to; one that was passed through or followed is none", () => {
    const stand = { view, follow: false, ms: 0 };
    const other = { ...stand, view: views.panned(view, 10, 100), ms: 5000 };
    assert.equal(views.isStep(undefined, other), false);
    assert.equal(views.isStep(stand, other), true);
    assert.equal(views.isStep({ ...stand, ms: 4500 }, other), false);
    assert.equal(views.isStep(stand, { ...stand, ms: 5000 }), false);
    assert.equal(views.isStep(stand, { ...other, follow: true }), true);
    assert.equal(views.isStep({ ...stand, follow: true }, { ...other, follow: true }), false);
});

test("the address is the view", () => {
    const address = new URL(views.addressOf("pump/7 é", view, "m-1"), "http://localhost");
    assert.deepEqual(views.placeOf(address.pathname, address.search), { device: "pump/7 é", from: view.from, to: view.to, mark: "m-1" });
    assert.equal(views.placeOf("/", ""), undefined);
    assert.equal(views.placeOf("/d/%ff", ""), undefined);
    assert.deepEqual(views.placeOf("/d/a", "?from=x&to=y"), { device: "a", mark: undefined });
});
