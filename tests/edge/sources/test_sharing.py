"""One source for several pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.agent.agent import Agent
from edge.config import load_config
from edge.protocol import Arrival, Interruption
from edge.sources.serial.source import SerialSource
from edge.sources.sharing import QUEUE_BYTES, Shared, View
from ingest.errors import UsageError
from simulators.doubles.log import FlakyLog
from tests.edge.sources.collecting import until
from tests.support.pty import SerialPort

Item = Arrival | Interruption


class Scripted:
    """A source that brings what it is given."""

    waiting_for = trouble = missing = ""
    heard_ns: int | None = 99

    def __init__(self) -> None:
        self.ready = asyncio.Queue[Item | Exception | None]()
        self.tail: list[Item] = []
        self.closed = 0

    async def open(self) -> None:
        pass

    async def arrivals(self) -> AsyncIterator[Item]:
        while (item := await self.ready.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def close(self) -> None:
        self.closed += 1

    def left(self) -> list[Item]:
        found, self.tail = self.tail, []
        return found


def arrival(number: int, size: int = 1) -> Arrival:
    return Arrival(b"%d" % number * size, number, number)


async def taken(view: View, count: int) -> list[int]:
    found: list[int] = []
    async for item in view.arrivals():
        found.append(item.monotonic_ns)
        if len(found) == count:
            break
    return found


def shared_of(script: Scripted, views: int) -> Shared:
    source: Any = script
    return Shared(source, views)


def test_all_views_get_all_in_order_and_what_waits_was_not_heard() -> None:
    async def main() -> None:
        script = Scripted()
        shared = shared_of(script, 2)
        one, other = shared.views
        await one.open()
        await other.open()
        for number in range(1, 6):
            script.ready.put_nowait(arrival(number))
        assert await taken(one, 3) == [1, 2, 3]
        assert (one.heard_ns, other.heard_ns) == (99, 0)
        rest: list[list[int]] = [*await asyncio.gather(taken(one, 2), taken(other, 5))]
        assert rest == [[4, 5], [1, 2, 3, 4, 5]]
        assert other.heard_ns == 99
        script.ready.put_nowait(None)
        assert [[item async for item in view.arrivals()] for view in (one,)] == [[]]

    asyncio.run(main())


def test_who_opens_last_has_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelines open one after the other; what the first had read by then would be nobody else's."""

    async def main() -> None:
        script = Scripted()
        one, other = shared_of(script, 2).views
        script.ready.put_nowait(arrival(1))
        first = asyncio.create_task(taken(one, 1))
        await until(lambda: one.is_open)
        for _ in range(20):
            await asyncio.sleep(0)
        await other.open()
        assert await asyncio.wait_for(first, 60) == [1]
        assert await taken(other, 1) == [1]
        # One that never opens holds nobody up for good.
        monkeypatch.setattr("edge.sources.sharing.OPENING_S", 0.01)
        alone, _ = shared_of(script, 2).views
        script.ready.put_nowait(arrival(2))
        assert await asyncio.wait_for(taken(alone, 1), 60) == [2]

    asyncio.run(main())


def test_who_ends_while_it_waits_leaves_the_others_alone() -> None:
    async def main() -> None:
        script = Scripted()
        shared = shared_of(script, 2)
        one, other = shared.views
        waiting, second = asyncio.create_task(taken(one, 1)), asyncio.create_task(taken(other, 2))
        await until(lambda: one.is_open and other.is_open)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        script.ready.put_nowait(arrival(1))
        script.ready.put_nowait(arrival(2))
        assert await asyncio.wait_for(second, 60) == [1, 2]
        assert one.left() == [arrival(1), arrival(2)]  # it was not closed

    asyncio.run(main())


def test_what_it_had_at_the_end_goes_to_all_and_one_alone_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sources.sharing.CLOSING_S", 0.05)

    async def main() -> None:
        script = Scripted()
        shared = shared_of(script, 2)
        one, other = shared.views
        await one.open()
        await other.open()
        await one.close()
        assert script.closed == 0
        script.ready.put_nowait(arrival(1))
        assert await taken(other, 1) == [1]
        assert one.left() == []
        await one.open()
        script.tail = [arrival(2)]
        await asyncio.gather(one.close(), other.close())
        assert script.closed == 1
        assert one.left() == other.left() == [arrival(2)]
        await one.close()
        assert script.closed == 1

    asyncio.run(main())


