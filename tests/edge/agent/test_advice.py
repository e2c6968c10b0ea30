"""Bytes that gave no sample, and what is said to do about them. The examples are what such sensors send."""

from __future__ import annotations

from typing import Any

import pytest

from edge.agent.advice import WORDS, advise, seems
from edge.decoders import decoder_type
from edge.protocol import Fault
from tests.edge.configs import source_config

NMEA = b"$GPRMC,123519.00,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (NMEA, "nmea"),
        (b"!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24", "nmea"),
        (b'{"x": 1}', "json"),
        (b"[1, 2]", "json"),
        (b"0.01,-0.02,0.98", "csv"),
        (b"0.01;-0.02", "csv"),
        (b"12 13\t14", "csv"),
        (b"boot: ready", "text"),
        (b"\xf8\x80\x00\xfe\x80", "binary"),
        (b"", "text"),
    ],
)
def test_what_bytes_seem_to_be(raw: bytes, kind: str) -> None:
    assert seems(raw) == kind


CASES: list[tuple[str, dict[str, Any], bytes, str]] = [
    ("csv", {}, NMEA, 'these look like NMEA sentences: say decoder = "nmea" and channels such as'),
    ("csv", {}, b'{"x": 1, "y": 2}', 'these look like JSON: say decoder = "json"'),
    ("json", {}, b"0.1,0.2,0.3", 'these look like rows of numbers: say decoder = "csv"'),
    ("nmea", {"channels": ("lat", "lon")}, b"0.1,0.2,0.3", 'say decoder = "csv"'),
    ("csv", {}, b"\x80\xf8\x00\xe0\x80\xfe", "is baud = 9600 right"),
    ("csv", {"kind": "mqtt"}, b"\x80\xf8\x00\xe0\x80\xfe", "is it text at all"),
    ("csv", {}, b"0.1;0.2;0.3", 'cells are divided by ";": say separator = ";"'),
    ("csv", {}, b"0.1\t0.2\t0.3", 'cells are divided by tabs: say separator = "\\t"'),
    ("csv", {}, b"0.1  0.2  0.3", 'cells are divided by spaces: say separator = "whitespace"'),
    ("csv", {"channels": ("x", "y")}, b"7,0.1,0.2", 'columns = ["x", "y", "c3"]'),
    ("csv", {}, b"0.1,0.2", "2 cells, but columns are x, y, z"),
    ("csv", {"channels": ("x", "y")}, b"0,15;0,2", 'cells are divided by ";": say separator = ";"'),
    ("csv", {"channels": ("x", "y")}, b"4,5;2", 'cells are divided by ";": say separator = ";"'),
    ("csv", {"channels": ("x", "y")}, b"2;-4,5", 'cells are divided by ";": say separator = ";"'),
    ("csv", {"channels": ("x", "y")}, b"4,5 2", 'cells are divided by spaces: say separator = "whitespace"'),
    ("csv", {"channels": ("x", "y")}, b"4,5;b", 'cell 2, "5;b", is no number'),
    ("csv", {"channels": ("x", "y"), "separator": "|"}, b"0,15|0,2", 'a decimal comma: say decimal = ","'),
    (
        "csv",
        {"channels": ("t", "x")},
        b"2026-11-24T02:00:00Z,1.5",
        'cell 1, "2026-11-24T02:00:00Z", is a time: say time_c',
    ),
    ("csv", {"channels": ("x",)}, b"21.5C", 'cell 1, "21.5C", has its unit in it'),
    ("csv", {"channels": ("x", "y")}, b"1,ERR", 'cell 2, "ERR", is no number'),
    ("json", {}, b'{"ax": 1, "ay": 2}', 'no field "x"; its fields are ax, ay: say fields = { x = "ax" }'),
    ("json", {"channels": ("x",)}, b'{"acc": {"x": 1}}', 'say fields = { x = "acc.x" }'),
    ("json", {"channels": ("temp",)}, b'{"Temp": 1}', 'say fields = { temp = "Temp" }'),
    ("json", {}, b"[1, 2]", "2 values, but 3 channels: x, y, z"),
    ("json", {"channels": ("x",)}, b'{"x": "1.5"}', '"x" is a text, "1.5"'),
]


@pytest.mark.parametrize(("decoder", "given", "raw", "said"), CASES)
def test_the_advice_is_about_what_the_real_decoder_refuses(
    decoder: str, given: dict[str, Any], raw: bytes, said: str
) -> None:
    channels = given.pop("channels", ("lat", "lon") if decoder == "nmea" else ("x", "y", "z"))
    units = {"lat": "deg", "lon": "deg"}
    given = {"baud": 9600} | given if given.get("kind", "serial") == "serial" else given
    config = source_config(decoder, channels, units=units, **given)
    kind = decoder_type(decoder, "")
    faults = [item for item in kind.from_config(config).feed(raw + b"\n") if isinstance(item, Fault)]
    assert faults
    assert said in advise(config, kind.keys, faults[0].reason, raw[:60], raw + b"\n")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (b"1764000000", 'time_unit = "s"'),
        (b"1764000000.25", 'time_unit = "s"'),
        (b"1764000000123", 'time_unit = "ms"'),
        (b"1764000000123456", 'time_unit = "us"'),
        (b"1764000000123456789", 'time_unit = "ns"'),
        (b"noon", 'its time is "noon", time_unit = "iso" reads another form'),
    ],
)
def test_a_time_that_cannot_be_read_is_answered_with_the_unit_that_fits(time: bytes, said: str) -> None:
    config = source_config(channels=("x",), time_column="t", clock="device")
    raw = time + b",1.5"
    assert said in advise(config, decoder_type("csv", "").keys, "time", raw, raw + b"\n")


def test_an_integer_type_is_named_where_fractions_come() -> None:
    config = source_config(dtype="int16")
    assert 'dtype = "int16"' in advise(config, decoder_type("csv", "").keys, "range", b"0.1,0.2,0.3", b"")


def test_a_receiver_without_a_fix_is_no_fault_of_the_configuration() -> None:
    config = source_config("nmea", ("lat", "lon"), units={"lat": "deg", "lon": "deg"})
    assert "free view of the sky" in advise(config, {}, "no_fix", NMEA, b"")


def test_each_reason_has_its_words() -> None:
    assert {"checksum", "columns", "number", "json", "no_fix", "range", "torn", "too_long"} <= set(WORDS)


@pytest.mark.parametrize(
    "raw", [b"{", b'{"a": [', b"\xff", b",,,", b"$", b'{"x": {"x": {"x": {"x": {"x": 1}}}}}', b"1" * 60]
)
@pytest.mark.parametrize("decoder", ["csv", "json", "nmea"])
@pytest.mark.parametrize("reason", [*WORDS, "unheard_of"])
def test_advice_is_given_whatever_came(decoder: str, reason: str, raw: bytes) -> None:
    channels = ("lat", "lon") if decoder == "nmea" else ("x", "y", "z")
    assert advise(source_config(decoder, channels), {}, reason, raw, raw * 3)
