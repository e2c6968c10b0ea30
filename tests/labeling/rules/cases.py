"""Every construct as a rule and as its meaning; random recordings to try them on."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

from ingest.records import Channel, StreamDescription
from tests.labeling.rules.oracle import Samples, Timing, Truth, as_of, both, each, either, negated, rolled

MS = 1_000_000
T0 = 1_700_000_000 * 10**9
Streams = dict[str, Samples]
Meaning = Callable[[Streams], tuple[list[int], Truth, Truth | None]]


@dataclass
class Case:
    """A rule's lines of YAML, and what they mean."""

    lines: str
    meaning: Meaning
    timing: Timing = field(default_factory=Timing)
    slow: int = 1
    """Times as many milliseconds."""
    defaults: str = "max_gap: 500ms, coverage: 0.8"


def _acc(streams: Streams) -> Samples:
    return streams["acc"]


def _mag(a: Samples) -> list[float | None]:
    return each(lambda x, y: sqrt(x * x + y * y), a.channels["x"], a.channels["y"])


def _than(signal: list[float | None], compare: Callable[[float, float], bool], limit: float) -> Truth:
    return each(lambda value: compare(value, limit), signal)  # type: ignore[return-value]


def _single(make: Callable[[Samples], Truth], until: Callable[[Samples], Truth] | None = None) -> Meaning:
    def meaning(streams: Streams) -> tuple[list[int], Truth, Truth | None]:
        a = _acc(streams)
        return a.times, make(a), None if until is None else until(a)

    return meaning


def _rolling(
    kind: str, span_ns: int, compare: Callable[[float, float], bool], limit: float, ahead_ns: int = 0
) -> Meaning:
    return _single(lambda a: _than(rolled(kind, a, a.channels["x"], span_ns, ahead_ns=ahead_ns), compare, limit))


def _above_its_surroundings(a: Samples) -> Truth:
    top = rolled("max", a, a.channels["x"], 60 * MS)
    around = rolled("mean", a, top, 300 * MS, ahead_ns=150 * MS)
    smooth = rolled("min", a, around, 41 * MS, ahead_ns=20_500_000)
    later = rolled("max", a, around, 50 * MS)
    above = each(lambda x, b: x > b + 0.5003, a.channels["x"], smooth)
    rising = each(lambda c, b: c > b + 1.0007, later, smooth)
    return either(above, rising)  # type: ignore[arg-type]


def _joined_around(streams: Streams) -> tuple[list[int], Truth, Truth | None]:
    a, b = streams["acc"], streams["gps"]
    instants = sorted({*a.times, *b.times})
    mean = as_of(instants, a, rolled("mean", a, a.channels["x"], 200 * MS, ahead_ns=100 * MS), 150 * MS)
    y = as_of(instants, a, a.channels["y"], 150 * MS)
    speed = as_of(instants, b, rolled("max", b, b.channels["speed"], 400 * MS, ahead_ns=200 * MS), 150 * MS)
    return (
        instants,
        both(either(_than(mean, operator.gt, 0.4), _than(y, operator.gt, 2)), _than(speed, operator.gt, 1)),
        None,
    )


def _joined(streams: Streams) -> tuple[list[int], Truth, Truth | None]:
    a, b = streams["acc"], streams["gps"]
    instants = sorted({*a.times, *b.times})
    mean = rolled("mean", a, a.channels["x"], 100 * MS)
    x = as_of(instants, a, mean, 150 * MS)
    speed = as_of(instants, b, b.channels["speed"], 150 * MS)
    when = both(_than(x, operator.gt, 1.5), _than(speed, operator.gt, 3 / 3.6))
    return instants, when, either(_than(x, operator.lt, 0.4), _than(speed, operator.lt, 0.2))


def _joined_by_their_own(streams: Streams) -> tuple[list[int], Truth, Truth | None]:
    a, b = streams["acc"], streams["gps"]
    instants = sorted({*a.times, *b.times})
    x, speed = (as_of(instants, s, s.channels[c], None) for s, c in ((a, "x"), (b, "speed")))
    return instants, both(_than(x, operator.gt, -1), _than(speed, operator.lt, 2)), None


def _mixed(streams: Streams) -> tuple[list[int], Truth, Truth | None]:
    a, b = streams["acc"], streams["gps"]
    instants = sorted({*a.times, *b.times})
    x, speed = (as_of(instants, s, s.channels[c], 500 * MS) for s, c in ((a, "x"), (b, "speed")))
    return instants, each(lambda u, v: u * v > 2.5, x, speed), None  # type: ignore[return-value]


