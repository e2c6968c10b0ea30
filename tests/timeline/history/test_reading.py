"""While a server first reads a log, and where a log gives nothing, tabs and the terminal are told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from ingest.errors import StoreUnavailableError
from ingest.log.protocol import Entry, LogBatch, Position
from ingest.opening import open_log
from tests.timeline.site import LIMIT_S, Served, act_of, recording, write_site
from timeline import protocol, site
from timeline.marks.acts import Who
from timeline.protocol import Accepted, Act, Reading, Rejected, ToPage, Trouble, Welcome
from timeline.site import Settings, Timeline
from timeline.tabs.hub import Hub
from timeline.tabs.tab import Tab

WHO = Who("anna", "admin")


class Heard:
    """What a tab was told."""

    def __init__(self) -> None:
        self.messages: list[ToPage] = []
        self._new = asyncio.Event()

    async def take(self, data: bytes | str) -> None:
        self.messages.append(msgspec.json.decode(data, type=ToPage))
        self._new.set()

    async def until(self, fits: Callable[[ToPage], bool]) -> ToPage:
        """The first one that fits, taken out."""
        async with asyncio.timeout(LIMIT_S):
            while (found := next(filter(fits, self.messages), None)) is None:
                self._new.clear()
                await self._new.wait()
        self.messages.remove(found)
        return found


async def beside_a_gate(folder: Path, work: Callable[[Timeline, Tab, Heard, asyncio.Event], Awaitable[None]]) -> None:
    """A tab at a server whose reading of the readings waits until the gate is open."""
    log, gate = open_log(f"segments:{folder}/log"), asyncio.Event()
    timeline = Timeline(Settings("site", f"segments:{folder}/log"), log)
    take_readings = timeline._take_readings

    async def take(batch: LogBatch) -> None:
        await gate.wait()
        await take_readings(batch)

    timeline._take_readings = take  # type: ignore[method-assign]
    hub, heard = Hub(timeline), Heard()
    await timeline.open()
    tab = Tab(hub, WHO, lambda: WHO)
    hub.tabs.add(tab)
    tasks = [asyncio.create_task(it) for it in (timeline.run(), hub.run(), tab.send(heard.take))]
    try:
        tab.take(protocol.Hello(1, "5ff3c1a0-0000-4000-8000-000000000031"))
        await work(timeline, tab, heard, gate)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await tab.close()
        await timeline.close()
        await log.close()


def act() -> Act:
    return msgspec.convert(act_of("add"), Act)


def test_who_waits_is_told_how_far_the_log_has_been_read(tmp_path: Path) -> None:
    folder = write_site(tmp_path / "site", recording(20))

    async def work(timeline: Timeline, tab: Tab, heard: Heard, gate: asyncio.Event) -> None:
        told = await heard.until(lambda it: isinstance(it, Reading) and it.total == 22)
        assert isinstance(told, Reading)
        assert (told.done, told.words) == (0, "the server reads the log: 0 % of 22 records")
        assert timeline.state == told.words
        assert not any(isinstance(it, Welcome) for it in heard.messages)
        gate.set()
        welcome = await heard.until(lambda it: isinstance(it, Welcome))
        assert isinstance(welcome, Welcome)
        assert [it.id for it in welcome.devices] == ["pump-7"]
        await heard.until(lambda it: isinstance(it, Reading) and it.words == "")
        assert timeline.state == ""

    asyncio.run(beside_a_gate(folder, work))


def test_a_large_log_is_shown_while_it_is_read_and_takes_marks_when_it_knows_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_site(tmp_path / "site", recording(20))
    monkeypatch.setattr(site, "LARGE", 21)

    async def work(timeline: Timeline, tab: Tab, heard: Heard, gate: asyncio.Event) -> None:
        welcome = await heard.until(lambda it: isinstance(it, Welcome))
        assert isinstance(welcome, Welcome)
        assert welcome.devices == ()
        assert not timeline.is_read
        early = await timeline.act(act(), WHO)
        assert isinstance(early, Rejected)
        assert (early.code, early.again, early.words) == ("log", True, "the server reads the log: 0 % of 22 records")
        gate.set()
        await heard.until(lambda it: isinstance(it, protocol.Devices) and bool(it.devices))
        await heard.until(lambda it: isinstance(it, Reading) and it.words == "")
        assert isinstance(await timeline.act(act(), WHO), Accepted)
        with monkeypatch.context() as full:
            full.setattr(timeline._log, "append", refuse)
            refused = await timeline.act(act(), WHO)
        assert isinstance(refused, Rejected)
        assert (refused.again, refused.words) == (True, "no space left")
        assert timeline.state == "the log takes no marks just now: no space left"  # for whoever runs the server
        assert isinstance(await timeline.act(act(), WHO), Accepted)
        assert timeline.state == ""

    async def refuse(topic: str, entries: Sequence[Entry]) -> list[Position]:
        raise StoreUnavailableError("no space left")

    asyncio.run(beside_a_gate(folder, work))


def test_a_log_that_gives_nothing_is_told_before_the_welcome() -> None:
    with socket.socket() as nobody:  # bound and not listening: whoever connects is refused
        nobody.bind(("127.0.0.1", 0))

        async def look(served: Served) -> None:
            async with served.tab() as tab:
                await tab.say("hello", protocol=1, tab=tab.name)
                trouble = await tab.hear(Trouble)
                assert trouble.about == "log"
                assert "127.0.0.1" in trouble.words
                assert not any(isinstance(it, Welcome) for it in tab.seen)

        with Served("--log", f"kafka://127.0.0.1:{nobody.getsockname()[1]}") as served:
            asyncio.run(look(served.open()))


def test_a_log_to_which_nobody_has_written_is_told_in_the_terminal(tmp_path: Path) -> None:
    folder = write_site(tmp_path / "site", [])
    with Served(str(folder)) as served:
        assert served.process.stderr is not None
        said = ""
        while "no device has sent anything" not in said:
            said = served.process.stderr.readline()
            assert said, "it ended"
        assert f"segments:{folder}/log" in said
