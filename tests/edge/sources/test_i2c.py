"""The source `i2c`: what is written to a part, what its bytes mean, and what is told of a bus."""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.sources.i2c
from edge.config import load_config
from edge.protocol import SourceConfig
from edge.sources.i2c.bus import Bus, Place, Running
from edge.sources.i2c.part import Count, Group, Write, known_parts, load_part, read_part
from edge.sources.i2c.registers import Layout, kept, layout, planned, reads, samples_of, wait_s
from edge.sources.i2c.settings import Settings, completed, read_settings
from edge.sources.i2c.source import I2cSource
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.sources import i2c_doubles as doubles

FOLDER = Path(edge.sources.i2c.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())


def table(*channels: str, **options: Any) -> SourceConfig:
    return source_config("scans", channels or ("x", "y", "z"), kind="i2c", **{"part": "adxl345", **options})


def settings(*channels: str, **options: Any) -> Settings:
    return read_settings(table(*channels, **options))


# --- what bytes mean


@pytest.mark.parametrize("case", CASES["samples"], ids=lambda case: case["name"])
def test_samples(case: dict[str, Any]) -> None:
    part, channels = load_part(case["part"], ".", "here"), case["channels"]
    units = {channel: part.groups_by_channel[channel].unit for channel in channels}
    wanted = read_settings(source_config("scans", tuple(channels), units=units, kind="i2c", part=case["part"]))
    found = layout(part, wanted.groups, channels).decode(bytes.fromhex(case["bytes"]))
    assert found.tolist() == case["counts"]


