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
    (
        "    when: `machine-1.temp` > 80degC\n",
        "text with such characters is quoted: when: '`machine-1.temp` > 80degC'",
        "      when: `machine-1.temp` > 80degC\n            ^",
    ),
    ("    when: mag < 1g\n    until: it's: so\n", "is quoted: until: 'it''s: so'", "^"),
    ("    when: mag < 1g\n\tuntil: mag > 2g\n", "; indent with spaces", "^"),
    ("    when: mag = 1g\n", 'found "="; write ==', "^"),
    ("    when: mag < 1g && mag > 0g\n", 'found "&"; write and', "^"),
    ("    when: mag < 1g OR mag > 2g\n", 'found "OR"; write or', "^^"),
    ("    when: mag < 1.5 g\n", 'found "g"; a number and its unit are written together: 1.5g', "^"),
    ("    when: mag < 0,35g\n", 'found ","; write a decimal point, as in 0.3', "^"),
    ("    when: machine-1.temp > 3\n", "a channel like this stands in backquotes: `machine-1.temp`", "^^^^^^^"),
    ("    when: pump.Volume Flow > 3\n", "a channel that is no plain word stands in backquotes", "^^^^"),
    (
        "    when: acc.x > 1g and acc.x < 80degC\n",
        "rules.yaml:6:34: no channel can be in degC here and in g at line 6 (1g): acc.x < 80degC",
        "^^^^^^",
    ),
    ("    when: mag < 1g\n    until: mag > 3V\n", "no channel can be in V here and in g at line 6 (1g)", "^^"),
    ("    when: mean(acc.x - acc.y, 1s) > 1g or acc.y / 2 > 3m/s\n", "no channel can be in m/s here", "^^^^"),
    ("    when: acc.x > acc.y and acc.x > 1g and -acc.y > 1V\n", "no channel can be in V here", "^^"),
    ("    when: acc.x > 1g + 2V\n", "V does not fit g in: 1g + 2V", "^^^^^^^"),
    ("    when: mag < 1g\n    for: 0 samples\n", "rules[0].for: found 0 samples, expected 1 to", "^^^^^^^^^"),
    ("    when: mag < 1g\n    for: 1e3 samples\n", 'as in "3 samples"', "^^^^^^^^^^^"),
    ("    when: mag < 1g\n    max_gap: 0s\n", "rules[0].max_gap: found 0s, which makes every sample a gap", "^^"),
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


TEST = """version: 1
rules: [{{label: x, when: a.b > 1}}]
tests: [{{name: t, every: {}, values: {{a.b: [{}]}}, expect: []}}]
"""


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
        (
            "version: 1\nrules: [{label: a, when: max(acc.x, 200ms) > 2g}]",
            'unknown key "200ms) > 2g": within braces a comma ends a value; put the expression in quotes',
        ),
        ("version: 1\nlet: {a b: acc.x}\nrules: [{label: x, when: a.b > 1}]", 'let: "a b" is no name'),
        ("version: 1\nlet: {a: b, b: a}\nrules: [{label: x, when: a > 1}]", "is defined by itself: a → b → a"),
        (
            "version: 1\nrules: [{label: x, when: a.b > 1}, {label: x, when: a.b>1}]",
            "rules[1] says the same as rules[0]",
        ),
        ("version: 1\nrules: [{label: x, when: a.b > 1}]\ntests: [{name: t}]", "tests[0]: every is missing"),
        (TEST.format("1s", "1 * 1000000, 1"), "tests[0].values.a.b: expected at most 1000000 numbers in all"),
        (TEST.format("1s", "1 * -1"), "tests[0].values.a.b: expected at most 1000000 numbers in all"),
        (TEST.format("1s", "1 * " + "9" * 5000), "tests[0].values.a.b: expected a number"),
        (TEST.format("400d", "1 * 1000000"), "tests[0].every: the samples would take more than 36 years"),
        (TEST.format("1e999999999s", "1"), "tests[0].every: duration: "),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rules(text, "rules.yaml")
    assert message in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = """version: 1
let: {a: acc.q +, b: 1g}
rules:
  - {label: one, when: acc.x > 1gg, until: acc.x < 0gg, for: 3, hold: x, colour: red}
  - {label: two, when: acc.x > a}
  - {when: acc.x > 1g}
  - {label: four, when: acc.x > 2g}
tests:
  - {name: t, every: 1s, values: {acc.x: [1]}, expect: [{label: none, start: 0s, end: 1s}]}
  - {name: u, every: 0s, values: {acc.x: [1]}, expect: []}
"""
    with pytest.raises(RuleError) as caught:
        compile_rules(text, "rules.yaml")
    heads = [line for line in str(caught.value).splitlines() if line.startswith("rules.yaml:")]
    words = (
        *("too early", "gg", "gg", 'found "3"', 'found "x"', "colour"),
        *("label is missing", "found 0s"),
    )
    assert len(heads) == len(words), heads
    lines = [int(line.split(":")[1]) for line in heads]
    assert lines == sorted(lines)
    for word in words:
        assert any(word in line for line in heads), word
    many = "".join(f"  - {{label: x{i}, when: acc.x > {i}gg}}\n" for i in range(80))
    with pytest.raises(RuleError, match="and 30 more$"):
        compile_rules(f"version: 1\nrules:\n{many}", "rules.yaml")


def test_all_that_does_not_fit_the_streams_is_said_at_once() -> None:
    listed = ("acc.w > 1g", "acc.x > 1degC", "acc.x > motor.speed * 1g", "acc.x > 1g")
    text = "".join(f"  - {{label: x, when: {when}, max_gap: 5s}}\n" for when in listed)
    with pytest.raises(RuleError) as caught:
        check(compile_rules(f"version: 1\nrules:\n{text}", "rules.yaml"), STREAMS)
    for words in ('no channel "w"', "degC does not fit g", 'no channel "speed"'):
        assert words in str(caught.value)


@pytest.mark.parametrize("when", ["air.PM2.5 > 75", "'`air.PM2.5` > 75'", "'air.`PM2.5` > 75'"])
def test_a_channel_may_have_dots(when: str) -> None:
    air = StreamDescription("air", (Channel("PM2.5", "ug/m3"), Channel("PM2", "g")), "float32", 1)
    rules = compile_rules(f"version: 1\nrules:\n  - {{label: dust, when: {when}}}\n", "rules.yaml")
    assert rules.streams == {"air"}
    check(rules, [air])


STREAMS = [
    StreamDescription("acc", tuple(Channel(axis, "g") for axis in "xyz"), "int16", 100),
    StreamDescription("motor", (Channel("temp", "degC"), Channel("load", "%"), Channel("flow", "l/min")), "float32", 1),
]


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("acc.w > 1g", 'stream acc has no channel "w"; known: x, y, z.'),
        ("acc.x > 1degC", "degC does not fit g in: acc.x > 1degC"),
        ("acc.x + 2s > 1s", "s does not fit g in: acc.x + 2s"),
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
