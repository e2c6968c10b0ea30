"""The marks that windows are anchored at are those of the founding: people's, and the named rules'."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingest.errors import TruncatedLogError
from ingest.log.protocol import MARKS, Bounds
from ingest.opening import open_log
from ingest.records import MarkEdit
from labeling.counting import CountedRule, CountedRules
from service.anchors import Anchors, read_anchors
from tests.service.test_run import append, mark
from windowing.dataset.labelled import Choice
from windowing.fold.anchors import AnchorMark

ALL = Choice(None, everything=True)


def read(log_url: str, pinned: tuple[tuple[int, int, int], ...], choice: Choice = ALL) -> Anchors:
    async def run() -> Anchors:
        log = open_log(log_url)
        try:
            return await read_anchors(log, pinned, choice)
        finally:
            await log.close()

    return asyncio.run(run())


def anchors(log_url: str, pinned: tuple[tuple[int, int, int], ...]) -> tuple[AnchorMark, ...]:
    return read(log_url, pinned).marks


def pinned_of(log_url: str) -> tuple[tuple[int, int, int], ...]:
    async def run() -> tuple[tuple[int, int, int], ...]:
        log = open_log(log_url)
        try:
            return tuple((number, *bounds) for number, bounds in (await log.bounds(MARKS)).items())
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
        asyncio.run(read_anchors(Cut(), ((0, 0, 5),), ALL))  # type: ignore[arg-type]


def test_anchors_are_marks_of_people_and_of_the_named_rules(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    person = mark("a", 0, 4, "run")
    rules = [
        replace(mark("a", 5 + at, 6 + at, label), tool="rule", id=f"m{at}", revision=revision)
        for at, (label, revision) in enumerate([("run", "new"), ("run", "old"), ("stop", "new")])
    ]
    edited = MarkEdit("a", "m1", "bob", "operator", label="stop")
    append(url, MARKS, person, *rules, edited)

    def ids(choice: Choice) -> tuple[set[str], int]:
        found = read(url, pinned_of(url), choice)
        return {mark.id for mark in found.marks}, found.others

    named = CountedRules(1, "rules.yaml", "r", (CountedRule("run", "new"),))
    assert ids(ALL) == ({person.id, "m0", "m1", "m2"}, 0)
    assert ids(Choice(named)) == ({person.id, "m0", "m1"}, 1), "what a person has edited is theirs"
    assert ids(Choice(None)) == ({person.id, "m1"}, 2)
