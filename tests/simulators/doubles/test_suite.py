"""The check suites pass what is right, and see what is wrong; this project's own plug-ins run through them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from edge.decoders.csv.decoder import CsvDecoder
from edge.decoders.json.decoder import JsonDecoder
from edge.decoders.nmea.decoder import NmeaDecoder
from edge.protocol import Decoder, Fault, Frame, Key, Source, SourceConfig
from edge.sources.mqtt.source import MqttSource
from edge.sources.replay.source import ReplaySource
from edge.sources.serial.source import SerialSource
from simulators.doubles.source import FedSource
from simulators.doubles.suite import check_decoder, check_source
from tests.edge.configs import source_config
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import publish
from tests.support.pty import SerialPort

CSV = b"1,2,3\n-4,5.5,6e-1\nx,y,z\n7,8\n9,,1\n" * 2
JSON = b"".join(json.dumps({"x": n, "y": -n, "z": n / 8}).encode() + b"\n" for n in range(4)) + b'{"x": 1}\n'
NMEA = (
    b"$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57\r\n"
    b"$GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,*5B\r\n"
    b"$GPRMC,083600.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*5B\r\n"
)


class Words:
    """A decoder of lines of one number; what is right about it, subclasses spoil."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self) -> None:
        self.rest, self.reached = b"", 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        return cls()

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        *lines, rest = (self.rest + data).split(b"\n")
        self.rest = rest[:1000]
        return [self.line(line) for line in lines]

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        return [*self.feed(data), *self.feed(b"\n")] if not data.endswith(b"\n") else self.feed(data)

    def reset(self) -> Iterable[Frame | Fault]:
        rest, self.rest, self.reached = self.rest, b"", 0
        return [Fault("torn", 0, -1, rest[:9])] if rest else []

    def line(self, line: bytes) -> Frame | Fault:
        self.reached += len(line) + 1
        try:
            return Frame(np.array([[float(line)]]), None, self.reached)
        except ValueError:
            return Fault("number", 0, 1, line[:60])


class Forgets(Words):
    """It takes each piece for whole lines."""

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        return [self.line(line) for line in data.split(b"\n")]


class Keeps(Words):
    """Its rest has no bound."""

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [self.line(line) for line in lines]


class Remembers(Words):
    """Its reset leaves something."""

    def reset(self) -> Iterable[Frame | Fault]:
        return []


class Raises(Words):
    """It raises for what bytes say."""

    def line(self, line: bytes) -> Frame | Fault:
        return Frame(np.array([[float(line)]]), None, self.reached)


class Flat(Words):
    """Its frames have no axis for channels."""

    def line(self, line: bytes) -> Frame | Fault:
        found = super().line(line)
        return found if isinstance(found, Fault) else Frame(found.values[0], None, found.offset)


class Endless(Words):
    """It shows all of a bad line."""

    def line(self, line: bytes) -> Frame | Fault:
        found = super().line(line)
        return Fault("number", 0, 1, line * 70) if isinstance(found, Fault) else found


def test_a_right_decoder_passes() -> None:
    check_decoder(Words, b"1\n2.5\nx\n" * 9, 1)


@pytest.mark.parametrize("wrong", [Forgets, Keeps, Remembers, Raises, Flat, Endless])
def test_a_wrong_decoder_is_seen(wrong: Callable[[], Decoder]) -> None:
    with pytest.raises((AssertionError, ValueError, TypeError)):
        check_decoder(wrong, b"1\n2.5\nx\n12", 1)


@pytest.mark.parametrize(
    ("decoder", "data", "channels"),
    [
        (CsvDecoder, CSV, "xyz"),
        (JsonDecoder, JSON, "xyz"),
        (NmeaDecoder, NMEA, ("lat", "lon", "speed")),
    ],
    ids=["csv", "json", "nmea"],
)
def test_our_own_decoders_pass(decoder: type[Decoder], data: bytes, channels: Iterable[str]) -> None:
    units = {"lat": "deg", "lon": "deg", "speed": "m/s"}
    config = source_config(channels=tuple(channels), units=units)
    check_decoder(lambda: decoder.from_config(config), data, len(config.channels))


def check(new: Callable[[], Source], say: Callable[[], object]) -> None:
    first, second = asyncio.run(check_source(new, say))
    assert b"1,2,3" in first.data
    assert b"1,2,3" in second.data


def test_a_fed_source_passes() -> None:
    opened: list[FedSource] = []

    def new() -> FedSource:
        opened.append(FedSource())
        return opened[-1]

    check(new, lambda: opened[-1].feed(b"1,2,3\n", 0.0))


def test_the_serial_source_passes(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "port") as port:
        config = source_config(port=str(port.path))
        check(lambda: SerialSource.from_config(config), lambda: port.offer(b"1,2,3\n"))


def test_the_mqtt_source_passes(mosquitto: Mosquitto) -> None:
    config = source_config(kind="mqtt", broker=mosquitto.url, topic="a/b")
    check(
        lambda: MqttSource.from_config(config),
        lambda: publish(mosquitto.host, mosquitto.port, "a/b", [b"1,2,3"]),
    )


def test_the_replay_source_passes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,2,3\n")
    config = source_config(kind="replay", file=str(tmp_path / "a.csv"), speed="max")
    check(lambda: ReplaySource.from_config(config), lambda: None)


class Silent(FedSource):
    """It says nothing when it has nothing to say, and nothing when it has."""

    def feed(self, *given: Any, **more: Any) -> None:
        """Lost."""


def test_a_source_that_delivers_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.doubles.suite.PATIENCE_S", 0.2)
    with pytest.raises(AssertionError, match="nothing arrived"):
        asyncio.run(check_source(Silent, lambda: None))
