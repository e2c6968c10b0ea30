import assert from "node:assert/strict";
import { test } from "node:test";
import { figure, figures } from "../../../timeline/static/js/layout.js";

test("a figure has as many digits as people read", () => {
    assert.deepEqual([1234.5678, 0.0123456, 1.2e9, 0, -3.00001].map((value) => figure(value)), ["1234.57", "0.01235", "1.2e9", "0", "-3"]);
});

test("the ends of a range are told apart, however near", () => {
    assert.deepEqual(figures(0, 12.5), ["0", "12.5"]);
    assert.deepEqual(figures(12.00001, 12.00003), ["12.00001", "12.00003"]);
    assert.deepEqual(figures(1_000_001, 1_000_002), ["1.000001e6", "1.000002e6"]);
    assert.deepEqual(figures(5, 5), ["5", "5"]);
});
