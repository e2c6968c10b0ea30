"""Whatever was corrected on the way: labels are those of a new log with the final rules and marks alone.

Two datasets of one log have rules, policies and classes of their own, which change from run to run: rules are edited,
renamed, removed, and mean something else from a release on. People add, edit, retract, undo, and replace what they said
by a file; anything that was ever said may be delivered again.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
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
from labeling.changing import Book, Fields, Who, edit_of, replace, retracts_of, scopes_of, undo_of
from labeling.logbook import read_book
from labeling.marks import RULE
from labeling.rules import ruleset
from service.run import RunOptions, run_service

START_NS, SECOND = 1_700_000_000 * 10**9, 10**9
ACC = StreamDescription("acc", (Channel("x", "m/s2"),), "float32", 20)
CONFIG = 'name = "c"\nRULES\n[window]\nlength = 20\nhop = 20\nrate = "20Hz"\nchannels = ["acc.x"]\n'
CONFIG += '[labels]\nbackground = "calm"\n'
RULES: Sequence[str] = (
    "{label: high, when: acc.x > 5}",
    "{label: high, when: acc.x > 8}",
    "{label: peak, when: acc.x > 8}",
    "{label: low, when: acc.x < -6, for: 200ms}",
)
DEVICES = ("a", "b")
DATASETS = ("out", "other")
POLICIES = ('policy = "any"\n', 'policy = "majority"\nmin_share = 0.4\n')
CLASSES = ("", 'classes = ["peak", "calm", "high", "x", "low"]\n', 'classes = ["low", "high", "calm"]\n')
People = st.sampled_from(["ann", "bob"])


class Setup(NamedTuple):
    """What a dataset is asked to be."""

    rules: tuple[int, ...]
    policy: int
    classes: int
    meaning: int
    """Of the rules' kernels, as a release has it."""


class Found(NamedTuple):
    """What a dataset is."""

    labels: Mapping[tuple[str, int], str | None]
    """By device and time."""
    y: list[int] | None
    """Where the configuration says what numbers mean."""
    revisions: frozenset[str]
    """Of the rules whose marks count."""
    trimmed: int
    """The windows that trims take out."""


class Trial:
    """A log with readings of two devices, and a dataset of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.url = f"segments:{folder / 'log'}"
        self.now_ns = 10**18
        self.said: list[Mark] = []
        """What people said, undos left out, once each."""
        self.taken_back: set[int] = set()
        """Which of it was undone."""
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
        self.said += events
        self.deliver(events)

    def deliver(self, events: Sequence[Mark]) -> None:
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

    def run(self, setup: Setup, name: str = "out") -> Found:
        """Drain the log under a setup."""
        named = 'rules = "rules.yaml"' if setup.rules else ""
        config = CONFIG.replace("RULES", named) + POLICIES[setup.policy] + CLASSES[setup.classes]
        (self.folder / "dataset.toml").write_text(config)
        lines = "".join(f"  - {RULES[number]}\n" for number in setup.rules)
        (self.folder / "rules.yaml").write_text(f"version: 1\nrules:\n{lines}")
        out = self.folder / name
        options = RunOptions(self.folder / "dataset.toml", self.url, out, "worker", until_idle=True)
        with mock.patch.object(ruleset, "SEMANTICS", ruleset.SEMANTICS + setup.meaning):
            asyncio.run(run_service(options, lambda event, topic: None))
        return found_in(out, fixed=setup.classes > 0)

    def act(self, kind: str, at: int, label: str, author: str) -> None:
        """One correction: what it is about is chosen by `at` among the marks that stand."""
        self.now_ns += 1000
        who, book = Who(author), self.book()
        marks = list(book.standing().values())
        if kind in ("add", "trim") or not marks:
            start_ns, trim = START_NS + at * SECOND // 2, kind == "trim"
            span = start_ns, start_ns + SECOND, "" if trim else label
            add = MarkAdd(DEVICES[at % 2], f"m{self.now_ns}", *span, author, "operator", trim=trim)
            self.say([add])
        elif kind == "edit":
            mark = marks[at % len(marks)]
            self.say([edit_of(mark, who, self.now_ns, Fields(end_ns=mark.start_ns + SECOND // 2, label=label))])
        elif kind == "replace":
            rows = [_row(author, start, label) for start in (at, at + 7)]
            self.say(replace(book, rows, scopes_of(rows), self.now_ns).events)
        elif kind == "again":
            self.deliver([self.said[at % len(self.said)]] if self.said else [])
        elif kind == "retract":
            self.say(retracts_of([marks[at % len(marks)]], who, self.now_ns))
        else:
            undos = undo_of(book, who, self.now_ns)
            self.taken_back |= {self.said.index(undone.what) for undone in undos}
            self.deliver([undone.event for undone in undos])


def found_in(out: Path, *, fixed: bool) -> Found:
    dataset = sensorloom.open(out)
    table = dataset.windows().select("device", "t0_ns", "label")
    y = dataset.arrays("keep").y
    named = [None if number < 0 else dataset.classes[number] for number in y]
    assert [label if label in dataset.classes else None for label in table["label"]] == named
    page = dataset.contents.choice.rules
    revisions = frozenset(rule.revision for rule in page.rules) if page is not None else frozenset()
    labels = {(device, t0_ns): label for device, t0_ns, label in table.iter_rows()}
    return Found(labels, y.tolist() if fixed else None, revisions, dataset.contents.trimmed)


def _row(author: str, start: int, label: str) -> MarkAdd:
    """A row of a file, whose id is made of what it says, as an import's is."""
    device, start_ns = DEVICES[start % 2], START_NS + start * SECOND // 2
    return MarkAdd(device, f"{author}-{start}-{label}", start_ns, start_ns + SECOND, label, author, "import")


