"""Sites for the timeline's measurements, built once and kept in `.cache/bench`: a day of samples, a million marks."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import shutil
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Final

from ingest.engine.rhythm import Limits
from ingest.log.protocol import MARKS, Entry
from ingest.opening import open_log
from ingest.records import MarkAdd
from ingest.wire import encode
from service.archiving import ArchiveOptions, run_archive
from tests.bench.streams import PERIOD_NS, SIX_AXES, START_NS, Load, send
from tests.support.server import PROJECT

CACHE: Final = PROJECT / ".cache" / "bench"
DAY: Final = 24 * 3_600 * 100
"""Samples of a day at 100 Hz."""
DAY_NS: Final = DAY * PERIOD_NS
MANY, MOST = 100_000, 1_000_000
"""Marks of the devices `pump-0` and `pump-1` of the site with marks."""
_TOGETHER: Final = 10_000


def day_site() -> Path:
    """A device `pump-0` with a stream of six channels at 100 Hz for 24 h, 52 million values, in an archive."""
    return _built("day", _write_day)


def marks_site() -> Path:
    """Two devices with a day of marks, `MANY` and `MOST` of them, and samples of its first hundred minutes."""
    return _built("marks", _write_marks)


def _built(name: str, write: Callable[[Path], Coroutine[None, None, None]]) -> Path:
    """A site that this code has written; one that other code has written is written anew."""
    sources = [Path(__file__), *sorted((PROJECT / "ingest").rglob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    site = CACHE / f"timeline-{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"timeline-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.exists():
            for old in CACHE.glob(f"timeline-{name}-*"):
                shutil.rmtree(old)
            partial = site.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            asyncio.run(write(partial))
            partial.rename(site)
    return site


async def _write_day(site: Path) -> None:
    log = open_log(f"segments:{site}/log?partitions=1")
    await send(log, Load(DAY, 100, devices=1, stream=SIX_AXES))
    await log.close()
    options = ArchiveOptions(
        f"segments:{site}/log", site / "archive", "bench", until_idle=True, limits=Limits(seal_bytes=16 << 20)
    )
    await run_archive(options, lambda notice, topic: None)


async def _write_marks(site: Path) -> None:
    log = open_log(f"segments:{site}/log?partitions=1")
    await send(log, Load(2 * 600_000, 100, devices=2, stream=SIX_AXES))
    chance = Random(1)
    for device, count in (("pump-0", MANY), ("pump-1", MOST)):
        for begin in range(0, count, _TOGETHER):
            marks = (_mark(device, number, count, chance) for number in range(begin, begin + _TOGETHER))
            await log.append(MARKS, [Entry(device.encode(), encode(mark)) for mark in marks])
    await log.close()


def _mark(device: str, number: int, count: int, chance: Random) -> MarkAdd:
    """Marks of four people and rules, side by side over the day."""
    start_ns = START_NS + number * DAY_NS // count
    end_ns = start_ns + chance.randrange(DAY_NS // count)
    name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    author, tool = ("", "rule") if number % 4 == 0 else (f"op-{number % 4}", "operator")
    return MarkAdd(device, name, start_ns, end_ns, ("idle", "run", "fault")[number % 3], author, tool, 1.0, number + 1)
