"""What a chain folder rests on, and what refuses to go on from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import (
    FORMAT,
    NAME,
    Genesis,
    check_genesis,
    claim_genesis,
    decode_genesis,
    encode_genesis,
)
from ingest.engine.store import FileStore
from ingest.errors import CorruptError, LogConfigError, SensorloomError, StateVersionError, UsageError
from ingest.log.protocol import READINGS, Entry
from ingest.log.segments.log import SegmentLog
from ingest.opening import open_log
from labeling.sink import LabelsOperator

FIRST = Genesis(FORMAT, "windows", "readings", 4, "log-1", "abc", 1, "0f", '{"length":4}', ((0, 0, 7), (1, 0, 0)))


def test_it_survives_its_bytes() -> None:
    assert decode_genesis(encode_genesis(FIRST), "g") == FIRST


def test_any_flipped_bit_is_seen() -> None:
    data = encode_genesis(FIRST)
    for place in range(len(data)):
        for bit in range(8):
            flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(CorruptError, match="g.json"):
                decode_genesis(flipped, "g.json")


def test_another_format_is_refused() -> None:
    with pytest.raises(CorruptError, match="found format 9, expected 1"):
        decode_genesis(encode_genesis(msgspec.structs.replace(FIRST, format=9)), "g")


def test_the_same_goes_on_and_what_a_later_worker_would_draw_or_pin_is_not_asked() -> None:
    check_genesis(FIRST, FIRST, "g")
    others = (("run", "0123"),)
    check_genesis(FIRST, msgspec.structs.replace(FIRST, id="1e", pinned=((0, 0, 9),), anchor_rules=others), "g")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"spec": "xyz"}, UsageError, "spec abc, the run asks for windows of readings with xyz; use another --out"),
        ({"log": "log-2"}, UsageError, "began with the log log-1, this one is log-2"),
        ({"partitions": 6}, LogConfigError, "had 4 partitions, now it has 6.*use another --out"),
        ({"code": 2}, StateVersionError, "code version 1, this is version 2; go on"),
    ],
)
def test_a_difference_refuses(change: dict[str, object], error: type[SensorloomError], message: str) -> None:
    with pytest.raises(error, match=message):
        check_genesis(FIRST, msgspec.structs.replace(FIRST, **change), "g")


def test_one_genesis_for_all_who_come_at_once(tmp_path: Path) -> None:
    async def run() -> set[str]:
        log = open_log(f"segments:{tmp_path}/log", partitions=2)
        operator = LabelsOperator()
        stores = [FileStore(DiskFiles(tmp_path / "d"), f"t{n}") for n in range(5)]
        claims = [claim_genesis(store, log, operator, READINGS, f"id{n}", pin=()) for n, store in enumerate(stores)]
        found = await asyncio.gather(*claims)
        await log.close()
        return {genesis.id for genesis in found}

    assert len(asyncio.run(run())) == 1
    assert [path.name for path in (tmp_path / "d").iterdir()] == [NAME]


def test_a_damaged_genesis_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        log = open_log(f"segments:{tmp_path}/log", partitions=2)
        try:
            await claim_genesis(FileStore(DiskFiles(tmp_path), "t"), log, LabelsOperator(), READINGS, "id")
        finally:
            await log.close()

    (tmp_path / NAME).write_bytes(b"{}")
    with pytest.raises(CorruptError, match=NAME):
        asyncio.run(run())


def test_a_dataset_that_begins_behind_the_logs_begin_says_so(tmp_path: Path) -> None:
    told: list[str] = []

    async def run(records: int) -> None:
        log = SegmentLog(tmp_path / "log", partitions=1, segment_bytes=4096, retention_bytes=4096)
        await log.ensure(READINGS)
        for _ in range(records):
            await log.append(READINGS, [Entry(b"d", bytes(1000))])
        store = FileStore(DiskFiles(tmp_path / f"d{records}"), "t")
        for _ in range(2):  # it is told once, at the founding
            await claim_genesis(store, log, LabelsOperator(), READINGS, "id", tell=told.append)
        await log.close()

    asyncio.run(run(1))
    assert told == []
    asyncio.run(run(30))
    (text,) = told
    assert "the log no longer has readings-0 up to offset " in text
