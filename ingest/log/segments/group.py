"""Groups: who is alive, who owns which partition, and how far the group is.

Everything rests on `flock`, which ends with the process that holds it, however that ends. A member keeps a lock on the
file of its own name; the others see by that lock that it lives. The living, sorted by name, share the partitions as
Kafka's range assignor does, and each owns a partition only while it holds that partition's lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from ingest.errors import CorruptError, LogConfigError
from ingest.files import as_log_errors, create, is_under, make_folder, put, try_lock
from ingest.log.protocol import Assigned, Event, Revoked, Truncated
from ingest.log.segments.catalog import Topic
from ingest.log.segments.cursor import PastBeginError
from ingest.log.segments.reader import Fetcher

LOOK_S: Final = 0.5
"""How often a member looks who is alive."""
CLAIM_S: Final = 0.5
"""How long a name is tried: others hold its lock for a moment when they look whether its owner lives."""


def range_share(partitions: int, members: list[str], name: str) -> range:
    """The partitions of one of the sorted `members`, as Kafka's RangeAssignor has it: the first ones get one more."""
    each, more = divmod(partitions, len(members))
    index = members.index(name)
    start = index * each + min(index, more)
    return range(start, start + each + (index < more))


class GroupFolder:
    """The files of one group over one topic. Its methods wait for the disk."""

    def __init__(self, log_folder: Path, topic: str, group: str) -> None:
        self._of = log_folder, topic, group
        self.path = log_folder / "groups" / topic / f"group-{quote(group, safe='')}"
        self._members = self.path / "members"

    def alone(self) -> LoneGroup:
        """The same group, where its files cannot be written."""
        return LoneGroup(*self._of)

    def claim(self, instance: str) -> int:
        """Become the member `instance`; the open file is its life. Raises `LogConfigError` where it lives already."""
        make_folder(self._members)
        deadline_s = time.monotonic() + CLAIM_S
        while True:
            fd = try_lock(self._file(instance))
            if fd is not None:
                return fd
            if time.monotonic() > deadline_s:
                raise LogConfigError(
                    f"{self._file(instance)}: another process is the member {instance!r} of this group; give each "
                    "worker a name of its own, or stop the other one"
                )
            time.sleep(0.01)

    def check_owner(self, owner: str) -> None:
        """Record for whom the group works, if nobody has. Raises `LogConfigError` where it is another one."""
        make_folder(self.path)
        record = self.path / "works-for"
        if not create(record, owner.encode()) and (found := record.read_text(errors="replace")) != owner:
            raise LogConfigError(
                f'{record}: the group works for "{found}", this is "{owner}", and the two would share the partitions, '
                "each with a part of the data; give each dataset a group of its own"
            )

    def is_claimed(self, instance: str, fd: int) -> bool:
        """Whether the file that `claim` opened is still there: others see a member by it."""
        return is_under(fd, self._file(instance))

    def leave(self, instance: str, fd: int) -> None:
        """Be no member any more."""
        self._file(instance).unlink(missing_ok=True)
        os.close(fd)

    def living(self, instance: str) -> list[str]:
        """The names of the living members, sorted; `instance` is the one who asks. The dead are cleared away."""
        names = {unquote(path.name.removeprefix("member-")) for path in self._members.iterdir()}
        return sorted({instance, *(name for name in names if name != instance and self._lives(name))})

    def own(self, partition: int) -> int | None:
        """Own a partition while the open file lives; None while another does."""
        return try_lock(self.path / f"owner-{partition}")

    def committed(self) -> dict[int, int]:
        """The committed offsets by partition."""
        found = {}
        for path in self.path.glob("committed-*"):
            text = path.read_text(encoding="ascii", errors="replace").strip()
            if not text.isdecimal():
                raise CorruptError(f"{path}: found {text[:40]!r}, expected an offset; delete the file: it is a hint")
            found[int(path.name.removeprefix("committed-"))] = int(text)
        return dict(sorted(found.items()))

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Keep offsets durably."""
        for partition, offset in offsets.items():
            put(self.path / f"committed-{partition}", b"%d\n" % offset)

    def _file(self, instance: str) -> Path:
        return self._members / f"member-{quote(instance, safe='')}"

    def _lives(self, name: str) -> bool:
        try:
            fd = os.open(self._file(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:
                self._file(name).unlink(missing_ok=True)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(fd)


class LoneGroup(GroupFolder):
    """A group in a log that can only be read: nobody can tell others there that he lives, so whoever asks is alone."""

    def claim(self, instance: str) -> int:
        """A file that says nothing."""
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def check_owner(self, owner: str) -> None:
        """Nobody else is in it."""

    def is_claimed(self, instance: str, fd: int) -> bool:
        """Always."""
        return True

    def leave(self, instance: str, fd: int) -> None:
        """Nobody knew of it."""
        os.close(fd)

    def living(self, instance: str) -> list[str]:
        """Nobody else."""
        return [instance]

    def own(self, partition: int) -> int | None:
        """Every partition."""
        return self.claim("")

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Nothing: offsets are hints for lag monitors."""


