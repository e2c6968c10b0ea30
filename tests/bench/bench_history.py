"""A day of a stream out of an archive, as a timeline asks for it: 100 Hz, three channels, in some dozens of outputs."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from ingest.archive.history import History
from ingest.archive.reading import Question
from ingest.engine.rhythm import Limits
from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import schema_id
from ingest.wire import encode
from service.archiving import ArchiveOptions, run_archive
from tests.bench.harness import Row, row
from tests.bench.streams import PERIOD_NS, START_NS, STREAM, Load

SAMPLES: Final = 24 * 3_600 * 100
POINTS: Final = 1_600
RUNS: Final = 20
BAR_MS: Final = 30.0
_TOGETHER: Final = 2_000


def bench() -> list[Row]:
    """Milliseconds of a question: the first one of a reader, the same again, and others over most of the day."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        return asyncio.run(_measure(Path(name)))


async def _measure(site: Path) -> list[Row]:
    log = open_log(f"segments:{site}/log", partitions=1)
    for topic in (READINGS, STREAMS):
        await log.ensure(topic)
    await log.append(STREAMS, [Entry(schema_id(STREAM), encode(STREAM))])
    entries = list(Load(SAMPLES, 100, devices=1).entries())
    for begin in range(0, len(entries), _TOGETHER):
        await log.append(READINGS, entries[begin : begin + _TOGETHER])
    await log.close()
    limits = Limits(seal_bytes=1 << 20)
    options = ArchiveOptions(f"segments:{site}/log", site / "archive", "w", until_idle=True, limits=limits)
    await run_archive(options, lambda notice, topic: None)
    device = entries[0].key.decode()
    end_ns = START_NS + SAMPLES * PERIOD_NS
    first, again, others = [], [], []
    for number in range(RUNS):
        history = History(site / "archive")
        first.append(await _ask(history, Question(device, "acc", START_NS, end_ns, POINTS)))
        again.append(await _ask(history, Question(device, "acc", START_NS, end_ns, POINTS)))
        moved_ns = START_NS + number * 60 * 10**9
        others.append(await _ask(history, Question(device, "acc", moved_ns, end_ns, POINTS)))
    return [
        row("a day of tiles, a reader's first question", first, "ms", lower_is_better=True),
        row("a day of tiles, asked again", again, "ms", bar=BAR_MS, lower_is_better=True),
        row("most of a day of tiles", others, "ms", bar=BAR_MS, lower_is_better=True),
    ]


async def _ask(history: History, question: Question) -> float:
    """CPU milliseconds of an answer."""
    begin = time.process_time()
    answer = await history.ask(question)
    taken = time.process_time() - begin
    assert answer is not None
    assert len(answer.tiles[0].bucket) > POINTS / 8, "too few tiles"
    return 1e3 * taken
