"""Nothing that was marked is lost or doubled, whatever is killed: servers, and on Kafka as well as on segments."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import MarkAdd, MarkEdit
from ingest.wire import encode
from labeling.marks import fold
from tests.support.logs import read_log
from tests.timeline.site import START_NS, Frame, S, Served, act_of, chunk, recording, write, write_site
from timeline.protocol import Accepted, Changed, MarksOf, Rejected

AWAY = (ConnectionClosed, InvalidHandshake, OSError, EOFError)


class Driver:
    """A page with its outbox: what has no answer is sent again, to whichever server there is."""

    def __init__(self, seed: int, count: int) -> None:
        self.random = random.Random(seed)
        self.waiting: dict[str, dict[str, Any]] = {}
        self.expected: dict[str, tuple[int, int, str]] = {}
        self.at = -1
        """When no more than so many wait, `reached` is set."""
        self.reached = asyncio.Event()
        for number in range(count):
            start_ns = START_NS + number * S // 100
            name, label = str(uuid.UUID(int=self.random.getrandbits(128), version=4)), ("run", "stop")[number % 2]
            end_ns = start_ns + self.random.randrange(S)
            self.put(act_of("add", mark=name, start_ns=start_ns, end_ns=end_ns, label=label, client_ns=number + 1))
            if number % 3 == 0:
                end_ns += 5
                self.put(act_of("edit", mark=name, end_ns=end_ns, client_ns=count + number + 1))
            self.expected[name] = start_ns, end_ns, label

    def put(self, act: dict[str, Any]) -> None:
        """One more that waits."""
        self.waiting[act["act"]] = act

    async def send(self, served: Served, most: int) -> None:
        """Send the first `most` of what waits, and hear the answers, until the server is gone."""
        async with served.tab() as tab:
            await tab.hello()
            asked = list(self.waiting.values())[:most]
            for act in asked:
                await tab.say("act", **act)
            for _ in asked:
                answer = await tab.hear(Accepted | Rejected)  # type: ignore[arg-type]
                assert isinstance(answer, Accepted), answer
                del self.waiting[answer.act]
                if len(self.waiting) <= self.at:
                    self.reached.set()

    def check(self, url: str) -> None:
        """Each mark stands once, as it was set; no event counts twice."""
        assert not self.waiting
        told = [it for it in read_log(url, MARKS) if isinstance(it, MarkAdd | MarkEdit)]
        folded = fold(told)
        assert {it.id: (it.start_ns, it.end_ns, it.label) for it in folded.marks} == self.expected
        assert {it.author for it in folded.marks} == {"anna"}
        assert len(told) - folded.counts["duplicate"] == len(self.expected) + -(-len(self.expected) // 3)


def _drive(site: Path, seed: int, rounds: int, count: int) -> None:
    driver = Driver(seed, count)
    log = f"segments:{site}/log"
    with Served(str(site), "--as", "anna") as first:
        cookie = first.open().cookie
        servers = [first, Served(str(site), "--as", "anna")]
        try:
            for _ in range(rounds):
                served, other = servers
                other.cookie = served.cookie = cookie
                most = driver.random.randrange(1, 2 * count // rounds)
                after = driver.random.randrange(most)

                async def work(served: Served = served, most: int = most, after: int = after) -> None:
                    sending = asyncio.create_task(driver.send(served, most))
                    target = max(0, len(driver.waiting) - after)
                    driver.at, driver.reached = target, asyncio.Event()
                    reached = asyncio.create_task(driver.reached.wait())
                    await asyncio.wait([sending, reached], return_when=asyncio.FIRST_COMPLETED)
                    served.end(signal.SIGKILL)
                    reached.cancel()
                    with contextlib.suppress(*AWAY):
                        await sending

                asyncio.run(work())
                servers = [other, Served(str(site), "--as", "anna")]
            servers[0].cookie = cookie
            asyncio.run(driver.send(servers[0], len(driver.waiting)))
        finally:
            for served in servers:
                served.end(signal.SIGKILL)
    driver.check(log)


def test_marks_are_there_once_whichever_server_is_killed_while_they_are_sent(tmp_path: Path) -> None:
    _drive(write_site(tmp_path / "site", recording(20)), seed=11, rounds=3, count=300)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(25))
def test_marks_are_there_once_in_many_rounds(tmp_path: Path, seed: int) -> None:
    _drive(write_site(tmp_path / "site", recording(20)), seed=seed, rounds=20, count=1_000)


@pytest.mark.kafka
def test_on_kafka_it_is_the_same(kafka_bootstrap: str) -> None:
    url = f"kafka://{kafka_bootstrap}/timeline-{uuid.uuid4().hex[:8]}"
    driver = Driver(3, 60)

    async def prepare() -> None:
        log = open_log(url)
        await write(log, recording(5, end=False))
        await log.close()

    async def work(served: Served, other: Served) -> None:
        log = open_log(url)
        async with other.tab() as tab:
            await tab.hello()
            frames, _ = await tab.look(1, START_NS, START_NS + 5 * S, follow=True)
            assert sum(frame.count for frame in frames) == 500
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns=str(1 << 61))
            assert not (await tab.hear(MarksOf)).marks
            await driver.send(served, len(driver.waiting))
            heard = Counter[str]()
            while sum(heard.values()) < 80:
                heard[(await tab.hear(Changed)).event.kind] += 1
            assert heard == {"add": 60, "edit": 20}
            await log.append(READINGS, [Entry(b"pump-7", encode(chunk(START_NS + 5 * S, 100, 5)))])
            live = await tab.hear(Frame, lambda it: bool(it.flags & 1))
            assert (live.times[0], live.count) == (START_NS + 5 * S, 100)
        await log.close()

    asyncio.run(prepare())
    with Served("--log", url, "--as", "anna") as served, Served("--log", url, "--as", "anna") as other:
        served.open()
        other.open()
        asyncio.run(work(served, other))
    driver.check(url)
