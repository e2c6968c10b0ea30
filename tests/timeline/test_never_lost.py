"""Marks set while server, network and log are killed at random: each is in the log once, with its times.

A failing run is repeated with the seed that it prints: `SENSORLOOM_SEED=... pytest ...`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from ingest.log.protocol import MARKS, Entry, Position
from ingest.log.segments.log import SegmentLog
from ingest.opening import open_log
from ingest.records import MarkAdd, MarkEdit
from labeling.marks import fold
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_log
from tests.timeline.outages import Kafka, Line, Log, Segments, limit_files
from tests.timeline.site import START_NS, S, Served, Tab, act_of, recording, write, write_site
from timeline.marks.acts import Who
from timeline.protocol import Accepted, Act, Rejected
from timeline.site import Settings, Timeline

LIMIT_S: Final = 100.0
BACK_S: Final = 0.05
AWAY = (ConnectionClosed, InvalidHandshake, OSError, EOFError, TimeoutError)
WAYS: Final = ("server", "cut", "hush", "log")


class Page:
    """A page with its outbox: an act stays in it until it has its answer, and is sent again after every `hello`."""

    def __init__(self, line: Line, cookie: str) -> None:
        self.waiting: dict[str, dict[str, Any]] = {}
        self.refused: list[Rejected] = []
        self.again = 0
        """Answers that asked for another try."""
        self._line, self._cookie = line, cookie
        self._tab: Tab | None = None
        self._to_send: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answered = asyncio.Condition()

    def put(self, act: dict[str, Any]) -> None:
        """Keep an act, and send it where there is a line."""
        self.waiting[act["act"]] = act
        self._to_send.put_nowait(act)

    def let_go(self) -> None:
        """Give the connection up, as after pings without an answer; the other end is not told."""
        if self._tab is not None:
            self._tab.socket.transport.abort()

    async def until(self, most: int) -> None:
        """Return when no more than so many acts wait."""
        await self._until(lambda: len(self.waiting) <= most)

    async def until_told_no(self) -> None:
        """Return when an act is to be sent again, or none waits."""
        before = self.again
        await self._until(lambda: self.again > before or not self.waiting)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S), self._answered:
            await self._answered.wait_for(lambda: self.refused or condition())

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
        while True:
            with contextlib.suppress(*AWAY):
                async with Tab(self._line.url, self._cookie) as tab:
                    self._tab = tab
                    try:
                        await self._converse(tab)
                    finally:
                        self._tab = None
                        tab.socket.transport.abort()
            await asyncio.sleep(BACK_S)

    async def _converse(self, tab: Tab) -> None:
        await tab.hello()
        self._to_send = asyncio.Queue()
        for act in self.waiting.values():
            self._to_send.put_nowait(act)
        tasks = [asyncio.create_task(way) for way in (self._send(tab), self._hear(tab))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _send(self, tab: Tab) -> None:
        while True:
            act = await self._to_send.get()
            await tab.say("act", **act)

    async def _hear(self, tab: Tab) -> None:
        while True:
            answer = await tab.next()
            if isinstance(answer, Accepted):
                del self.waiting[answer.act]
            elif isinstance(answer, Rejected) and not answer.again:
                self.refused.append(answer)
            elif isinstance(answer, Rejected):
                self.again += 1
                await asyncio.sleep(BACK_S)
                self._to_send.put_nowait(self.waiting[answer.act])
            async with self._answered:
                self._answered.notify_all()


class Storm:
    """Rounds in which marks are set and something breaks."""

    def __init__(self, log: Log, serve: Callable[[], Served], seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.expected: dict[str, tuple[int, int, str]] = {}
        self.acts = 0
        self.struck: Counter[str] = Counter()
        self._log, self._serve = log, serve

    def mark(self, page: Page, count: int) -> None:
        """Set marks, a third of which are moved at once."""
        for _ in range(count):
            number = len(self.expected)
            name = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
            label = ("run", "stop")[number % 2]
            start_ns = START_NS + self.random.randrange(15 * S)
            end_ns = start_ns + self.random.randrange(S)
            self._act(page, "add", mark=name, start_ns=start_ns, end_ns=end_ns, label=label)
            if number % 3 == 0:
                end_ns += self.random.randrange(1, S)
                self._act(page, "edit", mark=name, end_ns=end_ns)
            self.expected[name] = start_ns, end_ns, label

    def _act(self, page: Page, kind: str, **fields: Any) -> None:
        self.acts += 1
        page.put(act_of(kind, client_ns=self.acts, **fields))

    async def run(self, rounds: int, marks: int) -> None:
        """So many rounds with so many marks each; then all is well, and nothing waits in the end."""
        served = await asyncio.to_thread(self._serve)
        cookie = served.open().cookie
        async with Line() as line:
            line.lead_to(served)
            page = Page(line, cookie)
            running = asyncio.create_task(page.run())
            try:
                for _ in range(rounds):
                    served = await self._round(line, page, served, marks)
                await page.until(0)
            except TimeoutError:
                raise AssertionError(f"seed {self.seed}: {len(page.waiting)} acts wait for ever") from None
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await self._log.mend(served)
                served.end(signal.SIGKILL)
        assert page.refused == [], f"seed {self.seed}"
        print(f"seed {self.seed}: {rounds} rounds, {len(self.expected)} marks, {dict(self.struck)}, again {page.again}")

    async def _round(self, line: Line, page: Page, served: Served, marks: int) -> Served:
        """Marks before the strike, and while things are broken; the server that there is afterwards."""
        before = self.random.randrange(marks + 1)
        self.mark(page, before)
        waiting = len(page.waiting)
        await page.until(self.random.randrange(waiting + 1))
        ways = self.random.sample(WAYS, self.random.choice((1, 1, 1, 2, 3)))
        self.struck.update(ways)
        for way in ways:
            await self._strike(way, line, served)
        self.mark(page, marks - before)
        if ways == ["log"] and self._log.says_no:
            await page.until_told_no()
        self.random.shuffle(ways)
        for way in ways:
            await asyncio.sleep(self.random.random() * BACK_S)
            served = await self._mend(way, line, page, served)
        if self.random.random() < 0.5:
            await page.until(0)
        return served

    async def _strike(self, way: str, line: Line, served: Served) -> None:
        if way == "server":
            await asyncio.to_thread(served.end, signal.SIGKILL)
        elif way == "cut":
            line.cut()
        elif way == "hush":
            line.hush()
        elif served.process.poll() is None:
            await self._log.break_it(served, self.random)

    async def _mend(self, way: str, line: Line, page: Page, served: Served) -> Served:
        if way == "server":
            served = await asyncio.to_thread(self._serve)
            line.lead_to(served)
        elif way in ("cut", "hush"):
            line.mend()
            page.let_go()
        else:
            await self._log.mend(served)
        return served

    def check(self) -> None:
        """Each mark stands once, as it was set, and nothing else does."""
        told = [it for it in read_log(self._log.url, MARKS) if isinstance(it, MarkAdd | MarkEdit)]
        folded = fold(told)
        assert {it.id: (it.start_ns, it.end_ns, it.label) for it in folded.marks} == self.expected, f"seed {self.seed}"
        assert len(folded.marks) == len(self.expected), f"seed {self.seed}"
        assert {it.author for it in folded.marks} == {"anna"}
        times = Counter((it.id, it.client_ns) for it in told)
        assert len(times) == self.acts, f"seed {self.seed}"
        again = sum(times.values()) - len(times)
        print(f"seed {self.seed}: {again} of {self.acts} events are in the log again, and count once")


def seeds(*fixed: int) -> list[int]:
    """The given seed of the environment, or else these."""
    given = os.environ.get("SENSORLOOM_SEED")
    return [int(given)] if given else list(fixed)


def storm_on_segments(site: Path, seed: int, rounds: int, marks: int) -> None:
    write_site(site, recording(20))
    storm = Storm(Segments(site / "log"), lambda: Served(str(site), "--as", "anna"), seed)
    asyncio.run(storm.run(rounds, marks))
    storm.check()


def storm_on_kafka(folder: Path, seed: int, rounds: int, marks: int) -> None:
    with KafkaBroker() as broker:
        log = Kafka(broker, "never-lost")

        async def prepare() -> None:
            opened = open_log(log.url)
            await write(opened, recording(20))
            await opened.close()

        asyncio.run(prepare())
        words = ["--log", log.url, "--as", "anna", "--people", str(folder / "people")]
        storm = Storm(log, lambda: Served(*words), seed)
        asyncio.run(storm.run(rounds, marks))
        storm.check()


@pytest.mark.parametrize("seed", seeds(1, 2))
def test_marks_on_segments_outlive_server_network_and_disk(tmp_path: Path, seed: int) -> None:
    storm_on_segments(tmp_path / "site", seed, rounds=8, marks=50)


@pytest.mark.timeout(400)
@pytest.mark.kafka
@pytest.mark.parametrize("seed", seeds(3))
def test_marks_on_kafka_outlive_server_network_and_broker(tmp_path: Path, seed: int) -> None:
    storm_on_kafka(tmp_path, seed, rounds=4, marks=50)


@pytest.mark.soak
@pytest.mark.parametrize("seed", seeds(*(random.SystemRandom().getrandbits(32) for _ in range(10))))
def test_marks_on_segments_outlive_400_rounds(tmp_path: Path, seed: int) -> None:
    storm_on_segments(tmp_path / "site", seed, rounds=40, marks=50)


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.parametrize("seed", seeds(*(random.SystemRandom().getrandbits(32) for _ in range(5))))
def test_marks_on_kafka_outlive_100_rounds(tmp_path: Path, seed: int) -> None:
    storm_on_kafka(tmp_path, seed, rounds=20, marks=50)


def test_an_edit_waits_for_its_add_that_the_log_did_not_take(tmp_path: Path) -> None:
    """It was refused for good before: there was no such mark."""
    site = write_site(tmp_path / "site", recording(5))
    add = act_of("add", client_ns=1)
    edits = [act_of("edit", mark=add["mark"], label=label, client_ns=2 + n) for n, label in enumerate(("a", "b"))]

    async def work(served: Served) -> None:
        log = Segments(site / "log")
        async with served.tab() as tab:
            await tab.hello()

            async def ask(*acts: dict[str, Any]) -> list[bool]:
                for act in acts:
                    await tab.say("act", **act)
                found = [await tab.hear(Accepted | Rejected) for _ in acts]  # type: ignore[arg-type]
                assert [it.act for it in found] == [act["act"] for act in acts]
                assert all(isinstance(it, Accepted) or it.again for it in found), found
                return [isinstance(it, Accepted) for it in found]

            limit_files(served, 0)
            assert await ask(add, edits[0]) == [False, False]
            await log.mend(served)
            assert await ask(edits[1], edits[0], add, edits[1]) == [False, False, True, False]
            assert await ask(edits[0], edits[1]) == [True, True]

    with Served(str(site), "--as", "anna") as served:
        asyncio.run(work(served.open()))
    (mark,) = fold(it for it in read_log(f"segments:{site}/log", MARKS) if isinstance(it, MarkAdd | MarkEdit)).marks
    assert mark.label == "b"


class SlowLog(SegmentLog):
    """A log that takes marks when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """See `Log`."""
        if topic == MARKS:
            self.asked.set()
            await self.go.wait()
        return await super().append(topic, entries)


def test_an_act_that_comes_again_while_it_is_under_way_is_in_the_log_once(tmp_path: Path) -> None:
    """Its first tab is gone, the second one sends it again: it was written twice before."""
    site = write_site(tmp_path / "site", recording(5))
    url = f"segments:{site}/log"
    act = msgspec.convert(act_of("add", client_ns=1), Act)

    async def work() -> Accepted | Rejected:
        log = SlowLog(site / "log")
        timeline = Timeline(Settings("site", url), log)
        await timeline.open()
        running = asyncio.create_task(timeline.run())
        await timeline.caught_up()
        first = asyncio.create_task(timeline.act(act, Who("anna", "annotator")))
        await log.asked.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        timeline.expect()
        second = asyncio.create_task(timeline.act(act, Who("anna", "annotator")))
        for _ in range(100):  # until it can only wait
            await asyncio.sleep(0)
        log.go.set()
        answer = await second
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await timeline.close()
        await log.close()
        return answer

    answer = asyncio.run(work())
    assert isinstance(answer, Accepted)
    assert answer.position == ""
    assert len(read_log(url, MARKS)) == 1
