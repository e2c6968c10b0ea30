"""How far the times that an agent gives lie from the true ones: rates that are off, jitter, large reads, stalls.

A sensor of a known true rate is played through the recorder as a source would bring it. Every sample's value is its
number, so that its true time is known; a constant latency cannot be observed by anybody, and is taken off (the median
of the settled part). The errors of every case are drawn into `PLOTS`. Where a case misses its bar, it is said how well
the same arrivals would be placed by who knows all but the line (`tests.bench.time_bound`).
"""

from __future__ import annotations

import itertools
import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.protocol import Frame, SourceConfig
from edge.recording.pulses import Look, Pulse, PulseClock
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from ingest.records import Chunk
from ingest.times import sample_times
from tests.bench.harness import Row, row
from tests.bench.plotting import Panel, draw
from tests.bench.time_bound import best_line

S: Final = 1_000_000_000
MS: Final = 1_000_000
WALL: Final = 1_700_000_000 * S
NOMINAL: Final = 100
OFF_PERCENT: Final = (0.0, 0.1, 1.0, 4.0, 10.0, 100.0)
READS: Final = (1, 16, 32, 160)
STALLS_S: Final = (0.0, 0.5, 2.0, 10.0, 120.0)
JITTER_NS: Final = 10 * MS
LATENCY_NS: Final = 2 * MS
SEED: Final = 7
SEEDS: Final = range(100, 120)
"""How often a case misses that cannot be held in all runs."""
LEARN_S, SETTLE_S, WATCH_S = 60, 10, 60
"""Until a rate must be known; until it must be right again after a stall; how long it is looked at then."""
KEPT_BYTES, LINE_BYTES = 4095, 12
"""What a port keeps of what nobody reads, and what a line takes of it."""
PULSE_S: Final = 1800
PLOTS: Final = Path(".cache/bench/time-error.svg")


class Case(NamedTuple):
    """A sensor that makes `off` per cent more samples than its `rate` says."""

    off: float
    read: int
    stall_s: float

    @property
    def period_ns(self) -> float:
        """The true one."""
        return S / (NOMINAL * (1 + self.off / 100))

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.off:g} % off, {self.read} a read" + (f", {self.stall_s:g} s stall" if self.stall_s else "")


@dataclass(frozen=True)
class Found:
    """What came out: by sample, ns since the begin."""

    numbers: NDArray[np.int64]
    error_ns: NDArray[np.float64]
    """Placed later than true; the constant latency is taken off."""
    ahead_ns: float
    """The most by which a sample lies behind (after) its own arrival."""
    spacing: float
    """The least step, in true periods."""
    early_ns: float
    """The largest error before the rate is known, from `SETTLE_S` on."""
    rate_ppm: float
    """Error of the rate between `LEARN_S` and the stall, or the end."""
    p99_ns: float
    """Of the error after `LEARN_S`, without the stall and the `SETTLE_S` after it."""


def bench() -> list[Row]:
    """The worst case of each figure over the whole grid."""
    cases = [Case(*each) for each in itertools.product(OFF_PERCENT, READS, STALLS_S)]
    found = {case: play(case) for case in cases}
    _plot(found)
    led, left = pulse_errors_ns(with_pulses=True), pulse_errors_ns(with_pulses=False)
    calm = {case: each for case, each in found.items() if not case.stall_s}
    stalled = {case: each for case, each in found.items() if case.stall_s}
    return [
        _worst("rate error after 60 s", calm, lambda each: abs(each.rate_ppm), "ppm", 50),
        _worst("sample error p99 after 60 s", calm, _p99_ms, "ms", 1),
        *_after_stalls(stalled),
        _worst("sample error before it has settled, 10 to 60 s", calm, lambda each: each.early_ns / MS, "ms", 10),
        _worst("later than its own arrival", found, lambda each: each.ahead_ns / MS, "ms", 10),
        _worst("least step of samples", found, lambda each: -each.spacing, "true periods", -0.5),
        row(
            f"time: p99 of samples that the kernel stamps, with a pulse per second, {PULSE_S} s",
            [float(np.quantile(np.abs(led), 0.99)) / 1000],
            "us",
            baseline="the same without it",
            baseline_values=[float(np.quantile(np.abs(left), 0.99)) / 1000],
            bar=50,
            lower_is_better=True,
        ),
    ]


