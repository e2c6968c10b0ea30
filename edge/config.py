"""agent.toml, strictly: what it says, checked before anything is opened."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args

import msgspec

from edge.decoders import decoder_type
from edge.keys import SOURCE, TABLES, synonyms
from edge.protocol import ClockKind, SourceConfig
from edge.recording.batching import describe
from edge.recording.recorder import Rules
from edge.sources import source_type
from edge.spool.condensing import DropPolicy
from edge.spool.spool import SpoolLimits
from ingest.chunker import Limits
from ingest.errors import UsageError
from ingest.records import SampleType, StreamDescription
from ingest.settings import check_keys, suggest
from ingest.tomlfile import read_toml
from ingest.units import parse_duration, parse_rate, parse_size
from labeling.rulefile import read_rules

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet

T = TypeVar("T")
D = TypeVar("D")
ClockTrust = Literal["system", "ntp"]
_MAX_INTERVAL_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class ClockConfig:
    """When the system's clock is believed, and what happens to data until then."""

    trust: ClockTrust = "system"
    """`system`: as soon as it says a year that can be; `ntp`: when the kernel says that it is synchronised."""
    unsynced: Literal["wait", "publish"] = "wait"


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent's configuration."""

    path: str
    agent: str
    log: str
    spool_dir: Path
    spool: SpoolLimits
    fsync_interval_ns: int
    rules: Rules
    clock: ClockConfig
    sources: tuple[SourceConfig, ...]
    rule_set: RuleSet | None
    """What marks are made of already here; None where no rules run on the agent."""
    digest: str
    """A hash of what the file says."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices, in the order of their first source."""
        return tuple(dict.fromkeys(source.device for source in self.sources))

    @property
    def descriptions(self) -> tuple[StreamDescription, ...]:
        """What the streams' bytes mean."""
        return tuple(map(describe, self.sources))


def load_config(path: str | Path) -> AgentConfig:
    """Read and check agent.toml; sources and decoders are imported, no device is touched.

    Raises:
        UsageError: where, what was found, what to do.
    """
    tables, file = read_toml(path), str(path)
    base = Path(path).resolve().parent
    top = TABLES[""]
    check_keys(tables, {*top, *TABLES, "source"} - {""}, file, synonyms(top) | {"sources": "source"})
    device = _name(tables, "device", file, platform.node() or None)
    spool = _table(tables, "spool", file)
    recording = _table(tables, "recording", file)
    clock = _table(tables, "clock", file)
    unsynced = _one_of(clock, "unsynced", f"{file}: clock", ("wait", "publish"), "wait")
    interval_ns = _quantity(spool, "fsync_interval", f"{file}: spool", parse_duration, 1_000_000_000)
    if not 0 < interval_ns <= _MAX_INTERVAL_NS:
        raise UsageError(f'{file}: spool.fsync_interval: found "{spool["fsync_interval"]}", expected above 0 to 60s')
    sources = _sources(tables, file, str(base), device)
    return AgentConfig(
        path=file,
        agent=_name(tables, "agent", file, platform.node() or "agent"),
        log=_text(tables, "log", file),
        spool_dir=base / _text(spool, "dir", f"{file}: spool"),
        spool=_spool_limits(spool, f"{file}: spool"),
        fsync_interval_ns=interval_ns,
        rules=Rules(
            _chunk_limits(_table(tables, "chunk", file), f"{file}: chunk"),
            _quantity(recording, "silence", f"{file}: recording", parse_duration, Rules().silence_ns),
            unsynced == "wait",
        ),
        clock=ClockConfig(
            cast(ClockTrust, _one_of(clock, "trust", f"{file}: clock", get_args(ClockTrust), "system")),
            cast(Literal["wait", "publish"], unsynced),
        ),
        sources=sources,
        rule_set=_read_rules(base / _text(tables, "rules", file), sources) if "rules" in tables else None,
        digest=hashlib.sha256(msgspec.json.encode(tables, order="sorted")).hexdigest()[:16],
    )


def _read_rules(path: Path, sources: Iterable[SourceConfig]) -> RuleSet:
    """The rules of a file; each that reads streams of a device here must fit them."""
    from labeling.rules.plan import check  # the rules' grammar is built at import: only where rules run

    rules = read_rules(path)
    for device in {source.device: None for source in sources}:
        check(rules, [describe(source) for source in sources if source.device == device])
    return rules


def _spool_limits(table: Mapping[str, Any], where: str) -> SpoolLimits:
    size = _quantity(table, "max_bytes", where, parse_size, SpoolLimits().max_bytes)
    if size < 1_000_000:
        raise UsageError(f'{where}.max_bytes: found "{table["max_bytes"]}", expected at least 1MB')
    age = _quantity(table, "max_age", where, parse_duration, 0)
    return SpoolLimits(
        size, age or None, cast(DropPolicy, _one_of(table, "drop", where, get_args(DropPolicy), "oldest"))
    )


def _chunk_limits(table: Mapping[str, Any], where: str) -> Limits:
    limits = Limits(
        _quantity(table, "span", where, parse_duration, Limits().span_ns),
        _quantity(table, "bytes", where, parse_size, Limits().bytes),
    )
    if not 0 < limits.span_ns <= _MAX_INTERVAL_NS or not 64 <= limits.bytes <= 1_000_000:
        raise UsageError(f'{where}: expected a span above 0 to 60s and 64B to 1MB, as in span = "1s", bytes = "32kB"')
    return limits


