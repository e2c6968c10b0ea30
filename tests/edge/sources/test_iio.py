"""The source `iio`: scans, what they mean, its table, and a made-up tree. In tests/kernel it has sensors."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.sources.iio
from edge.config import load_config
from edge.decoders.scans.decoder import row_type
from edge.protocol import ClockKind, SourceConfig
from edge.sources.iio.chip import Chip
from edge.sources.iio.folder import RULES, Folder, UnfitError, find, set_frequency
from edge.sources.iio.layout import TIMESTAMP, Column, Element, FormatError, Layout
from edge.sources.iio.polled import Values
from edge.sources.iio.reading import MeaningError, Reading, mount_matrix, reading, resolve
from edge.sources.iio.scans import Scans
from edge.sources.iio.settings import Settings, read_settings
from edge.sources.iio.source import IioSource
from edge.sources.kernel import SuspendedError
from ingest.errors import UsageError
from tests.edge.configs import source_config

FOLDER = Path(edge.sources.iio.__file__).parent
FILE = tomllib.loads((FOLDER / "cases.toml").read_text())
TIME = (9, TIMESTAMP, Element.parse("le:s64/64>>0"))


def layout_of(types: Mapping[str, str]) -> Layout:
    return Layout([(number, name, Element.parse(text)) for number, (name, text) in enumerate(types.items())])


@pytest.mark.parametrize("case", FILE["scan"], ids=lambda case: case["name"])
def test_what_the_bytes_of_a_scan_say(case: dict[str, Any]) -> None:
    layout, data = layout_of(case["types"]), bytes.fromhex(case["bytes"])
    assert layout.size == len(data)
    found = layout.values(2 * data, [Column.of(text) for text in case["values"]])
    assert found.tolist() == 2 * [list(case["values"].values())]


@pytest.mark.parametrize("case", FILE["meaning"], ids=lambda case: case["name"])
def test_what_raw_values_mean(case: dict[str, Any]) -> None:
    found = reading(
        case["elements"],
        case["units"],
        case["raw"].keys(),
        case["attributes"].get,
        is_mounted=case.get("mounted", True),
        processed=case.get("processed", ()),
    )
    raw = np.array([[case["raw"][column.element] for column in found.columns]], dtype=np.float64)
    assert found.values(raw)[0] == pytest.approx(list(case["values"].values()), rel=1e-12)


@pytest.mark.parametrize("case", FILE["refused"], ids=lambda case: case["message"])
def test_what_cannot_be_meant_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(MeaningError, match=case["message"]):
        reading(case["elements"], case["units"], case["known"], case.get("attributes", {}).get, is_mounted=True)


@pytest.mark.parametrize(
    "text",
    ["", "s16/16>>0", "le:s16/24>>0", "le:s17/16>>0", "le:s12/16>>5", "be:f24/32>>0", "le:f8/8>>0", "le:u0/8>>0"],
)
def test_types_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        Element.parse(text)


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A type, and values that it can have."""
    stored = draw(st.sampled_from([8, 16, 32, 64]))
    bits = draw(st.integers(1, min(stored, 52)))
    shift, repeat = draw(st.integers(0, stored - bits)), draw(st.integers(1, 3))
    kind = draw(st.sampled_from("su"))
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == "s" else (0, (1 << bits) - 1)
    text = f"{draw(st.sampled_from(['le', 'be']))}:{kind}{bits}/{stored}X{repeat}>>{shift}"
    return text, [draw(st.integers(least, most)) for _ in range(repeat)]


