"""The command `sensorloom`, watched from outside of the agent's code: a journal says what each fsync covered, and the
process can be told to kill itself at a point that no signal from outside would hit.

`main(["JOURNAL", "POINT:TIMES", "agent", "run", "-c", "agent.toml"])`, in a process of its own; `never:0` is no point.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

import edge.agent.unwritten
import edge.commands
import ingest.log.segments.partition as partitions
import sensorloom
from edge.sources.mqtt.source import MqttSource
from edge.spool.entries import Identities, key_of
from edge.spool.spool import Queue
from ingest.log.protocol import READINGS, Entry, Log, Position
from ingest.log.segments.head import Head
from ingest.records import Chunk
from ingest.wire import decode

POINTS: Final = ("torn_write", "before_fsync", "after_fsync", "between_pubacks", "after_append")
"""Where an agent may die by itself: in the middle of a write to the spool; when that is written and not yet durable;
durable and not acknowledged; acknowledged in part; in the log, with the spool not knowing."""
T = TypeVar("T")


class Covered(msgspec.Struct, frozen=True):
    """A chunk that an fsync covered: its identity, and the numbers that are its samples."""

    stream: str
    boot: bytes
    seq: int
    numbers: list[int]


class Noted(msgspec.Struct, frozen=True):
    """A line of the journal."""

    covered: list[Covered]
    repeated: int = 0
    """Messages that came again and were known, since the last line."""


class Death:
    """Dies when a point was passed so many times."""

    def __init__(self, told: str) -> None:
        self._point, _, times = told.partition(":")
        self._left = int(times)

    def is_due(self, point: str) -> bool:
        """The point is passed: whether that is where to die."""
        if point == self._point:
            self._left -= 1
        return point == self._point and self._left <= 0

    def at(self, point: str) -> None:
        """Die here, if it is time."""
        if self.is_due(point):
            os.kill(os.getpid(), signal.SIGKILL)


class Journal:
    """What a test may know later: written before anything else happens, and there also after a kill."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(self._fd, b"\n")  # an end to the line in which another agent was killed
        self.repeated = 0

    def note(self, entries: Sequence[Entry]) -> None:
        """These entries are durable."""
        records = [decode(entry.value) for entry in entries if key_of(entry.key).kind in (b"r", b"h")]
        covered = [
            Covered(record.stream, record.boot, record.seq, numbers_of(record)[:, 0].tolist())
            for record in records
            if isinstance(record, Chunk)
        ]
        line = msgspec.json.encode(Noted(covered, self.repeated)) + b"\n"
        self.repeated = 0
        os.write(self._fd, line)


def numbers_of(chunk: Chunk) -> Any:
    """`(samples, 2) int32`: a number and its check."""
    return np.frombuffer(chunk.values, "<i4").reshape(-1, 2)


class Observer:
    """Wraps what the agent calls; nothing of what it does is changed but its end."""

    def __init__(self, journal: Journal, death: Death) -> None:
        self._journal = journal
        self._death = death

    def observe(self) -> None:
        """From now on."""
        for owner, name, wrapper in (
            (Queue, "commit", self._commit),
            (partitions.Partition, "sync", self._sync),
            (partitions.Partition, "_write", self._write),
            (MqttSource, "ack", self._acknowledge),
            (Identities, "is_known", self._is_known),
            (edge.commands, "open_log", self._open_log),
        ):
            real = getattr(owner, name)
            setattr(owner, name, _method(wrapper, real))

    def _commit(self, real: Callable[..., None], queue: Queue, entries: Sequence[Entry], **more: bool) -> None:
        real(queue, entries, **more)
        if is_spool(queue.folder):
            self._journal.note(entries)
            self._death.at("after_fsync")

    def _sync(self, real: Callable[..., None], partition: partitions.Partition, written: partitions.Written) -> None:
        if is_spool(partition.folder):
            self._death.at("before_fsync")
        real(partition, written)

    def _write(
        self, real: Callable[..., T], partition: partitions.Partition, head: Head, data: bytes, *more: object
    ) -> T:
        if is_spool(partition.folder) and self._death.is_due("torn_write"):
            with partition.path(head.base).open("r+b", buffering=0) as file:
                file.seek(head.position)
                file.write(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(partition, head, data, *more)

    def _acknowledge(self, real: Callable[..., None], source: MqttSource, token: Hashable) -> None:
        real(source, token)
        if self._death.is_due("between_pubacks"):
            if source._link is not None:
                source._link._client.loop_write()  # those before this one are on their way, those behind it are not
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_known(self, real: Callable[..., bool], known: Identities, source: str, identity: bytes) -> bool:
        found = real(known, source, identity)
        self._journal.repeated += found
        return found

    def _open_log(self, real: Callable[..., Log], url: str) -> Log:
        log = real(url)
        append = log.append

        async def watched(topic: str, entries: Sequence[Entry]) -> list[Position]:
            positions = await append(topic, entries)
            if topic == READINGS:
                self._death.at("after_append")
            return positions

        log.append = watched  # type: ignore[method-assign]
        return log


def _method(wrapper: Callable[..., T], real: Callable[..., T]) -> Callable[..., T]:
    """A function, which a class makes a method of."""
    return lambda *args, **more: wrapper(real, *args, **more)


def is_spool(folder: Path) -> bool:
    """The spool's queue of readings, not a partition of the log nor the queue of marks."""
    return folder.name == "readings" and folder.parent.name == "spool"


def main(words: Sequence[str]) -> int:
    """The agent's exit code, where nothing kills it."""
    edge.agent.unwritten.UNWRITTEN_BYTES = 2_000  # type: ignore[misc]
    Observer(Journal(Path(words[0])), Death(words[1])).observe()
    return sensorloom.main(words[2:])
