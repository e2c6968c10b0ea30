"""Several processes on one log, killed with kill -9 in the middle of what they do."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import LogConfigError
from ingest.log.protocol import Assigned
from ingest.log.segments import SegmentLog
from ingest.log.segments.cursor import Cursor, Place
from ingest.log.segments.partition import Partition

PROJECT = Path(__file__).parents[3]


class Processes:
    """Starts modules of this folder; what still runs at the test's end is killed."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, module: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", f"tests.ingest.log.{module}", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.end()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def records(folder: Path) -> dict[tuple[str, int], list[int]]:
    """The numbers by writer and key, in the order of the log; offsets and times are checked on the way."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number in range(2):
        partition = Partition(folder / "topics" / "readings" / str(number), number, segment_bytes=64 << 10)
        cursor = Cursor("readings", partition, dense=True, durable=False)
        place, expected, before_ns = Place(0), 0, 0
        while True:
            batch, place = cursor.read(place)
            if batch is None:
                break
            for offset, append_ns, key, value in zip(
                batch.offsets, batch.append_ns, batch.keys, batch.values, strict=True
            ):
                assert offset == expected
                assert append_ns >= before_ns
                expected, before_ns = offset + 1, append_ns
                name, _, index = value.decode().strip().partition(".")
                found[name, int(key)].append(int(index))
        cursor.close()
        partition.close()
    return found


def test_what_was_acknowledged_survives_kills_in_order_and_once(processes: Processes, tmp_path: Path) -> None:
    """Three processes write at once; in each round the two that may be are killed at a random moment."""
    rng = random.Random(20)
    acknowledged: dict[str, set[int]] = defaultdict(set)
    steady = processes.start("segments_writer", tmp_path, "steady", 6_000)
    for turn in range(3):
        victims = {
            f"victim{turn}{x}": processes.start("segments_writer", tmp_path, f"victim{turn}{x}", 0) for x in "ab"
        }
        for name, victim in victims.items():
            for _ in range(rng.randrange(1, 60)):
                first, last = line(victim).split()
                acknowledged[name].update(range(int(first), int(last)))
        for name, victim in victims.items():
            victim.kill()
            assert victim.stdout is not None
            for text in victim.stdout.read().splitlines():
                first, _, last = text.partition(" ")
                if last and int(last) == int(first) + 20:  # the last line may be cut
                    acknowledged[name].update(range(int(first), int(last)))
    assert steady.wait(timeout=200) == 0
    acknowledged["steady"] = set(range(6_000))

    there: dict[str, set[int]] = defaultdict(set)
    for (name, key), numbers in records(tmp_path).items():
        assert numbers == sorted(set(numbers)), f"{name}, key {key}: out of order or twice"
        there[name].update(numbers)
    for name, wanted in acknowledged.items():
        assert wanted <= there[name], f"{name}: acknowledged, but lost"


def test_a_killed_member_is_replaced_as_soon_as_somebody_looks(processes: Processes, tmp_path: Path) -> None:
    async def main() -> None:
        log = SegmentLog(tmp_path, partitions=4)
        await log.ensure("readings")
        victim = processes.start("segments_member", tmp_path, "a")
        assert await asyncio.to_thread(line, victim) == "owns 0 1 2 3\n"
        with pytest.raises(LogConfigError, match="another process is the member 'a'"):
            await log.join("readings", "group", "a")
        member = await log.join("readings", "group", "b")
        assert await member.poll(60.0) == [Assigned((2, 3))]
        assert await asyncio.to_thread(line, victim) == "owns 0 1\n"
        victim.kill()
        assert await member.poll(60.0) == [Assigned((0, 1))]
        await log.close()

    asyncio.run(main())
    assert list(tmp_path.glob("groups/*/*/members/*")) == [], "the dead is cleared away, the living left"


def test_a_lock_that_died_with_its_holder_keeps_nobody_out(processes: Processes, tmp_path: Path) -> None:
    """Writers are killed so often that some of them hold the partition's lock."""
    for turn in range(4):
        victim = processes.start("segments_writer", tmp_path, f"victim{turn}", 0)
        line(victim)
        victim.kill()
        victim.wait()
    last = processes.start("segments_writer", tmp_path, "last", 200)
    assert last.wait(timeout=200) == 0
    assert sum(len(numbers) for (name, _), numbers in records(tmp_path).items() if name == "last") == 200
