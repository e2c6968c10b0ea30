"""What a `[[source]]` of type "i2c" says, checked, and what the part's file says of its stream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from edge.protocol import Key, SourceConfig
from edge.sources.i2c.part import Bits, Group, Part, exact, load_part
from ingest.errors import UsageError
from ingest.measures import channel_unit, conversion
from ingest.records import SampleType
from ingest.settings import suggest
from ingest.units import parse_rate

KEYS: Final[Mapping[str, Key]] = {
    "part": Key(
        "text",
        "Which part it is: adxl345, lis3dh, mpu6050, or the path of a file that describes another one's registers.",
        '"adxl345"',
        synonyms=("chip", "model", "sensor_type", "driver", "register_map"),
    ),
    "bus": Key(
        "whole number",
        "The bus: 1 is /dev/i2c-1, that of a Raspberry Pi's pins 3 and 5.",
        "1",
        "1",
        ("i2c_bus", "adapter", "port", "i2c"),
    ),
    "address": Key(
        "whole number",
        "The part's address on its bus, as i2cdetect shows it.",
        "0x1d",
        "whichever of the part's own addresses it answers at",
        ("i2c_address", "addr", "slave", "i2c_addr"),
    ),
    "range": Key(
        "text, or table of texts by group",
        "How much it measures at most; of a part that measures several things, each one's.",
        '"8g"',
        "the part's least",
        ("full_scale", "sensitivity", "measuring_range"),
    ),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """A part at an address, and how it is set up."""

    part: Part
    bus: int
    addresses: tuple[int, ...]
    """Where it may be."""
    channels: tuple[str, ...]
    """The stream's."""
    rate: str
    """As the part's file names it."""
    ranges: tuple[str, ...]
    """Each group's, as the part's file names it; empty for one without ranges."""

    @property
    def rate_hz(self) -> Fraction:
        """Of the part's own clock, by its data sheet."""
        return parse_rate(self.rate)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those in a sample: the ones that are wanted, and those that cannot be left out."""
        wanted = {self.part.groups_by_channel[channel].name for channel in self.channels}
        return tuple(group for group in self.part.group if group.name in wanted or not group.enable)

    @property
    def bits(self) -> Bits:
        """What is set besides what is always written."""
        found = list(self.part.rate.codes[self.rate])
        enabled = {group.name for group in self.groups}
        for group, name in zip(self.part.group, self.ranges, strict=True):
            if group.range:
                found += group.range.codes[name].bits
            if group.name in enabled:
                found += group.enable
        return tuple(found)


def read_settings(config: SourceConfig) -> Settings:
    """Raises `UsageError` where a key says what cannot be."""
    where = config.where
    part = load_part(config.option("part", str), config.base, where)
    bus = config.option("bus", int, 1)
    if not 0 <= bus <= 255:
        raise UsageError(f"{where}: bus: {bus} is not in 0..255; 1 is /dev/i2c-1")
    for channel, unit in config.channels.items():
        _check_channel(part, channel, unit, where)
    return Settings(
        part, bus, _addresses(config, part), tuple(config.channels), _rate(config, part), _ranges(config, part)
    )


def completed(config: SourceConfig, said: Collection[str]) -> SourceConfig:
    """The same with what the part's file says of the stream: rate, scale, offset, and a type that holds its counts.

    `said` are the keys that the table has. Raises `UsageError`.
    """
    settings = read_settings(config)
    for key in ("scale", "offset"):
        if key in said:
            raise UsageError(
                f"{config.where}: {key}: what a count of the {settings.part.name} means is known; leave it out "
                "(calibration corrects what it measures)"
            )
    scales, offsets = _meaning(settings, config)
    widest = max(group.bits + (not group.signed) for group in settings.groups)
    whole: SampleType = "int16" if widest <= 16 else "int32" if widest <= 32 else "float64"
    is_calibrated = config.correction is not None and bool(config.correction.date)
    return replace(
        config,
        rate=settings.rate_hz,
        scales=scales,
        offsets=offsets,
        dtype=config.dtype if "dtype" in said or is_calibrated else whole,
        sensor=config.sensor or settings.part.name,
    )


def _meaning(settings: Settings, config: SourceConfig) -> tuple[dict[str, float], dict[str, float]]:
    """By channel, its unit per count, and its value at 0 where that is not 0."""
    scales, offsets, part = dict[str, float](), dict[str, float](), settings.part
    ranges = dict(zip((group.name for group in part.group), settings.ranges, strict=True))
    for channel, unit in config.channels.items():
        group = part.groups_by_channel[channel]
        own = group.range.codes[ranges[group.name]].scale if group.range else None
        factor, shift = conversion(channel_unit(group.unit), channel_unit(unit))
        scales[channel] = float(exact(group.scale if own is None else own) * factor)
        offset = exact(group.offset) * factor + shift
        if offset:
            offsets[channel] = float(offset)
    return scales, offsets


def _check_channel(part: Part, channel: str, unit: str, where: str) -> None:
    group = part.groups_by_channel.get(channel)
    if group is None:
        names = list(part.groups_by_channel)
        raise UsageError(f'{where}: channels: the {part.name} has no "{channel}"{suggest(channel, names)}')
    if channel_unit(unit).dimensions != channel_unit(group.unit).dimensions:
        raise UsageError(
            f'{where}: channels: {channel} = "{unit}" cannot be had of {group.unit}, which the {part.name} gives'
        )


def _addresses(config: SourceConfig, part: Part) -> tuple[int, ...]:
    if "address" not in config.options:
        return part.addresses
    found = config.option("address", int)
    if not 0x08 <= found <= 0x77:
        own = " or ".join(f"0x{address:02x}" for address in part.addresses)
        raise UsageError(f"{config.where}: address: {found} is not in 0x08..0x77; the {part.name} has {own}")
    return (found,)


def _rate(config: SourceConfig, part: Part) -> str:
    if config.rate is None:
        return part.rate.default
    rates = {parse_rate(name): name for name in part.rate.codes}
    found = rates.get(config.rate)
    if found is None:
        near = sorted(rates, key=lambda rate: abs(rate - (config.rate or 0)))[:2]
        raise UsageError(
            f"{config.where}: rate: the {part.name} has no {float(config.rate):g}Hz; the nearest are "
            f"{' and '.join(rates[rate] for rate in sorted(near))}"
        )
    return found


def _ranges(config: SourceConfig, part: Part) -> tuple[str, ...]:
    """Each group's."""
    where, found = config.where, config.options.get("range", {})
    ranged = [group for group in part.group if group.range]
    if isinstance(found, str) and len(ranged) == 1:
        found = {ranged[0].name: found}
    if not isinstance(found, dict):
        groups = ", ".join(f'{group.name} = "{group.range.default}"' for group in ranged if group.range)
        raise UsageError(f"{where}: range: found {found!r}, expected each one's, as in range = {{ {groups} }}")
    for name in found:
        if name not in {group.name for group in ranged}:
            raise UsageError(f'{where}: range: "{name}" is none{suggest(name, [group.name for group in ranged])}')
    names = []
    for group in part.group:
        name = found.get(group.name, group.range.default) if group.range else ""
        if group.range and (not isinstance(name, str) or name not in group.range.codes):
            raise UsageError(f"{where}: range: {group.name}: found {name!r}{suggest(str(name), group.range.codes)}")
        names.append(name)
    return tuple(names)
