"""Where the engine's seals go in a sink: points to the database, the rest to a folder.

The order is the engine's: points are acknowledged by the database before the entry that says so exists. Who dies
between the two is followed by one who writes the same points again. A sink seals every few seconds for years and
nobody ever reads its old entries, so only the newest are kept; the older ones are said to exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ingest.engine.chain import states_of
from ingest.engine.manifest import decode_entry, entry_name
from ingest.engine.operator import Buffer
from ingest.engine.plan import folder_of
from ingest.engine.store import Exists, Files, FileStore
from ingest.errors import UsageError
from ingest.files import as_store_errors, put
from sinks.influx.lines import FOLDER
from sinks.influx.refusals import Refusals

KEPT: Final = 8
"""So many entries of a chain stay; recovery reads three."""
_MANIFEST: Final = "manifest"
_AT_ONCE: Final = 2
"""So many requests are under way at once: more make a database no quicker."""
REFUSED: Final = "refused.json"


class Refused:
    """Refused points by reason, over all runs: kept in the sink's folder.

    A batch that was written again after a failure counts again: nothing that was refused is missing here.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self._path = folder / REFUSED
        self._tell = tell
        self.counts: dict[str, int] = {}
        if self._path.exists():
            try:
                self.counts = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
            except msgspec.MsgspecError as error:
                raise UsageError(f"{self._path}: {error}; it holds counts by reason: mend or remove it") from None
        self.run: dict[str, int] = {}
        """In this run."""

    def add(self, refusals: Refusals) -> None:
        """Count what was refused, durably, and tell it."""
        for reason, count in refusals.counts.items():
            self.counts[reason] = self.counts.get(reason, 0) + count
            self.run[reason] = self.run.get(reason, 0) + count
            self._tell(f"the database refuses points ({reason}): {refusals.messages[reason]}")
        with as_store_errors(self._path):
            put(self._path, msgspec.json.encode(self.counts, order="sorted"))


class SinkStore(FileStore):
    """A `Store` whose files under `points/` are written to a database by `write`."""

    def __init__(self, files: Files, token: str, write: Callable[[bytes], Refusals], refused: Refused) -> None:
        super().__init__(files, token)
        self._write = write
        self._refused = refused
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._written: set[str] = set()
        """Points that are acknowledged, of entries that do not exist yet."""
        self._states: dict[str, tuple[str, ...]] = {}
        """The states that the newest entry of each chain needs, as far as they were seen."""

    async def put(self, files: Iterable[tuple[str, Sequence[Buffer]]]) -> None:
        """See `Store`; points are where they belong when this returns, or refused and counted."""
        kept = []
        for name, parts in files:
            if folder_of(name) == FOLDER:
                await self._send(name, parts)
            else:
                kept.append((name, parts))
        if kept:
            await super().put(kept)

    async def _send(self, name: str, parts: Sequence[Buffer]) -> None:
        if name in self._written:  # of a seal that is tried again
            return
        async with self._slots:
            refusals = await asyncio.to_thread(self._write, b"".join(parts))
        if refusals.counts:
            await asyncio.to_thread(self._refused.add, refusals)
        self._written.add(name)

    async def jot(self, name: str, data: bytes) -> str:
        """See `Store`; nothing is noted: points of a seal that never became visible need not be swept away."""
        return name

    async def create(self, name: str, data: bytes) -> None:
        """See `Store`; old entries go, and with the newest one the states that nobody needs any more."""
        folder = folder_of(name)
        if folder_of(folder) != _MANIFEST:
            await super().create(name, data)
            return
        entry = decode_entry(data, name)
        numbers = await self._numbers(folder)
        if numbers and entry.seq <= numbers[-1]:
            raise Exists(name)
        await super().create(name, data)
        self._written.difference_update(ref.name for ref in entry.files)
        before = self._states.get(folder)
        self._states[folder] = tuple(ref.name for ref in entry.states)
        old = [entry_name(folder, seq) for seq in numbers if seq <= entry.seq - KEPT]
        if before is not None:
            old += await self._orphans(folder, entry.seq, {*before, *self._states[folder]})
        await self.delete(old)

    async def _numbers(self, folder: str) -> list[int]:
        names = await self.names(folder)
        return [int(name[:12]) for name in names if name[:12].isdecimal() and name.endswith(".json")]

    async def _orphans(self, folder: str, seq: int, needed: set[str]) -> list[str]:
        """States of seals that never became visible, and those that are outdated."""
        states = states_of(folder)
        names = [name for name in await self.names(states) if name[:12].isdecimal() and int(name[:12]) < seq - 1]
        return [f"{states}/{name}" for name in names if f"{states}/{name}" not in needed]

    async def exists(self, name: str) -> bool:
        """See `Store`; entries before the newest exist, also those that went; nobody needs their checkpoints."""
        folder = folder_of(name)
        if await super().exists(name) or folder_of(folder) != _MANIFEST:
            return await super().exists(name)
        stem = name.rpartition("/")[2].removesuffix(".json")
        if not stem.isdecimal():
            return True
        numbers = await self._numbers(folder)
        return bool(numbers) and int(stem) <= numbers[-1]