def test_nobody_gets_more_while_too_much_waits_for_one() -> None:
    async def main() -> None:
        script = Scripted()
        shared = shared_of(script, 2)
        one, other = shared.views
        await other.open()
        for number in range(1, 5):
            script.ready.put_nowait(arrival(number, QUEUE_BYTES // 2 + 1))
        first = asyncio.create_task(taken(one, 4))
        await until(lambda: other.size > QUEUE_BYTES)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(other.queue) == 2
        assert await taken(other, 4) == [1, 2, 3, 4]
        assert await asyncio.wait_for(first, 60) == [1, 2, 3, 4]

    asyncio.run(main())


def test_an_error_is_told_to_who_asks() -> None:
    async def main() -> None:
        script = Scripted()
        (one,) = shared_of(script, 1).views
        script.ready.put_nowait(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await taken(one, 1)
        script.ready.put_nowait(arrival(1))
        assert await taken(one, 1) == [1]

    asyncio.run(main())


TOP = 'device = "pump"\nlog = "segments:log"\n[spool]\ndir = "spool"\nfsync_interval = "50ms"\n'


def table(name: str, tag: str, channels: str, more: str = "", decoder: str = "csv") -> str:
    head = f'[[source]]\nname = "{name}"\ntype = "serial"\nport = "tty"\ndecoder = "{decoder}"\nstream = "{name}"\n'
    return head + (f'tag = "{tag}"\n' if tag else "") + f"channels = {{ {channels} }}\n{more}\n"


def test_an_agent_has_several_streams_from_one_port(tmp_path: Path) -> None:
    path, log = tmp_path / "agent.toml", FlakyLog()
    path.write_text(TOP + table("acc", "A", 'x = "g", y = "g"', 'rate = "100Hz"') + table("temp", "T", 't = "degC"'))

    def values(stream: str) -> list[float]:
        chunks = {chunk.seq: chunk for chunk in log.chunks() if chunk.stream == stream}
        return [value for _, one in sorted(chunks.items()) for value in np.frombuffer(one.values, "<f4").tolist()]

    async def main() -> dict[str, int]:
        with SerialPort(tmp_path / "tty") as port:
            agent = Agent(load_config(path), log, b"1" * 16, "0", lambda text: None)
            stop = asyncio.Event()
            running = asyncio.create_task(agent.run(stop))

            def lost() -> dict[str, int]:
                return dict(agent.recorders["pump"].counters["acc"].lost)

            async def heard(words: bytes) -> None:
                """The port was emptied as it opened, its first line left out: what is nobody's is counted by now."""
                before = lost().get("tag", 0)
                while lost().get("tag", 0) == before:
                    port.write(words)
                    await asyncio.sleep(0.02)

            async with asyncio.timeout(200):
                await until(lambda: port.is_read and "pump" in agent.recorders)
                await heard(b"half a line\n")
                for number in range(50):
                    port.write(b"A,%d,%d\n" % (number, -number) + (b"T:%d\n" % number if number % 10 == 0 else b""))
                port.write(b"unheard of\n")
                await until(lambda: len(values("acc")) == 100 and len(values("temp")) == 5)
                port.unplug()
                port.plug()
                await until(lambda: port.is_read)
                await heard(b"the rest\n")
                port.write(b"A,50,0\nT:50\n")
                await until(lambda: len(values("acc")) == 102 and len(values("temp")) == 6)
                stop.set()
                await running
            return lost()

    lost = asyncio.run(main())
    assert lost["tag"] >= 3
    assert lost["port_lost"] == 1
    assert values("acc")[::2] == [float(number) for number in range(51)]
    assert values("temp") == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("a", "A", 'x = "1"') + table("b", "", 'x = "1"'), 'source "b": port "tty" is taken by'),
        (table("a", "A", 'x = "1"') + table("b", "A", 'x = "1"'), 'tag: "A" is another source\'s on this port'),
        (table("a", "A", 'x = "1"', "baud = 9600") + table("b", "B", 'x = "1"'), "baud: it is one port"),
        (table("a", "A ", 'x = "1"'), "tag: found 'A '"),
        (table("a", "#A", 'x = "1"'), "tag: found '#A'"),
        (table("a", "A", 'x = "1"', 'frame = "cobs"', decoder="cbor"), "tag: only lines have one"),
    ],
)
def test_what_tables_on_one_port_may_not_say(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "agent.toml").write_text(TOP + text)
    with pytest.raises(UsageError) as raised:
        load_config(tmp_path / "agent.toml")
    assert message in str(raised.value)


def test_one_port_takes_the_longest_lines_and_rests_only_where_all_may(tmp_path: Path) -> None:
    text = table("a", "A", 'x = "1"', 'rate = "50Hz"') + table("b", "B", 'x = "1"', 'rate = "1Hz"', decoder="json")
    for more, rests in (("", True), (table("c", "C", 'x = "1"'), False)):
        (tmp_path / "agent.toml").write_text(TOP + text + more)
        sources = load_config(tmp_path / "agent.toml").sources
        assert [source.tags for source in sources][1:] == [()] * (len(sources) - 1)
        assert sources[0].tags == tuple(source.tag for source in sources)
        assert SerialSource.of_all(sources)._may_rest is rests
