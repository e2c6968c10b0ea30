"""Many records at once that `ingest.archive.steady.Alike` would take one by one: their bytes as columns. Pure.

Of a record in such a stretch a few steps of the interpreter are left: whose it is. All else is compared in arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Final, NamedTuple

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
_NONE: Final = -1
_EACH: Final = 4
"""And from so many on of each stream, on average."""
_MOST_STREAMS: Final = 16
"""Of a device that has more, so many are known by their bytes: one by one, each record is compared with all of them."""


class Alikes:
    """What the next chunks of a partition's devices may be, by the key of the records, which is the device."""

    def __init__(self) -> None:
        self._alikes: dict[bytes, list[Alike]] = {}
        self._by_size: dict[tuple[bytes, int], int] = {}
        """Of these the form, by key and size; `_NONE`: several are of that size."""
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
            self._by_size[key, each.size] = _NONE if (key, each.size) in self._by_size else each.form
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

    def known(self, keys: Sequence[bytes], values: Sequence[bytes]) -> NDArray[np.int64]:
        """Of which form each record may be by its key, its size and, where several are of one size, its head; up to the
        first record that is of none."""
        sizes = zip(keys, map(len, values), strict=True)
        found = np.fromiter(map(self._by_size.get, sizes, repeat(_NONE)), np.int64, len(keys))
        for index in np.flatnonzero(found == _NONE).tolist():
            value = values[index]
            own = (it for it in self.of(keys[index]) if it.size == len(value) and value.startswith(it.head))
            if (alike := next(own, None)) is None:
                return found[:index]
            found[index] = alike.form
        return found


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
    forms: NDArray[np.int64],
    values: Sequence[bytes],
    append_ns: Sequence[int],
    time: LogTime,
    collected: Collected,
) -> int:
    """Take the first of these records, as long as each is one that the `Alike` of its form takes; how many those are.

    Each has the size that goes with its form. Append times do not fall, and up to the last one nothing comes due;
    `time` is the log's before them.
    """
    order = np.argsort(forms, kind="stable")  # the records of one form after those of another
    ordered = forms[order]
    starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
    if len(forms) < _EACH * len(starts):
        return 0
    counts = np.diff(starts, append=len(forms))
    known = [alikes.by_form[form] for form in ordered[starts].tolist()]
    number, wanted = np.empty((2, len(forms)), np.int64)
    number[order] = np.repeat(np.arange(len(known)), counts)
    wanted[order] = np.arange(len(forms)) + np.repeat([alike.due for alike in known] - starts, counts)
    parts = list(_parts(known, number, order, values))
    seq, t0_ns = np.empty((2, len(forms)), np.int64)
    takes = np.empty(len(forms), np.bool_)
    for part in parts:
        seq[part.rows], t0_ns[part.rows], takes[part.rows] = part.seq, part.t0_ns, part.same
    most_ns = [min(time.limit_ns - alike.reach_ns, MAX_SPAN_NS - 1) for alike in known]
    takes &= (seq == wanted) & (t0_ns >= WIDE) & (t0_ns <= np.array(most_ns)[number])
    taken = len(takes) if takes.all() else int(takes.argmin())
    begin = len(collected.form)
    _note_places(known, number[:taken], begin)
    for part in parts:
        by_form = part.by_form[part.rows[part.by_form] < taken]
        collected.blocks.append((begin + part.rows[by_form], part.raw[by_form]))
    for column, found in ((collected.form, forms), (collected.seq, seq), (collected.t0_ns, t0_ns)):
        column.frombytes(found[:taken].tobytes())
    older_ns = time.age_ns - time.last_ns
    for alike, start, stop in zip(known, starts.tolist(), (starts + counts).tolist(), strict=True):
        chunks = int(np.searchsorted(order[start:stop], taken))
        if chunks:
            alike.took(chunks, append_ns[order[start + chunks - 1]] + older_ns)
    return taken


class _Part(NamedTuple):
    """The records of one layout: all `(records,)`."""

    rows: NDArray[np.int64]
    """Which of the records those are."""
    by_form: NDArray[np.int64]
    """The same ones, as places here: those of one form after those of another."""
    seq: NDArray[np.int64]
    t0_ns: NDArray[np.int64]
    same: NDArray[np.bool_]
    """Whether all else in it but the samples is as in its `Alike`'s."""
    raw: NDArray[np.uint8]
    """The bytes of the samples, `(records, bytes)`: a view."""


def _parts(
    known: Sequence[Alike], number: NDArray[np.int64], order: NDArray[np.int64], values: Sequence[bytes]
) -> Iterator[_Part]:
    """The records by layout; `order` has those of one form after those of another."""
    for layout in dict.fromkeys(alike.layout for alike in known):
        members = np.array([alike.layout == layout for alike in known])
        if members.all():
            yield _part(known, number, values, np.arange(len(number)), order)
            return
        rows = np.flatnonzero(members[number])
        of_layout = [alike for alike in known if alike.layout == layout]
        own, few = (np.cumsum(members) - 1)[number[rows]], [values[row] for row in rows.tolist()]
        yield _part(of_layout, own, few, rows, np.argsort(own, kind="stable"))


def _part(
    known: Sequence[Alike],
    number: NDArray[np.int64],
    values: Sequence[bytes],
    rows: NDArray[np.int64],
    by_form: NDArray[np.int64],
) -> _Part:
    """What records of one layout say, all of which are given."""
    layout = _dtype(known[0].layout)
    (found, seq, t0_ns), (usual, *_) = (_read(each, layout) for each in (values, [alike.first for alike in known]))
    raw, end = known[0].samples.start, known[0].samples.stop
    same = np.ones(len(found), np.bool_)
    for own in (slice(0, raw), slice(end, None)):
        differs = np.ascontiguousarray(found[:, own]) != usual[:, own].take(number, axis=0)
        if differs.any():
            same &= ~differs.any(axis=1)
    return _Part(rows, by_form, seq, t0_ns, same, found[:, raw:end])


def _read(
    values: Sequence[bytes], layout: np.dtype[np.void]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The bytes of records, `(records, bytes)`, with 0 in the place of number and start; number and start of each."""
    joined = bytearray().join(values)
    fields = np.frombuffer(joined, layout)
    seq, t0_ns = (fields[name].astype(np.int64) for name in ("seq", "t0_ns"))
    fields["seq"] = fields["t0_ns"] = 0
    return np.frombuffer(joined, np.uint8).reshape(len(values), -1), seq, t0_ns


@cache
def _dtype(layout: Layout) -> np.dtype[np.void]:
    """Number and start in chunks whose parts are of these lengths: see `ingest.wire.pieces`."""
    head, digits, between, behind, raw, tail = layout
    seq = np.dtype(_DIGITS[digits])
    start = head + seq.itemsize + between
    size = start + 8 + behind + raw + tail
    return np.dtype({"names": ["seq", "t0_ns"], "formats": [seq, ">i8"], "offsets": [head, start], "itemsize": size})


def _note_places(known: Sequence[Alike], number: NDArray[np.int64], begin: int) -> None:
    """Say of these records, the first of which has this place, where their samples are."""
    owners = [alike.steady.samples for alike in known]
    for samples in dict.fromkeys(owners):
        members = np.array([owner is samples for owner in owners])
        samples.places.frombytes((np.flatnonzero(members[number]) + begin).tobytes())
