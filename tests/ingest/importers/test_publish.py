"""Batches keep their order and a failure is not swallowed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from ingest.errors import LogUnavailableError
from ingest.importers.publish import BATCH_ENTRIES, publish
from ingest.log.protocol import Entry, Position
from ingest.records import Progress, RecordingEnd
from ingest.wire import decode
from simulators.doubles.log import ListLog

RECORDS = [Progress("d", "r", "s", b"", i) for i in range(5 * BATCH_ENTRIES + 7)]


def test_records_arrive_in_order_in_batches() -> None:
    async def run() -> None:
        log = ListLog(partitions=1)
        published = await publish(log, "readings", "d", RECORDS, None)
        assert [decode(e.value) for e in log.content["readings"][0]] == RECORDS
        assert [size for _, size in log.calls] == [BATCH_ENTRIES] * 5 + [7]
        assert published.records == len(RECORDS)
        assert published.bytes == sum(len(e.value) for e in log.content["readings"][0])

    asyncio.run(run())


def test_the_end_of_a_recording_is_not_written_beside_what_comes_before_it() -> None:
    """An end alone would say that the recording is over, to who tries again."""

    class Failing(ListLog):
        async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
            if isinstance(decode(entries[0].value), Progress):
                await asyncio.sleep(0.01)
                raise LogUnavailableError("down")
            return await super().append(topic, entries)

    async def run() -> None:
        log = Failing()
        with pytest.raises(LogUnavailableError, match="down"):
            await publish(log, "readings", "d", [*RECORDS[:5], RecordingEnd("d", "r", b"", 5, "end_of_file")], None)
        assert log.content == {}

    asyncio.run(run())


def test_a_failed_append_is_raised_and_nothing_is_left_running() -> None:
    class Failing(ListLog):
        async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
            if len(self.calls) == 2:
                raise LogUnavailableError("down")
            return await super().append(topic, entries)

    async def run() -> None:
        with pytest.raises(LogUnavailableError, match="down"):
            await publish(Failing(), "readings", "d", RECORDS, None)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
