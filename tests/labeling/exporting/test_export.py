"""What is exported is read again to equal values and times, by each format's own reader and by the import."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sensorloom
from ingest.chunker import Limits, Origin, stamped_chunks
from ingest.importers.described import prepare_file
from ingest.importers.options import ReadingsOptions
from ingest.importers.source import Source
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import (
    Channel,
    Chunk,
    Clock,
    Forget,
    MarkAdd,
    MarkRetract,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
    schema_id,
)
from ingest.times import sample_times
from ingest.wire import encode
from labeling.exporting.gathering import Recording, Samples
from labeling.exporting.writing import file_name, write_csv, write_mcap, write_parquet
from tests.support.logs import read_log
from tests.support.peers import peer_python, run_peer

MCAP_PEERS = ("foxglove-schemas-protobuf==0.4.0", "jsonschema==4.26.0", "mcap==1.6.0")
START = 1_767_225_600 * 10**9
ACC = StreamDescription("acc", (Channel("x", "g", 0.5), Channel("temp, in", "degC", 0.25, 10.0)), "int16")
ACC_ANEW = StreamDescription("acc", (Channel("x", "mg", 1.0), Channel("temp, in", "degC", 0.25, 10.0)), "int16")
GPS = StreamDescription("gps", (Channel("lat", "deg"), Channel("lon", "deg")), "float64")

# --- each writer, and the import --------------------------------------------------------------------------------------

VALUES = st.floats(allow_nan=True, allow_infinity=False, width=64)


@st.composite
def tables(draw: st.DrawFn) -> Samples:
    names = draw(
        st.lists(st.sampled_from(["x", "y z", 'a "b"', "c,d", "é.f", "t"]), min_size=1, max_size=3, unique=True)
    )
    steps = draw(st.lists(st.integers(1, 10**10), min_size=1, max_size=12))
    rows = [draw(st.lists(VALUES, min_size=len(names), max_size=len(names))) for _ in steps]
    units = draw(st.lists(st.sampled_from(["g", "1", "{beats/min}", "uV"]), min_size=len(names), max_size=len(names)))
    channels = [Channel(name, unit) for name, unit in zip(names, units, strict=True)]
    return Samples("acc", channels, START + np.cumsum(steps), np.array(rows))


def read_back(data: bytes, **options: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[tuple[str, str]]]:
    given: dict[str, Any] = {"device": "d", "stream": "acc", "columns": ("*",), **options}
    (part,) = prepare_file(Source("f", data), ReadingsOptions(**given))
    (run,) = part.runs
    assert run.period is None
    return run.times, run.values.astype(float), [(c.name, c.unit) for c in part.description.channels]


@pytest.mark.parametrize("form", ["csv", "parquet", "mcap"])
@given(samples=tables())
@settings(max_examples=25)
def test_every_bit_comes_back(form: str, samples: Samples) -> None:
    file = io.BytesIO()
    recording = Recording("d", "r", {"subject": "u07"})
    timed: dict[str, Any] = {"time_column": "time_ns", "time_unit": "ns"}
    if form == "csv":
        write_csv(file, samples)
        found = read_back(file.getvalue(), units_row=True, **timed)
    elif form == "parquet":
        write_parquet(file, recording, samples)
        found = read_back(file.getvalue(), **timed)
    else:
        write_mcap(file, recording, [samples], [])
        found = read_back(file.getvalue(), columns=())
    times, values, channels = found
    assert times.tolist() == samples.times.tolist()
    assert np.array_equal(values, samples.values, equal_nan=True)
    assert channels == [(channel.name, channel.unit) for channel in samples.channels]


def test_names_lead_nowhere_else() -> None:
    assert [file_name(it) for it in ("pump-7", "a/b", "..", ".", "x.y", "é")] == [
        "pump-7", "a%2Fb", "%2E%2E", "%2E", "x.y", "%C3%A9",
    ]  # fmt: skip


# --- the command ------------------------------------------------------------------------------------------------------


def chunks(
    description: StreamDescription, first_s: float, values: list[list[float]], seq: int = 0, **more: Any
) -> list[Chunk]:
    origin = Origin(more.get("device", "pump 7"), more.get("recording", "r1"), description.stream, b"b" * 16,
                    schema_id(description), more.get("clock"))  # fmt: skip
    times = START + int(first_s * 1e9) + np.arange(len(values)) * 10**7 + np.arange(len(values)) ** 2
    return list(
        stamped_chunks(origin, times, np.array(values, f"<{np.dtype(description.dtype).str[1:]}"), Limits(), seq)
    )


def write_log(url: str) -> None:
    acc = chunks(ACC, 0, [[k, -k] for k in range(40)])
    readings: list[Record] = [
        RecordingStart("pump 7", "r1", b"b" * 16, START, "start", attributes={"subject": "u07"}),
        *acc,
        *acc,  # again
        *chunks(GPS, 0.1, [[47.5, 8.0], [float("nan"), 8.1], [47.7, 8.2]]),
        *chunks(ACC_ANEW, 5, [[1500, 4]], len(acc)),
        *chunks(ACC, 9, [[7, 7]], len(acc) + 1, clock=Clock("unsynced")),
        RecordingEnd("pump 7", "r1", b"b" * 16, START + 10**10, "stop"),
        *chunks(ACC, 0, [[1, 1]], device="gone"),
        Forget("gone", "a", START, "why"),
        *chunks(GPS, 100, [[1.0, 2.0]], device="pump 7", recording="r/2", seq=90),
    ]
    marks: list[Record] = [
        MarkAdd("pump 7", "1", START, START + 10**8, "run, fast", "anna", "operator"),
        MarkAdd("pump 7", "2", START + 5, START + 5, "tap", "ben", "operator", 0.5),
        MarkAdd("pump 7", "3", START, START + 10**9, "no", "ben", "operator"),
        MarkRetract("pump 7", "3", "ben", "operator"),
        MarkAdd("pump 7", "4", START - 10**12, START - 10**11, "before", "ben", "operator"),
    ]

    async def write() -> None:
        log = open_log(url)
        try:
            for topic, entries in (
                (STREAMS, [Entry(schema_id(it), encode(it)) for it in (ACC, ACC_ANEW, GPS)]),
                (READINGS, [Entry(b"pump 7", encode(it)) for it in readings]),
                (MARKS, [Entry(b"pump 7", encode(it)) for it in marks]),
            ):
                await log.ensure(topic)
                await log.append(topic, entries)
        finally:
            await log.close()

    asyncio.run(write())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_log("segments:log")
    return "segments:log"


def export(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert sensorloom.main(["export", "recording", "--log", "segments:log", "--json", *words]) == code
    told = capsys.readouterr()
    return json.loads(told.out) if not code else told.err


def physical(url: str, device: str) -> dict[tuple[str, str], list[tuple[int, list[float | None]]]]:
    known = {schema_id(it): it for it in read_log(url, STREAMS) if isinstance(it, StreamDescription)}
    found: dict[tuple[str, str], list[tuple[int, list[float | None]]]] = {}
    for chunk in read_log(url):
        if isinstance(chunk, Chunk) and chunk.device == device:
            own = known[chunk.schema]
            raw = np.frombuffer(chunk.values, own.dtype).reshape(chunk.count, -1).astype(float)
            values = raw * [c.scale for c in own.channels] + [c.offset for c in own.channels]
            rows = [[None if v != v else v for v in row] for row in values.tolist()]
            found.setdefault((chunk.recording, chunk.stream), []).extend(
                zip(sample_times(chunk).tolist(), rows, strict=True)
            )
    return found


@pytest.mark.parametrize("form", ["csv", "parquet", "mcap"])
def test_a_log_comes_back_from_its_export(site: str, capsys: pytest.CaptureFixture[str], form: str) -> None:
    told = export(capsys, "--format", form, "--out", "out")
    assert told["left_out"] == {"duplicate": 40, "unsynced": 1}
    assert (told["recordings"], told["samples"], told["marks"]) == (2, 45, 2)
    words = ["import", *told["read_again"].replace("'", "").split()[2:]]
    words[words.index("segments:LOG")] = "segments:again"
    assert sensorloom.main(words) == 0, capsys.readouterr().err
    found = physical("segments:again", "pump 7")
    expected = [(START + k * 10**7 + k * k, [500.0 * k, 10 - 0.25 * k]) for k in range(40)]
    assert found["r1", "acc"] == [*expected, (START + 5 * 10**9, [1500.0, 11.0])]  # 0.5 g of each one, in mg
    gps = found["r1", "gps"]
    assert [row for _, row in gps] == [[47.5, 8.0], [None, 8.1], [47.7, 8.2]]
    assert "r%2F2" in {recording for recording, _ in found}
    if form != "mcap":
        assert sensorloom.main(["import", "marks", "out/marks.csv", "--log", "segments:again"]) == 0
    marks = [it for it in read_log("segments:again", MARKS) if isinstance(it, MarkAdd)]
    assert {(it.device, it.start_ns - START, it.end_ns - START, it.label) for it in marks} == {
        ("pump 7", 0, 10**8, "run, fast"), ("pump 7", 5, 5, "tap"),
    }  # fmt: skip
    assert "is there already" in export(capsys, "--format", form, "--out", "out", code=2)


def test_what_is_chosen_and_what_other_readers_see(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--recording", "r1", "--stream", "acc", "--from", f"{START + 10**8}ns", "--to", f"{START + 2 * 10**8}ns")
    told = export(capsys, "--format", "parquet", "--out", "p", *words)
    table = pl.read_parquet("p/pump 7/r1/acc.parquet")
    assert (told["samples"], table.columns, len(table)) == (10, ["time_ns", "x", "temp, in"], 10)
    export(capsys, "--format", "csv", "--out", "c", *words)
    text = pl.read_csv(
        "c/pump%207/r1/acc.csv" if Path("c/pump%207").exists() else "c/pump 7/r1/acc.csv", skip_rows_after_header=1
    )
    assert text.to_dicts() == table.to_dicts()
    assert 'has no samples of "pump"' in export(capsys, "--format", "csv", "--out", "n", "--device", "pump", code=2)
    assert "unknown" in export(capsys, "--format", "xls", "--out", "n", code=2)


def test_mcap_opens_with_its_own_reader_and_has_schemas_a_map_and_marks(
    site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from mcap.reader import make_reader

    export(capsys, "--format", "mcap", "--out", "out", "--recording", "r1")
    with Path("out/pump 7/r1.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        counts = {
            summary.channels[number].topic: count for number, count in summary.statistics.channel_message_counts.items()
        }
        assert counts == {"/acc": 41, "/gps": 3, "/gps/fix": 2, "/marks": 2}
        assert {it.name: it.encoding for it in summary.schemas.values()} == {
            "sensorloom.acc": "jsonschema", "sensorloom.gps": "jsonschema", "foxglove.LocationFix": "jsonschema",
            "sensorloom.Mark": "jsonschema",
        }  # fmt: skip
        times = [
            (message.log_time, channel.topic) for _, channel, message in reader.iter_messages(log_time_order=False)
        ]
        assert [t for t, topic in times if topic != "/marks"] == sorted(t for t, topic in times if topic != "/marks")
        (fix, *_) = [json.loads(message.data) for _, _, message in reader.iter_messages("/gps/fix")]
        assert (fix["latitude"], fix["longitude"], fix["timestamp"]) == (
            47.5,
            8.0,
            {"sec": START // 10**9, "nsec": 10**8},
        )
        assert [(it.name, it.metadata) for it in reader.iter_metadata()] == [
            ("sensorloom", {"device": "pump 7", "recording": "r1", "attribute:subject": "u07"})
        ]


@pytest.mark.soak
@pytest.mark.timeout(1800)  # the libraries are installed the first time
def test_mcap_is_what_its_schemas_and_foxgloves_say(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "--format", "mcap", "--out", "out", "--recording", "r1")
    python = peer_python(*MCAP_PEERS)
    found = run_peer(python, Path(__file__).with_name("mcap_peer.py"), "out/pump 7/r1.mcap")
    assert found == {
        "/acc": 41, "/gps": 3, "/gps/fix": 2, "/marks": 2, "invalid": 0, "unknown fields": 0, "bad stamps": 0,
        "read in a row": 48,
    }  # fmt: skip
