"""Where outputs live: a small interface that a local disk implements now, and an object store fits later.

On a disk, `create` is `link()`; on an object store, a conditional put. Network file systems are refused: their
`link()` and fsync do not promise what this rests on.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Sequence
from typing import Protocol

from ingest.engine.operator import Buffer
from ingest.engine.plan import Op, SyncFolder, Write, create_plan, delete_plan, put_plan
from ingest.errors import FencedError, StoreUnavailableError


class Exists(Exception):  # noqa: N818 - the answer to a question, not a fault
    """`create` found the name taken."""


class Files(Protocol):
    """A file system, as far as plans need one. `ingest.engine.disk` is the real one."""

    async def run(self, plan: Sequence[Op]) -> None:
        """Do the operations in order; stops at the first that fails.

        Raises:
            FileExistsError: a `Link` found its name taken.
            StoreUnavailableError: no room, or nothing can be written just now; the name of the file that was being
                written does not exist.
        """
        ...

    async def read(self, path: str) -> bytes:
        """The bytes of a file. Raises `FileNotFoundError`."""
        ...

    async def exists(self, path: str) -> bool:
        """Is there a file of that name?"""
        ...

    async def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""
        ...


class Store(Protocol):
    """Immutable files by name, and create-if-absent."""

    async def put(self, files: Iterable[tuple[str, Sequence[Buffer]]]) -> None:
        """Make files durable; names are content hashes, so a name that exists has the same bytes."""
        ...

    async def create(self, name: str, data: bytes) -> None:
        """Make a file durable under a free name. Raises `Exists`."""
        ...

    async def jot(self, name: str, data: bytes) -> str:
        """Write a file that may vanish, or be torn, with the power; its name, which is `name` and some more."""
        ...

    async def settle(self, folder: str) -> None:
        """Make durable what is visible in a folder: another worker may have died between making it so and this."""
        ...

    async def read(self, name: str) -> bytes:
        """A file's bytes. Raises `FileNotFoundError`."""
        ...

    async def exists(self, name: str) -> bool:
        """Is there such a file?"""
        ...

    async def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted."""
        ...

    async def delete(self, names: Iterable[str]) -> None:
        """Remove files; what is gone already is no error."""
        ...


class FileStore:
    """A `Store` on a file system: each act is a plan of `ingest.engine.plan`.

    `token` is no other store's: with a number for each act it names temporary files, so that two acts at once never
    meet in one, though both make the same file of the same bytes.
    """

    def __init__(self, files: Files, token: str) -> None:
        self._files = files
        self._token = token
        self._acts = itertools.count()

    def _own_token(self) -> str:
        """The token of one act."""
        return f"{self._token}-{next(self._acts)}"

    async def put(self, files: Iterable[tuple[str, Sequence[Buffer]]]) -> None:
        """See `Store`."""
        await self._run(put_plan(files, self._own_token()))

    async def create(self, name: str, data: bytes) -> None:
        """See `Store`."""
        try:
            await self._run(create_plan(name, data, self._own_token()))
        except FileExistsError:
            raise Exists(name) from None

    async def jot(self, name: str, data: bytes) -> str:
        """See `Store`."""
        own = f"{name}.{self._own_token()}"
        await self._run((Write(own, (data,)),))
        return own

    async def _run(self, plan: Sequence[Op]) -> None:
        """The plan, or nothing of it but names that are visible already: no later act uses its temporary files."""
        try:
            await self._files.run(plan)
        except FileNotFoundError as gone:
            raise FencedError(f"{gone}: a temporary file was swept away; another worker owns the partition") from gone
        except Exception:
            with contextlib.suppress(OSError, StoreUnavailableError):
                await self._files.run(delete_plan(op.path for op in plan if isinstance(op, Write)))
            raise

    async def settle(self, folder: str) -> None:
        """See `Store`."""
        await self._files.run((SyncFolder(folder),))

    async def read(self, name: str) -> bytes:
        """See `Store`."""
        return await self._files.read(name)

    async def exists(self, name: str) -> bool:
        """See `Store`."""
        return await self._files.exists(name)

    async def names(self, folder: str) -> list[str]:
        """See `Store`."""
        return await self._files.names(folder)

    async def delete(self, names: Iterable[str]) -> None:
        """See `Store`."""
        await self._files.run(delete_plan(names))
