"""Files go into the log as recordings: real ones come back value for value and nanosecond for nanosecond."""

from __future__ import annotations

import csv
import gzip
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ingest.chunker import Limits
from ingest.errors import UsageError
from ingest.importers.readings import prepare
from ingest.importers.tables import Source, read_source
from ingest.records import Channel, Chunk, RecordingEnd, RecordingStart, StreamDescription, schema_id
from tests.ingest.importers.reading_back import START, at_rate, bring_in, options, samples
from tests.support.data import data_dir
from tests.support.logs import read_log

HAPT = data_dir() / "hapt" / "raw"
MACHINE = data_dir() / "nab" / "data" / "realKnownCause" / "machine_temperature_system_failure.csv.gz"


def test_hapt_comes_back_exactly(tmp_path: Path) -> None:
    path = HAPT / "acc_exp01_user01.txt.gz"
    (summary,) = bring_in(tmp_path, (path, at_rate("x,y,z")))
    with gzip.open(path) as file:
        expected = np.loadtxt(file)
    records = read_log(f"segments:{tmp_path}")
    times, values = samples(tmp_path, records)
    assert np.array_equal(values, expected)
    assert np.array_equal(times, START + 20_000_000 * np.arange(len(expected)))
    start, chunks, end = records[0], records[1:-1], records[-1]
    assert isinstance(start, RecordingStart)
    assert isinstance(end, RecordingEnd)
    assert start.recording == end.recording == f"import-{summary.boot[:12]}"
    assert (start.start_ns, start.reason) == (START, "import")
    assert (end.end_ns, end.reason) == (START + 20_000_000 * len(expected), "end_of_file")
    assert [c.seq for c in chunks if isinstance(c, Chunk)] == list(range(summary.chunks))
    assert {c.clock.source for c in chunks if isinstance(c, Chunk) and c.clock} == {"import"}
    assert (summary.samples, summary.chunks, summary.dtype, summary.missing_cells) == (20_598, 412, "float64", 0)
    (description,) = read_log(f"segments:{tmp_path}", "streams")
    channels = (Channel("x", "g"), Channel("y", "g"), Channel("z", "g"))
    assert description == StreamDescription("acc", channels, "float64", 50, 1)
    assert {c.schema for c in chunks if isinstance(c, Chunk)} == {schema_id(description)}


