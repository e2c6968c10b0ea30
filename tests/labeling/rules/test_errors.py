"""What a person sees who writes a wrong rule: the place, what was found, what to do."""

from __future__ import annotations

import pytest

from ingest.records import Channel, StreamDescription
from labeling.rules.compile import compile_rules
from labeling.rules.errors import RuleError
from labeling.rules.plan import check

HEAD = "version: 1\nlet:\n  mag: norm(acc.x, acc.y, acc.z)\nrules:\n  - label: event\n"
GOLDEN = [
    (
        "    when: max(mag, 80ms) < 0.35gg\n",
        'rules.yaml:6:32: unknown unit "gg"; known: ',
        "      when: max(mag, 80ms) < 0.35gg\n                                 ^^",
    ),
    (
        "    when: max(mag, 80) < 1g\n",
        "rules.yaml:6:20: found no span of time; write max(acc.x, 80ms)",
        "      when: max(mag, 80) < 1g\n                     ^^",
    ),
    (
        "    when: mga < 1g\n",
        'rules.yaml:6:11: unknown name "mga"; a channel is written stream.channel, as in acc.x; known: mag. '
        'Did you mean "mag"?',
        "      when: mga < 1g\n            ^^^",
    ),
    (
        "    when: band(acc.z, 1s) > 1g\n",
        'rules.yaml:6:11: unknown function "band"; known: abs, max, mean, min, norm, std.',
        "      when: band(acc.z, 1s) > 1g\n            ^^^^",
    ),
    (
        "    when: max(mag, 80ms, center) < 1g\n",
        "rules.yaml:6:26: expected nothing behind the span, or centre: max(acc.x, 80ms, centre)",
        "      when: max(mag, 80ms, center) < 1g\n                           ^^^^^^",
    ),
    ("    when: max(mag, 80ms, centre, 1) < 1g\n", "rules.yaml:6:26: expected nothing behind the span", "^^^^^^"),
    ("    when: max(mag, 2d, centre) < 1g\n", "a centred value waits for half of its span; use at most 86400s", "^^"),
    ("    when: max(centre, 80ms) < 1g\n", 'unknown name "centre"', "^^^^^^"),
    ("    when: mag\n", "rules.yaml:6:11: found a value, expected a condition; compare it, as in mag < 0.35g", "^^^"),
    ("    when: mag <\n", "rules.yaml:6:16: the expression ends too early; expected ", "      when: mag <\n"),
    ("    when: mag < 1g)\n", 'rules.yaml:6:19: found ")"; expected ', "                   ^"),
    ("    when: mag # 3\n", "rules.yaml:6:11: found a value, expected a condition", "^^^"),
    ("    when: 1g < 2g\n", "rules.yaml:6:11: compares two constants; name a channel", "^^^^^^^"),
    (
        "    when: mag < 1g\n    wen: 1\n",
        'rules.yaml:7:5: rules[0]: unknown key "wen"; known: ',
        'Did you mean "when"?',
    ),
    (
        "    peak: mag\n    when: mag < 1g\n",
        'rules.yaml:6:5: rules[0]: unknown key "peak"; known: ',
        "    ^^^^",
    ),
    ("    when: mag < 1g\n    for: 3\n", 'rules.yaml:7:10: rules[0].for: duration: found "3"; use ', "           ^"),
    ("    when: mag < 1g\n    hold: -3s\n", 'rules.yaml:7:11: rules[0].hold: "-3s" is out of range', "^^^"),
    ("    when: mag < 1g\n    pad: [1s]\n", "rules.yaml:7:10: rules[0].pad: found 1 durations, expected two", "^^^^"),
    ("    when: mag < 1g\n    when: mag < 2g\n", 'rules.yaml:7:5: rules[0]: "when" is given twice', "      ^^^^"),
    ("    until: mag < 1g\n", "rules.yaml:5:5: rules[0]: when is missing; a rule has at least label and when", "^^^"),
    ("    when: mag < 1g\n    coverage: 2\n", "rules.yaml:7:15: rules[0].coverage: found 2, expected a share", "^"),
    ("    let: {mag: mag}\n    when: mag < 1g\n", 'rules.yaml:6:16: "mag" is defined by itself: mag → mag', "^^^"),
    ("    when: [mag]\n", "rules.yaml:6:11: rules[0].when: found a list, expected text", "^^^^^"),
    ("    when: {mag\n", "not YAML: ", "^"),
    ("    when: mag > 1e999999999g\n", 'rules.yaml:6:17: "1e999999999" is out of range; use a number up to', "^^^^"),
    ("    when: mag > 1e9999\n", 'rules.yaml:6:17: "1e9999" is out of range', "^^^^"),
    ("    when: mag < 1g\n    for: 1e999999999s\n", "rules[0].for: duration:", "^^^^"),
    ("    when: mag < 1g\n    coverage: 1e-999999999\n", "rules[0].coverage:", "^^^^"),
]


