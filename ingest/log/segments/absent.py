"""A topic that a log has not, for who may only read that log: it is empty, and nobody here can make it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import LogConfigError
from ingest.log.segments.head import Head
from ingest.log.segments.partition import Partition


class AbsentPartition(Partition):
    """A partition without a folder. `refused` says why it could not be made."""

    def __init__(self, folder: Path, number: int, refused: OSError) -> None:
        self.folder = folder
        self.number = number
        self._refused = refused

    def close(self) -> None:
        """Nothing is open."""

    @contextmanager
    def locked(self) -> Iterator[Head]:
        """Raise what the system said when it was to be made."""
        self._check_writable()
        yield self.head()

    def peek(self) -> bytes:
        """Always the same bytes. Raises `LogConfigError` where the topic is there by now."""
        if not self.is_there():
            raise LogConfigError(
                f"{self.folder.parent}: the topic was made after this process began to read the log; start it again"
            )
        return b""

    def is_there(self) -> bool:
        """Whether the topic is still absent."""
        return not (self.folder.parent / "meta.json").exists()

    def head(self) -> Head:
        """The head of a partition without records."""
        return Head(b"", 0, 0, 0, 0, 0, 0)

    def bases(self, head: Head) -> list[int]:
        """The one segment that there would be."""
        return [0]

    def mended(self) -> tuple[Head, list[int]]:
        """As `head` and `bases`."""
        return self.head(), [0]
