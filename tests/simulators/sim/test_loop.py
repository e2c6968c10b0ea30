"""The loop on virtual time."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from simulators.sim.loop import StuckError, run


def test_time_is_virtual_and_exact() -> None:
    async def main(rng: random.Random) -> float:
        await asyncio.sleep(86_400.0)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(main, seed=1) == 86_400.0
    assert time.monotonic() - began < 600.0


def test_timers_fire_in_their_order() -> None:
    async def main(rng: random.Random) -> list[int]:
        seen: list[int] = []

        async def note(after_s: int) -> None:
            await asyncio.sleep(after_s)
            seen.append(after_s)

        await asyncio.gather(*(note(s) for s in (5, 1, 4, 2, 3)))
        return seen

    assert run(main, seed=1) == [1, 2, 3, 4, 5]


def test_a_seed_is_a_schedule() -> None:
    async def main(rng: random.Random) -> list[int]:
        seen: list[int] = []

        async def note(name: int) -> None:
            for _ in range(5):
                await asyncio.sleep(rng.random())
                seen.append(name)

        await asyncio.gather(*(note(name) for name in range(5)))
        return seen

    assert run(main, seed=3) == run(main, seed=3)
    assert run(main, seed=3) != run(main, seed=4)


def test_timeouts_work() -> None:
    async def main(rng: random.Random) -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.0):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main, seed=1) == 3.0


def test_a_deadlock_is_an_error() -> None:
    async def main(rng: random.Random) -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="deadlock"):
        run(main, seed=1)


def test_a_run_that_does_not_end_is_an_error() -> None:
    async def main(rng: random.Random) -> None:
        while True:  # noqa: ASYNC110 - the very thing that is refused
            await asyncio.sleep(1.0)

    with pytest.raises(StuckError, match="past 100 s"):
        run(main, seed=1, limit_s=100.0)


def test_a_busy_loop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(rng: random.Random) -> None:
        while True:  # noqa: ASYNC110 - the very thing that is refused
            await asyncio.sleep(0)

    monkeypatch.setattr("simulators.sim.loop.TURNS_MAX", 1_000)
    with pytest.raises(StuckError, match="busy loop"):
        run(main, seed=1)


def test_what_is_left_is_cancelled() -> None:
    ended = []

    async def background(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def main(rng: random.Random) -> None:
        tasks = [asyncio.create_task(background(name)) for name in "abc"]
        await asyncio.sleep(1.0)
        assert not any(task.done() for task in tasks)

    run(main, seed=1)
    assert ended == ["a", "b", "c"]


def test_threads_are_refused() -> None:
    async def main(rng: random.Random) -> None:
        asyncio.get_running_loop().call_soon_threadsafe(print)

    with pytest.raises(RuntimeError, match="one thread"):
        run(main, seed=1)