CASES = {
    "compare": Case("when: acc.x > 2g", _single(lambda a: _than(a.channels["x"], operator.gt, 2))),
    "equal": Case("when: acc.x == 2g", _single(lambda a: _than(a.channels["x"], operator.eq, 2))),
    "logic": Case(
        "when: (acc.x > 1g or acc.y < -1g) and not acc.x >= 3g",
        _single(
            lambda a: both(
                either(_than(a.channels["x"], operator.gt, 1), _than(a.channels["y"], operator.lt, -1)),
                negated(_than(a.channels["x"], operator.ge, 3)),
            )
        ),
    ),
    "arithmetic": Case(
        "when: (acc.x + 2 * acc.y - 1g) / 2 > abs(-acc.x) - 0.5g",
        _single(
            lambda a: each(lambda x, y: (x + 2 * y - 1) / 2 > abs(-x) - 0.5, a.channels["x"], a.channels["y"])  # type: ignore[arg-type,return-value]
        ),
    ),
    "ratio": Case(
        "when: acc.x / acc.y > 1.5",
        _single(
            lambda a: _than(
                [None if not y or x is None else x / y for x, y in zip(a.channels["x"], a.channels["y"], strict=True)],
                operator.gt,
                1.5,
            )
        ),
    ),
    "norm": Case("when: norm(acc.x, acc.y) > 2.9g", _single(lambda a: _than(_mag(a), operator.gt, 2.9))),
    "hysteresis": Case(
        "when: acc.x > 2g\n    until: acc.x < 0g\n    for: 60ms",
        _single(lambda a: _than(a.channels["x"], operator.gt, 2), lambda a: _than(a.channels["x"], operator.lt, 0)),
        Timing(for_ns=60 * MS),
    ),
    "shape": Case(
        "when: acc.x > 0.5g\n    hold: 40ms\n    for: 50ms\n    cooldown: 150ms\n    pad: [20ms, 30ms]",
        _single(lambda a: _than(a.channels["x"], operator.gt, 0.5)),
        Timing(for_ns=50 * MS, hold_ns=40 * MS, cooldown_ns=150 * MS, pad_ns=(20 * MS, 30 * MS)),
    ),
    "small gaps": Case(
        "when: acc.x > -1g\n    until: acc.y > 1g\n    max_gap: 40ms\n    hold: 100ms",
        _single(lambda a: _than(a.channels["x"], operator.gt, -1), lambda a: _than(a.channels["y"], operator.gt, 1)),
        Timing(max_gap_ns=40 * MS, hold_ns=100 * MS),
    ),
    "own gaps": Case(
        "when: acc.x > -1g\n    until: acc.y > 1g\n    hold: 4s",
        _single(lambda a: _than(a.channels["x"], operator.gt, -1), lambda a: _than(a.channels["y"], operator.gt, 1)),
        Timing(max_gap_ns=None, hold_ns=4000 * MS),
        slow=100,
        defaults="coverage: 0.8",
    ),
    "own gaps, quick": Case(
        "when: acc.x > -1g",
        _single(lambda a: _than(a.channels["x"], operator.gt, -1)),
        Timing(max_gap_ns=None),
        defaults="coverage: 0.8",
    ),
    "own gaps, rolling": Case(
        "when: mean(acc.x, 9s) > 0.7g",
        _single(lambda a: _than(rolled("mean", a, a.channels["x"], 9000 * MS, max_gap_ns=None), operator.gt, 0.7)),
        Timing(max_gap_ns=None),
        slow=100,
        defaults="coverage: 0.8",
    ),
    "own gaps, joined": Case(
        "when: acc.x > -1g and gps.speed < 2m/s",
        _joined_by_their_own,
        Timing(max_gap_ns=None),
        slow=100,
        defaults="coverage: 0.8",
    ),
    "samples": Case(
        "when: acc.x > 0.5g\n    hold: 25ms\n    for: 5 samples\n    max_gap: 60ms",
        _single(lambda a: _than(a.channels["x"], operator.gt, 0.5)),
        Timing(max_gap_ns=60 * MS, for_samples=5, hold_ns=25 * MS),
    ),
    "max": Case("when: max(acc.x, 80ms) < 1.5g", _rolling("max", 80 * MS, operator.lt, 1.5)),
    "min": Case("when: min(acc.x, 75ms) > -1.5g", _rolling("min", 75 * MS, operator.gt, -1.5)),
    "mean": Case("when: mean(acc.x, 90ms) > 0.7g", _rolling("mean", 90 * MS, operator.gt, 0.7)),
    "std": Case("when: std(acc.x, 100ms) > 1.37g", _rolling("std", 100 * MS, operator.gt, 1.37)),
    "long max": Case("when: max(acc.x, 1s) > 3.5g", _rolling("max", 1000 * MS, operator.gt, 3.5)),
    "long min": Case("when: min(acc.x, 900ms) < -3.5g", _rolling("min", 900 * MS, operator.lt, -3.5)),
    "long mean": Case("when: mean(acc.x, 1s) > 0.2001g", _rolling("mean", 1000 * MS, operator.gt, 0.2001)),
    "long std": Case("when: std(acc.x, 1s) > 2.01g", _rolling("std", 1000 * MS, operator.gt, 2.01)),
    "centred max": Case("when: max(acc.x, 80ms, centre) < 1.5g", _rolling("max", 80 * MS, operator.lt, 1.5, 40 * MS)),
    "centred min": Case(
        "when: min(acc.x, 75ms, centre) > -1.5g", _rolling("min", 75 * MS, operator.gt, -1.5, 37_500_000)
    ),
    "centred mean": Case(
        "when: mean(acc.x, 90ms, centre) > 0.7g", _rolling("mean", 90 * MS, operator.gt, 0.7, 45 * MS)
    ),
    "centred std": Case(
        "when: std(acc.x, 100ms, centre) > 1.37g", _rolling("std", 100 * MS, operator.gt, 1.37, 50 * MS)
    ),
    "long centred max": Case(
        "when: max(acc.x, 1s, centre) > 3.5g", _rolling("max", 1000 * MS, operator.gt, 3.5, 500 * MS)
    ),
    "long centred mean": Case(
        "when: mean(acc.x, 1s, centre) > 0.2001g", _rolling("mean", 1000 * MS, operator.gt, 0.2001, 500 * MS)
    ),
    "long centred std": Case(
        "when: std(acc.x, 1s, centre) > 2.01g", _rolling("std", 1000 * MS, operator.gt, 2.01, 500 * MS)
    ),
    "centred of centred": Case(
        "let:\n"
        "      around: mean(max(acc.x, 60ms), 300ms, centre)\n"
        "      smooth: min(around, 41ms, centre)\n"
        "    when: acc.x > smooth + 0.5003g or max(around, 50ms) > smooth + 1.0007g\n"
        "    hold: 20ms",
        _single(_above_its_surroundings),
        Timing(hold_ns=20 * MS),
    ),
    "joined centred": Case(
        "when: (mean(acc.x, 200ms, centre) > 0.4g or acc.y > 2g) and max(gps.speed, 400ms, centre) > 1m/s\n"
        "    max_age: 150ms",
        _joined_around,
    ),
    "of a norm": Case(
        "when: max(mag, 80ms) < 3.2g",
        _single(lambda a: _than(rolled("max", a, _mag(a), 80 * MS), operator.lt, 3.2)),
    ),
    "joined": Case(
        "when: mean(acc.x, 100ms) > 1.5g and gps.speed > 3km/h\n"
        "    until: mean(acc.x, 100ms) < 0.4g or gps.speed < 0.2m/s\n"
        "    max_age: 150ms\n    hold: 30ms",
        _joined,
        Timing(hold_ns=30 * MS),
    ),
    "mixed": Case("when: acc.x * gps.speed / 1g > 2.5m/s", _mixed),
}


