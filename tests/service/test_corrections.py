"""Whatever was corrected on the way: labels are those of a new log with the final rules and marks alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.log.opening import open_log
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.records import (
    Channel,
    Mark,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    Record,
    RecordingEnd,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from labeling.changing import Book, Fields, Who, edit_of, retracts_of, undo_of
from labeling.logbook import read_book
from labeling.marks import RULE, ResolvedMark
from service.run import RunOptions, run_service

START_NS, SECOND = 1_700_000_000 * 10**9, 10**9
ACC = StreamDescription("acc", (Channel("x", "m/s2"),), "float32", 20)
CONFIG = 'name = "c"\nRULES\n[window]\nlength = 20\nhop = 20\nrate = "20Hz"\nchannels = ["acc.x"]\n'
CONFIG += '[labels]\npolicy = "any"\nbackground = "calm"\n'
RULES: Sequence[str] = (
    "{label: high, when: acc.x > 5}",
    "{label: high, when: acc.x > 8}",
    "{label: peak, when: acc.x > 8}",
    "{label: low, when: acc.x < -6, for: 200ms}",
)
DEVICES = ("a", "b")
People = st.sampled_from(["ann", "bob"])


class Trial:
    """A log with readings of two devices, and a dataset of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.url = f"segments:{folder / 'log'}"
        self.now_ns = 10**18
        records: list[tuple[str, Record]] = []
        for number, device in enumerate(DEVICES):
            values = 10 * np.sin(np.arange(400) / (7 + number)).astype(np.float32)[:, None]
            origin = Origin(device, "r", "acc", device.encode() * 16, schema_id(ACC))
            chunks = periodic_chunks(origin, START_NS, (SECOND // 20, 1), values, Limits())
            records += [(device, chunk) for chunk in chunks]
            records.append((device, RecordingEnd(device, "r", device.encode() * 16, START_NS + 20 * SECOND, "end")))
        asyncio.run(self._append(STREAMS, [Entry(schema_id(ACC), encode(ACC))]))
        asyncio.run(self._append(READINGS, [Entry(device.encode(), encode(record)) for device, record in records]))

    async def _append(self, topic: str, entries: Sequence[Entry]) -> None:
        log = open_log(self.url)
        await log.ensure(topic)
        await log.append(topic, entries)
        await log.close()

    def say(self, events: Sequence[Mark]) -> None:
        if events:
            asyncio.run(self._append(MARKS, [Entry(event.device.encode(), encode(event)) for event in events]))

    def book(self) -> Book:
        async def run() -> Book:
            log = open_log(self.url)
            try:
                return await read_book(log)
            finally:
                await log.close()

        return asyncio.run(run())

    def run(self, rules: Sequence[int], name: str = "out") -> Mapping[tuple[str, int], str | None]:
        """Drain the log under these rules; the labels by device and time."""
        named = 'rules = "rules.yaml"' if rules else ""
        (self.folder / "dataset.toml").write_text(CONFIG.replace("RULES", named))
        lines = "".join(f"  - {RULES[number]}\n" for number in rules)
        (self.folder / "rules.yaml").write_text(f"version: 1\nrules:\n{lines}")
        out = self.folder / name
        options = RunOptions(self.folder / "dataset.toml", self.url, out, "worker", until_idle=True)
        asyncio.run(run_service(options, lambda event, topic: None))
        table = sensorloom.open(out).windows()
        return {(device, t0_ns): label for device, t0_ns, label in table.select("device", "t0_ns", "label").iter_rows()}

    def act(self, kind: str, at: int, label: str, author: str) -> None:
        """One correction: what it is about is chosen by `at` among the marks that stand."""
        self.now_ns += 10
        who, book = Who(author), self.book()
        marks = list(book.standing().values())
        if kind == "add" or not marks:
            start_ns = START_NS + at * SECOND // 2
            add = MarkAdd(DEVICES[at % 2], f"m{self.now_ns}", start_ns, start_ns + SECOND, label, author, "operator")
            self.say([add])
        elif kind == "edit":
            mark = marks[at % len(marks)]
            self.say([edit_of(mark, who, self.now_ns, Fields(end_ns=mark.start_ns + SECOND // 2, label=label))])
        elif kind == "retract":
            self.say(retracts_of([marks[at % len(marks)]], who, self.now_ns))
        else:
            self.say([undone.event for undone in undo_of(book, who, self.now_ns)])


def final_marks(book: Book, revisions: frozenset[str]) -> list[Mark]:
    """What people have said in the end: their marks as they stand, and what they took back of rules that still run."""
    events: list[tuple[int, list[Mark]]] = []
    standing = book.standing()
    for key, history in book.histories.items():
        mark, add = standing.get(key), history.add
        assert add is not None
        assert isinstance(add.event, MarkAdd)
        runs = add.event.tool == RULE and add.event.revision in revisions
        if mark is None and runs:
            events.append((history.changes[-1].order, [MarkRetract(*key, "ann", "operator")]))
        elif mark is not None and mark.by_person:
            events.append((mark.order, [_edit(mark) if runs else _add(mark)]))
    return [event for _, said in sorted(events, key=lambda it: it[0]) for event in said]


def _add(mark: ResolvedMark) -> MarkAdd:
    return MarkAdd(mark.device, mark.id, mark.start_ns, mark.end_ns, mark.label, mark.author, mark.tool)


def _edit(mark: ResolvedMark) -> MarkEdit:
    return MarkEdit(mark.device, mark.id, mark.author, mark.tool, mark.start_ns, mark.end_ns, mark.label)


acts = st.tuples(
    st.sampled_from(["add", "edit", "retract", "undo"]), st.integers(0, 39), st.sampled_from(["high", "x"]), People
)
rounds = st.lists(
    st.tuples(st.lists(st.integers(0, len(RULES) - 1), max_size=3, unique=True), st.lists(acts, max_size=4)),
    min_size=2,
    max_size=3,
)


@settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # an example takes seconds: shrinking would take minutes
)
@given(rounds)
def test_labels_are_those_of_a_new_log_with_the_final_rules_and_marks(
    turns: list[tuple[list[int], list[tuple[str, int, str, str]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = Trial(Path(folder, "lived").resolve())
        for rules, corrections in turns:
            lived.run(rules)
            for correction in corrections:
                lived.act(*correction)
        rules = turns[-1][0]
        labels = lived.run(rules)
        assert lived.run(rules, "another") == labels, "another dataset of the log has the same labels"
        page = sensorloom.open(lived.folder / "out").contents.choice.rules
        revisions = frozenset(rule.revision for rule in page.rules) if page is not None else frozenset()
        fresh = Trial(Path(folder, "fresh").resolve())
        fresh.say(final_marks(lived.book(), revisions))
        assert fresh.run(rules) == labels
        assert len(labels) == 40