def test_cwru_at_twelve_kilohertz_is_exact_over_the_whole_file(tmp_path: Path) -> None:
    path = data_dir() / "cwru_bearing" / "1797_B_28_DE12.npz"
    bring_in(tmp_path, (path, at_rate("de", 12_000, array="DE")))
    times, values = samples(tmp_path, read_log(f"segments:{tmp_path}"))
    assert np.array_equal(values, np.load(path)["DE"])
    assert times.tolist() == [START + i * 10**9 // 12_000 for i in range(120_801)]


def test_empaticas_times_are_those_that_pandas_noted(tmp_path: Path) -> None:
    folder = data_dir() / "empatica_e4"
    acc = options("ACC_x,ACC_y,ACC_z", time_column="timestamp", scales=(1 / 64,), recording="r", open=True)
    tmp = options("TMP", "degC", stream="tmp", time_column="timestamp", recording="r")
    first, second = bring_in(tmp_path, (folder / "acc.parquet", acc), (folder / "tmp.parquet", tmp))
    records = read_log(f"segments:{tmp_path}")
    times, values = samples(tmp_path, records)
    frame = pl.read_parquet(folder / "acc.parquet")
    assert first.dtype == "int16"
    assert np.array_equal(values, frame.select("ACC_x", "ACC_y", "ACC_z").to_numpy())
    assert np.array_equal(times, frame["timestamp"].cast(pl.Int64).to_numpy() * 1000)
    local = np.datetime64(int(times[0]), "ns").astype("datetime64[s]").item().replace(tzinfo=ZoneInfo("UTC"))
    assert local.astimezone(ZoneInfo("Europe/Brussels")).isoformat() == "2017-06-13T14:22:13+02:00"
    assert {(c.period_num, c.period_den) for c in records if isinstance(c, Chunk)} == {
        (31_250_000, 1),
        (250_000_000, 1),
    }
    ends = [r for r in records if isinstance(r, RecordingEnd)]
    assert [e.end_ns for e in ends] == [max(first.end_ns, second.end_ns)]


def test_driver_behavior_counts_from_a_given_start(tmp_path: Path) -> None:
    path = data_dir() / "driver_behavior" / "trip17" / "acelerometro_terra.csv.gz"
    given = options("x,y,z", "m/s2", time_column="uptimeNanos", time_unit="ns", start_ns=START)
    (summary,) = bring_in(tmp_path, (path, given))
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    uptime = [int(row["uptimeNanos"]) for row in rows]
    times, values = samples(tmp_path, read_log(f"segments:{tmp_path}"))
    assert times.tolist() == [START + t - uptime[0] for t in uptime]
    assert np.array_equal(values, [[float(row[c]) for c in "xyz"] for row in rows])
    assert (summary.samples, summary.repeated_stamps, summary.jittered_stamps) == (20_675, 0, 0)
    chunks = [c for c in read_log(f"segments:{tmp_path}") if isinstance(c, Chunk)]
    assert all(len(c.deltas) == 4 * c.count for c in chunks), "a second of nanoseconds fits int32"


def test_the_hour_that_nabs_clock_steps_back_begins_a_new_recording(tmp_path: Path) -> None:
    given = options(
        "value", "degF", time_column="timestamp", timezone="UTC", recording="m", limits=Limits(3600 * 10**9)
    )
    (summary,) = bring_in(tmp_path, (MACHINE, given))
    assert summary.recordings == ["m", "m-2"]
    assert summary.clock_steps == [{"at": "line 10151", "back_ns": 55 * 60 * 10**9, "recording": "m-2"}]
    assert (summary.samples, summary.repeated_stamps, summary.jittered_stamps) == (22_695, 0, 0)
    records = read_log(f"segments:{tmp_path}")
    starts = [(r.recording, r.reason) for r in records if isinstance(r, RecordingStart)]
    ends = [(r.recording, r.reason) for r in records if isinstance(r, RecordingEnd)]
    assert starts == [("m", "import"), ("m-2", "clock_step")]
    assert ends == [("m", "clock_step"), ("m-2", "end_of_file")]
    order = [f"{type(r).__name__} {r.recording}" for r in records if not isinstance(r, Chunk | StreamDescription)]  # type: ignore[union-attr]
    assert order == ["RecordingStart m", "RecordingEnd m", "RecordingStart m-2", "RecordingEnd m-2"]
    times, values = samples(tmp_path, records)
    with gzip.open(MACHINE, "rt") as file:
        rows = list(csv.DictReader(file))
    assert values[:, 0].tolist() == [float(row["value"]) for row in rows]
    assert times.tolist() == [int(np.datetime64(row["timestamp"], "ns").astype(np.int64)) for row in rows]
    assert [c.seq for c in records if isinstance(c, Chunk)] == list(range(summary.chunks)), "one boot, one sequence"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="line 2: time 2013-12-02T21:15:00.000000000 names no zone; say --timezone"):
        prepare(read_source(MACHINE), options("value", time_column="timestamp"))


DOOR = {"x": ((0, "raised"), (1, "down"))}


def text(content: str) -> Source:
    return Source("f.csv", content.encode())


def test_the_same_file_has_the_boot_that_earlier_versions_gave_it() -> None:
    assert prepare(text("1 2\n3 4\n"), at_rate("x,y")).boot.hex() == "23de0459fc4eacd11c073784a4c542c4"


def test_the_boot_names_content_and_options(tmp_path: Path) -> None:
    source = text("1 2\n3 4\n")
    boot = prepare(source, at_rate("x,y")).boot
    assert prepare(Source("elsewhere.txt", source.data), at_rate("x,y")).boot == boot
    assert (
        prepare(source, at_rate("x,y", recording="r")).boot
        == prepare(source, at_rate("x,y", recording="r", open=True)).boot
    )
    others: list[Any] = [
        prepare(text("1 2\n3 5\n"), at_rate("x,y")),
        prepare(source, at_rate("y,x")),
        prepare(source, at_rate("x,y", 51)),
        *(
            prepare(source, at_rate("x,y", **change))
            for change in (
                {"device": "d-2"},
                {"stream": "gyro"},
                {"units": ("m/s2",)},
                {"scales": (2.0,)},
                {"recording": "r"},
                {"dtype": "float64"},
                {"start_ns": 0},
                {"limits": Limits(1)},
                {"limits": Limits(bytes=1)},
                {"channel_names": ("a", "b")},
            )
        ),
    ]
    assert len({boot, *(other.boot for other in others)}) == len(others) + 1


