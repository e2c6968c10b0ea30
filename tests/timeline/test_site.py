"""What one timeline shows, as it tells a tab."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.archive.reading import Answer, Question
from ingest.engine.rhythm import Limits
from ingest.errors import LogUnavailableError
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Channel, MarkAdd, StreamDescription, schema_id
from ingest.wire import encode
from simulators.doubles.log import ListLog
from tests.ingest.archive.test_log import archive
from tests.timeline.site import START_NS, S, recording, write
from timeline import protocol
from timeline.history.past import ArchivePast
from timeline.site import Settings, Timeline

VALVE = StreamDescription("valve", (Channel("open", "1", states=((-1, "stuck"), (0, "shut"), (1, "open"))),), "int8")


def test_named_states_come_with_their_words() -> None:
    async def run() -> tuple[protocol.Device, ...]:
        log = ListLog()
        await log.append(STREAMS, [Entry(schema_id(VALVE), encode(VALVE))])
        timeline = Timeline(Settings("site", "segments:log"), log)
        await timeline.registry.refresh()
        timeline.catalog.samples("press", "r", "valve", schema_id(VALVE), 10, 20, 2)
        return timeline.devices()

    (device,) = asyncio.run(run())
    (channel,) = device.streams[0].channels
    assert channel == protocol.Channel("open", "1", states={"-1": "stuck", "0": "shut", "1": "open"})


class AskedLog(ListLog):
    """A log that notes what is checked, and may be away meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.away = True

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Raises `LogUnavailableError` while it is away."""
        self.asked.append(topic)
        if self.away:
            raise LogUnavailableError("list: nobody answers at this address")


def test_the_log_is_made_ready_for_marks_once_and_again_where_it_was_away() -> None:
    """The first mark waited for a topic and a producer: it took ten times as long as the next one."""

    async def run() -> list[str]:
        log = AskedLog()
        timeline = Timeline(Settings("site", "segments:log"), log)
        for away in (True, False, False):
            log.away = away
            timeline.expect()
            for _ in range(10):  # until it can only wait
                await asyncio.sleep(0)
        assert MARKS in await log.topics()
        return log.asked

    assert asyncio.run(run()) == [MARKS, MARKS]


def test_of_marks_only_those_are_told_that_somebody_hears() -> None:
    async def run() -> list[str]:
        log = ListLog(partitions=1)
        timeline = Timeline(Settings("site", "segments:log"), log)
        told: list[str] = []
        timeline.on_mark = lambda changed: told.append(changed.mark.id)
        for device, heard in (("pump", False), ("fan", True), ("pump", True)):
            timeline.hears = lambda device, heard=heard: heard  # type: ignore[misc]
            mark = MarkAdd(device, f"{device} {heard}", 10, 20, "run", "op-1", "operator")
            timeline._take_mark(mark, 1, len(told))
        assert timeline.book.count("pump") == 2
        return told

    assert asyncio.run(run()) == ["fan True", "pump True"]


def test_an_archive_is_asked_of_a_device_in_each_partition_before_anybody_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"segments:{tmp_path}/log?partitions=2"
    answers: dict[Question, Answer | None] = {}
    ask = ArchivePast.ask

    async def asked(self: ArchivePast, question: Question) -> Answer | None:
        answers[question] = await ask(self, question)
        return answers[question]

    async def run() -> None:
        log = open_log(url)
        for device in ("pump-0", "pump-1", "pump-2", "pump-3"):
            await write(log, recording(3, device=device), device)
        for topic in (READINGS, STREAMS):
            await archive(log, tmp_path / "archive", topic, Limits())
        timeline = Timeline(Settings("site", url, tmp_path / "archive"), log)
        await timeline.open()
        monkeypatch.setattr(ArchivePast, "ask", asked)
        await timeline.warm()
        await timeline.close()
        await log.close()

    asyncio.run(run())
    assert len(answers) == 2
    for question, answer in answers.items():
        assert answer is not None
        assert (len(answer.times), question.start_ns, question.end_ns) == (
            300,
            START_NS,
            START_NS + 3 * S - S // 100 + 1,
        )