def rule_text(case: Case) -> str:
    return (
        f"version: 1\ndefaults: {{{case.defaults}}}\nlet:\n  mag: norm(acc.x, acc.y)\n"
        f"rules:\n  - label: event\n    {case.lines}\n"
    )


def describe(rate: int, slow: int = 1) -> dict[str, StreamDescription]:
    """Streams of a nominal rate in hertz, `slow` times as slow; 0: none."""
    return {
        "acc": StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float64", rate, slow),
        "gps": StreamDescription("gps", (Channel("speed", "m/s"),), "float64", rate // 5, slow),
    }


def recording(rng: np.random.Generator, rate: int, count: int, slow: int = 1) -> Streams:
    """Two streams of small whole numbers, so that sums are exact; jitter, gaps and missing values in some of them."""
    streams: Streams = {}
    for name, channels, step in (("acc", "xy", 10 * MS), ("gps", ("speed",), 50 * MS)):
        samples = count if name == "acc" else count // 5
        step *= slow
        steps = np.full(samples, step)
        if rng.random() < 0.5:
            steps += rng.integers(-step // 3, step // 3, samples)
        if rng.random() < 0.6:
            holes = rng.random(samples) < 0.03
            steps[holes] += rng.choice([30, 40, 50, 120, 600, 1500], holes.sum()) * MS * slow
        times = T0 + np.cumsum(steps)
        walk = np.cumsum(rng.integers(-1, 2, (samples, len(channels))), axis=0)
        values = np.clip(((walk + 4) % 16) - 4 - 8 * ((walk + 4) % 16 > 8), -4, 4) if name == "acc" else walk % 3
        missing = rng.random((samples, len(channels))) < rng.choice([0, 0, 0.05, 0.4])
        streams[name] = Samples(
            [int(t) for t in times],
            {
                channel: [None if gone else float(v) for v, gone in zip(values[:, c], missing[:, c], strict=True)]
                for c, channel in enumerate(channels)
            },
            slow * 10**9 // (rate if name == "acc" else rate // 5) if rate else 0,
        )
    return streams
