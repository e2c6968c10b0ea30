"""What the archive keeps gives the log's records back to the byte, and says of each chunk whether it counts."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.archive.operator import ArchiveOperator, ArchiveRunning
from ingest.archive.rows import Row
from ingest.archive.tables import OWN, column_names, read_table, record_values, rows_in
from ingest.engine.operator import Draft, Output, State
from ingest.errors import CorruptError, StateVersionError
from ingest.log.protocol import MARKS, READINGS, LogBatch
from ingest.records import (
    Channel,
    Chunk,
    Clock,
    Forget,
    Gap,
    MarkAdd,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    RecordingUndo,
    StreamDescription,
    schema_id,
)
from ingest.times import run_times
from ingest.wire import encode

T0 = 1_700_000_000_000_000_000
ACC = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "int16", 100)
TEMP = StreamDescription("temp", (Channel("t", "degC"),), "float32")
BOOT = b"boot"


def acc(seq: int = 0, device: str = "pump", count: int = 3, **others: object) -> Chunk:
    values = np.arange(2 * count, dtype="<i2").tobytes()
    chunk = Chunk(device, "r", "acc", BOOT, seq, schema_id(ACC), T0 + seq * 10**8, 10**7, 1, 0, 0, b"", count, values)
    return msgspec.structs.replace(chunk, **others)


def temp(seq: int, ticks: Sequence[int], width: int = 4, device: str = "pump", tick_ns: int = 1_000_000) -> Chunk:
    deltas, values = np.array(ticks, f"<i{width}").tobytes(), np.full(len(ticks), 1.5, "<f4").tobytes()
    return Chunk(device, "r", "temp", BOOT, seq, schema_id(TEMP), T0, 0, 0, 0, tick_ns, deltas, len(ticks), values)


def batch(records: Sequence[Record | bytes], first: int = 0, step_ns: int = 1) -> LogBatch:
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    offsets = [first + 2 * i for i in range(len(values))]  # compaction left holes
    append_ns = [T0 + 10**10 + step_ns * offset for offset in offsets]
    keys = [getattr(record, "device", "pump").encode() for record in records]
    return LogBatch("readings", 0, offsets, append_ns, keys, values, first + 2 * len(values))


def begun(topic: str = READINGS, saved: State | None = None) -> ArchiveRunning:
    operator = ArchiveOperator(topic)
    for description in (ACC, TEMP):
        operator.learn(schema_id(description), description)
    return operator.start(saved)


def archived(*records: Record | bytes, topic: str = READINGS) -> tuple[list[Row], dict[str, bytes], Output]:
    """Rows, files by name, and the output."""
    running = begun(topic)
    assert running.feed(batch(records)) == len(records)
    output = running.take("0-0")
    rows, files = written(output)
    return rows, files, output


def written(output: Output) -> tuple[list[Row], dict[str, bytes]]:
    """Rows, and files by name."""
    files = {draft.name: b"".join(bytes(part) for part in draft.parts) for draft in output.drafts}
    records = [name for name in files if name.startswith("records/")]
    return [row for name in records for row in rows_in(read_table(files[name]))], files


def test_records_come_back_to_the_byte() -> None:
    records: list[Record | bytes] = [
        RecordingStart("pump", "r", BOOT, T0, "start"),
        acc(0),
        b"\x01rubbish",
        temp(0, [0, 5, 9]),
        acc(0),
        temp(1, [5, 0, -9], width=8),
        Gap("pump", "r", "acc", BOOT, T0, T0 + 5, 2, "dropped"),
        acc(2, missing=7, missing_reason="noise", clock=Clock("ntp", -5, 1.25, 1000), signature=b"s"),
        Progress("pump", "r", "acc", BOOT, T0),
        acc(3, device="fan"),
        RecordingEnd("pump", "r", BOOT, T0, "end"),
    ]
    rows, files, output = archived(*records)
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    assert record_values(rows, files.__getitem__) == values
    assert [row.offset for row in rows] == list(range(0, 2 * len(records), 2))
    assert [row.kind for row in rows[:4]] == ["recording_start", "chunk", "undecodable", "chunk"]
    assert output.counts["records.chunk"] == 6
    assert output.counts["samples"] == 3 * 6
    assert all(not row.value for row in rows if row.kind == "chunk"), "a chunk's bytes were kept twice"


CHUNKS = st.one_of(
    st.builds(acc, st.integers(0, 9), st.sampled_from(["pump", "fan", "ü"]), st.integers(1, 40)),
    st.builds(
        temp,
        st.integers(0, 9),
        st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=9),
        st.sampled_from([4, 8]),
        st.sampled_from(["pump", "fan"]),
        st.integers(1, 1 << 30),
    ),
    st.builds(
        lambda phase, num, den: acc(phase=phase % den, period_num=num, period_den=den),
        st.integers(0, 1 << 20),
        st.integers(1, 1 << 40),
        st.integers(1, 1 << 20),
    ),
    st.builds(lambda ppm: acc(clock=Clock("gps", 3, ppm, 1 << 40)), st.floats(allow_nan=True)),
)


@settings(max_examples=30)
@given(st.lists(CHUNKS, min_size=1, max_size=12), st.data())
def test_seals_and_restarts_leave_no_trace_but_more_files(chunks: list[Chunk], data: st.DataObject) -> None:
    whole, _, _ = archived(*chunks)
    running, rows, values = begun(), list[Row](), list[bytes]()
    at = 0
    while at < len(chunks):
        until = data.draw(st.integers(at + 1, len(chunks)))
        running.feed(batch(chunks[at:until], first=2 * at))
        found, files = written(running.take(f"0-{at}"))
        rows += found
        values += record_values(found, files.__getitem__)
        running, at = begun(saved=running.snapshot()), until
    assert values == [encode(chunk) for chunk in chunks]
    assert [(row.offset, row.verdict) for row in rows] == [(row.offset, row.verdict) for row in whole]


DAY_NS = 86_400 * 10**9
OTHERS: tuple[Record | bytes, ...] = (
    RecordingEnd("pump", "r", BOOT, T0, "end"),
    RecordingEnd("fan", "r", BOOT, T0, "end"),
    RecordingStart("pump", "r", BOOT, T0, "start"),
    Forget("fan", "ann", T0, "asked"),
    b"rubbish",
    temp(0, [0]),
)


def mixed(rng: random.Random, count: int) -> list[Record | bytes]:
    """Chunks that nearly always go on with the ones before them, and what comes between."""
    numbers: Counter[tuple[str, bytes]] = Counter()
    longer = rng.choice([122, 250])  # soon with a byte more
    found: list[Record | bytes] = []
    for _ in range(count):
        if rng.random() < 0.06:
            found.append(rng.choice(OTHERS))
            continue
        device, boot = rng.choice(["pump", "fan", "saw", "jig"]), rng.choice([BOOT] * 9 + [b"other"])
        others: list[dict[str, object]] = [
            {"clock": Clock("unsynced")},
            {"clock": Clock("ntp", uncertainty_ns=1 << 63)},
            {"missing": 5},
            {"t0_ns": T0 + 30 * DAY_NS},
            {"tick_ns": 1 << 63},
            {"values": bytes(6)},
            {"seq": longer + rng.randrange(8)},
        ]
        chunk = acc(numbers[device, boot], device, boot=boot, recording=rng.choice(["r"] * 9 + ["r2"]), t0_ns=T0)
        chunk = msgspec.structs.replace(chunk, seq=chunk.seq + longer)
        numbers[device, boot] += 1
        chunk = msgspec.structs.replace(chunk, **(rng.choice(others) if rng.random() < 0.15 else {}))
        found.append(chunk)
        if device == "pump" and rng.random() < 0.15:
            wrong = bytearray(encode(chunk))
            wrong[rng.randrange(len(wrong))] ^= 1 << rng.randrange(8)
            if chunk.schema in wrong:  # nobody describes another one
                found[-1] = bytes(wrong)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_a_chunk_that_goes_on_with_another_is_judged_as_one_that_comes_alone(seed: int) -> None:
    """What a running fold knows of steady streams is not in its state: begun anew for each record it takes none of
    them the quick way."""
    records = mixed(random.Random(seed), 120)
    whole, running, alone = batch(records), begun(), begun()
    running.feed(whole)
    verdicts, counts = list[tuple[str, str]](), Counter[str]()
    for number in range(len(records)):
        alone.feed(whole.tail(number).before(2 * number + 1))
        output = alone.take()
        counts.update(output.counts)
        rows, _ = written(output)
        verdicts += [(row.kind, row.verdict) for row in rows]
        alone = begun(saved=alone.snapshot())
    output = running.take()
    rows, files = written(output)
    assert [(row.kind, row.verdict) for row in rows] == verdicts
    assert output.counts == counts
    values = [record if isinstance(record, bytes) else encode(record) for record in records]
    gone = encode(Forget("fan", "", 0, "erased"))
    found = record_values(rows, files.__getitem__)
    assert [value for value in found if value != gone] == [
        value for value, kept in zip(values, found, strict=True) if kept != gone
    ]


@pytest.mark.parametrize(
    "odd",
    [
        acc(deltas=b"1234"),  # with a period nobody reads them
        acc(phase=1, period_den=3, period_num=1 << 40),
        temp(0, [0], tick_ns=(1 << 62) - 1),
        msgspec.structs.replace(temp(0, [0, 0]), period_num=1 << 63),
        acc(clock=Clock("device", 0, 0.0, (1 << 64) - 1)),
    ],
)
def test_what_columns_cannot_hold_keeps_its_bytes(odd: Chunk) -> None:
    rows, files, _ = archived(odd)
    assert record_values(rows, files.__getitem__) == [encode(odd)]
    assert rows[0].kind == "chunk"


def test_a_newer_producers_fields_are_kept() -> None:
    value = encode(acc())
    longer = value[:1] + bytes([0xDC]) + (len(Chunk.__struct_fields__) + 2).to_bytes(2, "big") + value[4:] + b"\xa3new"
    assert value[1] == 0xDC, "a chunk is an array of more than 15 elements"
    rows, files, _ = archived(longer)
    assert rows[0].seq == 0
    assert record_values(rows, files.__getitem__) == [longer]


def test_verdicts() -> None:
    far = acc(5, t0_ns=T0 + 10 * 86_400 * 10**9)
    rows, _, output = archived(
        acc(0),
        acc(0),
        acc(1, clock=Clock("unsynced")),
        far,
        RecordingEnd("pump", "r", BOOT, T0, "end"),
        acc(6),
        Forget("pump", "ann", T0, "asked"),
        acc(7),
        msgspec.structs.replace(acc(8), values=b"123"),
    )
    verdicts = [row.verdict for row in rows if row.kind == "chunk"]
    assert verdicts == ["counts", "duplicate", "unsynced", "quarantine", "ended"]
    assert [row.kind for row in rows[-3:]] == ["forget", "forget", "forget"]
    assert [output.counts[f"forgotten.{what}"] for what in ("records", "samples")] == [2, 6]
    assert output.counts["duplicate.chunks"] == 1
    assert output.counts["quarantine.samples"] == 3


def test_a_steady_device_is_forgotten_in_the_middle_of_a_batch() -> None:
    rows, _, _ = archived(acc(0), acc(1), Forget("pump", "ann", T0, "asked"), acc(2))
    assert [row.kind for row in rows] == ["chunk", "chunk", "forget", "forget"]
    assert rows[-1].count == 0, "nothing is kept of it"


def test_a_recording_is_forgotten_and_others_of_its_boot_go_on() -> None:
    undo = RecordingUndo("pump", "r", "ann", "asked", T0, forget=True)
    other = [msgspec.structs.replace(acc(seq), recording="r2") for seq in (3, 4)]
    rows, _, output = archived(acc(0), acc(1), undo, acc(2), RecordingEnd("pump", "r", BOOT, T0, "end"), *other)
    assert [row.kind for row in rows] == ["chunk", "chunk", "recording_undo", "forget", "forget", "chunk", "chunk"]
    assert [row.verdict for row in rows if row.kind == "chunk"] == ["counts"] * 4
    assert rows[3].recording == rows[3].device == ""
    assert output.counts["missing.chunks"] == 0, "the number of what was left out is known"


def test_marks_of_who_is_forgotten_are_not_archived() -> None:
    marks = [MarkAdd(device, "m", T0, T0 + 1, "run", "ann", "operator") for device in ("pump", "fan")]
    undo = RecordingUndo("pump", "", "ann", "asked", T0, forget=True)
    rows, _, output = archived(*marks, undo, *marks, topic=MARKS)
    assert [row.kind for row in rows] == ["mark_add", "mark_add", "recording_undo", "forget", "mark_add"]
    assert output.counts["forgotten.records"] == 1


def test_a_steady_recording_is_abandoned_as_often_as_it_is_silent_for_a_month() -> None:
    month: list[Record] = [Progress("fan", "r", "acc", BOOT, T0)] * 32
    running = begun()
    running.feed(batch([acc(0), acc(1), *month, acc(2), acc(3), *month, acc(4)], step_ns=DAY_NS // 2))
    assert running.take().counts["abandoned.recordings"] == 2


def tiles_in(files: dict[str, bytes]) -> pl.DataFrame:
    (name,) = (name for name in files if name.startswith("tiles/"))
    return pl.read_parquet(io.BytesIO(files[name]))


def test_tiles_are_of_what_counts() -> None:
    _, files, _ = archived(acc(0), acc(0), acc(1), acc(2, clock=Clock("unsynced")))
    tiles = tiles_in(files).filter(level=10, channel=1)
    assert tiles["samples"].sum() == 6
    assert (tiles["low"].min(), tiles["high"].max()) == (1.0, 5.0)


def test_a_stream_has_its_levels_whole_under_all_of_its_descriptions() -> None:
    other = msgspec.structs.replace(TEMP, channels=(Channel("t", "K"),))
    slow = msgspec.structs.replace(temp(1, range(1_000_000, 1_500_000, 5000)), schema=schema_id(other))
    operator = ArchiveOperator("readings")
    for description in (TEMP, other):
        operator.learn(schema_id(description), description)
    running = operator.start(None)
    running.feed(batch([temp(0, range(500)), slow]))
    _, files = written(running.take())
    samples = tiles_in(files).filter(stream="temp").group_by("level").agg(pl.col("samples").sum())
    assert samples["samples"].unique().to_list() == [600]


def test_a_samples_file_can_be_read_by_anybody() -> None:
    _, files, _ = archived(acc(1, device="b"), acc(0, device="a"), acc(0, device="b"))
    (name,) = (name for name in files if name.startswith("samples/"))
    assert name.startswith(f"samples/acc-{schema_id(ACC).hex()[:8]}/s-0-0-")
    table = pl.read_parquet(io.BytesIO(files[name]))
    assert table.columns == ["offset", "t_ns", "device", "x", "y"]
    assert table["device"].to_list() == ["a"] * 3 + ["b"] * 6, "by device, then as the log has them"
    assert table["offset"].to_list() == [2] * 3 + [0] * 3 + [4] * 3
    assert table["t_ns"].to_list()[:3] == run_times(T0, 0, 10**7, 1, 3).tolist()
    assert table["x"].dtype == pl.Int16


def test_column_names_are_told_apart() -> None:
    assert column_names(["x", "t_ns", "x", ""]) == ["x", "t_ns:1", "x:2", ":3"]
    assert OWN[0] == "offset", "its statistics are where a reader looks for a file's first offset"


def test_it_waits_for_a_description() -> None:
    operator = ArchiveOperator("readings")
    running = operator.start(None)
    assert running.feed(batch([RecordingStart("pump", "r", BOOT, T0, "start"), acc(0)])) == 1
    assert running.missing_schema == schema_id(ACC)
    operator.learn(schema_id(ACC), ACC)
    assert running.feed(batch([acc(0)], first=2)) == 1
    assert running.take().counts["samples"] == 3


def test_any_topic_is_archived() -> None:
    mark = MarkAdd("pump", "m", T0, T0 + 5, "run", "ann", "operator")
    rows, files, _ = archived(mark)
    assert (rows[0].kind, rows[0].device) == ("mark_add", "pump")
    assert record_values(rows, files.__getitem__) == [encode(mark)]


def test_states_of_others_are_refused() -> None:
    with pytest.raises(CorruptError, match="archive state"):
        begun(saved=[b"rubbish"])
    state = msgspec.msgpack.decode(b"".join(begun().snapshot()))
    with pytest.raises(StateVersionError, match="code version 99"):
        begun(saved=[msgspec.msgpack.encode([99, state[1]])])


def test_nothing_gives_no_file() -> None:
    assert begun().take().drafts == ()


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20))
def test_row_groups_follow_devices(devices: list[str]) -> None:
    """Where each chunk's samples lie does not depend on how many devices share a file."""
    chunks = [acc(seq, device=device) for seq, device in enumerate(devices)]
    rows, files, output = archived(*chunks)
    assert record_values(rows, files.__getitem__) == [encode(chunk) for chunk in chunks]
    assert isinstance(output.drafts[0], Draft)


def test_a_large_device_has_a_row_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.archive.writing.GROUP_ROWS", 6)
    _, files, _ = archived(*(acc(0, device=device) for device in "abcd"), acc(0, device="e", count=9), acc(0, "f"))
    (name,) = (name for name in files if name.startswith("samples/"))
    found = pq.ParquetFile(io.BytesIO(files[name]))
    groups = [found.read_row_group(number).column("device").to_pylist() for number in range(found.num_row_groups)]
    assert [sorted(set(group)) for group in groups] == [["a", "b"], ["c", "d"], ["e"], ["f"]]