class SegmentMember:
    """One worker of a group; see `ingest.log.protocol.Member`."""

    def __init__(
        self,
        topic: Topic,
        folder: GroupFolder,
        life: int,
        instance: str,
        on_close: Callable[[SegmentMember], None],
    ) -> None:
        self._topic = topic
        self._folder = folder
        self._instance = instance
        self._life: int | None = life
        self._on_close = on_close
        self._fetcher = Fetcher(topic, durable=True)
        self._owned: dict[int, int] = {}
        """The open lock file of each partition that is owned."""
        self._revoked: list[int] = []
        """Open lock files of partitions that go to others, but whose `Revoked` is not given yet."""
        self._given_up: list[int] = []
        """The same, given: they are free once the caller comes back."""
        self._news: list[Event] = []
        self._busy = threading.Lock()
        self._looked_s = float("-inf")

    async def poll(self, timeout_s: float) -> list[Event]:
        """Changes of ownership and records, or nothing after `timeout_s`. The call after a `Revoked` lets go.

        Raises:
            TruncatedLogError: an offset past the end of the log was sought.
            CorruptLogError: a record cannot be read; `seek` to its `next_offset` goes on without it.
            LogUnavailableError: as the disk says.
        """
        _free(self._given_up)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            if time.monotonic() - self._looked_s >= LOOK_S:
                await asyncio.to_thread(self._look)
            events = self._take_news() or await self._records()
            if events:
                return events
            left_s = deadline_s - loop.time()
            if left_s <= 0:
                return []
            await self._fetcher.pause(left_s)

    def seek(self, partition: int, offset: int) -> None:
        """Deliver an owned partition from `offset` on; ignored where it is not owned."""
        if partition in self._owned:
            self._fetcher.seek(partition, offset)

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far the group is; that it could not be noted is no error."""
        with suppress(OSError):
            await asyncio.to_thread(self._folder.commit, dict(offsets))

    async def close(self) -> None:
        """Leave the group: the others take over at once."""
        await asyncio.to_thread(self._fetcher.close)
        await asyncio.to_thread(self._leave)
        self._on_close(self)

    def _leave(self) -> None:
        with self._busy:
            _free(self._given_up)
            _free(self._revoked)
            while self._owned:
                os.close(self._owned.popitem()[1])
            if self._life is not None:
                self._folder.leave(self._instance, self._life)
                self._life = None

    def _look(self) -> None:
        """See who lives, and take and give partitions by that; what changed waits in `_news`."""
        with self._busy, as_log_errors(self._folder.path):
            if self._life is None or self._news:
                return
            self._looked_s = time.monotonic()
            if not self._folder.is_claimed(self._instance, self._life):  # somebody has deleted it
                os.close(self._life)
                self._life = None
                self._life = self._folder.claim(self._instance)
            living = self._folder.living(self._instance)
            share = range_share(len(self._topic.partitions), living, self._instance)
            gone = tuple(sorted(self._owned.keys() - set(share)))
            self._revoked += (self._owned.pop(partition) for partition in gone)
            new = []
            for partition in share:
                if partition not in self._owned:
                    fd = self._folder.own(partition)
                    if fd is None:  # its owner has yet to let go: look again soon
                        self._looked_s = float("-inf")
                    else:
                        self._owned[partition] = fd
                        new.append(partition)
            if gone:
                self._news.append(Revoked(gone))
            if new:
                self._news.append(Assigned(tuple(new)))

    def _take_news(self) -> list[Event]:
        with self._busy:  # a cancelled poll's look may still be at work
            news, self._news = self._news, []
            self._given_up, self._revoked = self._given_up + self._revoked, []
        for event in news:
            if isinstance(event, Revoked):
                for partition in event.partitions:
                    self._fetcher.drop(partition)
        return news

    async def _records(self) -> list[Event]:
        if not self._fetcher.is_stale():
            return []
        try:
            return list(await self._fetcher.fetch())
        except PastBeginError as error:
            self._fetcher.drop(error.partition)
            return [Truncated(error.partition, error.wanted, error.begin)]


def _free(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())


async def join(
    topic: Topic, folder: GroupFolder, instance: str, owner: str, on_close: Callable[[SegmentMember], None]
) -> SegmentMember:
    """Become a member; `on_close` is told when it leaves.

    Raises:
        LogConfigError: a living process has that name in this group, or the group works for another owner.
    """

    def claim() -> tuple[GroupFolder, int]:
        with as_log_errors(folder.path):
            found = folder.alone() if topic.is_read_only else folder
            if owner:
                found.check_owner(owner)
            return found, found.claim(instance)

    if not instance:
        raise LogConfigError(f"{folder.path}: a member needs a name; give each worker one of its own")
    return SegmentMember(topic, *await asyncio.to_thread(claim), instance, on_close)


async def committed(folder: GroupFolder) -> dict[int, int]:
    """The group's committed offsets; none where it never was."""

    def read() -> dict[int, int]:
        with as_log_errors(folder.path):
            return folder.committed()

    return await asyncio.to_thread(read)
