"""A log on `segments` is a list of entries, whatever is done to it in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import binary, integers, lists, sampled_from, tuples

from ingest.log.protocol import Bounds, Entry
from ingest.log.segments import SegmentLog


class AgainstAList(RuleBasedStateMachine):
    """Appends, reads, trims, reopens and torn tails, in any order; a list per partition says what must come out."""

    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.model: list[list[tuple[bytes, bytes]]] = [[], []]
        self.begin = [0, 0]
        self.torn = 0
        self.open()

    def open(self) -> None:
        self.log = SegmentLog(self.home.name, partitions=2, segment_bytes=400)
        self.runner.run(self.log.ensure("readings"))

    @rule(entries=lists(tuples(sampled_from([b"a", b"b", b"c", b"device-7"]), binary(max_size=120)), max_size=8))
    def append(self, entries: list[tuple[bytes, bytes]]) -> None:
        positions = self.runner.run(self.log.append("readings", [Entry(*entry) for entry in entries]))
        for entry, position in zip(entries, positions, strict=True):
            assert position.offset == len(self.model[position.partition])
            self.model[position.partition].append(entry)

    @rule(partition=integers(0, 1), share=integers(0, 10))
    def read(self, partition: int, share: int) -> None:
        begin, wanted = self.begin[partition], self.model[partition]
        start = begin + (len(wanted) - begin) * share // 10
        found = self.runner.run(self.read_from(partition, start, len(wanted)))
        assert found == list(enumerate(wanted))[start:]

    async def read_from(self, partition: int, start: int, stop: int) -> list[tuple[int, tuple[bytes, bytes]]]:
        reader = self.log.reader("readings", {partition: start})
        found: list[tuple[int, tuple[bytes, bytes]]] = []
        while start < stop:
            for b in await reader.fetch(60.0):
                found += zip(b.offsets, zip(b.keys, b.values, strict=True), strict=True)
                start = b.next_offset
        await reader.close()
        return found

    @rule(partition=integers(0, 1), share=integers(0, 10))
    def trim(self, partition: int, share: int) -> None:
        before = len(self.model[partition]) * share // 10
        self.runner.run(self.log.trim("readings", {partition: before}))
        begin = self.runner.run(self.log.bounds("readings"))[partition].begin
        assert self.begin[partition] <= begin <= max(before, self.begin[partition])
        self.begin[partition] = begin

    @rule(partition=integers(0, 1), garbage=binary(min_size=1, max_size=50))
    def tear(self, partition: int, garbage: bytes) -> None:
        folder = Path(self.home.name) / "topics" / "readings" / str(partition)
        with max(folder.glob("*.log")).open("ab") as file:
            file.write(garbage)

    @rule()
    def forget_heads(self) -> None:
        self.runner.run(self.log.close())
        for head in Path(self.home.name).glob("topics/readings/*/head"):
            head.unlink()
        self.open()

    @precondition(lambda self: any(self.model))
    @rule()
    def reopen(self) -> None:
        self.runner.run(self.log.close())
        self.open()

    @invariant()
    def bounds(self) -> None:
        bounds = self.runner.run(self.log.bounds("readings"))
        assert bounds == {p: Bounds(self.begin[p], len(self.model[p])) for p in range(2)}

    def teardown(self) -> None:
        self.runner.run(self.log.close())
        self.runner.close()
        self.home.cleanup()


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
