"""States in parts: what has not changed since the last whole state is not written again. Pure.

An operator gives its state as parts, such as one for each device. A state of one part is a file of that part's bytes.
A state of several is whole, or a delta: it names a base, which is a whole state of the same chain, and has the parts
that the base lacks. A delta is always one of a whole state: two files say all. Where it would have more than half of
all, the state is whole, and what the next ones are based on. Which parts are equal is found by comparing the hashes of
all with those of the base: nobody has to know what changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

import msgspec

from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError

_MAGIC: Final = b"sensorloom state in parts, 1\n"
_HEAD: Final = len(_MAGIC) + 4
_DIGEST: Final = 16
DELTA_SHARE: Final = 0.5
"""A delta has at most so much of what the whole state has."""


class _Head(msgspec.Struct, array_like=True, frozen=True):
    base: str
    """SHA-256 of the base's file, "" in a whole state."""
    runs: list[tuple[int, int]]
    """The parts in order, as runs `(first, count)` of the base's parts and of this file's own behind them."""
    sizes: list[int]
    """Of the file's own parts."""


@dataclass(frozen=True, slots=True)
class Base:
    """A whole state that later ones refer to."""

    ref: FileRef
    parts: dict[bytes, int] = field(repr=False)
    """Where each part stands, by its digest."""


def encode_parts(parts: Sequence[bytes], base: Base | None) -> tuple[list[bytes], bool]:
    """The pieces of a state's file, and whether it refers to `base`."""
    if len(parts) == 1:
        return [parts[0]], False
    if base is not None:
        places = [base.parts.get(digest_of(part), -1) for part in parts]
        own = [part for part, place in zip(parts, places, strict=True) if place < 0]
        if sum(map(len, own)) <= DELTA_SHARE * sum(map(len, parts)):
            return _pieces(base.ref.sha256, _runs(places, len(base.parts)), own), True
    return _pieces("", [(0, len(parts))], list(parts)), False


def _runs(places: Sequence[int], behind: int) -> list[tuple[int, int]]:
    """Neighbours in one run; a place below 0 is the next of the file's own parts, which stand from `behind` on."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if place < 0:
            place, behind = behind, behind + 1
        if runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs


def _pieces(base: str, runs: list[tuple[int, int]], own: list[bytes]) -> list[bytes]:
    head = msgspec.msgpack.encode(_Head(base, runs, [len(part) for part in own]))
    return [_MAGIC + len(head).to_bytes(4, "little") + head, *own]


def base_of(ref: FileRef, parts: Sequence[bytes]) -> Base | None:
    """What a whole state's file is to later ones; None where it is of one part, or two are equal."""
    places = {digest_of(part): place for place, part in enumerate(parts)}
    return Base(ref, places) if len(parts) > 1 and len(places) == len(parts) else None


def decode_parts(data: bytes, where: str, base: bytes | None = None, base_sha256: str = "") -> list[bytes]:
    """The parts of a state; `base` are the bytes of the file that its entry names as its base, `where` names it.

    Raises:
        CorruptError: it is no state, or refers to another base.
    """
    if not data.startswith(_MAGIC):
        return [data]
    end = _HEAD + int.from_bytes(data[len(_MAGIC) : _HEAD], "little")
    try:
        head = msgspec.msgpack.decode(data[_HEAD:end], type=_Head)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(
            f"{where}: not a state: {error}; restore it from a backup, or rebuild from the log"
        ) from None
    if head.base != base_sha256:
        raise CorruptError(f"{where}: is based on {head.base or 'nothing'}, its entry says {base_sha256 or 'nothing'}")
    known = [] if base is None else decode_parts(base, where)
    begins = accumulate(head.sizes, initial=end)
    known += [data[begin : begin + size] for begin, size in zip(begins, head.sizes, strict=False)]
    return [part for first, count in head.runs for part in known[first : first + count]]


def digest_of(part: bytes) -> bytes:
    """What a part is known by."""
    return hashlib.sha256(part).digest()[:_DIGEST]