def test_importing_twice_adds_only_records_of_the_same_identity(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("1 2\n3 4\n" * 100)
    bring_in(tmp_path / "log", (path, at_rate("x,y", recording="r")))
    once = read_log(f"segments:{tmp_path / 'log'}")
    bring_in(tmp_path / "log", (path, at_rate("x,y", recording="r")))
    assert read_log(f"segments:{tmp_path / 'log'}") == once + once


def test_files_join_an_open_recording_and_the_last_ends_it_at_the_newest_sample(tmp_path: Path) -> None:
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_text("1\n" * 500)
    short.write_text("1\n" * 100)
    log = tmp_path / "log"
    joined = at_rate("x", recording="r", open=True)
    last = at_rate("x", stream="gyro", recording="r")
    first, second = bring_in(log, (long, joined), (short, last))
    records = read_log(f"segments:{log}")
    assert [type(r).__name__ for r in records if not isinstance(r, Chunk)] == ["RecordingStart"] * 2 + ["RecordingEnd"]
    (end,) = (r for r in records if isinstance(r, RecordingEnd))
    assert (end.end_ns, end.boot.hex()) == (first.end_ns, second.boot)
    assert first.left_open
    bring_in(log, (short, last))  # the same once more is fine
    with pytest.raises(UsageError, match='recording "r" of d-1 has ended; choose another --recording'):
        bring_in(log, (short, at_rate("x", stream="third", recording="r")))
    assert len(read_log(f"segments:{log}", "streams")) == 3, "a refused import writes nothing"


def test_the_last_import_also_ends_what_clock_steps_of_earlier_ones_split_off(tmp_path: Path) -> None:
    stepping, steady = tmp_path / "stepping.csv", tmp_path / "steady.csv"
    stepping.write_text("t,v\n" + "".join(f"{t},1\n" for t in [10, 11, 12, 13, 5, 6, 7]))
    steady.write_text("t,v\n" + "".join(f"{t},1\n" for t in range(10, 20)))
    given: dict[str, Any] = {"time_column": "t", "time_unit": "s", "recording": "r"}
    other = options("v", stream="x", **(given | {"recording": "r-7", "open": True}))
    bring_in(
        tmp_path / "log",
        (steady, other),
        (stepping, options("v", open=True, **given)),
        (steady, options("v", stream="gyro", **given)),
    )
    ends = [
        (r.recording, r.end_ns // 10**9)
        for r in read_log(f"segments:{tmp_path / 'log'}")
        if isinstance(r, RecordingEnd)
    ]
    assert ends == [("r", 20), ("r-2", 8)], "but not r-7, which somebody named so and left open"


def test_repeated_and_jittering_stamps_are_counted(tmp_path: Path) -> None:
    times = [20 * i for i in range(100)]
    times[50] = times[49]
    times[70] = times[69] - 1
    content = "t,v\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times))
    summary = prepare(text(content), options("v", time_column="t", time_unit="ms")).summary
    assert (summary.samples, summary.repeated_stamps, summary.jittered_stamps, summary.clock_steps) == (98, 1, 1, [])


def test_missing_cells_stay_missing() -> None:
    prepared = prepare(text("a,b\n1,\n2,3\n"), at_rate("a,b"))
    assert (prepared.summary.missing_cells, prepared.summary.dtype) == (1, "float32")
    assert np.isnan(prepared.runs[0].values[0, 1])


def test_an_infinite_cell_is_missing_and_counted() -> None:
    """1e400 is a number that no float64 holds: it would become infinite in silence, and its neighbours with it."""
    prepared = prepare(text("a,b\n1,1e400\n-inf,3\nNaN,4\n"), at_rate("a,b"))
    assert (prepared.summary.infinite_cells, prepared.summary.missing_cells) == (2, 3)
    assert np.isnan(prepared.runs[0].values).tolist() == [[False, True], [True, False], [True, False]]


def test_cells_beyond_a_float32_are_kept_and_told() -> None:
    summary = prepare(text("a,b\n1,1e300\n2,-1e39\n3,\n"), at_rate("a,b")).summary
    assert (summary.dtype, summary.beyond_float32, summary.missing_cells) == ("float64", 2, 1)
    assert summary.notes == ["2 cells are beyond a float32: missing in training windows"]
    scaled = prepare(text("a,b\n1,1\n2,3e38\n"), at_rate("a,b", scales=(1.0, 10.0))).summary
    assert scaled.beyond_float32 == 1


def test_the_time_column_of_a_file_without_header_is_no_channel() -> None:
    prepared = prepare(text("10,1\n11,2\n"), options("t,v", time_column="t", time_unit="s"))
    assert prepared.summary.channels == ["v"]
    assert prepared.runs[0].times.tolist() == [10 * 10**9, 11 * 10**9]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (options("a"), "say either --rate with --start, or --time-column"),
        (at_rate("a", time_column="t"), "say either --rate with --start, or --time-column"),
        (options("a", rate=Fraction(50)), "--rate needs --start"),
        (at_rate("a", timezone="UTC"), "go with --time-column, not with --rate"),
        (at_rate("a", open=True), "--open needs --recording"),
        (at_rate("a,a"), "--columns names a, a; name at least one, each once"),
        (options("t", time_column="t"), "name at least one"),
        (at_rate("a,b", units=("g", "g", "g")), "--unit: found 3, expected 1 or 2"),
        (at_rate("a,b", scales=(1.0, 1.0, 1.0)), "--scale: found 3, expected 1 or 2"),
        (at_rate("a,b", channel_names=("x",)), "--channel-names: found 1, expected 2"),
        (at_rate("a", device=" "), '--device: " " is no name'),
        (at_rate("a", stream="acc.x"), '--stream: "acc.x" has a dot'),
        (at_rate("x", states=DOOR, scales=(2.0,)), "--scale: x has named states"),
        (at_rate("a", units=("",)), '--unit: "" is no name'),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(text("a,b,t\n1,2,3\n"), given)


def test_a_rate_so_low_that_times_overflow_is_refused() -> None:
    with pytest.raises(UsageError, match="2 samples at 1/10000000000 Hz take over a century"):
        prepare(text("1\n2\n"), options("x", rate=Fraction(1, 10**10), start_ns=0))


def test_a_rate_of_many_digits_is_exact_over_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    np.save(path, np.zeros((500_000, 1), np.float32))
    (summary,) = bring_in(tmp_path / "log", (path, at_rate("v", rate=Fraction(999_873, 10_000))))  # type: ignore[arg-type]
    assert summary.end_ns - START == 500_000 * 10**13 // 999_873
    times, _ = samples(tmp_path / "log", read_log(f"segments:{tmp_path / 'log'}"))
    assert times[-1] == START + 499_999 * 10**13 // 999_873


def test_a_rate_that_is_no_simple_fraction_is_refused() -> None:
    with pytest.raises(UsageError, match="is no simple fraction; write one, as in 1/3Hz"):
        prepare(text("1\n2\n"), options("x", rate=Fraction(1, 3) + Fraction(1, 10**20), start_ns=0))


def test_files_of_one_clock_keep_their_offsets_with_an_origin() -> None:
    given: dict[str, Any] = {"time_column": "t", "time_unit": "s", "recording": "r"}
    acc, gyro = text("t,x\n100.0,1\n100.1,2\n"), text("t,x\n95.0,1\n100.0,2\n")
    origin = ("95.0", START)
    first, second = (prepare(file, options("x", origin=origin, **given)) for file in (acc, gyro))
    assert (first.summary.start_ns, second.summary.start_ns) == (START + 5 * 10**9, START)
    assert first.summary.notes == []
    started = prepare(acc, options("x", start_ns=START, **given))
    assert started.summary.start_ns == START
    assert "files of one clock keep their offsets with --origin VALUE=TIME" in started.summary.notes[0]
    with pytest.raises(UsageError, match="out of range"):
        prepare(acc, options("x", origin=("-2e9", START + 25 * 10**17), **given))


def test_the_boot_of_older_imports_stays_what_it_was() -> None:
    assert prepare(text("1 2\n3 4\n"), at_rate("x,y")).boot.hex() == "23de0459fc4eacd11c073784a4c542c4"
    given = options("x", time_column="t", time_unit="s")
    boots = {
        prepare(text("t,x\n1767225600,1\n1767225601,2\n"), replace(given, **change)).boot
        for change in ({}, {"repeated": "first"}, {"origin": ("0", START)}, {"open": False})
    }
    assert len(boots) == 3


def test_what_became_of_every_line_is_in_the_summary() -> None:
    content = '# a\nt,x,n\n1767225600,1,"a\nb"\n\n1767225600,2,\n1767225601,3,\n1767225600.5,4,\n1767225601.5,5,\n'
    summary = prepare(text(content), options("x", time_column="t", time_unit="s", repeated="first")).summary
    assert (summary.lines, summary.header_lines, summary.comment_lines, summary.blank_lines) == (9, 1, 1, 1)
    assert (summary.continued_lines, summary.samples, summary.repeated_stamps, summary.jittered_stamps) == (1, 3, 1, 1)
    assert summary.as_dict()["lines"] == 9
    assert len(summary.notes) == 4, summary.notes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (at_rate("x", origin=("0", 0)), "--origin and --repeated go with --time-column"),
        (at_rate("x", repeated="first"), "--origin and --repeated go with --time-column"),
        (options("x", time_column="t", start_ns=0, origin=("0", 0)), "say either --start, .*, or --origin"),
        (
            options("x", time_column="t", repeated="frist"),
            '--repeated: unknown "frist"; known: .* Did you mean "first"',
        ),
    ],
)
def test_options_about_times_that_contradict_each_other_are_refused(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(text("t,x\n1,2\n"), given)


def test_an_import_is_known_by_its_content_however_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "acc.csv"
    path.write_text("x\n" + "".join(f"{i}\n" for i in range(100)))
    base = at_rate("x", 10)
    one, other, third = (
        prepare(read_source(path), replace(base, limits=Limits(span, size)))
        for span, size in ((10**9, 32_000), (5 * 10**9, 32_000), (10**9, 20))
    )
    assert one.summary.recordings == other.summary.recordings == third.summary.recordings
    assert len({one.boot, other.boot, third.boot}) == 3
    assert {prepared.boot[:12] for prepared in (one, other, third)} == {one.boot[:12]}
    assert one.summary.recordings == [f"import-{one.boot.hex()[:12]}"]
    changed = prepare(read_source(path), replace(base, scales=(2.0,)))
    assert changed.boot[:12] != one.boot[:12]


def test_named_states_are_described_and_make_another_import(tmp_path: Path) -> None:
    path = tmp_path / "door.csv"
    path.write_text("x,y\n0,1\n1,\n,2.5\n")
    plain, named = (prepare(read_source(path), at_rate("x,y", 10, states=states)) for states in ({}, DOOR))
    assert [channel.states for channel in named.description.channels] == [DOOR["x"], ()]
    assert named.boot[:12] != plain.boot[:12]
    # as before there were states, so that imports of before stay what they are
    assert plain.boot.hex() == "879e173f62718b6080332be40073dc24"


@pytest.mark.parametrize("value", ["2", "0.5", "-1"])
def test_a_value_that_names_no_state_is_refused_with_its_line(value: str) -> None:
    with pytest.raises(UsageError, match=rf"line 3: x is {value}, which --values does not name; name it"):
        prepare(text(f"x,y\n0,7\n{value},7\n"), at_rate("x,y", states=DOOR))
    renamed = at_rate("x", states={"gate": DOOR["x"]}, channel_names=("gate",))
    with pytest.raises(UsageError, match="gate is"):
        prepare(text(f"x\n{value}\n"), renamed)


@pytest.mark.parametrize("unit", ["gee", "celsius", "m/s/s", "two words"])
def test_a_unit_that_is_none_is_refused(unit: str) -> None:
    with pytest.raises(UsageError, match="--unit: unknown unit"):
        replace(at_rate("x"), units=(unit,)).check()
    replace(at_rate("x"), units=("{items}",)).check()


def test_devices_that_lie_in_one_file_in_blocks_are_told(tmp_path: Path) -> None:
    path = tmp_path / "fleet.csv"
    stamps = [f"2026-01-01T00:{minute:02}:00Z" for minute in range(20)]
    path.write_text("device,t,x\n" + "".join(f"p-{n},{stamp},{n}\n" for n in range(3) for stamp in stamps))
    given = options("x", device="p-0", time_column="t")
    prepared = prepare(read_source(path), given)
    assert len(prepared.summary.recordings) == 3
    assert any("2 times the rows begin again" in note and "several devices" in note for note in prepared.summary.notes)
    path.write_text("t,x\n" + "".join(f"{stamp},1\n" for stamp in [*stamps, *stamps[15:]]))
    assert not any("begin again" in note for note in prepare(read_source(path), given).summary.notes)
