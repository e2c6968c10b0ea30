"""Rules on the agent: the marks of a service that runs them beside the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.errors import UsageError
from ingest.log.protocol import MARKS, READINGS, LogBatch
from ingest.records import MarkAdd, StreamDescription, schema_id
from ingest.wire import decode
from labeling.rulefile import read_rules
from labeling.rules.operator import RulesOperator
from tests.edge.feeding import FlakyLog, fed, fed_config, running

pytestmark = pytest.mark.usefixtures("fed")
__all__ = ["fed"]

RULES = """version: 1
rules:
  - label: high
    when: acc.x > 5g
    until: acc.x < 3g
    max_gap: 10s
"""


def config(folder: Path) -> Path:
    (folder / "rules.yaml").write_text(RULES)
    path = fed_config(folder)
    path.write_text('rules = "rules.yaml"\n' + path.read_text())
    return path


def marks(log: FlakyLog) -> dict[str, MarkAdd]:
    return {record.id: record for record in log.records(MARKS) if isinstance(record, MarkAdd)}


def service_marks(log: FlakyLog, rules: Path) -> dict[str, MarkAdd]:
    """What the rules' operator makes of the log."""
    operator = RulesOperator(read_rules(rules))
    for description in log.records("streams"):
        assert isinstance(description, StreamDescription)
        operator.learn(schema_id(description), description)
    entries = log.content[READINGS][0]
    running_rules = operator.start(None)
    columns = [entry.key for entry in entries], [entry.value for entry in entries]
    batch = LogBatch(READINGS, 0, range(len(entries)), [1 << 61] * len(entries), *columns, len(entries))
    assert running_rules.feed(batch) == len(entries)
    found = [decode(publication.entry.value) for publication in running_rules.take().publications]
    return {mark.id: mark for mark in found if isinstance(mark, MarkAdd)}


def test_marks_are_those_of_a_service_and_survive_a_crash(tmp_path: Path) -> None:
    async def main() -> FlakyLog:
        log, path = FlakyLog(), config(tmp_path)
        async with running(path, log) as agent:
            for second, value in enumerate((1, 6, 7, 2, 1), 1):
                agent.source.feed(b"%d\n" % value, second)
            await agent.until(lambda: len(marks(log)) == 1)
        async with running(path, log, boot=2, killed=True) as agent:  # dies while it is high
            agent.source.feed(b"1\n", 11, "a")
            agent.source.feed(b"9\n", 12, "b")
            await agent.until(lambda: agent.source.acknowledged == ["a", "b"])
        async with running(path, log, boot=3) as agent:
            agent.source.feed(b"1\n", 21)
            await agent.until(lambda: len(marks(log)) == 2)
        return log

    log = asyncio.run(main())
    assert marks(log) == service_marks(log, tmp_path / "rules.yaml")
    assert [mark.label for mark in marks(log).values()] == ["high", "high"]


def test_a_wrong_rule_is_named_before_anything_runs(tmp_path: Path) -> None:
    from edge.config import load_config

    path = config(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES.replace("acc.x > 5g", "acc.x >> 5g"))
    with pytest.raises(UsageError, match=r"rules\.yaml"):
        load_config(path)
