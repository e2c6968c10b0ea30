"""Scenario files: which virtual sensors there are, how and where they speak, and what goes wrong. Strict TOML.

    seed = 1                          # another seed, another truth
    start = "2026-01-05T08:00:00Z"    # of the event time; without it: when the simulation starts
    seconds = 60                      # of event time
    speed = 1.0                       # of event time against the clock on the wall
    truth = "truth.csv"               # where the true events go, as a marks file

    [broker]                          # an embedded MQTT broker (3.1.1), where no other runs
    listen = "127.0.0.1:18830"

    [[sensor]]
    device = "pump-7"
    stream = "acc"
    kind = "accelerometer"            # accelerometer, temperature, valve or gps
    rate = "100Hz"
    via = "serial"                    # a pseudo-terminal at `port`
    port = "ttyPUMP"
    format = "csv"                    # csv, json or nmea (gps)
    values = "raw"                    # the sensor's own counts; or "physical"
    time = false                      # whether it says its own time

    [sensor.faults]
    drop_bytes = 0.0001               # shares
    garbage = 0.01
    duplicates = 0.001
    pause = "2s"
    pause_every = "30s"

`via = "mqtt"` has `broker = "mqtt://host:1883"`, `topic` and `qos`; `via = "log"` has `log = "segments:DIR"`.
Paths are relative to the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args
from urllib.parse import urlsplit

import msgspec
import numpy as np

from ingest.errors import UsageError
from ingest.settings import check_keys, suggest
from ingest.tomlfile import read_toml
from ingest.units import parse_duration, parse_rate, parse_time
from simulators import accelerometer, gps, thermometer, valve
from simulators.disturbance import Disturbance
from simulators.recording import Recording
from simulators.speech import Format, Style

T = TypeVar("T")
SECONDS_MAX: Final = 86_400.0
_Make = Callable[[np.random.Generator, Fraction, int, float], Recording]


def _accelerometer(rng: np.random.Generator, rate: Fraction, t0_ns: int, seconds: float) -> Recording:
    return accelerometer.simulate(rng, accelerometer.Sensor(rate=rate), t0_ns, seconds)


def _thermometer(rng: np.random.Generator, rate: Fraction, t0_ns: int, seconds: float) -> Recording:
    return thermometer.simulate(rng, thermometer.Probe(rate=rate), t0_ns, seconds)


def _valve(rng: np.random.Generator, rate: Fraction, t0_ns: int, seconds: float) -> Recording:
    return valve.simulate(rng, valve.Valve(rate=rate), t0_ns, seconds)


def _gps(rng: np.random.Generator, rate: Fraction, t0_ns: int, seconds: float) -> Recording:
    return gps.simulate(rng, gps.Receiver(rate=rate), t0_ns, seconds)


@dataclass(frozen=True, slots=True)
class _Kind:
    make: _Make
    rate: str
    stream: str
    format: Format


_KINDS: Final[Mapping[str, _Kind]] = {
    "accelerometer": _Kind(_accelerometer, "100Hz", "acc", "csv"),
    "temperature": _Kind(_thermometer, "1Hz", "motor", "json"),
    "valve": _Kind(_valve, "1Hz", "valve", "json"),
    "gps": _Kind(_gps, "1Hz", "gps", "nmea"),
}


@dataclass(frozen=True, slots=True)
class ViaSerial:
    """On a pseudo-terminal that appears at `port`."""

    port: Path


@dataclass(frozen=True, slots=True)
class ViaMqtt:
    """To a topic of a broker."""

    host: str
    port: int
    topic: str
    qos: int


@dataclass(frozen=True, slots=True)
class ViaLog:
    """Straight into a log, as an agent of its own."""

    url: str


@dataclass(frozen=True, slots=True)
class SensorPlan:
    """One `[[sensor]]`."""

    number: int
    device: str
    stream: str
    kind: str
    rate: Fraction
    via: ViaSerial | ViaMqtt | ViaLog
    style: Style
    faults: Disturbance

    def make(self, seed: int, t0_ns: int, seconds: float) -> Recording:
        """What it senses, and the truth about it."""
        made = _KINDS[self.kind].make(np.random.default_rng((seed, self.number)), self.rate, t0_ns, seconds)
        description = msgspec.structs.replace(made.description, stream=self.stream)
        return Recording(made.times, made.counts, description, made.events, made.near_misses, made.gaps)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario file, checked."""

    path: str
    seed: int
    start_ns: int | None
    seconds: float
    speed: float
    truth: Path | None
    broker: tuple[str, int] | None
    """Where the embedded broker listens."""
    sensors: tuple[SensorPlan, ...]


