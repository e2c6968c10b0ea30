"""The marks that windows are anchored at: those of people, and of the rules that the configuration named, that stood in
the log when the dataset was founded. Windows are cut once, so a later configuration moves no anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.draining import drain
from ingest.engine.genesis import Genesis
from ingest.errors import TruncatedLogError, WireError
from ingest.log.protocol import MARKS, Bounds, Log
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from ingest.wire import decode
from labeling.counting import FORMAT, OTHER_RULES, CountedRule, CountedRules
from labeling.marks import fold
from windowing.dataset.labelled import Choice
from windowing.fold.anchors import AnchorMark

_MARK_KINDS: Final = (MarkAdd, MarkEdit, MarkRetract)


@dataclass(frozen=True, slots=True)
class Anchors:
    """The marks that are anchors, and how many others stand."""

    marks: tuple[AnchorMark, ...] = ()
    others: int = 0
    """Of rules that were not named."""


def anchor_choice(genesis: Genesis) -> Choice:
    """Whose marks are anchors, as the genesis of a dataset's windows has it."""
    if isinstance(genesis.anchor_rules, msgspec.UnsetType):
        return Choice(None, everything=True)
    rules = tuple(CountedRule(label, revision) for label, revision in genesis.anchor_rules)
    return Choice(CountedRules(FORMAT, "", "", rules))


async def read_anchors(log: Log, pinned: tuple[tuple[int, int, int], ...], choice: Choice) -> Anchors:
    """The marks that stand after the pinned offsets and count; what is no mark is the labels operator's to report.

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
    counting = choice.count(standing)
    marks = tuple(AnchorMark(mark.id, mark.device, mark.start_ns, mark.end_ns) for mark in counting.marks)
    return Anchors(marks, counting.counts[OTHER_RULES])