@given(st.lists(elements(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_every_type_gives_the_values_that_were_put_in_it(
    given_elements: list[tuple[str, list[int]]], noise: Any
) -> None:
    """Put together by the kernel's rules in plain Python; bits that belong to no value say anything."""
    data, largest = b"", 1
    for text, values in given_elements:
        element = Element.parse(text)
        data += noise.randbytes(-len(data) % element.size)
        for value in values:
            mask = (1 << element.bits) - 1
            word = noise.getrandbits(8 * element.stored.itemsize) & ~(mask << element.shift)
            word |= (value & mask) << element.shift
            data += word.to_bytes(element.stored.itemsize, "little" if text.startswith("le") else "big")
        largest = max(largest, element.size)
    data += noise.randbytes(-len(data) % largest)
    layout = layout_of({f"e{number}": text for number, (text, _) in enumerate(given_elements)})
    columns = [Column(f"e{n}", part) for n, (_, values) in enumerate(given_elements) for part in range(len(values))]
    assert layout.size == len(data)
    assert layout.values(data, columns).tolist() == [[value for _, values in given_elements for value in values]]


def test_floats_are_taken_as_they_are() -> None:
    data = np.array([1.5], ">f4").tobytes()
    assert layout_of({"a": "be:f32/32>>0"}).values(data, [Column("a")]).tolist() == [[1.5]]


PLAIN = Reading((Column("a"),), np.array([[2.0]]), np.array([0.5]))
SCAN = np.dtype([("a", "<i8"), ("t", "<i8")])


def scans_of(times: Any) -> bytes:
    found = np.zeros(len(times), SCAN)
    found["a"], found["t"] = np.arange(len(times)), times
    return found.tobytes()


def plain_scans(capacity: int) -> Scans:
    return Scans(Layout([(0, "a", Element.parse("le:s64/64>>0")), TIME]), PLAIN, capacity)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 16))
def test_what_a_full_buffer_cost_is_counted_whatever_the_reads(lost: list[int], step: int) -> None:
    """A buffer of 8 that is full again and again, with so many lost each time behind it."""
    scans, at, found, kept = plain_scans(8), 0, [], 0
    for missing in lost:
        times = list(range(at, at + 8000, 1000))
        at += 8000 + 1000 * missing
        scans.waited(8)
        found += [scans.take(scans_of(times[begin : begin + step]), 0) for begin in range(0, 8, step)]
        kept += 8
    found.append(scans.take(scans_of([at]), 5))
    rows = np.frombuffer(b"".join(found), row_type(1))
    assert rows["missed"].sum() == sum(lost)
    assert rows["time_ns"][-1] == at + 5
    assert len(rows) == kept + 1
    assert [int(rows["missed"][8 * number]) for number in range(1, len(lost) + 1)] == lost


def test_a_buffer_that_was_not_full_lost_nothing() -> None:
    scans = plain_scans(8)
    scans.waited(7)
    rows = scans.take(scans_of([0, 1000, 2000, 9000]), 0) + scans.take(scans_of([90_000]), 0)
    assert np.frombuffer(rows, row_type(1))["missed"].tolist() == [0] * 5
    assert scans.take(b"", 0) == b""


def test_fast_scans_are_left_alone_for_a_while_and_slow_ones_are_not() -> None:
    for period_ns, capacity, rest_s in ((1_000_000, 1024, 0.05), (1_000_000, 256, 0.0), (100_000_000, 1024, 0.0)):
        scans = plain_scans(capacity)
        assert scans.rest_s == 0
        scans.take(scans_of([0, period_ns, 2 * period_ns]), 0)
        assert scans.rest_s == rest_s


def test_a_mount_matrix_has_three_rows_of_three() -> None:
    assert mount_matrix("0, 1, 0; -1, 0, 0; 0, 0, 1.0").tolist() == [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
    for text in (
        "",
        "1, 0; 0, 1",
        "1, 0, 0; 0, 1, 0; 0, 0, 0",
        "1, 0, 0; 0, x, 0; 0, 0, 1",
        "1, 0, 0; 0, nan, 0; 0, 0, 1",
    ):
        with pytest.raises(MeaningError, match="mount matrix is"):
            mount_matrix(text)


def test_an_element_is_known_by_its_end_where_that_is_one() -> None:
    known = ["accel_x", "anglvel_x", "accel_y", "voltage0"]
    assert [resolve(text, known) for text in ("y", "in_accel_x", "voltage0")] == ["accel_y", "accel_x", "voltage0"]
    for text, message in (("x", "may be accel_x and anglvel_x"), ("z", "has no element z; there are accel_x")):
        with pytest.raises(MeaningError, match=message):
            resolve(text, known)


def table(**changed: Any) -> SourceConfig:
    given = {"chip": "adxl345"} | changed
    options = {key: value for key, value in given.items() if value is not None}
    clock: ClockKind = "arrival" if "poll" in options else "kernel"
    return source_config("scans", ("x", "y"), kind="iio", clock=clock, **options)


def test_what_a_table_says() -> None:
    found = read_settings(table(elements={"x": "accel_x"}, frequency="100Hz", buffer=64, mount_matrix=False))
    assert (dict(found.elements), found.frequency, found.buffer) == ({"x": "accel_x", "y": "y"}, Fraction(100), 64)
    assert (found.is_mounted, found.poll_ns, read_settings(table(poll="1s")).poll_ns) == (False, 0, 10**9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chip": None}, '"chip" is missing'),
        ({"elements": {"z": "accel_z"}}, '"z" is no channel'),
        ({"elements": {"x": 3}}, "found 3, expected a name"),
        ({"frequency": "fast"}, "frequency: "),
        ({"buffer": 1}, "buffer: 1 is not in"),
        ({"poll": "1us"}, "expected 1ms to 24h"),
        ({"poll": "often"}, "poll: "),
        ({"poll": "1s", "trigger": "t"}, "trigger: belongs to a buffer"),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        IioSource.from_config(table(**options))


def sensor(root: Path, number: int, place: str, **attributes: str) -> Path:
    """A device's folder, as sysfs has it."""
    real = root / "devices" / place / f"iio:device{number}"
    for name, text in attributes.items():
        path = real / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "bus").mkdir(exist_ok=True)
    (root / "bus" / real.name).symlink_to(real)
    return real


def test_a_sensor_is_found_by_what_stays(tmp_path: Path) -> None:
    with pytest.raises(
        UnfitError, match="no IIO device at all; load its driver: .*bus 1: echo adxl345 ADDRESS [|] sudo tee"
    ):
        find("adxl345", tmp_path)
    first = sensor(tmp_path, 0, "1-0053", name="adxl345")
    second = sensor(tmp_path, 1, "1-001d", name="adxl345", label="arm")
    devices = tmp_path / "bus"
    for name, path in (("arm", second), ("adxl345@1-0053", first), ("iio:device1", second)):
        assert find(name, devices).path.resolve() == path
    with pytest.raises(UnfitError, match="more than one: say which of adxl345@1-0053, arm@1-001d"):
        find("adxl345", devices)
    with pytest.raises(
        UnfitError, match="no such device; there are adxl345@1-0053, arm@1-001d: say one of these, or load"
    ) as raised:
        find("bmp280@0-0076", devices)
    assert "bus 0: echo bmp280 0x76 | sudo tee /sys/bus/i2c/devices/i2c-0/new_device" in str(raised.value)


def test_a_frequency_that_is_not_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sampling_frequency").write_text("100.000000")
    set_frequency(50.0, [Folder(tmp_path)])
    assert (tmp_path / "sampling_frequency").read_text() == "50"
    (tmp_path / "sampling_frequency").unlink()
    (tmp_path / "sampling_frequency").symlink_to("/dev/null")
    (tmp_path / "sampling_frequency_available").write_text("12.5 25")
    with pytest.raises(UnfitError, match="takes 0 Hz in place of frequency = 50 Hz; it has 12.5 25"):
        set_frequency(50.0, [Folder(tmp_path)])
    with pytest.raises(UnfitError, match="has no sampling_frequency"):
        set_frequency(50.0, [Folder(tmp_path / "none")])


def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path) -> None:
    chip = Chip(Settings("bmp280", {"p": "pressure"}, {"p": "Pa"}), tmp_path / "bus", tmp_path)
    sensor(tmp_path, 0, "1-0076", name="bmp280")
    with pytest.raises(UnfitError, match='has no buffer; read single values with poll = "100ms"'):
        chip.open()
    told = chip.why_closed(PermissionError(13, "Permission denied", str(tmp_path)))
    assert told.startswith("may not be opened by this user; sudo chown ")
    assert told.endswith(f" {tmp_path} gives it to this user until the next boot, {RULES} for good")
    assert "another program reads it" in chip.why_closed(OSError(16, "Device or resource busy", str(tmp_path)))
    assert "has no device file" in chip.why_closed(FileNotFoundError(2, "No such file"))
    assert "suspended" in chip.why_lost(SuspendedError())
    assert "waiting for it to come back" in chip.why_lost(OSError(19, "No such device"))


def test_a_folder_that_may_not_be_written_is_given_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "trigger").write_text("none")
    monkeypatch.setattr(Path, "open", refuse)  # for root nothing is forbidden
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"none")
    with pytest.raises(
        UnfitError, match=f"/trigger may not be written by this user; sudo chown -R .* {tmp_path}/ gives"
    ):
        Folder(tmp_path).set("trigger", 1)


