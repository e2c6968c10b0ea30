"""What came before, by what a sample is known by (`unique`); also what came before a restart. Pure.

Digests are kept, so that they can be noted beside the samples, and those of all of a source's devices in one memory.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final, Protocol, runtime_checkable

KEPT: Final = 16
"""So many samples back a repetition is known: gateways that heard one frame send it within moments, and a counter that
began anew must not be taken for one."""
GROUPS: Final = 16_384
"""Of so many, those that were heard last, it is known what came."""
DIGEST_BYTES: Final = 8
PAIR_BYTES: Final = 2 * DIGEST_BYTES


class Repetitions:
    """Knows what came lately, of each group for itself. `notes`: what `take` gave before a restart, oldest first."""

    def __init__(self, notes: Iterable[bytes] = ()) -> None:
        self._groups: OrderedDict[bytes, bytes] = OrderedDict()
        """The newest of each, oldest first, one behind the other; the group that was heard last comes last."""
        self._new: list[bytes] = []
        for note in notes:
            for group, last in _pairs(note):
                self._add(group, last)

    def is_known(self, keys: Sequence[Hashable]) -> bool:
        """Whether the last of these came lately of those before it; from now on it has."""
        group, last = _digest(keys[:-1]), _digest(keys[-1:])
        if _place(self._groups.get(group, b""), last) >= 0:
            self._groups.move_to_end(group)
            return True
        self._add(group, last)
        self._new.append(group + last)
        return False

    def take(self) -> bytes:
        """What is new since the last call: it must be written with the samples."""
        found, self._new = b"".join(self._new), []
        return found

    def forget(self, note: bytes) -> None:
        """What this names was given up: if it comes again, it is new."""
        for group, last in _pairs(note):
            known = self._groups.get(group, b"")
            at = _place(known, last)
            if at >= 0:
                self._groups[group] = known[:at] + known[at + DIGEST_BYTES :]

    def _add(self, group: bytes, last: bytes) -> None:
        self._groups[group] = (self._groups.pop(group, b"") + last)[-KEPT * DIGEST_BYTES :]
        if len(self._groups) > GROUPS:
            self._groups.popitem(last=False)


@runtime_checkable
class Remembering(Protocol):
    """A decoder that leaves out what came before."""

    def recall(self, repetitions: Repetitions) -> None:
        """Go by these from now on: they know what came before a restart, and outlive the next one."""
        ...


def _pairs(note: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(0, len(note) - PAIR_BYTES + 1, PAIR_BYTES):
        yield note[at : at + DIGEST_BYTES], note[at + DIGEST_BYTES : at + PAIR_BYTES]


def _place(known: bytes, digest: bytes) -> int:
    """Where a digest lies; below 0 where it does not."""
    return next((at for at in range(0, len(known), DIGEST_BYTES) if known.startswith(digest, at)), -1)


def _digest(keys: Iterable[Hashable]) -> bytes:
    return hashlib.blake2b(repr([_plain(key) for key in keys]).encode(), digest_size=DIGEST_BYTES).digest()


def _plain(key: Hashable) -> Hashable:
    """A number that is whole as such: who sends 7 and 7.0 means one."""
    return int(key) if isinstance(key, float) and key.is_integer() else key