def final_marks(lived: Trial, revisions: frozenset[str]) -> list[Mark]:
    """What people have said in the end: their marks as they stand, and what they took back of rules that still run.

    By what they said, not by the log: there it may lie twice, and what was undone beside what undoes it.
    """
    events: list[tuple[int, Mark]] = []
    for key, history in lived.book().histories.items():
        assert history.add is not None
        add = history.add.event
        assert isinstance(add, MarkAdd)
        runs = add.tool == RULE and add.revision in revisions
        told = [(at, event) for at, event in enumerate(lived.said) if (event.device, event.id) == key]
        kept = [(at, event) for at, event in told if at not in lived.taken_back]
        if any(isinstance(event, MarkRetract) for _, event in kept):
            if runs:
                events.append((kept[-1][0], MarkRetract(*key, "ann", "operator")))
        elif kept and (add.tool == RULE or kept[0][1] == add):
            events.append((kept[-1][0], _edited(add, [event for _, event in kept], runs=runs)))
    return [event for _, event in sorted(events, key=lambda it: it[0])]


def _edited(add: MarkAdd, told: Sequence[Mark], *, runs: bool) -> MarkAdd | MarkEdit:
    """A mark after its edits: as one edit where a rule adds it, else as an add."""
    fields: dict[str, Any] = {"start_ns": add.start_ns, "end_ns": add.end_ns, "label": add.label}
    for event in told:
        if isinstance(event, MarkEdit):
            found = {name: getattr(event, name) for name in fields}
            fields |= {name: value for name, value in found.items() if value is not None}
    if runs:
        return MarkEdit(add.device, add.id, told[-1].author, "operator", **fields)
    return MarkAdd(add.device, add.id, **fields, author=told[-1].author, tool="operator", trim=add.trim)


kinds = st.sampled_from(["add", "trim", "edit", "retract", "undo", "replace", "again"])
acts = st.tuples(kinds, st.integers(0, 30), st.sampled_from(["high", "x"]), People)
PLAIN = Setup((), policy=0, classes=0, meaning=0)
setups = st.builds(
    Setup,
    st.lists(st.integers(0, len(RULES) - 1), max_size=3, unique=True).map(tuple),
    st.integers(0, len(POLICIES) - 1),
    st.integers(0, len(CLASSES) - 1),
    st.integers(0, 1),
)
rounds = st.lists(
    st.tuples(st.sampled_from(DATASETS), setups, st.lists(acts, max_size=5)),
    min_size=2,
    max_size=4,
)


@settings(
    max_examples=int(os.environ.get("SENSORLOOM_CORRECTIONS", "5")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # an example takes seconds: shrinking would take minutes
)
@given(rounds)
@example([("out", PLAIN, [("add", 0, "x", "ann"), ("edit", 0, "high", "ann"), ("undo", 0, "x", "ann")])])
@example([("out", PLAIN, [("trim", 2, "x", "ann"), ("add", 4, "x", "bob")]), ("out", PLAIN, [("edit", 0, "x", "bob")])])
@example(
    [("out", PLAIN, [("trim", 2, "x", "ann")]), ("other", PLAIN, [("undo", 0, "x", "ann"), ("add", 2, "x", "ann")])]
)
@example(
    [
        (
            "out",
            PLAIN,
            [("add", 0, "x", "ann"), ("edit", 0, "high", "ann"), ("edit", 0, "x", "bob"), ("again", 1, "x", "ann")],
        )
    ]
)
def test_labels_are_those_of_a_new_log_with_the_final_rules_and_marks(
    turns: list[tuple[str, Setup, list[tuple[str, int, str, str]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = Trial(Path(folder, "lived").resolve())
        last: dict[str, Setup] = {}
        for name, setup, corrections in turns:
            last[name] = setup
            lived.run(setup, name)
            for correction in corrections:
                lived.act(*correction)
        lived_in = {name: lived.run(setup, name) for name, setup in last.items()}
        for name, setup in last.items():
            found = lived_in[name]
            assert found_in(lived.folder / name, fixed=setup.classes > 0) == found, "a run of another does not matter"
            fresh = Trial(Path(folder, f"fresh-{name}").resolve())
            fresh.say(final_marks(lived, found.revisions))
            assert fresh.run(setup) == found
            assert len(found.labels) + found.trimmed == 40