def test_single_values_are_in_the_channels_unit(tmp_path: Path) -> None:
    attributes = {"in_accel_x_raw": "256", "in_accel_scale": "0.0383", "in_temp_input": "21500", "in_temp_scale": "7"}
    sensor(tmp_path, 0, "1-0053", name="adxl345", **attributes)
    elements, units = {"x": "x", "t": "temp"}, {"x": "m/s2", "t": "degF"}
    values = Values(Settings("adxl345", elements, units, poll_ns=1), tmp_path / "bus")

    def asked() -> list[float]:
        texts = [path.read_bytes() if path.exists() else None for path in values.find()]
        found: list[float] = np.frombuffer(values.message(texts), row_type(2))["values"][0].tolist()
        return found

    assert asked() == pytest.approx([256 * 0.0383, 70.7])
    with pytest.raises(UnfitError, match="no element pressure"):
        Values(Settings("adxl345", {"p": "pressure"}, {"p": "Pa"}), tmp_path / "bus").find()


TOP = 'log = "segments:log"\n[spool]\ndir = "spool"\n'


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOP + (FOLDER / "sample.toml").read_text())
    first, second = load_config(path).sources
    assert {*first.options, *second.options} == IioSource.keys.keys()
    assert [(source.decoder, source.clock) for source in (first, second)] == [("scans", "kernel"), ("scans", "arrival")]
    page = (FOLDER / "README.md").read_text()
    for name, key in IioSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
    path.write_text(TOP + (FOLDER / "sample.toml").read_text() + 'clock = "kernel"\n')
    with pytest.raises(UsageError, match="what is polled has none"):
        load_config(path)


def test_both_ways_wait_for_a_sensor_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(config: SourceConfig) -> str:
        source = IioSource.from_config(config)
        opening = asyncio.create_task(source.open())
        async with asyncio.timeout(200):
            while not source.waiting_for:  # noqa: ASYNC110 - what it waits for happens in a thread
                await asyncio.sleep(0.005)
        await source.close()
        await opening
        return source.waiting_for

    for config in (table(chip="nothing"), table(chip="nothing", poll="1s")):
        assert asyncio.run(waits(config)).startswith("nothing: ")
