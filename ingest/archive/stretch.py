"""Many records at once that `ingest.archive.steady.Alike` would take one by one: their bytes as columns. Pure.

Of a record in such a stretch a few steps of the interpreter are left: whose it is. All else is compared in arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from ingest.archive.collected import Collected
from ingest.archive.steady import Alike, Layout
from ingest.logtime import LogTime
from ingest.wire import MAX_SPAN_NS, WIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANY: Final = 64
"""From so many records on it pays."""
MOST: Final = 1024
"""So many at once stay in the processor's own memory."""
_DIGITS: Final = {"b": "i1", "B": "u1", "H": ">u2", "I": ">u4", "Q": ">i8"}
"""What `struct` calls by a letter."""
_EACH: Final = 4
"""And from so many on of each stream, on average."""
_MOST_STREAMS: Final = 16
"""Of a device that has more, so many are known by their bytes: one by one, each record is compared with all of them."""
_SAME: Final = ("head", "between", "behind", "tail")


class Alikes:
    """What the next chunks of a partition's devices may be, by the key of the records, which is the device."""

    def __init__(self) -> None:
        self._alikes: dict[bytes, list[Alike]] = {}
        self._by_size: dict[tuple[bytes, int], int | None] = {}
        """Of these the form, by key and size; None: several are of that size."""
        self.by_form: dict[int, Alike] = {}

    def of(self, key: bytes, default: Sequence[Alike] = ()) -> Sequence[Alike]:
        """Those of a device."""
        return self._alikes.get(key, default)

    def add(self, key: bytes, alike: Alike) -> None:
        """Know the next chunk of a stream by its bytes; of so many streams of a device at once."""
        others = [other for other in self._alikes.get(key, ()) if other.stream != alike.stream]
        if len(others) >= _MOST_STREAMS:
            return
        self.drop(key)
        self._alikes[key] = [*others, alike]
        for each in self._alikes[key]:
            self._by_size[key, each.size] = None if (key, each.size) in self._by_size else each.form
            self.by_form[each.form] = each

    def drop(self, key: bytes) -> None:
        """Know nothing of a device any more."""
        for alike in self._alikes.pop(key, ()):
            self._by_size.pop((key, alike.size), None)
            del self.by_form[alike.form]

    def clear(self) -> None:
        """Know nothing any more."""
        self._alikes.clear()
        self._by_size.clear()
        self.by_form.clear()

    def known(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[int]:
        """Of which form each record may be by its key, its size and, where several are of one size, its head; up to the
        first record that is of none."""
        found = list(map(self._by_size.get, zip(keys, map(len, values), strict=True)))
        index = 0
        while None in found:
            index = found.index(None, index)
            value = values[index]
            own = (it for it in self.of(keys[index]) if it.size == len(value) and value.startswith(it.head))
            if (alike := next(own, None)) is None:
                del found[index:]
                break
            found[index] = alike.form
        return cast("list[int]", found)


def rising(times: Sequence[int], begin: int, end: int) -> int:
    """How many of the first times do not fall, from `begin` on and up to `end`."""
    if not times or (begin <= times[0] and times[-1] <= end and list(times) == sorted(times)):
        return len(times)
    for index, time in enumerate(times):
        if not begin <= time <= end:
            return index
        begin = time
    return len(times)


def take_many(
    alikes: Alikes,
    forms: Sequence[int],
    values: Sequence[bytes],
    append_ns: Sequence[int],
    time: LogTime,
    collected: Collected,
) -> int:
    """Take the first of these records, as long as each is one that the `Alike` of its form takes; how many those are.

    Each has the size that goes with its form. Append times do not fall, and up to the last one nothing comes due;
    `time` is the log's before them.
    """
    own = np.array(forms)
    order = np.argsort(own, kind="stable")  # the records of one form after those of another
    ordered = own[order]
    starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
    if len(forms) < _EACH * len(starts):
        return 0
    counts = np.diff(starts, append=len(forms))
    known = [alikes.by_form[form] for form in ordered[starts].tolist()]
    number, wanted = np.empty((2, len(forms)), np.int64)
    number[order] = np.repeat(np.arange(len(known)), counts)
    wanted[order] = np.arange(len(forms)) + np.repeat([alike.due for alike in known] - starts, counts)
    seq, t0_ns, takes = _read(known, number, values)
    most_ns = [min(time.limit_ns - alike.reach_ns, MAX_SPAN_NS - 1) for alike in known]
    takes &= (seq == wanted) & (t0_ns >= WIDE) & (t0_ns <= np.array(most_ns)[number])
    taken = len(takes) if takes.all() else int(takes.argmin())
    _note_places(known, number[:taken], len(collected.form))
    collected.form += forms[:taken]
    collected.seq += seq[:taken].tolist()
    collected.t0_ns += t0_ns[:taken].tolist()
    collected.raw += values[:taken]
    older_ns = time.age_ns - time.last_ns
    for alike, start, stop in zip(known, starts.tolist(), (starts + counts).tolist(), strict=True):
        chunks = int(np.searchsorted(order[start:stop], taken))
        if chunks:
            alike.took(chunks, append_ns[order[start + chunks - 1]] + older_ns)
    return taken


def _read(
    known: Sequence[Alike], number: NDArray[np.int64], values: Sequence[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Number and start of each record, and whether all else in it but the samples is as in its `Alike`'s."""
    if len({alike.layout for alike in known}) == 1:
        return _read_alike(known, number, values)
    seq, t0_ns = np.empty((2, len(number)), np.int64)
    same = np.empty(len(number), np.bool_)
    for layout in {alike.layout for alike in known}:
        of_layout = [alike for alike in known if alike.layout == layout]
        members = np.array([alike.layout == layout for alike in known])
        rows = np.flatnonzero(members[number])
        own = [values[row] for row in rows.tolist()]
        seq[rows], t0_ns[rows], same[rows] = _read_alike(of_layout, (np.cumsum(members) - 1)[number[rows]], own)
    return seq, t0_ns, same


def _read_alike(
    known: Sequence[Alike], number: NDArray[np.int64], values: Sequence[bytes]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """As `_read`, of records of one layout."""
    layout = _dtype(known[0].layout)
    found = np.frombuffer(b"".join(values), layout)
    usual = np.frombuffer(b"".join([alike.first for alike in known]), layout)
    same = np.ones(len(found), np.bool_)
    for name in _SAME:
        same &= found[name] == usual[name][number]
    return found["seq"].astype(np.int64), found["t0_ns"].astype(np.int64), same


@cache
def _dtype(layout: Layout) -> np.dtype[np.void]:
    """Of chunks whose parts are of these lengths: see `ingest.wire.pieces`."""
    head, digits, between, behind, raw, tail = layout
    seq = _DIGITS[digits]
    fields = [("head", f"V{head}"), ("seq", seq), ("between", f"V{between}"), ("t0_ns", ">i8")]
    return np.dtype([*fields, ("behind", f"V{behind}"), ("raw", f"V{raw}"), ("tail", f"V{tail}")])


def _note_places(known: Sequence[Alike], number: NDArray[np.int64], begin: int) -> None:
    """Say of these records, the first of which has this place, where their samples are."""
    owners = [alike.steady.samples for alike in known]
    for samples in dict.fromkeys(owners):
        members = np.array([owner is samples for owner in owners])
        samples.places += (np.flatnonzero(members[number]) + begin).tolist()
