"""What an agent's spool costs the disk: bytes that reach the block device per byte of payload, as the kernel counts.

In real time, since the kernel writes back pages as they age: a sensor of three int16 channels at 100 Hz, commits when
an agent makes them (`rest_s`: somewhat more often than each `fsync_interval`), read and acknowledged at once as a log
would. On the disk of the temporary folder; a tmpfs has no block device, and shows 0.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from edge.agent.schedule import rest_s
from edge.protocol import Frame, SourceConfig
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from edge.spool.entries import reading
from edge.spool.queue import Queue
from edge.spool.spool import SpoolLimits
from ingest.log.protocol import Entry
from tests.bench.harness import Row, row

SECONDS: Final = 60
INTERVALS_S: Final = (1, 2, 5)
RATE: Final = 100
S: Final = 1_000_000_000
WALL_NS: Final = 1_700_000_000 * S
PAGES: Final = "pages"


def bench() -> list[Row]:
    """The spool at several intervals, beside a file that is appended to and fsynced each second."""
    kinds = [*map(str, INTERVALS_S), PAGES]
    runs = [
        subprocess.Popen([sys.executable, "-m", "tests.bench.bench_disk", kind], stdout=subprocess.PIPE, text=True)
        for kind in kinds
    ]
    found = {
        kind: [float(word) for word in run.communicate()[0].split()] for kind, run in zip(kinds, runs, strict=True)
    }
    pages = found.pop(PAGES)
    rows = []
    for interval_s, (block, ours, fsyncs) in zip(INTERVALS_S, found.values(), strict=True):
        about = f"3 int16 at 100 Hz, fsync_interval {interval_s} s"
        bar = 3.0 if interval_s == 1 else None
        rows += [
            row(
                f"bytes on the block device per payload byte, {about}",
                [block],
                "ratio",
                baseline="a file, appended and fsynced each second",
                baseline_values=[pages[0]],
                bar=bar,
                lower_is_better=True,
            ),
            row(f"bytes written by us per payload byte, {about}", [ours], "ratio", bar=1.5, lower_is_better=True),
            row(f"fsyncs a second, {about}", [fsyncs], "1/s", bar=1, lower_is_better=True),
        ]
    return rows


def _entries(recorder: Recorder, begin: int, end: int) -> list[Entry]:
    """What an agent commits of these samples, by their numbers."""
    for step in range(begin, end):
        at_ns = step * S // RATE
        values = np.array([[step % 999, -step % 77, 1000]], dtype="<i2")
        recorder.take("acc", 12, [Frame(values, None, 12)], at_ns, WALL_NS + at_ns)
    return [reading("pump-7", held.record) for held in recorder.flush(end * S // RATE)]


def _block_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _measure(kind: str) -> tuple[float, float, float]:
    """Bytes on the block device, and bytes written by us, per payload byte; fsyncs a second."""
    interval_s = 1 if kind == PAGES else int(kind)
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "device": "pump-7", "stream": "acc"}
    channels = dict.fromkeys("xyz", "g")
    config = SourceConfig(**words, decoder="csv", channels=channels, rate=Fraction(RATE), dtype="int16")  # type: ignore[arg-type]
    recorder = Recorder("pump-7", os.urandom(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        queue, plain, payload = Queue(Path(folder) / "q", SpoolLimits()), Path(folder) / "plain", 0
        with plain.open("ab", buffering=0) as file:
            before, begun_s, taken = _block_bytes(), time.monotonic(), 0
            took_s, wait_s = deque[float](maxlen=10), float(interval_s)
            while taken < SECONDS * RATE:
                time.sleep(wait_s)
                commit_s = time.monotonic()
                came = min(int((commit_s - begun_s) * RATE), SECONDS * RATE)
                entries, taken = _entries(recorder, taken, came), came
                payload += sum(len(entry.key) + len(entry.value) for entry in entries)
                if kind == PAGES:
                    file.write(b"".join(entry.value for entry in entries))
                    os.fdatasync(file.fileno())
                    wait_s = max(0.0, 1.0 - (time.monotonic() - commit_s))
                else:
                    queue.commit(entries)
                    queue.acknowledge(batch.next_offset if (batch := queue.read()) else 0)
                    took_s.append(time.monotonic() - commit_s)
                    wait_s = rest_s(interval_s, took_s[-1], max(took_s))
            block = _block_bytes() - before
        stats = queue.stats
        queue.close()
    return block / payload, stats.written_bytes / payload, stats.fsyncs / SECONDS


if __name__ == "__main__":
    print(*_measure(sys.argv[1]))
