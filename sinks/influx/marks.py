"""Marks as annotations: a point where a mark starts, which says whether it stands. Pure.

InfluxDB forgets nothing on request of a writer, so a mark that is retracted, or moved away by an edit, has its point
written again with `active=0`. To know where that lies, the newest marks of a partition are remembered, in shelves of
`SHELF` marks in the order in which they came first: a seal writes the shelves that changed, and the oldest is forgotten
as a whole. What stands of a mark is said by `labeling.marks`. Of a device that is to be forgotten its name alone is
kept: what still comes of it is counted, and gives no point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from ingest.records import Mark, MarkAdd
from ingest.wire import decode, encode
from labeling.marks import TRIM, ResolvedMark, histories, standing_of
from sinks.influx.lines import head, line, text

MEASUREMENT: Final = "sensorloom_marks"
SHELF: Final = 256
SHELVES: Final = 400
"""So many are remembered of a partition: the newest 100,000 marks."""
Key: TypeAlias = tuple[str, str]
"""Device and id."""


class _Kept(msgspec.Struct, array_like=True):
    device: str
    id: str
    events: list[bytes]


_shelf = msgspec.msgpack.Decoder(list[_Kept])
_names = msgspec.msgpack.Decoder(list[str])
_GONE: Final = b"\xff" * 8
"""Where a shelf's number would be: the part has the devices of which nothing is kept. A release that does not know it
finds no marks in it, and refuses to go on."""


class Shelves:
    """What was said of the newest marks."""

    def __init__(self, saved: Sequence[bytes] = (), most: int = SHELVES) -> None:
        self._most = most
        self._shelves: dict[int, dict[Key, list[bytes]]] = {}
        self._place: dict[Key, int] = {}
        self._encoded: dict[int, bytes] = {}
        """Of shelves that have not changed since."""
        self._gone: set[str] = set()
        """Devices of which nothing is kept."""
        for data in saved:
            if data.startswith(_GONE):
                self._gone.update(_names.decode(data[8:]))
                continue
            number = int.from_bytes(data[:8], "little")
            self._shelves[number] = {(kept.device, kept.id): kept.events for kept in _shelf.decode(data[8:])}
            self._place |= dict.fromkeys(self._shelves[number], number)

    def __contains__(self, key: Key) -> bool:
        return key in self._place

    def __iter__(self) -> Iterator[Key]:
        """The marks of which something was said, and kept."""
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)

    def has_forgotten(self, device: str) -> bool:
        """Is nothing to be kept of this device?"""
        return device in self._gone

    def forget(self, device: str) -> None:
        """Keep nothing of a device but its name."""
        self._gone.add(device)
        for key in [key for key in self._place if key[0] == device]:
            number = self._place.pop(key)
            del self._shelves[number][key]
            self._encoded.pop(number, None)

    def told(self, key: Key) -> list[Mark]:
        """What was said of a mark."""
        number = self._place.get(key)
        events = () if number is None else self._shelves[number][key]
        return [record for event in events if isinstance(record := decode(event), Mark)]

    def tell(self, event: Mark) -> None:
        """One thing more was said of a mark."""
        key = (event.device, event.id)
        number = self._place.get(key)
        if number is None:
            number = self._newest()
            self._place[key] = number
            self._shelves[number][key] = []
        self._shelves[number][key].append(encode(event))
        self._encoded.pop(number, None)

    def _newest(self) -> int:
        """The shelf with room for one mark more."""
        newest = max(self._shelves, default=-1)
        if newest < 0 or len(self._shelves[newest]) >= SHELF:
            newest += 1
            self._shelves[newest] = {}
            if len(self._shelves) > self._most:
                oldest = min(self._shelves)
                for key in self._shelves.pop(oldest):
                    del self._place[key]
                self._encoded.pop(oldest, None)
        return newest

    def save(self) -> list[bytes]:
        """The state, a part a shelf."""
        for number, shelf in self._shelves.items():
            if number not in self._encoded:
                kept = [_Kept(device, id_, events) for (device, id_), events in shelf.items()]
                self._encoded[number] = number.to_bytes(8, "little") + msgspec.msgpack.encode(kept)
        gone = [_GONE + msgspec.msgpack.encode(sorted(self._gone))] if self._gone else []
        return [*(self._encoded[number] for number in sorted(self._shelves)), *gone]


class Annotations:
    """Points of marks: of each place at most one line, the last that was said of it."""

    def __init__(self, saved: Sequence[bytes] = (), most: int = SHELVES) -> None:
        self._shelves = Shelves(saved, most)
        self._lines: dict[tuple[str, int], str] = {}
        self._starting: dict[int, tuple[Key, ...]] | None = None
        """The marks by where they start, or started: known from the first time on that one leaves its place."""
        self.starts = 0
        """How many places it has: at most about twice as many as marks are kept."""

    @property
    def waiting_bytes(self) -> int:
        """About how many bytes the lines have."""
        return 300 * len(self._lines)

    def add(self, event: Mark, counts: Counter[str]) -> None:
        """Take an event over."""
        if self._shelves.has_forgotten(event.device):
            counts["forgotten.marks"] += 1
            return
        counts["marks"] += 1
        key = (event.device, event.id)
        before = self._shelves.told(key)
        if before and any(
            type(event) is type(known) and (isinstance(event, MarkAdd) or event == known) for known in before
        ):
            counts["marks.duplicate"] += 1
            return
        if not before and not isinstance(event, MarkAdd):
            counts["marks.unknown"] += 1  # its add is yet to come, or was forgotten
        self._shelves.tell(event)
        old, new = _standing(before), _standing([*before, event])
        if new is not None:
            self._begins(key, new.start_ns)
        if old is not None and (new is None or _head(new) != _head(old) or new.start_ns != old.start_ns):
            other = self._beside(key, old)
            left = line(_head(old), [("active", "0i")], old.start_ns) if other is None else _line(other)
            self._lines[_head(old), old.start_ns] = left
        if new is not None:
            self._lines[_head(new), new.start_ns] = _line(new)

    def _begins(self, key: Key, start_ns: int) -> None:
        if self._starting is None:
            return
        if self.starts > 2 * len(self._shelves) + SHELF:  # most are of marks that are kept no more, or moved
            self._starting, self.starts = None, 0
            return
        known = self._starting.get(start_ns, ())
        if key not in known:
            self._starting[start_ns] = (*known, key)
            self.starts += 1

    def _beside(self, key: Key, left: ResolvedMark) -> ResolvedMark | None:
        """Another mark that stands where this one did, and has the same point: it has it now."""
        starting = self._starting
        if starting is None:
            starting = self._starting = {}
            for known in self._shelves:
                mark = _standing(self._shelves.told(known))
                if mark is not None:
                    self._begins(known, mark.start_ns)
        for known in sorted(starting.get(left.start_ns, ())):
            mark = None if known == key else _standing(self._shelves.told(known))
            if mark is not None and mark.start_ns == left.start_ns and _head(mark) == _head(left):
                return mark
        return None

    def forget(self, device: str) -> None:
        """Say nothing more of a device: what it said until now is on its way, and the database's."""
        self._shelves.forget(device)

    def take(self) -> list[str]:
        """The lines; there are none afterwards."""
        lines, self._lines = list(self._lines.values()), {}
        return lines

    def save(self) -> list[bytes]:
        """The state, called right after `take`."""
        return self._shelves.save()


def _standing(events: Sequence[Mark]) -> ResolvedMark | None:
    found, _ = histories(events)
    for history in found.values():
        return standing_of(history, Counter())
    return None


def _head(mark: ResolvedMark) -> str:
    """A trim has no label: people may call a mark "trim", too."""
    what = {"kind": TRIM} if mark.trim else {"label": mark.label}
    tags = {"device": mark.device, **what, "tool": mark.tool, "author": mark.author}
    return head(MEASUREMENT, tags | {"revision": mark.revision[:16]})


def _line(mark: ResolvedMark) -> str:
    pairs = [
        ("active", "1i"),
        ("confidence", repr(float(mark.confidence))),
        ("duration_s", repr((mark.end_ns - mark.start_ns) / 1e9)),
        ("end_ms", f"{mark.end_ns // 1_000_000}i"),  # Grafana's timeEnd
        ("end_ns", f"{mark.end_ns}i"),
        ("id", text(mark.id)),
        ("title", text(mark.shown)),
        ("reason", text(mark.reason)),  # none, too: that of a mark that was here before would stay
    ]
    return line(_head(mark), pairs, mark.start_ns)
