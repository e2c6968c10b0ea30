"""What lines and messages of unknown sensors are taken for; each guess is tried on its decoder."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from edge.agent.probe.guesses import Guess
from edge.agent.probe.scoring import probe
from tests.edge.agent.probe.hearing import lines, messages
from tests.support.data import data_dir

CHANCE = random.Random(7)
N = "[-+0-9.]+"
TIMED = {"time_field": "ts", "time_unit": "ms"}


def number() -> str:
    return f"{CHANCE.gauss(0, 1):.3f}"


def comma() -> str:
    return number().replace(".", ",")


def best(said: list[Any], *, are_messages: bool = False) -> Guess:
    return probe((messages if are_messages else lines)(said), are_messages=are_messages)[0].guess


@pytest.mark.parametrize(
    ("line", "channels", "options"),
    [
        (lambda n: f"{number()},{number()},{number()}", ["c1", "c2", "c3"], {}),
        (lambda n: number(), ["value"], {}),
        (lambda n: f"{comma()};{comma()}", ["c1", "c2"], {"separator": ";"}),
        (lambda n: f"{comma()}\t{comma()}", ["c1", "c2"], {"separator": "\t", "decimal": ","}),
        (lambda n: f"  {number()}   {number()}", ["c1", "c2"], {"separator": "whitespace"}),
        (lambda n: f"imu,{number()}", ["c2"], {"columns": ["c1", "c2"]}),
        (lambda n: f"{n},{number()}", ["c2"], {"columns": ["c1", "c2"]}),
        (
            lambda n: f"{1_764_243_000_000 + 10 * n},{number()},1" if n else "ms, ax, ay",
            ["ax", "ay"],
            {"time_column": "ms", "time_unit": "ms", "columns": ["ms", "ax", "ay"]},
        ),
        (
            lambda n: f"2026-11-27T12:00:{n:02d}Z,{number()}",
            ["c2"],
            {"time_column": "c1", "columns": ["c1", "c2"]},
        ),
    ],
)
def test_rows_of_numbers(line: Callable[[int], str], channels: list[str], options: dict[str, Any]) -> None:
    found = best([line(n) for n in range(50)])
    assert (found.decoder, list(found.channels), dict(found.options)) == ("csv", channels, options)


def test_what_is_not_read_is_said() -> None:
    assert best([f"{n},{number()}" for n in range(50)]).notes == ('c1 only rises, as in "49": it is not read',)
    assert best([f"temp={number()} bat=3.7V"] * 20).notes == ('bat, as in "3.7V", is not read',)
    (note,) = best([f"2026-11-27 12:00:{n:02d},{number()}" for n in range(50)]).notes
    assert 'names no zone, and is not read: say time_column = "c1"' in note


@pytest.mark.parametrize(
    ("text", "decoder", "channels", "options"),
    [
        ("temp=21.5 hum=40", "keyvalue", ["temp", "hum"], {}),
        ("T: 21.5, RH: 40, state: on", "keyvalue", ["T", "RH"], {}),
        ("Temp 21.5 C Hum 4 %", "regex", ["Temp", "Hum"], {"pattern": f"Temp (?P<Temp>{N}) C Hum (?P<Hum>{N}) %"}),
        ('{"x": 1, "y": 2.5, "id": "a"}', "json", ["x", "y"], {}),
        ('{"acc": {"x": 1}, "gyro": {"x": 2}}', "json", ["acc.x", "gyro.x"], {}),
        ('{"x": "1.5"}', "json", ["x"], {"numbers_as_text": True}),
        ('{"d": {"x": 1}, "ts": 1764243000123}', "json", ["x"], {"fields": {"x": "d.x"}} | TIMED),
        ("[1, 2, 3.5]", "json", ["c1", "c2", "c3"], {}),
    ],
)  # fmt: skip
def test_texts(text: str, decoder: str, channels: list[str], options: dict[str, Any]) -> None:
    for found in (best([text] * 9), best([text] * 9, are_messages=True)):
        assert (found.decoder, list(found.channels), dict(found.options)) == (decoder, channels, options)


def test_packs_have_names_and_units_and_times_of_their_own() -> None:
    folder = data_dir() / "senml"
    for name in ("ex2.json", "ex3.json", "ex3.gen.cbor"):
        found = best([(folder / name).read_bytes()] * 4, are_messages=True)
        assert (found.decoder, dict(found.channels)) == ("senml", {"voltage": "V", "current": "A"})
        assert found.clock == ("arrival" if name == "ex2.json" else "device")
    assert best([(folder / "ex8.json").read_bytes()] * 4, are_messages=True).channels == {
        "temperature": "degC",
        "humidity": "%",
    }


def test_a_cbor_object_is_one() -> None:
    found = best([cbor2.dumps({"x": 1.5, "y": 2, "t": "a"})] * 4, are_messages=True)
    assert (found.decoder, list(found.channels)) == ("cbor", ["x", "y"])


def test_receivers_say_what_they_say() -> None:
    for name, has_vdop in (("neo-m8n", True), ("garmin25lp", False), ("sirfstarv-nmea", True)):
        log = (data_dir() / f"gpsd_nmea/{name}.log").read_bytes().splitlines()
        found = probe(lines([line for line in log if line.startswith(b"$")][:200]))[0]
        assert (found.guess.decoder, found.guess.clock, found.score) == ("nmea", "device", 1.0)
        assert found.guess.channels["speed"] == "m/s"
        assert ("vdop" in found.guess.channels) is has_vdop
        assert abs(found.values[0]) <= 90


def test_nodes_of_a_real_network() -> None:
    with gzip.open(data_dir() / "lorawan_campusiot/helium_ems_B1C1.ndjson.gz") as file:
        found = best([line for line, _ in zip(file, range(100), strict=False)], are_messages=True)
    assert {"temperature", "humidity", "x", "y", "z", "fcnt"} <= set(found.channels)
    assert "devaddr" not in found.channels  # digits in quotes
    assert found.options["fields"]["temperature"] == "decoded.payload.temperature"
    assert (found.options["time_field"], found.options["time_unit"]) == ("reported_at", "ms")


@pytest.mark.parametrize("said", [[], ["boot", "hello", "ready"], [b"\xff\x81\x02\xfe\x90"] * 9, ["{", "}", "["]])
def test_what_makes_no_sense_is_nothing(said: list[str | bytes]) -> None:
    assert probe(lines(said)) == []
    assert probe(messages(said), are_messages=True) == []


def test_any_bytes_are_probed_without_an_error() -> None:
    chance = random.Random(11)
    signs = [
        b"1",
        b"2",
        b",",
        b";",
        b".",
        b"\n",
        b"$GPGGA,",
        b"{",
        b"}",
        b'"x":',
        b"[",
        b"]",
        b"=",
        b"a",
        b" ",
        b"\xff",
        b"\0",
    ]
    for _ in range(60):
        data = [b"".join(chance.choices(signs, k=chance.randrange(1, 40))) for _ in range(6)]
        for found in (*probe(lines(data)), *probe(messages(data), are_messages=True)):
            assert 0 < found.score <= 1
