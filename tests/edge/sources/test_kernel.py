"""The thread that reads what the kernel has stamped, with a pipe in the place of a device."""

from __future__ import annotations

import asyncio
import errno
import os
import struct
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import pytest

import edge.sources.kernel
from edge.decoders.scans.decoder import row_type, rows_of
from edge.protocol import Arrival, Interruption, Key, SourceConfig
from edge.sources.clock import boottime_ns
from edge.sources.kernel import SETTLED_NS, KernelSource, SuspendedError
from simulators.doubles.suite import check_source
from tests.edge.sources.collecting import Taker, until

LOST = "device_lost"


@dataclass
class Pipe:
    """An endpoint whose device says a row for each number, an int64, that is written to it."""

    loss: ClassVar[str] = LOST
    delays_s: ClassVar[tuple[float, float]] = (0.01, 0.05)
    proves_ns: ClassVar[int] = 0
    name: str = "pipe"
    opened: list[Opened] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def open(self) -> Opened:
        self.opened.append(Opened(*os.pipe()))
        return self.opened[-1]

    def why_closed(self, error: Exception) -> str:
        return str(error)

    def why_lost(self, error: Exception) -> str:
        self.errors.append(error)
        return "gone"

    def others(self, at_ns: int) -> list[str]:
        return []

    def say(self, number: int) -> None:
        self.opened[-1].write(number)


class Opened:
    wait_s = 0.01
    rest_s = 0.0

    def __init__(self, end: int, other: int) -> None:
        self._end, self._other = end, other
        self.fails = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._end)
        os.close(self._other)

    def write(self, number: int) -> None:
        os.write(self._other, struct.pack("<q", number))

    def fileno(self) -> int:
        return self._end

    def read(self) -> bytes:
        return os.read(self._end, 65_536)

    def begin(self, at_ns: int) -> bytes:
        return rows_of(np.array([at_ns]), np.array([[-1.0]]))

    def take(self, data: bytes, ahead_ns: int) -> bytes:
        numbers = np.frombuffer(data, "<i8")
        return rows_of(numbers, numbers.astype(np.float64)[:, np.newaxis])

    def quiet(self, at_ns: int) -> bytes:
        if self.fails:
            raise OSError(errno.ENODEV, "gone")
        return b""


class PipeSource(KernelSource):
    keys: ClassVar[Mapping[str, Key]] = {}

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        return cls(Pipe())


def values(taker: Taker) -> list[float]:
    return [float(value) for value in np.frombuffer(taker.data, row_type(1))["values"].ravel()]


def run(pipe: Pipe, body: Callable[[KernelSource, Taker], Coroutine[Any, Any, None]]) -> None:
    async def scenario() -> None:
        source = PipeSource(pipe)
        try:
            async with asyncio.timeout(200):
                await source.open()
                await body(source, Taker(source))
        finally:
            await source.close()

    asyncio.run(scenario())


def test_it_keeps_its_promises_as_a_source() -> None:
    pipe = Pipe()
    asyncio.run(check_source(lambda: PipeSource(pipe), lambda: None))


def test_what_comes_is_rows_and_a_look_says_up_to_when_all_has_come() -> None:
    pipe = Pipe()

    async def body(source: KernelSource, taker: Taker) -> None:
        for number in range(100):
            pipe.say(number)
        await taker.until(lambda taker: len(values(taker)) == 101)
        assert values(taker) == [-1.0, *range(100)]
        at_ns = boottime_ns()
        await until(lambda: (source.heard_ns or 0) > at_ns - SETTLED_NS)
        assert (source.heard_ns or 0) <= boottime_ns() - SETTLED_NS

    run(pipe, body)


def test_a_device_that_vanishes_is_opened_again_and_its_absence_announced() -> None:
    pipe = Pipe()

    async def body(source: KernelSource, taker: Taker) -> None:
        pipe.say(1)
        await taker.until(lambda taker: len(values(taker)) == 2)
        pipe.opened[-1].fails = True
        await taker.until(lambda taker: len(values(taker)) == 3)
        assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [LOST]
        assert isinstance(taker.items[-1], Arrival)
        assert values(taker) == [-1, 1, -1]

    run(pipe, body)


def test_a_suspended_machine_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, ahead = Pipe(), [0]
    monkeypatch.setattr(edge.sources.kernel, "_ahead_ns", lambda: ahead[0])

    async def body(source: KernelSource, taker: Taker) -> None:
        await taker.until(lambda taker: len(values(taker)) == 1)
        ahead[0] = 5_000_000_000
        pipe.say(7)
        await taker.until(lambda taker: len(values(taker)) == 2)
        assert values(taker) == [-1, -1]
        assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [LOST]
        assert [type(error) for error in pipe.errors] == [SuspendedError]

    run(pipe, body)


def test_what_is_there_is_read_at_the_end() -> None:
    pipe = Pipe()

    async def scenario() -> list[float]:
        source = PipeSource(pipe)
        await source.open()
        for number in range(50):
            pipe.say(number)
        await source.close()
        left = b"".join(item.data for item in source.left() if isinstance(item, Arrival))
        return [float(value) for value in np.frombuffer(left, row_type(1))["values"].ravel()]

    assert asyncio.run(scenario()) == [-1.0, *range(50)]