def _sources(tables: Mapping[str, Any], file: str, base: str, device: str) -> tuple[SourceConfig, ...]:
    found = tables.get("source")
    if not isinstance(found, list) or not found or not all(isinstance(table, dict) for table in found):
        raise UsageError(f"{file}: no [[source]] table; an agent needs at least one")
    sources = tuple(_source(table, f"{file}: source[{number}]", base, device) for number, table in enumerate(found))
    taken: dict[object, str] = {}
    for source in sources:
        for key, what in ((source.name, "name"), ((source.device, source.stream), "stream")):
            if key in taken:
                value = source.name if what == "name" else f"{source.device}/{source.stream}"
                raise UsageError(f'{source.where}: {what} "{value}" is taken by {taken[key]}; give it another one')
            taken[key] = source.where
    return sources


def _source(table: Mapping[str, Any], where: str, base: str, device: str) -> SourceConfig:
    kind, decoder = _text(table, "type", where), _text(table, "decoder", where)
    source_class, decoder_class = source_type(kind, where), decoder_type(decoder, where)
    own = {**source_class.keys, **decoder_class.keys}
    check_keys(table, {*SOURCE, *own}, where, synonyms(own) | synonyms(SOURCE))
    default = "float64" if decoder == "nmea" else "float32"
    channels = _channels(table, where)
    config = SourceConfig(
        where=where,
        base=base,
        name=_name(table, "name", where, None),
        type=kind,
        decoder=decoder,
        device=_name(table, "device", where, device),
        device_named="device" in table,
        stream=_stream(table, where),
        channels=channels,
        rate=_quantity(table, "rate", where, parse_rate, None),
        dtype=cast(SampleType, _one_of(table, "dtype", where, get_args(SampleType), default)),
        scales=_scales(table, where, channels),
        clock=cast(
            ClockKind, _one_of(table, "clock", where, get_args(ClockKind), _default_clock(table, kind, decoder))
        ),
        sensor=_text(table, "sensor", where, ""),
        mounting=_text(table, "mounting", where, ""),
        options={key: value for key, value in table.items() if key in own},
    )
    _check_clock(config)
    source_class.from_config(config)
    decoder_class.from_config(config)
    return config


def _default_clock(table: Mapping[str, Any], kind: str, decoder: str) -> ClockKind:
    if decoder == "nmea" or "time_column" in table or "time_field" in table:
        return "device"
    return "counted" if kind == "replay" else "arrival"


def _check_clock(config: SourceConfig) -> None:
    timed = config.decoder == "nmea" or config.options.keys() & {"time_column", "time_field"}
    if config.clock == "device" and not timed:
        raise UsageError(f'{config.where}: clock: "device" needs a time_column or time_field to take the time from')
    if config.clock == "arrival" and config.type == "replay":
        raise UsageError(
            f'{config.where}: a replay has times of its own: say rate = "50Hz", or which column has the time'
        )
    if config.clock == "counted" and (config.rate is None or config.type != "replay"):
        raise UsageError(f'{config.where}: clock: "counted" is for a replay with a rate: only there is no sample lost')


def _channels(table: Mapping[str, Any], where: str) -> dict[str, str]:
    channels = table.get("channels")
    if not isinstance(channels, dict) or not channels:
        raise UsageError(f'{where}: channels: found {channels!r}, expected units by name, as in {{ x = "g", y = "g" }}')
    for name, unit in channels.items():
        if not isinstance(unit, str) or not unit or not name.isprintable() or name != name.strip() or not name:
            raise UsageError(f'{where}: channels: {name} = {unit!r} is no channel; write it as x = "g"')
    return dict(channels)


def _scales(table: Mapping[str, Any], where: str, channels: Mapping[str, str]) -> dict[str, float]:
    scale = table.get("scale", {})
    if isinstance(scale, int | float) and not isinstance(scale, bool):
        scale = dict.fromkeys(channels, scale)
    if not isinstance(scale, dict):
        raise UsageError(f"{where}: scale: found {scale!r}, expected a number, or numbers by channel")
    check_keys(scale, channels, f"{where}: scale")
    for name, value in scale.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not value:
            raise UsageError(f"{where}: scale: {name} = {value!r} is no number above or below 0")
    return {name: float(value) for name, value in scale.items()}


def _stream(table: Mapping[str, Any], where: str) -> str:
    stream = _name(table, "stream", where, None)
    if "." in stream:
        raise UsageError(f'{where}: stream: "{stream}" has a dot, which separates a stream from its channel')
    return stream


def _table(tables: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {name}: found {table!r}, expected a table [{name}]")
    check_keys(table, TABLES[name], f"{where}: {name}", synonyms(TABLES[name]))
    return table


def _text(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if value is None:
        raise UsageError(f'{where}: "{key}" is missing')
    if not isinstance(value, str) or (not value and default != ""):
        raise UsageError(f"{where}: {key}: found {value!r}, expected text")
    return value


def _name(table: Mapping[str, Any], key: str, where: str, default: str | None) -> str:
    name = _text(table, key, where, default)
    if not name.isprintable() or name != name.strip() or len(name.encode()) > 200:
        raise UsageError(f'{where}: {key}: "{name}" is no name')
    return name


def _one_of(table: Mapping[str, Any], key: str, where: str, known: Iterable[str], default: str) -> str:
    value = _text(table, key, where, default)
    if value not in known:
        raise UsageError(f'{where}: {key}: unknown value "{value}"{suggest(value, known)}')
    return value


def _quantity(table: Mapping[str, Any], key: str, where: str, parse: Callable[[str], T], default: D) -> T | D:
    if key not in table:
        return default
    text = _text(table, key, where)
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {key}: {error}") from None