def load_scenario(path: str | Path) -> Scenario:
    """Read and check a scenario file. Raises `UsageError`: where, what was found, what to do."""
    tables, file, base = read_toml(path), str(path), Path(path).parent
    check_keys(tables, ("seed", "start", "seconds", "speed", "truth", "broker", "sensor"), file)
    found = tables.get("sensor")
    if not isinstance(found, list) or not found or not all(isinstance(table, dict) for table in found):
        raise UsageError(f"{file}: no [[sensor]] table; a scenario needs at least one")
    sensors = tuple(_sensor(table, number, f"{file}: sensor[{number}]", base) for number, table in enumerate(found))
    _check_apart(sensors, file)
    seed = _value(tables, "seed", int, file, 1)
    if seed < 0:
        raise UsageError(f"{file}: seed: {seed} is negative; use 0, 1, 2 …")
    start = _value(tables, "start", str, file, "")
    truth = _value(tables, "truth", str, file, "")
    broker = _value(tables, "broker", dict, file, {})
    check_keys(broker, ("listen",), f"{file}: broker")
    return Scenario(
        path=file,
        seed=seed,
        start_ns=_parsed(parse_time, start, f"{file}: start") if start else None,
        seconds=check_seconds(_number(tables, "seconds", file, None), f"{file}: seconds"),
        speed=check_speed(_number(tables, "speed", file, 1.0), f"{file}: speed"),
        truth=base / truth if truth else None,
        broker=_listen(_value(broker, "listen", str, f"{file}: broker", None), file) if "broker" in tables else None,
        sensors=sensors,
    )


def check_seconds(seconds: float, where: str) -> float:
    """Raise `UsageError` for a length that cannot be simulated."""
    if not 1 <= seconds <= SECONDS_MAX:
        raise UsageError(f"{where}: {seconds:g} is not in 1..{SECONDS_MAX:g}")
    return seconds


def check_speed(speed: float, where: str) -> float:
    """Raise `UsageError` for a speed that is none."""
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"{where}: found {speed:g}, expected a number above 0; 1 is as fast as life")
    return speed


def _check_apart(sensors: tuple[SensorPlan, ...], file: str) -> None:
    """No two sensors in one place; a device that speaks into a log has one stream there, and one recording."""
    taken: dict[object, int] = {}
    for sensor in sensors:
        places: list[tuple[object, str]] = [((sensor.device, sensor.stream), f"{sensor.device}/{sensor.stream}")]
        if isinstance(sensor.via, ViaSerial):
            places.append((sensor.via.port, str(sensor.via.port)))
        if isinstance(sensor.via, ViaLog):
            places.append(((sensor.device, sensor.via), f"{sensor.device} in {sensor.via.url}"))
        for key, name in places:
            if key in taken:
                raise UsageError(f"{file}: sensor[{sensor.number}]: {name} is taken by sensor[{taken[key]}]")
            taken[key] = sensor.number


def _sensor(table: Mapping[str, Any], number: int, where: str, base: Path) -> SensorPlan:
    kind, via = _word(table, "kind", _KINDS, where), _word(table, "via", _WAYS, where)
    spoken = () if via == "log" else ("format", "values", "time")
    own = {"serial": ("port",), "mqtt": ("broker", "topic", "qos"), "log": ("log",)}[via]
    check_keys(table, ("device", "stream", "kind", "rate", "via", "faults", *spoken, *own), where)
    usual = _KINDS[kind]
    style = Style(
        cast(Format, _word(table, "format", get_args(Format), where, usual.format)),
        _word(table, "values", ("raw", "physical"), where, "physical") == "raw",
        _value(table, "time", bool, where, False),
    )
    if style.format == "nmea" and kind != "gps":
        raise UsageError(f'{where}: format: "nmea" is what a gps says, not what a {kind} sensor does')
    rate = _value(table, "rate", str, where, usual.rate)
    return SensorPlan(
        number=number,
        device=_name(table, "device", where, None),
        stream=_name(table, "stream", where, usual.stream),
        kind=kind,
        rate=_parsed(parse_rate, rate, f"{where}: rate"),
        via=_WAYS[via](table, where, base),
        style=style,
        faults=_faults(_value(table, "faults", dict, where, {}), f"{where}: faults", via == "log"),
    )