@given(
    st.sampled_from(["little", "big"]),
    st.lists(st.tuples(st.integers(1, 24), st.integers(0, 8), st.booleans()), min_size=1, max_size=4),
    st.data(),
)
def test_a_value_comes_back_wherever_it_lies(
    endian: Any, kinds: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    groups = [Group(f"g{at}", (f"c{at}",), "1", bits, shift, signed) for at, (bits, shift, signed) in enumerate(kinds)]
    places = [sum(group.size for group in groups[:at]) for at in range(len(groups))]
    made = Layout(sum(group.size for group in groups), tuple(zip(places, groups, strict=True)), endian == "big")
    rows = data.draw(
        st.lists(
            st.tuples(
                *(
                    st.integers(-(1 << group.bits - 1), (1 << group.bits - 1) - 1)
                    if group.signed
                    else st.integers(0, (1 << group.bits) - 1)
                    for group in groups
                )
            ),
            max_size=5,
        )
    )
    noise = data.draw(st.integers(0, 255))
    raw = b""
    for row in rows:
        for value, group in zip(row, groups, strict=True):
            below = noise & ((1 << group.shift) - 1)
            above = (value << group.shift | below) & ((1 << 8 * group.value_bytes) - 1)
            raw += above.to_bytes(group.value_bytes, endian)
    assert made.decode(raw).tolist() == [list(row) for row in rows]


@given(st.integers(0, 200), st.integers(1, 12), st.integers(1, 5))
def test_reads_take_all_and_no_more_than_a_block(samples: int, size: int, burst: int) -> None:
    found = reads(0x32, size, samples, burst)
    assert sum(read.size for read in found) == samples * size
    assert all(0 < read.size <= burst * size and read.size % size == 0 for read in found)


def test_counts_are_the_bits_of_their_mask() -> None:
    assert samples_of(Count(0x39, 0x3F), b"\xc5", is_big=False) == 5
    assert samples_of(Count(0x2F, 0x08), b"\x0f", is_big=False) == 1
    assert samples_of(Count(0x72, 0xFFFF, 2), b"\x03\xf0", is_big=True) == 1008
    assert samples_of(Count(0x72, 0x0FFF, 2), b"\xf0\xf3", is_big=False) == 0x3F0


def test_a_fifo_is_looked_at_before_it_is_full_and_a_slow_one_often_enough() -> None:
    assert wait_s(32, 800) == 0.01
    assert wait_s(32, 1) == 0.05
    assert wait_s(1, 3200) == 0.001


# --- what is written


def test_bits_are_added_to_the_last_write_of_their_register() -> None:
    writes = (Write(1, 0x80, clears=True), Write(2, 0), Write(1, 0x01))
    plan = planned(writes, ((1, 0x10), (1, 0x04), (2, 0x08)))
    assert [(write.register, write.value) for write in plan] == [(1, 0x80), (2, 0x08), (1, 0x15)]
    assert kept(plan) == {1: 0x15, 2: 0x08}
    assert kept((*plan, Write(1, 0, clears=True))) == {2: 0x08}


@pytest.mark.parametrize("name", known_parts())
def test_each_part_of_ours_is_whole_at_each_rate_and_range(name: str) -> None:
    part = load_part(name, ".", "here")
    units = {channel: group.unit for channel, group in part.groups_by_channel.items()}
    for rate in part.rate.codes:
        for group in part.group:
            for full in group.range.codes if group.range else ():
                config = source_config(
                    "scans", tuple(units), units=units, kind="i2c", part=name, range={group.name: full}
                )
                wanted = Settings(part, 1, part.addresses, tuple(units), rate, read_settings(config).ranges)
                found = planned(part.writes, wanted.bits)
                assert kept(found)[part.check] == [write.value for write in found if write.register == part.check][-1]
                bits = dict(wanted.bits)
                assert all(kept(found)[register] & value == value for register, value in bits.items())


def test_what_nobody_wants_is_left_out_of_the_fifo() -> None:
    alone = settings("x", part="mpu6050")
    assert [group.name for group in alone.groups] == ["acceleration"]
    assert kept(planned(alone.part.writes, alone.bits))[0x23] == 0x08
    config = source_config("scans", ("x", "gy"), units={"gy": "deg/s"}, kind="i2c", part="mpu6050")
    assert kept(planned(alone.part.writes, read_settings(config).bits))[0x23] == 0x78


# --- the table


def test_a_part_says_rate_scale_and_type_of_its_stream() -> None:
    plain = completed(table(), ())
    assert (plain.rate, plain.dtype, plain.sensor) == (Fraction(100), "int16", "ADXL345")
    assert plain.scales == dict.fromkeys("xyz", 1 / 256)
    config = source_config(
        "scans",
        ("x", "gx"),
        units={"x": "m/s2", "gx": "rad/s"},
        rate=500,
        kind="i2c",
        part="mpu6050",
        range={"acceleration": "16g", "turn": "500deg/s"},
    )
    found = completed(config, ("dtype",))
    assert found.dtype == "float64"
    assert found.scales["x"] == pytest.approx(9.80665 / 2048, rel=1e-15)
    assert found.scales["gx"] == pytest.approx(np.pi / 180 / 65.5, rel=1e-15)


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        ((), {"part": "adxl354"}, 'unknown part "adxl354"; known: adxl345, lis3dh, mpu6050. Did you mean "adxl345"?'),
        ((), {"part": "./none.toml"}, "none.toml: No such file"),
        (("a",), {}, 'the ADXL345 has no "a"; known: x, y, z'),
        (("x",), {"units": {"x": "deg/s"}}, "cannot be had of g"),
        ((), {"rate": 90}, "the ADXL345 has no 90Hz; the nearest are 50Hz and 100Hz"),
        ((), {"range": "3g"}, "acceleration: found '3g'; known: 16g, 2g"),
        ((), {"range": {"turn": "3g"}}, 'range: "turn" is none'),
        ((), {"range": "2g", "part": "mpu6050"}, 'range = { acceleration = "2g", turn = "250deg/s" }'),
        ((), {"address": 0x80}, "address: 128 is not in 0x08..0x77; the ADXL345 has 0x53 or 0x1d"),
        ((), {"bus": 256}, "bus: 256 is not in"),
    ],
)
def test_a_wrong_table_is_refused(channels: tuple[str, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=".*") as raised:
        I2cSource.from_config(table(*channels, **options))
    assert message in str(raised.value)


PART = (FOLDER / "parts/adxl345.toml").read_text()


@pytest.mark.parametrize(
    ("text", "other", "message"),
    [
        ("check = 0x2D", "check = 0x2E", "check: 0x2E is not among the writes that stay"),
        ('"25Hz" = [[0x2C, 8]]', '"25Hz" = [[0x2B, 8]]', 'rate.codes."25Hz": register 0x2B is not among the writes'),
        ('default = "100Hz"', 'default = "99Hz"', 'rate.default: "99Hz" is none'),
        ('"25Hz"', '"25"', "rate.codes: rate"),
        ('channels = ["x", "y", "z"]', 'channels = ["x", "x", "z"]', "a channel comes twice"),
        ("bits = 16", "bits = 32\nshift = 1", "a value has 32 at most"),
        ('unit = "g"', 'unit = "gs"', "unknown unit"),
        ('scale = "1/256"', 'scale = "1/0"', "is no number"),
        ("burst = 1 ", "burst = 6 ", "fifo.burst: 6 samples are more than the 32 bytes"),
        ('default = "2g"', 'default = "3g"', 'range.default: "3g" is none'),
        ("mask = 0x3F", "mask = 0", "Expected `int` >= 1 - at `fifo.count.mask`"),
        ("data = 0x32", "data = 0x32\nfoo = 1", "unknown field `foo`"),
        ("addresses = [0x53, 0x1D]", "addresses = []", "addresses: none is there"),
        ("addresses = [0x53, 0x1D]", "addresses = [0x80]", "addresses"),
        ("identity =", "identity", "here: "),
    ],
)
def test_a_part_that_contradicts_itself_is_refused(text: str, other: str, message: str) -> None:
    assert text in PART
    with pytest.raises(UsageError) as raised:
        read_part(PART.replace(text, other, 1), "here")
    assert message in str(raised.value)
    assert str(raised.value).startswith("here: ")


TOP = 'log = "segments:log"\n[spool]\ndir = "spool"\n'
SOURCE = '[[source]]\nname = "{name}"\ntype = "i2c"\npart = "{part}"\nstream = "{name}"\nchannels = {{ x = "g" }}\n'


def test_a_part_of_ones_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PART.replace("ADXL345", "MINE"))
    (tmp_path / "agent.toml").write_text(TOP + SOURCE.format(name="a", part="./mine.toml"))
    (source,) = load_config(tmp_path / "agent.toml").sources
    assert (source.sensor, source.rate, source.clock, source.decoder) == ("MINE", Fraction(100), "arrival", "scans")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("scale = 2\n", "what a count of the ADXL345 means is known; leave it out"),
        ("range = { acceleration = [2] }\n", "range: acceleration: found [2]; known: "),
        ('clock = "kernel"\n', "the kernel stamps what gpio and iio read"),
        ('decoder = "csv"\n', "needs none; leave it out"),
        ("address = 0x53\n" + SOURCE.format(name="b", part="adxl345") + "address = 0x53\n", "0x53 is taken by"),
        ('calibration = { bias = [0.1], date = 2026-01-01 }\ndtype = "int16"\n', "dtype: what is calibrated"),
    ],
)
def test_what_a_table_may_not_say(tmp_path: Path, more: str, message: str) -> None:
    (tmp_path / "agent.toml").write_text(TOP + SOURCE.format(name="a", part="adxl345") + more)
    with pytest.raises(UsageError) as raised:
        load_config(tmp_path / "agent.toml")
    assert message in str(raised.value)


