"""The `[[source]]` tables of agent.toml: what each says, and that no two claim the same thing."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

from edge.assembling import SourceTable
from edge.corrections import read_correction
from edge.decoders import OF_SOURCES, decoder_type
from edge.devices import Pattern
from edge.keys import SOURCE, synonyms
from edge.protocol import ClockKind, Completing, SourceConfig
from edge.sources import DECODERS as OWN_DECODERS
from edge.sources import KERNEL, source_type
from edge.tables import address_part, by_channel, check_characters, name, one_of, quantity, shown, text
from edge.tags import tagged
from ingest.errors import UsageError
from ingest.measures import check_unit
from ingest.records import SampleType
from ingest.settings import check_keys, meant
from ingest.states import States, check_unscaled, least_type, states_of_channels
from ingest.units import parse_duration, parse_rate

_DEVICES_MOST: Final = 10_000
_NAMING: Final = ("json", "cbor")
"""Decoders of objects, a field of which may say whose they are."""
_TIMED: Final = ("nmea", "senml", "ubx")
"""Decoders of what has times of its own."""
_EXAMPLE: Final = 'as in { x = "g", y = "g" }'


def read_sources(tables: Sequence[SourceTable], file: str, device: str) -> tuple[SourceConfig, ...]:
    """The sources of a configuration; `device` is theirs where they name none. Raises `UsageError`."""
    if not tables:
        raise UsageError(f"{file}: no [[source]] table; an agent needs at least one")
    sources = tagged([_source(table.table, table.where, table.base, device) for table in tables])
    taken: dict[Hashable, str] = {}
    for source, table in zip(sources, tables, strict=True):
        for what, shared in _claims(source):
            if what in taken:
                raise UsageError(f"{source.where}: {shared} is taken by {taken[what]}; give it another one")
            taken[what] = table.number
    return sources


def _claims(source: SourceConfig) -> Iterator[tuple[Hashable, str]]:
    """What only one source may have, and how an error calls it."""
    yield ("name", source.name), f'name "{source.name}"'
    yield ("stream", source.device, source.stream), f'stream "{source.device}/{source.stream}"'
    options = source.options
    if source.type in ("serial", "modbus") and options.get("port"):
        from edge.sources.serial.port import identity, is_path  # its library is there: the source was made

        port = str(Path(source.base) / options["port"]) if is_path(options["port"]) else options["port"]
        if source.tag and not source.tags:  # of the first one on it, and alike
            return
        yield ("port", identity(port)), f'port "{options["port"]}"'
    if source.type == "i2c" and "address" in options:
        yield ("i2c", options.get("bus", 1), options["address"]), f"address 0x{options['address']:02x}"
    if isinstance(options.get("client_id"), str):
        yield ("client_id", options.get("broker"), options["client_id"]), f'client_id "{options["client_id"]}"'


def _spelt(table: Mapping[str, Any], key: str, where: str) -> str:
    """The text of a key that says which others there are. Raises `UsageError`, also where it is misspelt itself."""
    for other in table.keys() - SOURCE.keys() if key not in table else ():
        if meant(other, SOURCE, synonyms(SOURCE)) == key:
            raise UsageError(f'{where}: "{key}" is missing, and "{other}" is an unknown key. Did you mean "{key}"?')
    return text(table, key, where)


def _source(table: Mapping[str, Any], where: str, base: str, device: str) -> SourceConfig:
    kind = _spelt(table, "type", where)
    decoder = _decoder(table, kind, where)
    source_class, decoder_class = source_type(kind, where), decoder_type(decoder, where)
    own = {**source_class.keys, **decoder_class.keys}
    check_keys(table, {*SOURCE, *own}, where, synonyms(own) | synonyms(SOURCE))
    said = {key for key, about in own.items() if about.is_said or key in decoder_class.keys}
    check_characters({key: value for key, value in table.items() if key not in said}, where)
    channels = _channels(table, where)
    scales = _scales(table, where, channels)
    offsets = by_channel(table, "offset", where, channels)
    states = _states(table, where, channels, scales, offsets)
    default = _default_dtype(decoder, channels, states)
    config = SourceConfig(
        where=where,
        base=base,
        name=name(table, "name", where),
        type=kind,
        decoder=decoder,
        device=_device(table, where, device),
        device_named="device" in table,
        home=device,
        max_devices=_max_devices(table, where),
        stream=_stream(table, where),
        channels=channels,
        rate=quantity(table, "rate", where, parse_rate, None),
        dtype=cast(SampleType, one_of(table, "dtype", where, get_args(SampleType), default)),
        scales=scales,
        offsets=offsets,
        correction=read_correction(table, where, channels, states),
        clock=cast(ClockKind, one_of(table, "clock", where, get_args(ClockKind), _default_clock(table, kind, decoder))),
        low=by_channel(table, "min", where, channels),
        high=by_channel(table, "max", where, channels),
        step=_steps(table, where, channels),
        states=states,
        expect_ns=_expectation(table, where),
        sensor=text(table, "sensor", where, ""),
        mounting=text(table, "mounting", where, ""),
        options={key: value for key, value in table.items() if key in own},
    )
    if issubclass(source_class, Completing):
        config = source_class.completed(config, table.keys())
    _check_clock(config)
    _check_bounds(config)
    _check_correction(config)
    source_class.from_config(config)
    decoder_class.from_config(config)
    _check_family(config)
    return config


def _device(table: Mapping[str, Any], where: str, default: str) -> str:
    """A device's name, or a pattern of such."""
    return _pattern(table, "device", where, default)


