"""Messages as devices send them, through a real broker and an agent: what is in the log then."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.agent.agent import Agent
from edge.config import load_config
from ingest.records import Chunk, Gap
from ingest.times import sample_times
from ingest.units import parse_time
from simulators.doubles.log import FlakyLog
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import publish

BATCH = "[" + ",".join(f'{{"x":{number}}}' for number in range(8000)) + "]"
LARGE = "[" + ",".join(f'{{"x":{number}}}' for number in range(20_000)) + "]"
SOURCES = {
    "plain": (
        'decoder = "json"\nchannels = { x = "g" }\nmax_message = "200kB"',
        ["[1]", '{\n  "x": 1.5\n}', '{"x":2}\n{"x":3}\n', "[\n 7,\n 8\n]", BATCH, LARGE, "9"],
    ),
    "fields": (
        'decoder = "json"\nchannels = { x = "g", y = "g" }\nfields = { x = "acc.x" }',
        ['{"acc.x":NaN,"y":0.5}', '{"1.7.0":840,"acc.x":0.5,"y":1}'],
    ),
    "timed": (
        'decoder = "json"\nchannels = { x = "g" }\ntime_field = "ts"',
        ['{"ts":1767225600123,"x":1}', '{"ts":"2026-01-05T12:00:00","x":2}', '{"ts":"2026-01-05T12:00:00Z","x":3}'],
    ),
    "cells": ('decoder = "csv"\nchannels = { x = "g", y = "g" }\nseparator = ";"', ["1.5;2\0", "0,12;0,98\n"]),
}


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def configured(folder: Path, broker: Mosquitto) -> Path:
    tables = (
        f'[[source]]\nname = "{name}"\ntype = "mqtt"\nbroker = "mqtt://{broker.host}:{broker.port}"\ntopic = "{name}"\n'
        f'stream = "{name}"\ndtype = "float64"\n{text}\n'
        for name, (text, _) in SOURCES.items()
    )
    path = folder / "agent.toml"
    path.write_text('device = "d"\nlog = "segments:log"\n[spool]\ndir = "spool"\n' + "".join(tables))
    return path


def test_messages_are_what_they_say(tmp_path: Path, broker: Mosquitto) -> None:
    log = FlakyLog()

    async def story() -> None:
        agent, stop = (
            Agent(load_config(configured(tmp_path, broker)), log, b"1" * 16, "0", lambda line: None),
            asyncio.Event(),
        )
        task = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(200):
            while not agent.pipelines or any(pipeline.source.waiting_for for pipeline in agent.pipelines):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            for name, (_, messages) in SOURCES.items():
                await asyncio.to_thread(publish, broker.host, broker.port, name, messages)
            while not {"timed", "cells"} <= {chunk.stream for chunk in log.chunks()} or len(rows("plain")) < 8005:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            stop.set()
            await task

    def rows(stream: str) -> list[float]:
        return [value for chunk in chunks(stream) for value in np.frombuffer(chunk.values, "<f8").tolist()]

    def chunks(stream: str) -> list[Chunk]:
        return list({chunk.seq: chunk for chunk in log.chunks() if chunk.stream == stream}.values())

    asyncio.run(story())
    assert rows("plain") == [1, 1.5, 2, 3, *range(8000), 9]
    np.testing.assert_array_equal(rows("fields"), [np.nan, 0.5, 0.5, 1])
    assert rows("timed") == [3]
    assert [sample_times(chunk).tolist() for chunk in chunks("timed")] == [[parse_time("2026-01-05T12:00:00Z")]]
    assert rows("cells") == [1.5, 2, 0.12, 0.98]
    gaps = {(gap.stream, gap.reason, gap.samples) for gap in log.records() if isinstance(gap, Gap)}
    assert ("plain", "columns", -1) in gaps
    assert {samples for stream, reason, samples in gaps if (stream, reason) == ("timed", "time")} <= {1, 2}
    assert ("plain", "message_too_large", -1) in gaps