def test_a_calibrated_stream_has_fractions(tmp_path: Path) -> None:
    more = "calibration = { bias = [0.1], date = 2026-01-01 }\n"
    (tmp_path / "agent.toml").write_text(TOP + SOURCE.format(name="a", part="adxl345") + more)
    assert load_config(tmp_path / "agent.toml").sources[0].dtype == "float32"


# --- the bus


class Stuck(doubles.Registers):
    """Some of its registers stay 0."""

    def __init__(self, values: Mapping[int, int], stuck: list[int]) -> None:
        super().__init__(values)
        self._stuck = stuck

    def write(self, register: int, value: int) -> None:
        if register not in self._stuck:
            super().write(register, value)


def part_of(answer: Any) -> doubles.Registers | int:
    if answer == "busy":
        return errno.EBUSY
    registers = {int(name, 16): value for name, value in answer.items() if name != "stuck"}
    return Stuck(registers, answer.get("stuck", []))


@pytest.mark.parametrize("case", CASES["wiring"], ids=lambda case: case["name"])
def test_wrong_wiring_is_named_with_what_to_do(case: dict[str, Any], tmp_path: Path) -> None:
    bus = doubles.Bus({int(address, 16): part_of(answer) for address, answer in case.get("answers", {}).items()})
    if case["part"] == "mpu6050" and case.get("address") == 0x18:
        assert read_settings(table(part="mpu6050", address=0x18)).addresses == (0x18,)
    for number in case.get("buses", [1]):
        (tmp_path / f"i2c-{number}").touch()

    def open_bus(path: str) -> Bus:
        if not Path(path).exists():
            raise doubles.failed(errno.ENOENT)
        if "error" in case:
            raise doubles.failed(getattr(errno, case["error"]))
        return bus

    options = {key: case[key] for key in ("part", "address") if key in case}
    place = Place(settings(**options), open_bus, tmp_path)
    with pytest.raises(OSError, match=".*") as raised:
        place.open()
    assert case["told"] in place.why_closed(raised.value)
    assert "\n" not in place.why_closed(raised.value)
    assert bus.is_closed or raised.value.errno is not None


