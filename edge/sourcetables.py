"""The `[[source]]` tables of agent.toml: what each says, and that no two claim the same thing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast, get_args

from edge.decoders import decoder_type
from edge.keys import SOURCE, synonyms
from edge.protocol import ClockKind, SourceConfig
from edge.sources import source_type
from edge.tables import address_part, by_channel, name, one_of, quantity, shown, text
from ingest.errors import UsageError
from ingest.measures import check_unit
from ingest.records import SampleType
from ingest.settings import check_keys
from ingest.units import parse_duration, parse_rate

_EXAMPLE: Final = 'as in { x = "g", y = "g" }'


def read_sources(found: Any, file: str, base: str, device: str) -> tuple[SourceConfig, ...]:
    """The sources of a file; `device` is theirs where they name none. Raises `UsageError`."""
    if isinstance(found, dict):
        raise UsageError(f"{file}: found [source]; write [[source]], with two brackets: there may be several")
    if not isinstance(found, list) or not found or not all(isinstance(table, dict) for table in found):
        raise UsageError(f"{file}: no [[source]] table; an agent needs at least one")
    sources = tuple(_source(table, _where(file, number, table), base, device) for number, table in enumerate(found, 1))
    taken: dict[Hashable, str] = {}
    for number, source in enumerate(sources, 1):
        for what, shared in _claims(source):
            if what in taken:
                raise UsageError(f"{source.where}: {shared} is taken by {taken[what]}; give it another one")
            taken[what] = f"[[source]] number {number}"
    return sources


def _where(file: str, number: int, table: Mapping[str, Any]) -> str:
    """The name is what people know it by; one without is counted, from 1."""
    found = table.get("name")
    return f'{file}: source "{found}"' if isinstance(found, str) and found else f"{file}: [[source]] number {number}"


def _claims(source: SourceConfig) -> Iterator[tuple[Hashable, str]]:
    """What only one source may have, and how an error calls it."""
    yield ("name", source.name), f'name "{source.name}"'
    yield ("stream", source.device, source.stream), f'stream "{source.device}/{source.stream}"'
    options = source.options
    if source.type == "serial":
        from edge.sources.serial.port import identity  # its library is there: the source was made

        yield ("port", identity(str(Path(source.base) / options["port"]))), f'port "{options["port"]}"'
    if isinstance(options.get("client_id"), str):
        yield ("client_id", options.get("broker"), options["client_id"]), f'client_id "{options["client_id"]}"'


def _source(table: Mapping[str, Any], where: str, base: str, device: str) -> SourceConfig:
    kind, decoder = text(table, "type", where), text(table, "decoder", where)
    source_class, decoder_class = source_type(kind, where), decoder_type(decoder, where)
    own = {**source_class.keys, **decoder_class.keys}
    check_keys(table, {*SOURCE, *own}, where, synonyms(own) | synonyms(SOURCE))
    default = "float64" if decoder == "nmea" else "float32"
    channels = _channels(table, where)
    config = SourceConfig(
        where=where,
        base=base,
        name=name(table, "name", where),
        type=kind,
        decoder=decoder,
        device=address_part(table, "device", where, device),
        device_named="device" in table,
        stream=_stream(table, where),
        channels=channels,
        rate=quantity(table, "rate", where, parse_rate, None),
        dtype=cast(SampleType, one_of(table, "dtype", where, get_args(SampleType), default)),
        scales=_scales(table, where, channels),
        clock=cast(ClockKind, one_of(table, "clock", where, get_args(ClockKind), _default_clock(table, kind, decoder))),
        low=by_channel(table, "min", where, channels),
        high=by_channel(table, "max", where, channels),
        step=_steps(table, where, channels),
        expect_ns=_expectation(table, where),
        sensor=text(table, "sensor", where, ""),
        mounting=text(table, "mounting", where, ""),
        options={key: value for key, value in table.items() if key in own},
    )
    _check_clock(config)
    _check_bounds(config)
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


def _check_bounds(config: SourceConfig) -> None:
    for channel, low in config.low.items():
        high = config.high.get(channel)
        if high is not None and high <= low:
            raise UsageError(f"{config.where}: max: {channel}: found {high:g}, expected more than its min, {low:g}")


def _channels(table: Mapping[str, Any], where: str) -> dict[str, str]:
    if "channels" not in table:
        raise UsageError(f'{where}: "channels" is missing: units by name, {_EXAMPLE}')
    channels = table["channels"]
    if isinstance(channels, list) and channels and all(isinstance(item, str) for item in channels):
        units = ", ".join(f'{item} = "UNIT"' for item in channels)
        raise UsageError(f"{where}: channels: found a list; say each one's unit too: channels = {{ {units} }}")
    if not isinstance(channels, dict) or not channels:
        found = "an empty table" if channels == {} else shown(channels)
        raise UsageError(f"{where}: channels: found {found}, expected units by name, {_EXAMPLE}")
    for channel, unit in channels.items():
        if not isinstance(unit, str) or not channel.isprintable() or channel != channel.strip() or not channel:
            raise UsageError(f'{where}: channels: {channel!r} = {shown(unit)} is no channel; write it as x = "g"')
        try:
            check_unit(unit)
        except UsageError as error:
            raise UsageError(f"{where}: channels: {channel}: {error}") from None
    return dict(channels)


def _scales(table: Mapping[str, Any], where: str, channels: Mapping[str, str]) -> dict[str, float]:
    scales = by_channel(table, "scale", where, channels)
    for channel, value in scales.items():
        if not value:
            raise UsageError(f"{where}: scale: {channel} = 0 is no number above or below 0")
    return scales


def _steps(table: Mapping[str, Any], where: str, channels: Mapping[str, str]) -> dict[str, float]:
    steps = by_channel(table, "max_step", where, channels)
    for channel, value in steps.items():
        if value <= 0:
            raise UsageError(f"{where}: max_step: {channel} = {value:g}, expected a number above 0")
    return steps


def _expectation(table: Mapping[str, Any], where: str) -> int | None:
    expected_ns = quantity(table, "expect", where, parse_duration, None)
    if expected_ns is not None and expected_ns <= 0:
        raise UsageError(f'{where}: expect: found "{table["expect"]}", expected a duration above 0, as in "5s"')
    return expected_ns


def _stream(table: Mapping[str, Any], where: str) -> str:
    stream = address_part(table, "stream", where)
    if "." in stream:
        raise UsageError(f'{where}: stream: "{stream}" has a dot, which separates a stream from its channel')
    return stream
