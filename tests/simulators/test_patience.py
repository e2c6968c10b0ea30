"""A demo waits as long as something moves, however slowly: on a busy machine it is late, not failed."""

from __future__ import annotations

import asyncio
import random

import pytest

from ingest.errors import TransientError
from simulators.demo import LOOKS, TICK_S, _unread, _until
from simulators.patience import Patience
from simulators.playing import SensorReport
from simulators.sim.loop import run

SLOW_S = 0.9 * LOOKS * TICK_S
"""Between two samples that come."""


def test_it_lasts_while_something_moves_and_for_so_many_looks_more() -> None:
    patience = Patience(3)
    assert [patience.lasts(seen) for seen in (0, 0, 1, 1, 2, 2, 2, 2)] == [True] * 6 + [False] * 2


def sensor(samples: int, unheard: int = 0) -> SensorReport:
    return SensorReport("pump", "acc", "accelerometer", "serial", samples=samples, unheard=unheard)


def waited_s(samples: int, most: int) -> float:
    """For how long one waits for an agent that reads so many samples, slowly, of `most` that it ever reads."""

    async def wait(_: random.Random) -> float:
        loop = asyncio.get_running_loop()
        await _until(lambda: _unread({("pump", "acc"): min(int(loop.time() / SLOW_S), most)}, [sensor(samples)]))
        return loop.time()

    return run(wait, 0)


def test_an_agent_that_reads_slowly_is_waited_for() -> None:
    assert waited_s(20, 20) == pytest.approx(20 * SLOW_S, abs=2 * TICK_S)


def test_one_that_gets_no_further_is_told_with_what_it_has() -> None:
    with pytest.raises(TransientError, match="^demo: pump/acc: the agent has read 19 samples of 20, and for 30 s"):
        waited_s(20, 19)


def test_what_nobody_heard_is_not_waited_for() -> None:
    read = {("pump", "acc"): 7}
    assert _unread(read, [sensor(10, unheard=3)]) == []
    assert _unread(read, [sensor(10, unheard=2)]) == ["pump/acc: the agent has read 7 samples of 8"]
    assert _unread({}, [sensor(10)]) == [], "a device that speaks into the log itself"