def pulse_errors_ns(*, with_pulses: bool, seed: int = SEED) -> NDArray[np.int64]:
    """How far samples that the kernel stamps lie from the true time, on a machine whose clock was set and is free.

    Its quartz is 30 ppm off and wanders with the temperature; the clock was 5 ms ahead when the recording began.
    Interrupts of pulses are late by 5 us in the mean, every fiftieth by a millisecond. Nothing is taken off.
    """
    chance = random.Random(seed)
    words = {"where": "bench", "base": ".", "name": "s", "type": "iio", "device": "pump", "stream": "acc"}
    config = SourceConfig(**words, decoder="scans", channels={"x": "1"}, clock="kernel", dtype="float64")  # type: ignore[arg-type]
    state, clock = ClockState(True, "ntp"), PulseClock()
    recorder = Recorder("pump", os.urandom(16), [config], Rules(), Previous(), state)
    ahead_ns, chunks, errors = 5 * MS, list[Chunk](), list[NDArray[np.int64]]()

    def boot(t: NDArray[np.int64] | int) -> NDArray[np.int64]:
        seconds = np.asarray(t) / S
        found: NDArray[np.int64] = np.asarray(t + 30_000 * seconds + 500_000 * np.sin(seconds / 95)).astype(np.int64)
        return found  # to 5 ppm more, and less

    for second in range(1, PULSE_S):
        late_ns = MS if chance.random() < 0.02 else int(chance.expovariate(1 / 5000))
        look = Look(int(boot(second * S + 300 * MS)), WALL + ahead_ns, 300, 50 * MS)
        if with_pulses:
            clock.take(Pulse(int(boot(second * S + late_ns)) + look.lacks_ns, second), look)
            clock.go_on(look)
            if clock.line is not None:
                recorder.set_clock(ClockState(True, "pps", clock.line), look.at_ns)
        true_ns = second * S + 301 * MS + np.arange(NOMINAL, dtype=np.int64) * (S // NOMINAL)
        stamped, values = boot(true_ns), true_ns[:, None].astype(np.float64)
        recorder.take("acc", 0, [Frame(values, stamped, 0)], int(stamped[-1]), WALL + ahead_ns + int(stamped[-1]))
        chunks += [held.record for held in recorder.flush(int(stamped[-1])) if isinstance(held.record, Chunk)]
    for chunk in chunks:
        true = np.frombuffer(chunk.values, "<f8").astype(np.int64)
        if true[0] > LEARN_S * S:
            errors.append(sample_times(chunk) - WALL - true)
    return np.concatenate(errors)


def _after_stalls(found: dict[Case, Found]) -> list[Row]:
    """The worst error; and where it is above its bar, the best estimate's, and the worst of where that holds."""
    name = "sample error p99 from 10 s after a stall on"
    rows = [_worst(name, found, _p99_ms, "ms", 1)]
    bounds = {case: bound_ns(case) / MS for case, each in found.items() if each.p99_ns > MS}
    unknowable = {case: bound for case, bound in bounds.items() if bound > 1}
    if unknowable:
        for case, bound in unknowable.items():
            rows.append(row(f"time: {name}, by who knows all but the line ({case.name})", [bound], "ms"))
            rows.append(_missed(case))
        knowable = {case: each for case, each in found.items() if case not in unknowable}
        rows.append(_worst(f"{name}, where who knows all but the line keeps to it", knowable, _p99_ms, "ms", 1))
    return rows


def _missed(case: Case) -> Row:
    """In how many runs a case misses its bar, beside the best estimate."""
    own = [100.0 * (play(case, seed).p99_ns > MS) for seed in SEEDS]
    best = [100.0 * (bound_ns(case, seed) > MS) for seed in SEEDS]
    means = sum(own) / len(own), sum(best) / len(best)
    name = f"time: runs of {len(own)} that miss it ({case.name})"
    return row(name, [means[0]], "%", baseline="who knows all but the line", baseline_values=[means[1]])


def _p99_ms(found: Found) -> float:
    return found.p99_ns / MS


def _worst(name: str, found: dict[Case, Found], figure: Callable[[Found], float], unit: str, bar: float) -> Row:
    """The largest of a figure; one that is negative is the least of what it stands for."""
    case = max(found, key=lambda each: figure(found[each]))
    value = figure(found[case])
    name = f"time: {name}, worst of {len(found)} ({case.name})"
    return row(name, [abs(value)], unit, bar=abs(bar), lower_is_better=bar > 0)


def play(case: Case, seed: int = SEED) -> Found:
    """Play a sensor through a recorder; `seed` is that of the jitter."""
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "device": "pump", "stream": "acc"}
    config = SourceConfig(
        **words,  # type: ignore[arg-type]
        decoder="csv",
        channels={"x": "1"},
        rate=Fraction(NOMINAL),
        dtype="float64",
    )
    recorder = Recorder("pump", os.urandom(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    stall, end_ns = _course(case)
    chance = random.Random(seed)
    chunks: list[Chunk] = []
    arrived: dict[int, int] = {}
    tick, fed = S, 0
    for first, count, at in _reads(case, end_ns, stall, chance):
        while tick <= at:
            if not stall[0] < tick < stall[1]:  # who is stopped does not tick
                chunks += [held.record for held in recorder.flush(tick) if isinstance(held.record, Chunk)]
            tick += S
        values = np.arange(first, first + count, dtype=np.float64)[:, None]
        fed += LINE_BYTES * count
        recorder.take("acc", LINE_BYTES * count, [Frame(values, None, fed)], at, WALL + at)
        arrived.update((first + n, at) for n in range(count))
    chunks += [held.record for held in recorder.flush(end_ns) if isinstance(held.record, Chunk)]
    return _found(case, chunks, arrived, stall)


def bound_ns(case: Case, seed: int = SEED) -> float:
    """The error of `play` that nobody gets below: each sample is placed by the arrivals up to its own."""
    stall, end_ns = _course(case)
    taken, arrived = list[float](), list[float]()
    times, errors = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for first, count, at in _reads(case, end_ns, stall, random.Random(seed)):
        samples = np.arange(first + 1.0, first + count + 1.0) * case.period_ns
        if not stall[0] < at <= stall[1] + JITTER_NS or samples[-1] > stall[1]:  # else it waited: that says nothing
            taken.append(float(samples[-1]))
            arrived.append(float(at))
        offset, slope = best_line(np.array(taken), np.array(arrived), JITTER_NS)
        times.append(samples)
        errors.append(offset + slope * samples)
    return _p99(np.concatenate(times), np.concatenate(errors), stall)


def _course(case: Case) -> tuple[tuple[int, int], int]:
    """When the stall is, and when all ends, ns."""
    begin_s = LEARN_S + 10
    stall = begin_s * S, int((begin_s + case.stall_s) * S)
    return stall, stall[1] + (SETTLE_S + WATCH_S) * S


def _p99(true_ns: NDArray[np.floating], error: NDArray[np.floating], stall: tuple[int, int]) -> float:
    """Of what lies after the stall and `SETTLE_S`, or after `LEARN_S` where there is none."""
    settled = (true_ns > LEARN_S * S) & (true_ns < stall[0])
    after = true_ns > (stall[1] + SETTLE_S * S if stall[1] > stall[0] else LEARN_S * S)
    return float(np.quantile(np.abs(error[after] - np.median(error[settled])), 0.99)) if after.any() else math.inf


def _reads(case: Case, end_ns: int, stall: tuple[int, int], chance: random.Random) -> list[tuple[int, int, int]]:
    """First number, samples and arrival of each read. Of what comes in a stall a port keeps the oldest."""
    found, last, kept, lost = list[tuple[int, int, int]](), 0, 0, False
    for first in itertools.count(0, case.read):
        true_ns = int((first + case.read) * case.period_ns)  # when its last sample is taken
        if true_ns > end_ns:
            return found
        at = true_ns + LATENCY_NS + chance.randrange(JITTER_NS)
        if stall[0] <= at < stall[1]:
            room = (KEPT_BYTES - kept) // LINE_BYTES
            count = 0 if lost else min(case.read, room)
            lost |= count < case.read
            kept += count * LINE_BYTES
            if count:
                last = max(last + 1, stall[1])
                found.append((first, count, last))
            continue
        last = max(last + 1, at)
        found.append((first, case.read, last))
    raise AssertionError


def _found(case: Case, chunks: list[Chunk], arrived: dict[int, int], stall: tuple[int, int]) -> Found:
    numbers = np.concatenate([np.frombuffer(chunk.values, "<f8") for chunk in chunks]).astype(np.int64)
    placed = np.concatenate([sample_times(chunk) for chunk in chunks]) - WALL
    true_ns = (numbers + 1) * case.period_ns
    error = placed - true_ns
    settled = (true_ns > LEARN_S * S) & (true_ns < stall[0])
    error -= np.median(error[settled])
    after = true_ns > (stall[1] + SETTLE_S * S if case.stall_s else LEARN_S * S)
    late = placed - np.array([arrived[int(number)] for number in numbers])
    early = (true_ns > SETTLE_S * S) & (true_ns < LEARN_S * S)
    slope = np.polyfit(true_ns[settled] / S, error[settled] / S, 1)[0] if not case.stall_s else 0.0
    if not case.stall_s:
        slope = np.polyfit(true_ns[after] / S, error[after] / S, 1)[0]
    steps = np.diff(placed) / case.period_ns
    p99 = _p99(true_ns, error, stall)
    return Found(
        numbers, error, float(late.max()), float(steps.min()), float(np.abs(error[early]).max()), slope * 1e6, p99
    )


def _plot(found: dict[Case, Found]) -> None:
    """A panel for each read size and stall, a line for each rate."""
    panels = []
    for read, stall_s in itertools.product(READS, STALLS_S):
        lines = {
            f"{case.off:g} %": ((each.numbers + 1) * case.period_ns / S, each.error_ns / MS)
            for case, each in found.items()
            if (case.read, case.stall_s) == (read, stall_s)
        }
        panels.append(Panel(f"{read} a read, stall {stall_s:g} s", "s", "ms", lines, (-20.0, 20.0)))
    PLOTS.parent.mkdir(parents=True, exist_ok=True)
    draw(PLOTS, "error of a sample's time, by how far the true rate is off", panels, len(STALLS_S))
    print(f"time errors are drawn in {PLOTS}", file=sys.stderr)
