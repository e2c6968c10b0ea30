"""The marks that windows are anchored at are those of the founding."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.errors import TruncatedLogError
from ingest.log.opening import open_log
from ingest.log.protocol import MARKS, Bounds
from ingest.records import MarkEdit
from service.anchors import read_anchors
from tests.service.test_run import append, mark
from windowing.fold.anchors import AnchorMark


def anchors(log_url: str, pinned: tuple[tuple[int, int, int], ...]) -> tuple[AnchorMark, ...]:
    async def run() -> tuple[AnchorMark, ...]:
        log = open_log(log_url)
        try:
            return await read_anchors(log, pinned)
        finally:
            await log.close()

    return asyncio.run(run())


def test_anchors_are_the_marks_as_they_stood_at_the_pinned_offsets(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    first = mark("a", 0, 4, "run")
    edit = MarkEdit("a", first.id, "bob", "operator", end_ns=first.end_ns + 1)
    append(url, MARKS, first, edit, mark("a", 5, 6, "late"))

    async def partition() -> int:
        log = open_log(url)
        try:
            return next(p for p, (_, end) in (await log.bounds(MARKS)).items() if end)
        finally:
            await log.close()

    number = asyncio.run(partition())
    assert anchors(url, ((number, 0, 2),)) == (AnchorMark(first.id, "a", first.start_ns, first.end_ns + 1),)
    assert len(anchors(url, ((number, 0, 3),))) == 2
    assert anchors(url, ((number, 0, 0),)) == ()


def test_anchors_that_the_log_no_longer_has_are_an_error() -> None:
    class Cut:
        async def bounds(self, topic: str) -> dict[int, Bounds]:
            return {0: Bounds(3, 9)}

    with pytest.raises(TruncatedLogError, match="begins at 3, but the windows are anchored at marks from 0 on"):
        asyncio.run(read_anchors(Cut(), ((0, 0, 5),)))  # type: ignore[arg-type]
