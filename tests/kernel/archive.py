"""A few files out of a large tar.xz, without unpacking all of it.

Debian packs the kernel's source by several threads: in blocks, each packed by itself (The .xz File Format, section 3),
of a tar whose names are in order. So each file is found by bisection of the blocks.
"""

from __future__ import annotations

import lzma
import subprocess
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_HEADER_BYTES = 12
"""Of the stream."""
_RECORD = 512


class _Member(NamedTuple):
    """What a tar's header says (POSIX pax, section "ustar Interchange Format")."""

    name: str
    at: int
    """Where its data begin, from the block's begin on."""
    size: int


class Archive:
    """A tar.xz of ordered names."""

    def __init__(self, path: Path) -> None:
        listed = subprocess.run(
            ["xz", "--robot", "--list", "-vv", str(path)], capture_output=True, text=True, check=True
        )
        lines = [line.split("\t") for line in listed.stdout.splitlines()]
        self._blocks = [(int(line[4]), int(line[6])) for line in lines if line[0] == "block"]
        self._path = path
        self._block = lru_cache(maxsize=8)(self._unpacked)

    def read(self, name: str) -> bytes:
        """A file's content. Raises `KeyError` where there is none of that name."""
        number = bisect_right(range(len(self._blocks)), _order(name), key=self._first) - 1
        data = self._block(max(number, 0))
        for member in _members(data):
            if member.name == name:
                while len(data) < member.at + member.size:
                    number += 1
                    data += self._block(number)
                return data[member.at : member.at + member.size]
        raise KeyError(name)

    def _first(self, number: int) -> list[str]:
        """The first name that begins in a block; of one that is within a file, that of the block behind it."""
        while number < len(self._blocks):
            for member in _members(self._block(number)):
                return _order(member.name)
            number += 1
        return [chr(0x10FFFF)]

    def _unpacked(self, number: int) -> bytes:
        begin, size = self._blocks[number]
        with self._path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            file.seek(begin)
            return lzma.LZMADecompressor().decompress(header + file.read(size))


def _order(name: str) -> list[str]:
    """Folders are walked one by one: a name is the list of its parts."""
    return name.rstrip("/").split("/")


def _members(data: bytes) -> Iterator[_Member]:
    """Of a part of a tar that begins with a record."""
    at = 0
    while at + _RECORD <= len(data):
        record = data[at : at + _RECORD]
        at += _RECORD
        if record[257:262] == b"ustar" and int(record[148:155].strip(b" \0") or b"0", 8) == _sum(record):
            size = int(record[124:135].strip(b" \0") or b"0", 8)
            prefix = record[345:500].partition(b"\0")[0] if record[257:263] == b"ustar\0" else b""
            yield _Member("/".join(_text(part) for part in (prefix, record[:100]) if _text(part)), at, size)
            at += -(-size // _RECORD) * _RECORD


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode()


def _sum(record: bytes) -> int:
    """Of all bytes, its own field taken as spaces."""
    return sum(record) - sum(record[148:156]) + 8 * 32
