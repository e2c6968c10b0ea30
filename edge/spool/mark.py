"""How far the log has a queue's entries: a file of twenty bytes, which is believed as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from zlib import crc32

import msgspec

from ingest.files import write_all

MARK_BYTES: Final = 20


class Mark:
    """The file `acknowledged` of a queue's folder: an offset, and the CRC-32 of it. Raises `OSError`, all of it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "acknowledged", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def write(self, offset: int) -> None:
        """The log has everything before `offset`."""
        data = msgspec.msgpack.encode(offset).rjust(16, b"\0")
        write_all(self._file, data + crc32(data).to_bytes(4, "little"), 0)

    def load(self, first: int, end: int) -> int:
        """What was acknowledged; a mark that cannot be that of a queue of the entries `[first, end)` is not believed:
        all of them are published again."""
        data = os.pread(self._file, MARK_BYTES, 0)
        if len(data) != MARK_BYTES or crc32(data[:16]).to_bytes(4, "little") != data[16:]:
            return first
        found: int = msgspec.msgpack.decode(data[:16].lstrip(b"\0") or b"\0")
        return found if first <= found <= end else first
