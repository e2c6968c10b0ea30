"""A label has its number before anybody can see a mark that needs it, and keeps it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import sensorloom
from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.ledger import read_ledger
from ingest.errors import StoreFullError
from ingest.log.protocol import MARKS, LogBatch
from ingest.records import Mark, MarkAdd, MarkEdit
from ingest.wire import encode
from labeling.sink import LabelsOperator
from service.classing import LabelsStore, labels_of
from tests.service.test_run import Site, append, mark, record
from windowing.dataset import labelled
from windowing.dataset.labelled import CLASSES, known_classes


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    record(site.log, "a", 10)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("a", 5, 8, "braking"))
    return site


def numbers(site: Site) -> tuple[str, ...]:
    return known_classes(read_ledger(site.out, CLASSES))


def test_a_label_keeps_its_number_whatever_comes(site: Site) -> None:
    assert site.drain() == 0
    assert sensorloom.open(site.out).classes == ("run", "braking") == numbers(site)
    before = sensorloom.open(site.out).arrays().y.tolist()
    append(site.log, MARKS, mark("a", 9, 10, "accel"), MarkEdit("a", "a-run-0", "ann", "operator", label="walk"))
    assert site.drain() == 0
    dataset = sensorloom.open(site.out)
    assert dataset.classes == ("run", "braking", "accel", "walk")
    told = dict(zip(dataset.windows()["label"].to_list(), dataset.arrays("keep").y.tolist(), strict=True))
    assert (told["braking"], told["accel"], told["walk"]) == (1, 2, 3)
    assert 1 in before


def test_the_configuration_comes_first_and_a_new_dataset_has_the_same_numbers(site: Site) -> None:
    site.write("epoch", '\n[labels]\nbackground = "calm"\n')
    assert site.drain() == 0
    assert numbers(site) == ("calm", "run", "braking")
    shutil.rmtree(site.out)
    assert site.drain() == 0
    assert numbers(site) == ("calm", "run", "braking")
    site.write("epoch", '\n[labels]\nclasses = ["braking", "run"]\n')
    assert site.drain() == 0
    assert sensorloom.open(site.out).classes == ("braking", "run")
    assert numbers(site) == ("calm", "run", "braking")


def test_a_dataset_of_before_keeps_the_numbers_that_it_had(site: Site) -> None:
    """There, classes were the labels that windows had, sorted."""
    assert site.drain() == 0
    shutil.rmtree(site.out / CLASSES)
    (site.out / "belongs" / "classes.json").unlink()
    assert sensorloom.open(site.out).classes == ("braking", "run")
    append(site.log, MARKS, mark("a", 9, 10, "accel"))
    assert site.drain() == 0
    assert sensorloom.open(site.out).classes == ("braking", "run", "accel")


def test_two_spellings_of_a_label_are_one_class_and_the_others_keep_their_numbers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a ledger of before, each spelling had a number."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    marks = [mark("a", 1, 2, decomposed), mark("a", 3, 4, composed), mark("a", 8, 10, "late")]
    append(site.log, MARKS, *marks)
    with monkeypatch.context() as before:
        before.setattr(labelled, "normal", lambda label: label)
        assert site.drain() == 0
    (page,) = read_ledger(site.out, CLASSES)
    assert page.body["labels"] == ["run", "braking", decomposed, composed, "late"]
    dataset = sensorloom.open(site.out)
    assert dataset.classes == ("run", "braking", composed, decomposed, "late")
    told = set(zip(dataset.windows()["label"].to_list(), dataset.arrays("keep").y.tolist(), strict=True))
    assert {(composed, 2), ("late", 4), ("braking", 1)} <= told
    append(site.log, MARKS, mark("a", 4, 5, "new"), mark("a", 9, 10, decomposed))
    site.write("epoch", f'\n[labels]\nbackground = "{decomposed}"\n')
    assert site.drain() == 0
    assert numbers(site) == ("run", "braking", composed, decomposed, "late", "new")
    site.write("epoch", f'\n[labels]\nclasses = ["{decomposed}", "run"]\n')
    assert site.drain() == 0
    dataset = sensorloom.open(site.out)
    assert dataset.classes == (composed, "run")
    assert 0 in dataset.arrays().y


def test_an_entry_is_created_after_its_labels_have_numbers(tmp_path: Path) -> None:
    noted: list[Sequence[str]] = []
    entry = tmp_path / "manifest" / "marks-0" / "000000000000.json"

    async def note(labels: Sequence[str]) -> None:
        assert not entry.exists()
        noted.append(labels)
        if len(noted) == 1:
            raise StoreFullError("no room for numbers")

    async def run() -> None:
        store, operator = LabelsStore(DiskFiles(tmp_path), "t", note), LabelsOperator()
        part = await work.recover(store, operator, MARKS, 0, 0)
        values = [encode(mark("a", 0, 4, "run"))]
        part.running.feed(LogBatch(MARKS, 0, range(1), range(1), [b""], values, 1))
        part.position = 1
        seal = work.prepare(part, operator)
        await work.write_files(store, seal)
        with pytest.raises(StoreFullError):
            await work.commit(store, part, seal)
        assert not entry.exists()
        await work.commit(store, part, seal)

    asyncio.run(run())
    assert noted == [["run"], ["run"]]
    assert entry.exists()


def test_only_what_people_say_has_a_number_by_its_mark() -> None:
    rule = MarkAdd("a", "m", 0, 1, "hot", "rules.yaml", "rule")
    events: list[Mark] = [
        rule,
        MarkEdit("a", "m", "ann", "operator", label="cold"),
        mark("a", 0, 1, ""),
        mark("a", 0, 1, "run"),
    ]
    assert labels_of(events) == ["cold", "run"]