def _serial(table: Mapping[str, Any], where: str, base: Path) -> ViaSerial:
    return ViaSerial(base / _value(table, "port", str, where, None))


def _mqtt(table: Mapping[str, Any], where: str, base: Path) -> ViaMqtt:
    url = _value(table, "broker", str, where, None)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 1883
    except ValueError as error:
        raise UsageError(f'{where}: broker: "{url}": {error}') from None
    if parts.scheme != "mqtt" or not host or parts.path.strip("/"):
        raise UsageError(f'{where}: broker: found "{url}"; write mqtt://host:1883')
    topic = _value(table, "topic", str, where, None)
    if not topic or set("#+") & set(topic):
        raise UsageError(f'{where}: topic: "{topic}" is no topic that one can publish to')
    qos = _value(table, "qos", int, where, 1)
    if qos not in (0, 1):
        raise UsageError(f"{where}: qos: found {qos}, expected 0 or 1")
    return ViaMqtt(host, port, topic, qos)


def _log(table: Mapping[str, Any], where: str, base: Path) -> ViaLog:
    url = _value(table, "log", str, where, None)
    scheme, _, folder = url.partition(":")
    return ViaLog(f"segments:{base / folder}" if scheme == "segments" and folder else url)


_WAYS: Final[Mapping[str, Callable[[Mapping[str, Any], str, Path], ViaSerial | ViaMqtt | ViaLog]]] = {
    "serial": _serial,
    "mqtt": _mqtt,
    "log": _log,
}


def _faults(table: Mapping[str, Any], where: str, whole: bool) -> Disturbance:
    """`whole`: records get lost or through, but do not lose bytes."""
    shares = ("duplicates",) if whole else ("drop_bytes", "garbage", "duplicates")
    check_keys(table, (*shares, "pause", "pause_every"), where)
    given = {name: _number(table, name, where, 0.0) for name in shares}
    for name, share in given.items():
        if not 0 <= share <= 1:
            raise UsageError(f"{where}: {name}: {share:g} is no share; expected 0..1")
    if ("pause" in table) is not ("pause_every" in table):
        raise UsageError(f'{where}: say both "pause", how long, and "pause_every", how often')
    pause_ns, every_ns = (
        _parsed(parse_duration, _value(table, name, str, where, "0s"), f"{where}: {name}")
        for name in ("pause", "pause_every")
    )
    if pause_ns < 0 or every_ns < 0 or (every_ns == 0 and pause_ns > 0):
        raise UsageError(f"{where}: pause and pause_every must be above 0s")
    return Disturbance(**given, pause_ns=pause_ns, pause_every_ns=every_ns)


def _listen(text: str, file: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(f'{file}: broker: listen: found "{text}"; write host:port, as in 127.0.0.1:18830')
    return host, int(port)


def _value(table: Mapping[str, Any], key: str, kind: type[T], where: str, default: T | None) -> T:
    """A key's value. Raises `UsageError` where it is of another type, or missing and without a default."""
    value = table.get(key, default)
    if value is None:
        raise UsageError(f'{where}: "{key}" is missing')
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        kinds = {str: "text", int: "a whole number", bool: "true or false", dict: "a table"}
        raise UsageError(f"{where}: {key}: found {value!r}, expected {kinds[kind]}")
    return value


def _number(table: Mapping[str, Any], key: str, where: str, default: float | None) -> float:
    value = table.get(key, default)
    if value is None:
        raise UsageError(f'{where}: "{key}" is missing')
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{where}: {key}: found {value!r}, expected a number")
    return float(value)


def _word(
    table: Mapping[str, Any],
    key: str,
    known: Mapping[str, Any] | tuple[str, ...],
    where: str,
    default: str | None = None,
) -> str:
    word = _value(table, key, str, where, default)
    if word not in known:
        raise UsageError(f'{where}: {key}: unknown "{word}"{suggest(word, known)}')
    return word


def _name(table: Mapping[str, Any], key: str, where: str, default: str | None) -> str:
    name = _value(table, key, str, where, default)
    if not name or not name.isprintable() or name != name.strip() or (key == "stream" and "." in name):
        raise UsageError(f'{where}: {key}: "{name}" is no name')
    return name


def _parsed(parse: Callable[[str], T], text: str, where: str) -> T:
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
