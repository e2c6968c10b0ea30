"""A real Kafka topic that is not the one that a dataset was made from is refused; nothing of the dataset changes."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from ingest.draining import drain
from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from tests.integration.site import FILES, Site

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
PARTITIONS = 2
Entries: TypeAlias = list[Entry]


class KafkaSite(Site):
    """A site of its own on a broker that others use, too; a dataset of two recordings, made in two runs."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.name = f"site-{uuid.uuid4().hex[:8]}"
        self.bootstrap = bootstrap
        super().__init__(folder, f"kafka://{bootstrap}/{self.name}")

    def made(self) -> KafkaSite:
        """With its log and dataset, and beside it the dataset as it was after the first run."""
        self.prepare()
        for topic in (READINGS, MARKS):
            self.begin(topic, [])
        assert self("import", "marks", self.folder / "marks.csv", "--log", self.log).code == 0
        for number, (device, part) in enumerate(FILES[:2]):
            assert self(*self.import_words(device, part)).code == 0
            assert self.drain().code == 0
            if number == 0:
                shutil.copytree(self.out, self.folder / "older")
        return self

    def begin(self, topic: str, entries: Sequence[Entry]) -> None:
        """A topic with these records; nothing else of that name is there."""

        async def run() -> None:
            log = open_log(self.log, partitions=PARTITIONS)
            await log.ensure(topic)
            await log.append(topic, entries)
            await log.close()

        asyncio.run(run())

    def delete(self, topic: str) -> None:
        """Somebody clears a topic, with Kafka's own tools, and it is gone."""

        async def run() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            name = f"{self.name}.{topic}"
            await admin.delete_topics([name])
            while name in await admin.list_topics():  # noqa: ASYNC110 - the broker rings no bell
                await asyncio.sleep(0.1)
            await admin.close()

        asyncio.run(run())

    def entries(self, topic: str) -> Entries:
        """A topic's records, byte for byte."""

        async def run() -> Entries:
            log = open_log(self.log)
            try:
                batches = [batch async for batch in drain(log, topic, await log.bounds(topic))]
            finally:
                await log.close()
            return [Entry(*pair) for batch in batches for pair in zip(batch.keys, batch.values, strict=True)]

        return asyncio.run(run())


@pytest.fixture(scope="module")
def site(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> KafkaSite:
    """Its `readings` are replaced by each test."""
    return KafkaSite(tmp_path_factory.mktemp("site"), kafka_bootstrap).made()


@pytest.fixture(scope="module")
def readings(site: KafkaSite) -> Entries:
    """As they were when the dataset was made."""
    return site.entries(READINGS)


def refuses(site: KafkaSite, topic: str, *words: str) -> None:
    before = site.digest()
    for _ in range(2):
        site.drain().refused(2, f"{topic}-", *words, "use another --out")
    assert site.digest() == before
    assert site("dataset", "verify", site.out).code == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda all_: all_, "is another one than was read (it was appended at "),
        (lambda all_: all_ + all_, "is another one than was read (it was appended at "),
        (lambda all_: all_[:-4] + [Entry(key, b"since then") for key, _ in all_] * 2, "is another one than was read"),
        (lambda all_: all_[::2], "the log ends at offset "),
    ],
    ids=["as many", "more", "an older state, gone on from", "an older state"],
)
def test_readings_that_were_made_anew_are_refused(
    site: KafkaSite, readings: Entries, change: Callable[[Entries], Entries], words: str
) -> None:
    site.delete(READINGS)
    site.begin(READINGS, change(readings))
    refuses(site, READINGS, words, "it was made anew, or restored from an older backup")


def test_marks_that_were_made_anew_are_refused(kafka_bootstrap: str, tmp_path: Path) -> None:
    site = KafkaSite(tmp_path, kafka_bootstrap).made()
    marks = site.entries(MARKS)
    site.delete(MARKS)
    site.begin(MARKS, marks)
    refuses(site, MARKS, "is another one than was read")


def test_a_dataset_that_is_older_than_its_log_goes_on(kafka_bootstrap: str, tmp_path: Path) -> None:
    site = KafkaSite(tmp_path, kafka_bootstrap).made()
    wanted = site.digest()
    shutil.rmtree(site.out)
    (site.folder / "older").rename(site.out)
    assert site.digest() != wanted
    assert site.drain().code == 0
    assert site.digest() == wanted
