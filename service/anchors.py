"""The marks that windows are anchored at: those that stood in the log when the dataset was founded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ingest.draining import drain
from ingest.errors import TruncatedLogError, WireError
from ingest.log.protocol import MARKS, Bounds, Log
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from ingest.wire import decode
from labeling.marks import fold
from windowing.fold.anchors import AnchorMark

_MARK_KINDS: Final = (MarkAdd, MarkEdit, MarkRetract)


async def read_anchors(log: Log, pinned: tuple[tuple[int, int, int], ...]) -> tuple[AnchorMark, ...]:
    """The marks that stand after the pinned offsets; what is no mark is the labels operator's to report.

    Raises:
        TruncatedLogError: the log no longer has all of them.
    """
    bounds = await log.bounds(MARKS)
    ranges: Mapping[int, Bounds] = {partition: Bounds(begin, end) for partition, begin, end in pinned}
    for partition, wanted in ranges.items():
        if wanted.begin < wanted.end and bounds[partition].begin > wanted.begin:
            raise TruncatedLogError(
                f"{MARKS}-{partition}: the log begins at {bounds[partition].begin}, but the windows are anchored at "
                f"marks from {wanted.begin} on; use another --out"
            )
    events: dict[int, list[Mark]] = {}
    async for batch in drain(log, MARKS, ranges):
        kept = events.setdefault(batch.partition, [])
        for value in batch.values:
            try:
                record = decode(value)
            except WireError:
                continue
            if isinstance(record, _MARK_KINDS):
                kept.append(record)
    standing = fold(event for partition in sorted(events) for event in events[partition]).marks
    return tuple(AnchorMark(mark.id, mark.device, mark.start_ns, mark.end_ns) for mark in standing)
