"""A device that sends 20 streams at 100 Hz to a log as it measures them, to be run in a process of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.opening import open_log
from ingest.records import Chunk, Clock, RecordingStart, schema_id
from ingest.wire import encode
from tests.bench.streams import PERIOD_NS, STREAM

DEVICE: Final = "pump-0"
STREAMS_MADE: Final = tuple(replace(STREAM, stream=f"acc-{number:02}") for number in range(20))
RECORDING: Final = "r1"
BOOT: Final = RECORDING.encode().ljust(16, b".")
CLOCK: Final = Clock("ntp")
SAMPLES: Final = 10
"""Of a chunk."""
SPAN_NS: Final = SAMPLES * PERIOD_NS
BEFORE_NS: Final = 60 * 10**9


class Sent(NamedTuple):
    """What was appended at once, a chunk of each stream."""

    newest_ns: int
    """The instant of the newest sample."""
    append_ns: int
    """By this machine's clock, when the log was asked to take it."""


def chunks(start_ns: int, seq: int, samples: int) -> list[Entry]:
    """The chunk `seq` of each stream, of so many samples; the recording begins at `start_ns`."""
    t0_ns = start_ns + seq * samples * PERIOD_NS
    at = np.arange(seq * samples, (seq + 1) * samples)
    entries = []
    for number, stream in enumerate(STREAMS_MADE):
        swing = 900 * np.sin((at[:, None] + 40 * np.arange(3)) / (20 + number))
        head = (DEVICE, RECORDING, stream.stream, BOOT, seq, schema_id(stream), t0_ns, PERIOD_NS, 1, 0, 0, b"")
        chunk = Chunk(*head, samples, swing.astype("<i2").tobytes(), clock=CLOCK)
        entries.append(Entry(DEVICE.encode(), encode(chunk)))
    return entries


async def begin(log: Log, start_ns: int) -> None:
    """Describe the streams, and begin the recording."""
    await log.append(STREAMS, [Entry(schema_id(stream), encode(stream)) for stream in STREAMS_MADE])
    start = RecordingStart(DEVICE, RECORDING, BOOT, start_ns, "started")
    await log.append(READINGS, [Entry(DEVICE.encode(), encode(start))])


def send_live(url: str, site: Path) -> list[Sent]:
    """Send what the device measures, in chunks of 100 ms, until there is a file `over` in the folder.

    What it measured in the minute before is sent at once, and then there is a file `begun`.
    """
    return asyncio.run(_send_live(url, site))


async def _send_live(url: str, site: Path) -> list[Sent]:
    start_ns = time.time_ns() - BEFORE_NS
    log, sent, seq = open_log(url), [], 0
    await begin(log, start_ns)
    while not (site / "over").exists():
        due = (time.time_ns() - start_ns) // SPAN_NS
        entries = [entry for number in range(seq, due) for entry in chunks(start_ns, number, SAMPLES)]
        if entries:
            sent.append(Sent(start_ns + due * SPAN_NS - PERIOD_NS, time.time_ns()))
            await log.append(READINGS, entries)
            (site / "begun").touch()
        seq = due
        await asyncio.sleep(max(0.0, (start_ns + (due + 1) * SPAN_NS - time.time_ns()) / 1e9))
    await log.close()
    return sent
