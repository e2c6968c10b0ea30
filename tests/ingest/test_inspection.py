"""Records as lines and plain data; following a topic; figures by stream."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from ingest.errors import UsageError
from ingest.inspection import Describer, Located, kind_of, partition_figures, records, stream_figures
from ingest.lifetimes import DAY_NS
from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.log.segments import SegmentLog
from ingest.records import Channel, Chunk, DeadLetter, Record, StreamDescription, schema_id
from ingest.times import last_time, sample_times
from ingest.wire import encode
from simulators.doubles.log import ListLog
from tests.ingest.kinds import BOOT, EXAMPLES, T0

DESCRIPTION = StreamDescription("acc", (Channel("x", "g", 0.5), Channel("t", "degC", 1.0, -10.0)), "int16")
SCHEMA = schema_id(DESCRIPTION)


def chunk(device: str, seq: int, schema: bytes = SCHEMA) -> Chunk:
    values = bytes.fromhex("0100 0200 0300 0400".replace(" ", ""))
    return Chunk(device, "r-1", "acc", BOOT, seq, schema, T0 + seq * 10**9, 5 * 10**8, 1, 0, 0, b"", 2, values)


def located(record: Record | None, problem: str = "") -> Located:
    return Located("readings", 1, 7, T0, b"pump-7", record, 10, problem)


async def filled() -> ListLog:
    log = ListLog()
    await log.append(STREAMS, [Entry(SCHEMA, encode(DESCRIPTION))])
    await log.append(READINGS, [Entry(d.encode(), encode(chunk(d, seq))) for seq in range(3) for d in ("a", "b")])
    return log


def line(record: Record | None, problem: str = "") -> str:
    async def run() -> str:
        return await Describer(await filled()).line(located(record, problem))

    return asyncio.run(run())


def test_a_chunk_shows_its_first_and_last_sample_in_their_units() -> None:
    assert line(chunk("a", 0)) == (
        "readings/1@7 a chunk acc recording=r-1 seq=0 count=2 "
        "2026-11-24T02:00:00Z x=0.5 g, t=-8 degC … 2026-11-24T02:00:00.500Z x=1.5 g, t=-6 degC"
    )


def test_named_states_are_shown_by_name() -> None:
    valve = StreamDescription("valve", (Channel("open", "1", states=((0, "shut"), (1, "open"))),), "float32")
    values = np.array([1.0, np.nan, 0.5, 0.0], "<f4").tobytes()
    told = Chunk("a", "r-1", "valve", BOOT, 0, schema_id(valve), T0, 10**9, 1, 0, 0, b"", 4, values)

    async def run() -> tuple[str, str, dict[str, Any]]:
        log = ListLog()
        await log.append(STREAMS, [Entry(schema_id(valve), encode(valve))])
        describer = Describer(log)
        last = msgspec.structs.replace(told, count=3, values=values[:12])
        return (
            await describer.line(located(told)),
            await describer.line(located(last)),
            await describer.data(located(told)),
        )

    whole, until_half, data = asyncio.run(run())
    assert "open=open (1) … " in whole
    assert whole.endswith("open=shut (0)")
    assert until_half.endswith("open=no state (0.5)")
    assert data["channels"] == [{"name": "open", "unit": "1", "states": {0: "shut", 1: "open"}}]
    assert "channels=open[0=shut,1=open] dtype=float32" in line(valve)


def test_other_records_show_their_fields() -> None:
    assert line(EXAMPLES["gap"]).startswith(
        "readings/1@7 pump-7 gap recording=r-1 stream=acc boot=000102030405060708090a0b0c0d0e0f "
        "start=2026-11-24T02:00:00Z end=2026-11-24T02:00:00.000000005Z samples=-1 reason=spool_full"
    )
    assert line(DESCRIPTION).startswith("readings/1@7 stream_description stream=acc channels=x[g],t[degC] dtype=int16")
    assert line(None, "bad bytes") == "readings/1@7 pump-7 unreadable: bad bytes"

    for name, record in EXAMPLES.items():
        assert name.startswith(kind_of(record))
        assert "\n" not in line(record)


def test_an_unknown_schema_and_a_chunk_that_does_not_fit_its_schema_are_said() -> None:
    assert line(chunk("a", 0, b"?" * 16)).endswith(f"schema {(b'?' * 16).hex()} is not in streams")
    wrong = Chunk("a", "r", "acc", BOOT, 0, SCHEMA, T0, 1, 1, 0, 0, b"", 1, b"abc")
    assert line(wrong).endswith("3 bytes of values, expected 1 samples of 2 int16")


def test_plain_data_holds_every_sample() -> None:
    async def run() -> None:
        describer = Describer(await filled())
        data = await describer.data(located(chunk("a", 1)))
        assert data["kind"] == "chunk"
        assert data["times_ns"] == [T0 + 10**9, T0 + 10**9 + 5 * 10**8]
        assert data["channels"] == [{"name": "x", "unit": "g"}, {"name": "t", "unit": "degC"}]
        assert data["values"] == [[0.5, -8.0], [1.5, -6.0]]
        assert (data["partition"], data["offset"], data["boot"]) == (1, 7, BOOT.hex())
        told = await describer.data(located(DESCRIPTION))
        told_x = {"name": "x", "unit": "g", "scale": 0.5, "offset": 0.0, "low": None, "high": None, "states": []}
        assert told["channels"][0] == told_x
        assert (await describer.data(located(None, "bad")))["reason"] == "bad"
        unknown = await describer.data(located(chunk("a", 1, b"?" * 16)))
        assert (unknown["channels"], unknown["values"]) == (None, None)

    asyncio.run(run())


def test_records_are_found_by_device_and_time() -> None:
    async def run() -> None:
        log = await filled()

        async def seqs(device: str | None, from_ns: int | None) -> list[int]:
            found = [r.record async for r in records(log, READINGS, device, from_ns, until_idle=True)]
            return sorted(r.seq for r in found if isinstance(r, Chunk))

        assert await seqs(None, None) == [0, 0, 1, 1, 2, 2]
        assert await seqs("a", None) == [0, 1, 2]
        assert await seqs("a", T0 + 5 * 10**8) == [0, 1, 2], "the first chunk's last sample lies just there"
        assert await seqs("a", T0 + 5 * 10**8 + 1) == [1, 2]
        assert await seqs("nobody", None) == []
        with pytest.raises(UsageError, match='no topic "reading"; known: readings, streams. Did you mean "readings"'):
            await seqs_of(log, "reading")

    async def seqs_of(log: ListLog, topic: str) -> None:
        async for _ in records(log, topic, until_idle=True):
            pass

    asyncio.run(run())


def test_from_a_time_reading_begins_a_day_before_it(tmp_path: Path) -> None:
    """It decoded all that was ever appended: 15 s on a gigabyte."""

    async def run() -> None:
        log = SegmentLog(tmp_path / "log", partitions=1)
        now_ns = time.time_ns()
        await log.append(READINGS, [Entry(b"a", encode(replace(chunk("a", 0), t0_ns=now_ns)))])
        begins: list[int] = []

        async def since(topic: str, append_ns: int) -> dict[int, int]:
            begins.append(append_ns)
            return await SegmentLog.since(log, topic, append_ns)

        log.since = since  # type: ignore[method-assign]
        for from_ns, count in ((now_ns, 1), (now_ns + DAY_NS, 0), (now_ns - DAY_NS, 1)):
            assert len([r async for r in records(log, READINGS, "a", from_ns, until_idle=True)]) == count
            assert begins.pop() == from_ns - DAY_NS
        await log.close()

    asyncio.run(run())


@pytest.mark.parametrize("size", [4, 8])
def test_the_last_time_of_a_chunk_is_that_of_its_last_sample(size: int) -> None:
    deltas = np.array([0, 7, -3], f"<i{size}").tobytes()
    uneven = replace(chunk("a", 0), period_den=0, deltas=deltas, tick_ns=1000, count=3)
    even = replace(chunk("a", 0), period_num=250_000, period_den=3, phase=2, count=100)
    for each in (uneven, even):
        assert last_time(each) == sample_times(each)[-1]


def test_following_goes_on_with_what_is_appended_later() -> None:
    async def run() -> None:
        log = await filled()
        seen = []
        async with contextlib.aclosing(records(log, READINGS, "a", until_idle=False)) as following:
            async for found in following:
                assert isinstance(found.record, Chunk)
                seen.append(found.record.seq)
                if len(seen) == 3:
                    await log.append(READINGS, [Entry(b"a", encode(chunk("a", 3)))])
                if len(seen) == 4:
                    break
        assert seen == [0, 1, 2, 3]

    asyncio.run(run())


def test_unreadable_bytes_do_not_end_the_listing() -> None:
    async def run() -> None:
        log = ListLog(partitions=1)
        await log.append(READINGS, [Entry(b"a", b"\x09"), Entry(b"a", encode(chunk("a", 0)))])
        found = [r async for r in records(log, READINGS, until_idle=True)]
        assert [r.record is None for r in found] == [True, False]
        assert "found version 9" in found[0].problem

    asyncio.run(run())


def test_figures() -> None:
    async def run() -> None:
        log = await filled()
        rows = await partition_figures(log, "g")
        assert sum(row["records"] for row in rows if row["topic"] == READINGS) == 6
        assert {row["lag"] for row in rows} == {None}, "this group has committed nothing"
        (figures,) = (await stream_figures(log, "b")).values()
        size = len(encode(chunk("b", 0)))
        assert figures.as_dict() == {
            "chunks": 3,
            "samples": 6,
            "gaps": 0,
            "lost": 0,
            "bytes": 3 * size,
            "start_ns": T0,
            "end_ns": T0 + 2 * 10**9 + 5 * 10**8,
            "recordings": ["r-1"],
        }
        assert await stream_figures(log, "nobody") == {}

    asyncio.run(run())


def test_of_many_bytes_a_line_shows_the_first() -> None:
    letter = DeadLetter("pump-7", "readings", 1, 7, "no record", b"GET / HTTP/1.1\r\n" + bytes(65_520))
    shown = line(letter)
    assert len(shown) < 200
    assert "value=GET / HTTP/1.1\\r\\n\\x00\\x00" in shown
    assert shown.endswith("… (65,536 bytes)")