def running(bus: doubles.Bus, **options: Any) -> Running:
    return Place(settings(**options), lambda path: bus).open()


def test_a_look_takes_each_sample_once_and_says_what_ran_over() -> None:
    part = doubles.Adxl345()
    with running(doubles.Bus({0x1D: part}), rate=400, range="16g") as opened:
        assert part.values[0x2C] == 0x0C
        assert part.values[0x31] == 0x0B
        assert len(opened.look().values) == 0
        for number in range(5):
            part.sample(number, -number, 7)
        found = opened.look()
        assert found.values.tolist() == [[number, -number, 7] for number in range(5)]
        assert not found.has_overrun
        for number in range(50):
            part.sample(number, 0, 0)
        found = opened.look()
        assert found.has_overrun
        assert found.values[:, 0].tolist() == list(range(17, 50))
        assert not opened.look().has_overrun


def test_a_fifo_that_is_full_may_have_lost_something() -> None:
    part = doubles.Adxl345()
    opened = running(doubles.Bus({0x53: part}))
    for number in range(33):
        part.sample(number, 0, 0)
    found = opened.look()
    assert len(found.values) == 33
    assert found.has_overrun


def test_what_a_part_says_that_was_reset_is_not_believed() -> None:
    part = doubles.Adxl345()
    bus = doubles.Bus({0x53: part})
    opened = running(bus)
    part.sample(1, 2, 3)
    part.values[0x2D] = 0
    with pytest.raises(OSError, match="was reset: its register 0x2D is 0x00, not 0x08"):
        opened.look()


def test_a_fifo_whose_samples_have_no_known_beginning_is_emptied() -> None:
    part = doubles.Registers({0x75: 0x68})
    bus = doubles.Bus({0x68: part})
    opened = running(bus, part="mpu6050")
    part.values |= {0x3A: 0x10, 0x72: 0x04, 0x73: 0x00}
    found = opened.look()
    assert found.has_overrun
    assert len(found.values) == 0
    assert part.values[0x6A] == 0x44
    part.values |= {0x3A: 0, 0x72: 0x00, 0x73: 0x0D, 0x74: 0x40}
    assert opened.look().values.shape == (2, 3)  # 13 bytes: the third sample is on its way


def test_a_count_that_cannot_be_is_an_error() -> None:
    part = doubles.Registers({0x00: 0xE5})
    opened = running(doubles.Bus({0x53: part}))
    part.values[0x39] = 0x3F
    with pytest.raises(OSError, match="63 samples wait in 33"):
        opened.look()


def test_errors_while_it_runs_are_told() -> None:
    place = Place(settings())
    assert "does not answer any more" in place.why_lost(doubles.failed(errno.EREMOTEIO))
    assert "held low" in place.why_lost(doubles.failed(errno.ETIMEDOUT))
    assert "the bus fails" in place.why_lost(doubles.failed(errno.EOVERFLOW))
    assert place.why_lost(ValueError("x")) == "x"
    assert place.name == "ADXL345 on /dev/i2c-1"


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOP + (FOLDER / "sample.toml").read_text())
    first, second = load_config(path).sources
    assert {*first.options, *second.options} == I2cSource.keys.keys()
    assert (first.rate, second.dtype) == (Fraction(400), "int16")
    page = (FOLDER / "README.md").read_text()
    for name, key in I2cSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
    for name in known_parts():
        part = load_part(name, ".", "here")
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert ", ".join(rate.removesuffix("Hz") for rate in part.rate.codes) + " Hz" in row
        assert all(f"`{channel}`" in row for channel in part.groups_by_channel)