def _pattern(table: Mapping[str, Any], key: str, where: str, default: str | None = None) -> str:
    """A name, or a pattern of such; the level of a topic that is called like it, where the table says none."""
    if key not in table and f"{{{key}}}" in str(table.get("topic", "")):
        return f"{{{key}}}"
    found = address_part(table, key, where, default)
    try:
        Pattern.of(found)
    except ValueError:
        raise UsageError(
            f'{where}: {key}: "{found}": braces hold the name of what tells {key}s apart, as in "pump-{{line}}"'
        ) from None
    return found


def _max_devices(table: Mapping[str, Any], where: str) -> int:
    found = table.get("max_devices", 100)
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _DEVICES_MOST:
        raise UsageError(
            f"{where}: max_devices: found {shown(found)}, expected a whole number from 1 to {_DEVICES_MOST}"
        )
    return found


def _check_family(config: SourceConfig) -> None:
    """Somebody must tell the devices, and the streams, apart."""
    by_topic = "{" in str(config.options.get("topic", ""))
    if config.has_streams and not by_topic:
        raise UsageError(
            f'{config.where}: stream: "{config.stream}": what is in braces is a named part of an MQTT topic, as in '
            'topic = "site/{device}/{stream}"'
        )
    by_source = config.type == "sparkplug" or by_topic
    if config.is_family and not by_source and config.decoder not in _NAMING:
        raise UsageError(
            f'{config.where}: device: "{config.device}": what is in braces is a named part of an MQTT topic, as in '
            f'topic = "site/{{device}}/acc", or a field that {" or ".join(_NAMING)} reads; "{config.decoder}" has none'
        )


def _decoder(table: Mapping[str, Any], kind: str, where: str) -> str:
    own = OWN_DECODERS.get(kind)
    if own is not None and "decoder" in table:
        raise UsageError(f'{where}: decoder: a source of type "{kind}" needs none; leave it out')
    found = own or _spelt(table, "decoder", where)
    if own is None and found in OF_SOURCES:
        raise UsageError(f'{where}: decoder: "{found}" belongs to other types of sources than "{kind}"')
    return found


def _default_clock(table: Mapping[str, Any], kind: str, decoder: str) -> ClockKind:
    if decoder in _TIMED or kind == "sparkplug" or "time_column" in table or "time_field" in table:
        return "device"
    if kind in KERNEL and "poll" not in table:
        return "kernel"
    return "counted" if kind == "replay" else "arrival"


def _check_clock(config: SourceConfig) -> None:
    timed = (
        config.decoder in _TIMED or config.type == "sparkplug" or config.options.keys() & {"time_column", "time_field"}
    )
    if (config.clock == "kernel") is not (config.type in KERNEL and "poll" not in config.options):
        raise UsageError(
            f"{config.where}: clock: the kernel stamps what {' and '.join(KERNEL)} read, and nothing else"
            + ("; what is polled has none" if "poll" in config.options else "")
        )
    if config.clock != "device" and config.type == "sparkplug":
        raise UsageError(f"{config.where}: clock: Sparkplug's metrics have times of their own; leave clock out")
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


def _check_correction(config: SourceConfig) -> None:
    """What is corrected must be what the stream can hold, and what is said of its channels must be so of both."""
    correction = config.correction
    if correction is None:
        return
    if correction.date and not config.dtype.startswith("float"):
        raise UsageError(
            f'{config.where}: dtype: what is calibrated has fractions, which "{config.dtype}" refuses; leave dtype out'
        )
    if correction.date:
        return
    for channel, axis in zip(config.channels, correction.axes, strict=True):
        other = axis.removeprefix("-")
        counts = {(config.scales.get(name, 1.0), config.offsets.get(name, 0.0)) for name in (channel, other)}
        if len(counts) > 1 or (axis != other and config.offsets.get(other, 0.0)):
            raise UsageError(
                f'{config.where}: axes: {channel} = "{axis}": their counts mean other values; give both one scale, and '
                "no offset"
            )


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


def _states(
    table: Mapping[str, Any],
    where: str,
    channels: Mapping[str, str],
    scales: Mapping[str, float],
    offsets: Mapping[str, float],
) -> dict[str, States]:
    if "values" not in table:
        return {}
    states = states_of_channels(table["values"], list(channels), f"{where}: values")
    check_unscaled(states, scales, f"{where}: scale")
    if offsets.keys() & states.keys():
        raise UsageError(
            f"{where}: offset: {min(offsets.keys() & states.keys())} has named states; leave its offset out"
        )
    return states


def _default_dtype(decoder: str, channels: Mapping[str, str], states: Mapping[str, States]) -> SampleType:
    """A channel alone is never missing in a sample: its codes need no float."""
    if len(channels) == 1 and states:
        return least_type(states.values())
    return "float64" if decoder in ("nmea", "ubx") else "float32"


def _expectation(table: Mapping[str, Any], where: str) -> int | None:
    expected_ns = quantity(table, "expect", where, parse_duration, None)
    if expected_ns is not None and expected_ns <= 0:
        raise UsageError(f'{where}: expect: found "{table["expect"]}", expected a duration above 0, as in "5s"')
    return expected_ns


def _stream(table: Mapping[str, Any], where: str) -> str:
    stream = _pattern(table, "stream", where)
    if "." in stream:
        raise UsageError(f'{where}: stream: "{stream}" has a dot, which separates a stream from its channel')
    return stream
