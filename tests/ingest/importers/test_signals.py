"""Files that describe themselves: equal to what each format's own reader says; cut off or damaged they never hang,
never raise what nobody expects, and what is lost is counted."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import struct
import sys
import wave
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from ingest.errors import UsageError
from ingest.importers.described import prepare_file
from ingest.importers.options import ReadingsOptions
from ingest.importers.prepared import Prepared
from ingest.importers.signals.contents import Asked, Contents, file_label, file_unit
from ingest.importers.signals.reading import is_described, read_contents
from ingest.importers.source import Source
from tests.ingest.importers import making

START = 1_767_225_600 * 10**9
"""2026-01-01."""


def read(data: bytes, **asked: Any) -> Contents:
    return read_contents(Source("f", data), Asked(**asked))


def prepared(data: bytes, **options: Any) -> tuple[Prepared, ...]:
    return prepare_file(Source("f", data), ReadingsOptions(**{"device": "d", "stream": "", "columns": (), **options}))


def physical(part: Prepared) -> np.ndarray[Any, Any]:
    channels = part.description.channels
    scale, offset = ([getattr(c, name) for c in channels] for name in ("scale", "offset"))
    values: np.ndarray[Any, Any] = np.concatenate([run.values for run in part.runs]).astype(float) * scale + offset
    return values


def times(part: Prepared) -> list[int]:
    return [run.time_of(index) for run in part.runs for index in range(len(run.values))]


# --- WAV --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("extensible", [False, True])
def test_wav_of_whole_numbers_is_what_the_standard_library_reads(bits: int, extensible: bool) -> None:
    most = 1 << bits - 1
    values = np.random.default_rng(bits).integers(-most, most, (50, 3))
    values[0] = [-most, most - 1, 0]
    data = making.wav(values, 44_100, bits, extensible=extensible)
    (part,) = prepared(data, start_ns=START)
    if not extensible:  # which the library knows from Python 3.12 on
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (3, 44_100, 50)
    assert (part.runs[0].values == values).all()
    assert (physical(part) == values / most).all()
    assert part.runs[0].period == (Fraction(10**9, 44_100).numerator, Fraction(10**9, 44_100).denominator)
    assert times(part)[-1] == START + 49 * 10**9 // 44_100
    assert {channel.unit for channel in part.description.channels} == {"1"}


@pytest.mark.parametrize("bits", [32, 64])
def test_wav_of_floats_is_exact_and_calibrated(bits: int) -> None:
    values = np.random.default_rng(1).normal(size=(20, 1)).astype(f"f{bits // 8}")
    (part,) = prepared(making.wav(values, 8000, bits, is_float=True), start_ns=START, scales=(2.0,), units=("Pa",))
    assert (physical(part) == 2.0 * values.astype(float)).all()
    assert (part.description.channels[0].unit, part.description.dtype) == ("Pa", f"float{bits}")


def test_wav_that_is_packed_says_what_to_do() -> None:
    data = bytearray(making.wav(np.zeros((4, 1), int), 8000, 16))
    data[data.index(b"fmt ") + 8] = 6
    with pytest.raises(UsageError, match="packed as A-law; save the file as PCM"):
        read(bytes(data))


# --- EDF --------------------------------------------------------------------------------------------------------------


def edf_of_library(tmp_path: Path, *, bdf: bool) -> Path:
    import pyedflib

    path = tmp_path / ("f.bdf" if bdf else "f.edf")
    kind = pyedflib.FILETYPE_BDFPLUS if bdf else pyedflib.FILETYPE_EDFPLUS
    writer = pyedflib.EdfWriter(str(path), 3, kind)
    headers: list[dict[str, str | int | float | None]] = [
        {"label": name, "dimension": unit, "sample_frequency": rate, "physical_min": low, "physical_max": high,
         "digital_min": -8388608 if bdf else -32768, "digital_max": 8388607 if bdf else 32767, "prefilter": "",
         "transducer": ""}
        for name, unit, rate, low, high in (("Fp1", "uV", 200, -500, 500), ("Fp2", "uV", 200, -400.5, 400),
                                            ("Temp", "degC", 10, 0, 60))
    ]  # fmt: skip
    writer.setSignalHeaders(headers)
    from datetime import datetime

    writer.setStartdatetime(datetime(2026, 7, 2, 13, 4, 5))
    rng = np.random.default_rng(2)
    writer.writeSamples([rng.uniform(-300, 300, 1000), rng.uniform(-300, 300, 1000), rng.uniform(10, 40, 50)])
    writer.writeAnnotation(0.25, 1.5, "spindle é")
    writer.writeAnnotation(3, -1, "lights off")
    writer.close()
    return path


@pytest.mark.parametrize("bdf", [False, True])
def test_edf_is_what_its_own_library_reads(tmp_path: Path, bdf: bool) -> None:
    import pyedflib

    path = edf_of_library(tmp_path, bdf=bdf)
    parts = prepared(path.read_bytes(), timezone="Europe/Berlin", stream="psg")
    start = START + 182 * 86400 * 10**9 + (11 * 3600 + 4 * 60 + 5) * 10**9  # 13:04:05 in summer
    assert [part.options.stream for part in parts] == ["psg-200Hz", "psg-10Hz"]
    with pyedflib.EdfReader(str(path)) as oracle:
        for part, numbers in zip(parts, ([0, 1], [2]), strict=True):
            expected = np.column_stack([oracle.readSignal(number) for number in numbers])
            assert np.allclose(physical(part), expected, rtol=1e-12, atol=1e-9)
            assert (part.runs[0].values == np.column_stack([oracle.readSignal(n, digital=True) for n in numbers])).all()
            assert [c.unit for c in part.description.channels] == [oracle.getPhysicalDimension(n) for n in numbers]
            assert times(part)[:2] == [start, start + (10**9 // 200 if len(numbers) == 2 else 10**8)]
        onsets, lengths, texts = oracle.readAnnotations()
    marks = [(m.start_ns - start, m.end_ns - m.start_ns, m.label) for m in parts[0].marks()]
    expected_marks = [
        (round(onset * 10**9), round(max(length, 0) * 10**9), text)
        for onset, length, text in zip(onsets, lengths, texts, strict=True)
    ]
    assert sorted(marks) == sorted(expected_marks)
    assert len(marks) == 2
    assert not parts[1].marks()


def edf_plus_d() -> bytes:
    channels = [
        {"label": "x", "unit": "mV", "low": -32768, "high": 32767, "samples": 4},
        {"label": "EDF Annotations", "low": -1, "high": 1, "samples": 30},
    ]
    data = making.edf_header(channels, 3, "0.5", "EDF+D")
    for number, onset in enumerate(("+0", "+0.5", "+7.25")):
        data += np.arange(4 * number, 4 * number + 4, dtype="<i2").tobytes()
        data += making.tal(f"{onset}||", f"{onset}|0.125|spike {number}", size=60)
    return data


def test_edf_whose_records_do_not_follow_one_another_has_gaps_in_one_recording() -> None:
    (part,) = prepared(edf_plus_d(), timezone="UTC", recording="r")
    start = times(part)[0]
    expected = [0, 125, 250, 375, 500, 625, 750, 875, 7250, 7375, 7500, 7625]
    assert [(t - start) // 10**6 for t in times(part)] == expected
    assert physical(part)[:, 0].tolist() == list(range(12))
    assert [run.recording for run in part.runs] == ["r"]
    assert [(m.start_ns - start) // 10**6 for m in part.marks()] == [0, 500, 7250]
    from ingest.importers.joining import Holdings
    from ingest.records import Chunk
    from ingest.times import sample_times

    chunks = [it for it in part.records(Holdings().joined("d", "r")) if isinstance(it, Chunk)]
    assert np.concatenate([sample_times(chunk) for chunk in chunks]).tolist() == times(part)
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))


def test_edf_asks_for_the_zone_and_of_anonymous_files_for_the_start() -> None:
    with pytest.raises(UsageError, match=r"begins at 2026-01-02T13:04:05.* say --timezone ZONE"):
        prepared(edf_plus_d())
    anonymous = making.edf_header([{"label": "x", "samples": 1, "low": 0, "high": 1}], 1, "1", start="01.01.8500.00.00")
    with pytest.raises(UsageError, match="does not say when it begins; say --start TIME"):
        prepared(anonymous + b"\0\0")
    (part,) = prepared(anonymous + b"\0\0", start_ns=START)
    assert times(part) == [START]


# --- XDF --------------------------------------------------------------------------------------------------------------


def test_xdf_is_what_pyxdf_reads_with_its_clocks_put_right() -> None:
    import pyxdf

    data = making.xdf()
    eeg, acc = prepared(data)
    streams = {it["info"]["name"][0]: it for it in pyxdf.load_xdf(io.BytesIO(data))[0]}
    for part, name in ((eeg, "EEG"), (acc, "Acc")):
        assert part.options.stream == name
        assert (physical(part) == streams[name]["time_series"]).all()
        seconds = streams[name]["time_stamps"] - streams["EEG"]["time_stamps"][0]
        assert np.abs(np.array(times(part)) - START - seconds * 1e9).max() <= 1000
        assert part.clock == "import"
    assert [c.unit for c in eeg.description.channels] == ["uV", "uV"]
    assert acc.description.dtype == "int16"
    assert [(round((m.start_ns - START) / 1e6), m.label) for m in eeg.marks()] == [
        (500, "tap 0"), (1500, "tap 1"), (2500, "tap 2"),
    ]  # fmt: skip
    assert abs(times(acc)[0] - START) <= 1000  # its clock stood five seconds behind


def test_xdf_without_clock_offsets_is_unsynced_unless_somebody_vouches() -> None:
    parts = prepared(making.xdf(synced=False, date=None), start_ns=START)
    assert {part.clock for part in parts} == {"unsynced"}
    assert "say --one-clock" in " ".join(parts[0].summary.notes)
    parts = prepared(making.xdf(synced=False, date=None), start_ns=START, one_clock=True)
    assert {part.clock for part in parts} == {"import"}
    with pytest.raises(UsageError, match="does not say when it begins"):
        prepared(making.xdf(date=None))


def test_xdf_damaged_in_the_middle_goes_on_at_the_next_boundary() -> None:
    data = bytearray(making.xdf())
    second = data.index(making.BOUNDARY) + 20
    data[second : second + 3] = b"\xff\xff\xff"
    contents = read(bytes(data))
    assert {signal.name: len(signal.values) for signal in contents.signals} == {"EEG": 200, "Acc": 100}
    assert contents.lost["bytes"] > 1000
    assert [mark.label for mark in contents.marks] == ["tap 0", "tap 2"]


# --- MCAP -------------------------------------------------------------------------------------------------------------


def imu(number: int) -> dict[str, Any]:
    stamp = {"sec": 1767225600, "nanosec": number}
    own = {"a": {"x": number / 3, "y": -number}, "list": [1, number], "ok": True, "name": "n"}
    return {"header": {"stamp": stamp, "frame_id": "b"}, **own}


def test_mcap_json_has_a_channel_of_each_number() -> None:
    messages = [("/imu", START + k * 10**7, imu(k)) for k in range(30)] + [("/t.x", START + 5, {"v": 3})]
    data = making.mcap_json(messages, units={"a.x": "m/s^2", "a.y": "g"})
    imus, t = prepared(data, units=("1",))
    assert [c.name for c in imus.description.channels] == ["a.x", "a.y", "list[0]", "list[1]", "ok"]
    assert [c.unit for c in imus.description.channels] == ["m/s2", "g", "1", "1", "1"]
    assert times(imus) == [START + k * 10**7 for k in range(30)]
    assert physical(imus)[:, 0].tolist() == [k / 3 for k in range(30)]
    assert t.options.stream == "t_x"
    assert "header.frame_id, name" in " ".join(imus.summary.notes)
    (stamped,) = prepared(data, units=("1",), array="imu", time_column="header.stamp")
    assert times(stamped) == [START + k for k in range(30)]
    (published,) = prepared(data, units=("1",), array="imu", time_column="publish_time", columns=("a.*",))
    assert times(published)[0] == START - 5
    assert [c.name for c in published.description.channels] == ["a.x", "a.y"]


def test_mcap_of_ros_2_and_protobuf() -> None:
    from google.protobuf import descriptor_pb2 as pb
    from google.protobuf import descriptor_pool, message_factory
    from mcap.writer import Writer
    from mcap_ros2.writer import Writer as Ros2Writer

    file = io.BytesIO()
    ros = Ros2Writer(file)
    point = ros.register_msgdef("geometry_msgs/msg/Vector3", "float64 x\nfloat64 y\nfloat64 z")
    for k in range(3):
        ros.write_message("/v", point, {"x": k + 0.5, "y": -1.0, "z": 0.0}, START + k, START + k)
    ros.finish()  # type: ignore[no-untyped-call]
    (part,) = prepared(file.getvalue(), units=("m",))
    assert physical(part).tolist() == [[k + 0.5, -1.0, 0.0] for k in range(3)]

    field = pb.FieldDescriptorProto(name="v", number=1, type=pb.FieldDescriptorProto.TYPE_DOUBLE, label=1)
    described = pb.FileDescriptorProto(name="m.proto", package="p", syntax="proto3")
    described.message_type.add(name="M").field.append(field)
    made = message_factory.GetMessageClass(_pool(descriptor_pool, described).FindMessageTypeByName("p.M"))
    file = io.BytesIO()
    writer = Writer(file)
    writer.start()
    schema = writer.register_schema("p.M", "protobuf", pb.FileDescriptorSet(file=[described]).SerializeToString())
    channel = writer.register_channel("/p", "protobuf", schema)
    other = writer.register_channel("/old", "ros1", writer.register_schema("a/B", "ros1msg", b"float64 x"))
    for k in range(3):
        writer.add_message(channel, START + k, made(v=k / 7).SerializeToString(), START)
        writer.add_message(other, START + k, b"12345678", START)
    writer.finish()  # type: ignore[no-untyped-call]
    (part,) = prepared(file.getvalue(), units=("m",))
    assert physical(part).ravel().tolist() == [k / 7 for k in range(3)]
    assert part.summary.lost == {"messages of encodings that are not read": 3}
    assert "3 messages of /old were not read: ros1" in " ".join(part.summary.notes)


def _pool(module: Any, described: Any) -> Any:
    pool = module.DescriptorPool()
    pool.Add(described)
    return pool


def test_mcap_whose_chunk_is_damaged_has_all_others() -> None:
    messages = [("/t", START + k, {"v": k}) for k in range(100)]
    from mcap.writer import CompressionType

    data = bytearray(making.mcap_json(messages, compression=CompressionType.NONE))
    data[data.index(b'{"v": 50}') + 6] = ord("7")
    contents = read(bytes(data))
    (signal,) = contents.signals
    assert contents.lost["chunks"] == 1
    assert 80 < len(signal.values) < 100
    assert (np.diff(signal.values[:, 0]) > 0).all()
    assert 50 not in signal.values


# --- GPX, Edge Impulse ------------------------------------------------------------------------------------------------


def test_gpx_points_are_a_stream_and_what_has_no_time_is_counted() -> None:
    (part,) = prepared(making.GPX.encode())
    assert [(c.name, c.unit) for c in part.description.channels] == [
        ("lat", "deg"), ("lon", "deg"), ("alt", "m"), ("heart_rate", "{beats/min}"),
    ]  # fmt: skip
    assert [t - START for t in times(part)] == [0, 1_500_000_000, 300 * 10**9, 600 * 10**9]
    assert physical(part)[0].tolist() == [47.5, -8.25, 400.5, 101]
    assert np.isnan(physical(part)[1, 2])
    assert part.summary.lost == {"points without a time": 1}
    assert [(m.label, m.start_ns - START) for m in part.marks()] == [("bridge", 10**9)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_gpx_that_declares_entities_is_refused(encoding: str) -> None:
    bomb = '<!DOCTYPE g [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>'
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n'
    data = (head + bomb + making.GPX.split("\n", 1)[1].replace("tour", "&b;")).encode(encoding)
    with pytest.raises(UsageError, match="declares types or entities"):
        read(data)


KEY = b"secret"


def signed(document: dict[str, Any], *, binary: bool) -> bytes:
    if binary:
        document = document | {"signature": bytes(32)}
    data: bytes = cbor2.dumps(document) if binary else json.dumps(document, separators=(",", ":")).encode()
    digest = hmac.new(KEY, data, hashlib.sha256)
    zeros, found = (bytes(32), digest.digest()) if binary else (b"0" * 64, digest.hexdigest().encode())
    return data.replace(zeros, found, 1)


@pytest.mark.parametrize("binary", [False, True])
def test_edge_impulse_is_read_and_its_signature_checked(binary: bool) -> None:
    data = signed(making.EDGE_IMPULSE, binary=binary)
    (part,) = prepared(data, device="", start_ns=START, key=KEY, label="idle")
    assert part.options.device == "ac:87:a3"
    assert times(part) == [START + k * 16 * 10**6 for k in range(4)]
    assert [c.unit for c in part.description.channels] == ["m/s2", "{wav}"]
    assert physical(part)[:, 0].tolist() == [-9.81, -9.5, 0.25, 1e-3]
    assert [(m.label, m.start_ns, m.end_ns) for m in part.marks()] == [("idle", START, START + 64 * 10**6)]
    with pytest.raises(UsageError, match="its signature is not what the key makes of it"):
        prepared(data, start_ns=START, key=b"other")
    with pytest.raises(UsageError, match="its signature is not what the key makes of it"):
        prepared(data.replace(b"BOARD", b"board"), start_ns=START, key=KEY)
    assert prepared(data, start_ns=START)


def test_edge_impulse_cut_off_in_its_values_has_the_rows_before() -> None:
    data = signed(making.EDGE_IMPULSE, binary=False)
    cut = data[: data.index(b"[0.25") + 4]
    contents = read(cut)
    assert contents.signals[0].values[:, 0].tolist() == [-9.81, -9.5]
    assert contents.lost == {"bytes": 5}
    with pytest.raises(UsageError, match="is cut off, and a key was given"):
        read(cut, key=KEY)


# --- every format, cut off and damaged at every place -----------------------------------------------------------------


def small_xdf() -> bytes:
    data = making.xdf_header("2026-01-01T00:00:00Z") + making.xdf_stream(1, "A", 10, "int16", [("x", "g")])
    data += making.xdf_stream(2, "M", 0, "string", [("m", "")], "Markers")
    for k in range(3):
        data += making.xdf_offset(1, 5.0 + k, 0.5) + making.xdf_samples(1, [5.0 + k], [struct.pack("<h", k)])
        data += making.xdf_samples(2, [5.0 + k], [("tap",)]) + making.xdf_boundary()
    return data


FILES: dict[str, Callable[[], bytes]] = {
    "wav": lambda: making.wav(np.arange(20).reshape(10, 2), 8000, 24),
    "edf": edf_plus_d,
    "xdf": small_xdf,
    "mcap": lambda: making.mcap_json([("/t", START + k, {"v": k, "w": [k]}) for k in range(12)], chunk_bytes=90),
    "gpx": lambda: making.GPX.encode(),
    "json": lambda: signed(making.EDGE_IMPULSE, binary=False),
    "cbor": lambda: signed(making.EDGE_IMPULSE, binary=True),
}


def samples_of(contents: Contents) -> int:
    return sum(len(signal.values) for signal in contents.signals)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_has_what_came_before_and_says_so(name: str) -> None:
    data = FILES[name]()
    whole = read(data)
    most, newest = samples_of(whole), 0
    for end in range(16, len(data), max(1, len(data) // (40 if name == "xdf" else 150))):
        cut = data[:end]
        if not is_described(Source("f", cut)):
            continue
        try:
            contents = read(cut)
        except UsageError:
            assert name == "cbor" or not newest  # once there is a sample there always is
            continue
        assert newest <= samples_of(contents) <= most
        newest = samples_of(contents)
        for part, signal in zip(contents.signals, whole.signals, strict=False):
            width = min(part.values.shape[1], signal.values.shape[1])
            head = signal.values[: len(part.values), :width]
            assert np.array_equal(part.values[:, :width], head, equal_nan=head.dtype.kind == "f")
        if samples_of(contents) < most:
            assert contents.lost or contents.notes
    assert name == "cbor" or newest


@pytest.mark.parametrize("name", FILES)
def test_a_file_damaged_anywhere_is_read_or_refused(name: str) -> None:
    data = FILES[name]()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    read_again = 0
    for _ in range(30 if name == "xdf" else 150):  # whose library takes its time
        hurt = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            hurt[at] = rng.integers(0, 256)
        if not is_described(Source("f", bytes(hurt))):
            continue
        try:
            parts = prepared(bytes(hurt), start_ns=START, units=("1",))
        except UsageError as error:
            assert str(error).startswith(("f: ", "import: "))
            continue
        read_again += 1
        assert all(part.runs for part in parts)
    assert read_again


def test_units_and_labels_as_files_spell_them() -> None:
    assert [file_unit(it) for it in ("µV", "microvolts", "Boolean", "", "m/s^2", "beats {x}")] == [
        "uV", "uV", "1", "", "m/s2", "{beats x}",
    ]  # fmt: skip
    assert file_label(" a\tb\0\n") == "a b"


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"MDF     4.10", "asammdf"),
        (b"\0\0\0\x18ftypmp42", "ffmpeg"),
        (b"BZh9", "bunzip2"),
        (b'{"t": 1, "x": 2}\n{"t": 2', "read_ndjson"),
        (b" [\n [1, 2],", "read_json"),
    ],
)
def test_what_is_not_read_says_what_to_do(head: bytes, word: str) -> None:
    with pytest.raises(UsageError, match=f"is not read here; make something else of it: .*{word}"):
        prepared(head + bytes(100))


def test_what_a_file_says_itself_is_not_said_again() -> None:
    data = making.wav(np.zeros((4, 1), int), 8000, 16)
    with pytest.raises(UsageError, match="--rate is of tables; this file says itself what is in it"):
        prepared(data, rate=Fraction(8000), start_ns=START)
    with pytest.raises(UsageError, match="no channel fits --columns y; did you mean|no channel fits --columns y"):
        prepared(data, columns=("y",), start_ns=START)
    assert is_described(Source("f", data))
    assert len(gzip.compress(data)) < 1000


@pytest.mark.parametrize(("name", "library"), [("xdf", "pyxdf"), ("mcap", "mcap"), ("cbor", "cbor2")])
def test_a_library_that_is_missing_is_told_with_its_extra(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES[name]()
    for module in [it for it in sys.modules if it.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=f'needs the library "{library}.*its extra "formats"'):
        read(data)
