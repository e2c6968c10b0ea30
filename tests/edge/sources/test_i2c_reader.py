"""A part's FIFO, read by its thread, and what the recorder makes of it."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.scans.decoder import row_type
from edge.protocol import Arrival, Frame, Interruption
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from edge.sources.clock import boottime_ns
from edge.sources.i2c.bus import Found, Place
from edge.sources.i2c.reader import I2cReader, missed
from edge.sources.i2c.settings import read_settings
from edge.sources.i2c.source import I2cSource
from edge.sources.serial.reader import OVERRUN
from ingest.records import Chunk, Gap
from ingest.times import NS, sample_times
from tests.edge.configs import source_config
from tests.edge.sources import i2c_doubles as doubles
from tests.edge.sources.collecting import Items, Taker, until

RATE_HZ = 400
CONFIG = source_config("scans", kind="i2c", part="adxl345", rate=RATE_HZ)
WALL = 1_700_000_000 * NS


class Ticking(doubles.Bus):
    """A bus with an ADXL345 that numbers its samples, at a rate that is off its nominal one."""

    def __init__(self) -> None:
        self.part = doubles.Adxl345()
        super().__init__({0x53: self.part})
        self.before = self._tick
        self._number = 0
        self._next_ns = boottime_ns()

    def _tick(self) -> None:
        while self._next_ns <= boottime_ns():
            self._next_ns += int(NS / RATE_HZ / 1.03)
            self._number += 1
            self.part.sample(self._number & 0x7FFF, self._number >> 15, 0)


def numbers_of(items: Items) -> Iterator[list[int]]:
    """The samples' numbers, in runs between which something was told as lost."""
    run: list[int] = []
    for item in items:
        if isinstance(item, Interruption):
            yield run
            run = []
        else:
            run += np.frombuffer(item.data, row_type(3))["values"][:, 0].astype(int).tolist()
    yield run


def samples(taker: Taker) -> int:
    return len(taker.data) // row_type(3).itemsize


def test_each_sample_comes_once_and_what_does_not_is_announced() -> None:
    bus = Ticking()
    source = I2cSource(Place(read_settings(CONFIG), lambda path: bus))

    async def run() -> Items:
        taker = Taker(source)
        await taker.until(lambda taker: samples(taker) >= 100)
        bus.part.reset()
        await taker.until(lambda taker: samples(taker) >= 200)
        bus.fails = errno.EREMOTEIO
        await until(lambda: "does not answer any more" in source.waiting_for or "nothing answers" in source.waiting_for)
        assert source.missing == "part_lost"
        bus.fails = 0
        await taker.until(lambda taker: samples(taker) >= 300)
        await source.close()
        return taker.items + list(source.left())

    items = asyncio.run(run())
    told = [item.reason for item in items if isinstance(item, Interruption)]
    assert told.count("part_lost") >= 2
    assert set(told) <= {"part_lost", OVERRUN}
    runs = list(numbers_of(items))
    assert all(run == list(range(run[0], run[0] + len(run))) for run in runs if run)
    lasts = [(run[0], run[-1]) for run in runs if run]
    assert all(before[1] < behind[0] for before, behind in itertools.pairwise(lasts))
    stamps = [item.monotonic_ns for item in items if isinstance(item, Arrival)]
    assert stamps == sorted(stamps)
    assert bus.is_closed


def test_a_fifo_that_runs_over_again_and_again_is_told() -> None:
    bus = Ticking()
    place = Place(read_settings(CONFIG), lambda path: bus)
    source = I2cSource(place)

    def flood() -> None:
        for _ in range(40):
            bus.part.sample(0, 0, 0)

    bus.before = flood

    async def run() -> None:
        taker = Taker(source)
        await taker.until(lambda taker: sum(isinstance(item, Interruption) for item in taker.items) > 3)
        await until(lambda: "runs over again and again" in source.trouble)
        await source.close()

    asyncio.run(run())


@given(st.integers(0, 33), st.integers(0, 10**10), st.integers(1, 10**10))
def test_what_ran_over_was_lost_since_the_look_before(kept: int, seen_ns: int, lap_ns: int) -> None:
    at_ns = seen_ns + lap_ns
    told = missed(Found(np.zeros((kept, 3)), at_ns, WALL + at_ns, True), seen_ns, NS / RATE_HZ)
    assert told.since_ns == seen_ns < told.monotonic_ns <= max(at_ns, seen_ns + 1)
    assert told.wall_ns - told.monotonic_ns == WALL
    assert told.goes_on
    if kept * NS / RATE_HZ < lap_ns:
        assert at_ns - told.monotonic_ns == int(kept * NS / RATE_HZ)


def test_the_parts_own_rate_is_learned_and_an_overrun_leaves_a_hole_of_its_length() -> None:
    """Looks 20 ms apart, at a part whose clock is 3 % slow; between two of them nobody looks for two seconds."""
    true_ns = NS / RATE_HZ / 0.97
    recorder = Recorder("pump", bytes(16), [CONFIG], Rules(), Previous(), ClockState(True, "system"))
    at_ns, taken, records = NS, int(NS / true_ns), []
    while at_ns < 61 * NS:
        before_ns, at_ns = at_ns, at_ns + (2 * NS if at_ns // NS == 40 else 20_000_000 + taken % 7 * 100_000)
        ready = int(at_ns / true_ns)
        count = min(33, ready - taken)
        values = np.arange(ready - count, ready)[:, np.newaxis] * np.ones(3)
        if ready - taken > 33:
            told = missed(Found(values, at_ns, WALL + at_ns, True), before_ns, NS / RATE_HZ)
            recorder.interrupt("acc", told.reason, told.monotonic_ns, told.wall_ns, told.since_ns, goes_on=True)
        if count:
            size = count * row_type(3).itemsize
            recorder.take("acc", size, [Frame(values, None, 1 << 40)], at_ns, WALL + at_ns)
        taken = ready
        if at_ns // NS > before_ns // NS:
            records += [held.record for held in recorder.flush(at_ns)]
    assert recorder.rates["acc"].found_hz == pytest.approx(0.97 * RATE_HZ, rel=1e-4)
    (gap,) = {(r.start_ns, r.end_ns) for r in records if isinstance(r, Gap) and r.reason == OVERRUN}
    assert 1.8 * NS < gap[1] - gap[0] < 2.0 * NS
    chunks = [record for record in records if isinstance(record, Chunk)]
    times = np.concatenate([sample_times(chunk) for chunk in chunks])
    numbers = np.concatenate([np.frombuffer(chunk.values, "<f8")[::3] for chunk in chunks])
    errors = times - WALL - (numbers + 1) * true_ns
    assert np.abs(errors[len(errors) // 4 :]).max() < 3_000_000


def test_it_has_a_reader_of_its_own() -> None:
    source = I2cSource.from_config(CONFIG)

    async def run() -> None:
        from edge.sources.serial.handover import Handover

        assert isinstance(source._new_reader(Handover(asyncio.get_running_loop())), I2cReader)

    asyncio.run(run())
