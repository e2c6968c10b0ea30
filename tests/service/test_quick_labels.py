"""A mark is a label in the dataset that is opened next, while the windowing service runs."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import sensorloom
from ingest.engine.rhythm import Limits
from ingest.log.protocol import MARKS, Entry, Log
from ingest.opening import open_log
from ingest.records import MarkAdd, MarkRetract, RecordingUndo
from ingest.wire import encode
from labeling.rulefile import read_rules
from service import run
from service.run import RunOptions, run_service
from tests.service.test_run import Site, append, at, describe, mark, record

NEVER_S = 1e9
"""No seal comes by its age."""
PATIENCE_S = 60


@pytest.fixture(params=["segments", "kafka"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    site = Site(tmp_path)
    if request.param == "kafka":
        bootstrap = request.getfixturevalue("kafka_bootstrap")
        site.log = f"kafka://{bootstrap}/quick-{secrets.token_hex(4)}"
        describe(site.log)
    record(site.log, "a", 10)
    record(site.log, "b", 8)
    append(site.log, MARKS, mark("b", 2, 3, "stop"))
    assert site.drain() == 0
    return site


def labels(site: Site, device: str = "a") -> set[str | None]:
    return set(sensorloom.open(site.out).windows().filter(device=device)["label"])


async def say(log: Log, *events: MarkAdd | MarkRetract | RecordingUndo) -> None:
    await log.append(MARKS, [Entry(event.device.encode(), encode(event)) for event in events])


async def until(site: Site, device: str, wanted: set[str | None]) -> None:
    """Return when an opened dataset has these labels."""
    async with asyncio.timeout(PATIENCE_S):
        while await asyncio.to_thread(labels, site, device) != wanted:  # noqa: ASYNC110 - another process's files
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Log]:
    """The log beside a windowing service that seals nothing by its age."""
    stop, log = asyncio.Event(), open_log(site.log)
    options = RunOptions(site.config, site.log, site.out, "quick", limits=Limits(seal_seconds=NEVER_S))
    service = asyncio.create_task(run_service(options, lambda event, topic: None, stop))
    yield log
    stop.set()
    await service
    await log.close()


def test_whatever_people_say_is_seen_without_waiting_for_a_seal_by_age(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LABELS_SECONDS", NEVER_S)
    windows = set(site.out.glob("windows/*/manifest/*/*"))

    async def scenario() -> None:
        async with serving(site) as log:
            first = mark("a", 0, 10, "run")
            await say(log, first)
            await until(site, "a", {"run"})
            await say(log, mark("a", 0, 10, "late"), MarkRetract("a", first.id, "ann", "operator"))
            await until(site, "a", {"late"})
            await say(log, *(mark("b", second, second + 1, "many") for second in range(8)))
            await until(site, "b", {"many"})
            await say(log, RecordingUndo("b", "r", "ann", "mistaken"))
            await until(site, "b", set())

    asyncio.run(scenario())
    assert set(site.out.glob("windows/*/manifest/*/*")) == windows, "no window was sealed for it"


def test_a_rules_mark_is_seen_at_once_after_a_quiet(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LABELS_SECONDS", NEVER_S)
    rules = site.config.with_name("rules.yaml")
    rules.write_text("version: 1\nrules:\n- {label: high, when: acc.x > 100}\n")
    site.config.write_text('rules = "rules.yaml"\n' + site.config.read_text())
    assert site.drain() == 0
    (rule,) = read_rules(rules).rules
    event = MarkAdd("a", "ruled", at(0), at(10), "high", "agent", "rule", revision=rule.revision)

    async def scenario() -> None:
        async with serving(site) as log:
            await say(log, event)
            await until(site, "a", {"high"})

    asyncio.run(scenario())