@pytest.mark.parametrize(("lines", "message", "place"), GOLDEN)
def test_an_error_shows_its_place(lines: str, message: str, place: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rules(HEAD + lines, "rules.yaml")
    assert message in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rules.yaml: is empty; write version: 1 and rules:"),
        ("rules: []", "version: is missing; this reads version: 1"),
        ("version: 2\nrules: []", 'version: found "2"; this reads version: 1'),
        ("version: 1", "rules: is missing"),
        ("version: 1\nrules: []", "rules: found 0, expected 1 to 1000"),
        ("version: 1\nrules: 7", 'rules: found "7", expected a list'),
        (
            "version: 1\nrule: []",
            'unknown key "rule"; known: defaults, let, rules, tests, version. Did',
        ),
        ("version: 1\ndefaults: {gap: 1s}\nrules: []", 'defaults: unknown key "gap"'),
        ("version: 1\nlet: {a b: acc.x}\nrules: [{label: x, when: a.b > 1}]", 'let: "a b" is no name'),
        ("version: 1\nlet: {a: b, b: a}\nrules: [{label: x, when: a > 1}]", "is defined by itself: a → b → a"),
        (
            "version: 1\nrules: [{label: x, when: a.b > 1}, {label: x, when: a.b>1}]",
            "rules[1] says the same as rules[0]",
        ),
        ("version: 1\nrules: [{label: x, when: a.b > 1}]\ntests: [{name: t}]", "tests[0]: every is missing"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rules(text, "rules.yaml")
    assert message in str(caught.value)


STREAMS = [
    StreamDescription("acc", tuple(Channel(axis, "g") for axis in "xyz"), "int16", 100),
    StreamDescription("motor", (Channel("temp", "degC"), Channel("load", "%"), Channel("flow", "l/min")), "float32", 1),
]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("acc.w > 1g", 'stream acc has no channel "w"; known: x, y, z.'),
        ("acc.x > 1degC", "degC does not fit g in: acc.x > 1degC"),
        ("acc.x + 2s > 1g", "s does not fit g in: acc.x + 2s"),
        ("norm(acc.x, acc.y) > 1m/s", "m/s does not fit g"),
        ("motor.temp + motor.temp > 3", "adds two temperatures"),
        ("2 * motor.temp > 30degC", "a temperature in degC cannot be multiplied"),
        ("motor.temp > std(motor.temp, 10s)", "sets a temperature against a difference of temperatures"),
        ("motor.flow > 3g", "g does not fit l/min"),
        ("acc.x / 0 > 3 and acc.x > 1g / 0", "divides by 0"),
        ("acc.x > 1e99 * 1e99 * 1e99 * 1e99 * 1g", "beyond what a float64 holds"),
        (
            "mean(mean(acc.x, 30min, centre), 30min, centre) > 1g and acc.x > 1g",
            "looks at 360000 samples of acc at once, expected at most 262144",
        ),
        ("motor.temp > 3", "max_gap 0.999s is shorter than the 1s between samples of motor"),
    ],
)
def test_units_and_channels_are_checked_against_descriptions(when: str, message: str) -> None:
    gap = ", max_gap: 999ms" if "max_gap" in message else ""
    rules = compile_rules(f"version: 1\nrules:\n  - {{label: x, when: '{when}'{gap}}}\n", "rules.yaml")
    with pytest.raises(RuleError) as caught:
        check(rules, STREAMS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "when",
    [
        "acc.x > 3m/s2 and motor.temp > 300K",
        "motor.temp - mean(motor.temp, 60s) > 9degF",
        "motor.temp - 5degC > 70degC",
        "motor.load > 50%",
        "motor.load / 2 > 0.5 and motor.flow > 3",
        "acc.x * acc.x + acc.y * acc.y > 2m/s2 * 1m/s2",
        "acc.x / acc.y > 150%",
        "1g < norm(acc.x, acc.y, acc.z) <= 3g",
        "-acc.x > abs(acc.y) + 0.1g",
    ],
)
def test_units_that_fit_are_taken(when: str) -> None:
    text = f"version: 1\nrules:\n  - {{label: x, when: '{when}', max_gap: 5s}}\n"
    check(compile_rules(text, "rules.yaml"), STREAMS)


def test_a_large_or_deep_expression_is_refused() -> None:
    doubling = "\n".join(f"  a{i}: a{i + 1} + a{i + 1}" for i in range(30)) + "\n  a30: acc.x\n"
    for text, message in (
        (f"version: 1\nlet:\n{doubling}rules: [{{label: x, when: a0 > 1g}}]\n", "too large"),
        (f"version: 1\nrules: [{{label: x, when: '{'-' * 200}acc.x > 1g'}}]\n", "too large"),
        (f"version: 1\nrules: [{{label: x, when: '{'(' * 1500}acc.x{')' * 1500} > 1g'}}]\n", ""),
        (f"version: 1\nrules: [{{label: x, when: 'acc.x > {'1' * 5000}'}}]\n", "expected at most 4000"),
    ):
        if message:
            with pytest.raises(RuleError, match=message):
                compile_rules(text, "rules.yaml")
        else:
            compile_rules(text, "rules.yaml")
