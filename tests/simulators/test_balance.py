from __future__ import annotations

import asyncio
from pathlib import Path

from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import Chunk, Gap, MarkAdd, Progress, Record
from ingest.wire import encode
from simulators.balance import Account, InLog, ends_of, read_back


def chunk(device: str, seq: int, count: int) -> Chunk:
    values = bytes(2 * count)
    return Chunk(device, "r", "acc", b"b" * 16, seq, b"s" * 16, 10**9 * seq, 10**7, 1, 0, 0, b"", count, values)


def gap(device: str, samples: int, reason: str) -> Gap:
    return Gap(device, "r", "acc", b"b" * 16, 0, 10, samples, reason)


def told(folder: Path, before: list[Record], after: list[Record]) -> dict[str, InLog]:
    async def main() -> dict[str, InLog]:
        log = open_log(f"segments:{folder}")
        try:
            for record in before:
                await log.append(READINGS, [Entry(b"a", encode(record))])
            since = await ends_of(log)
            for record in after:
                topic = MARKS if isinstance(record, MarkAdd) else READINGS
                await log.append(topic, [Entry(b"b" if record == STRANGER else b"a", encode(record))])
            await log.append(READINGS, [Entry(b"a", b"no record")])
            return await read_back(log, since, ["a"])
        finally:
            await log.close()

    return asyncio.run(main())


STRANGER = chunk("b", 0, 7)


def test_what_is_twice_in_the_log_counts_once(tmp_path: Path) -> None:
    mark = MarkAdd("a", "m", 0, 1, "tilt", "rules.yaml", "rule")
    records: list[Record] = [
        *(chunk("a", 1, 10), chunk("a", 1, 10), chunk("a", 2, 5)),
        *(gap("a", 3, "columns"), gap("a", 3, "columns"), gap("a", 4, "columns"), gap("a", -1, "port_lost")),
        *(mark, mark, STRANGER, Progress("a", "r", "acc", b"b" * 16, 5)),
    ]
    found = told(tmp_path, [chunk("a", 0, 100)], records)["a"]
    assert (found.samples, found.chunks) == (15, 2)
    assert (found.gaps, found.unknown, found.marks) == ({"columns": 7}, {"port_lost": 1}, {"m"})
    readings = [record for record in records if record not in (mark, STRANGER)]
    assert found.bytes == sum(len(encode(record)) for record in readings) + len(b"no record")


def account(**changed: int) -> Account:
    figures = {"said": 90, "read": 100, "samples": 90} | changed
    return Account("a", "acc", "serial", gaps={"columns": 10}, unknown={}, **figures)


def test_books_that_agree_and_books_that_do_not() -> None:
    assert account().announced == 10
    assert account().disagreements() == []
    assert account(read=101).disagreements() == [
        "a: 101 samples were read, 90 are in the log and 10 announced as gaps: +1"
    ]
    assert account(said=91).disagreements() == ["a: its sensor said 91 samples, 90 are in the log"]
    unknown = Account("a", "acc", "serial", 90, 90, 90, {}, {"port_lost": 2})
    assert unknown.disagreements() == ["a: 2 gaps of unknown size: port_lost"]
    lines = Account("a", "acc", "serial", 90, 90, 90, {}, {"columns": 2, "garbage": 1, "may_be_dropped": 1})
    assert lines.disagreements() == []
