"""What a `[[source]]` of type "iio" says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from edge.protocol import Key, SourceConfig
from edge.sources.iio.layout import Column
from edge.sources.sysfs import poll_ns
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_rate

KEYS: Final[Mapping[str, Key]] = {
    "chip": Key(
        "text",
        "The sensor: its label or name, which stay the same from boot to boot. Of several of one name, `name@place`, "
        "where the place is part of its path below /sys/devices.",
        '"adxl345@1-0053"',
        synonyms=("iio", "iio_device", "sensor_name", "driver"),
    ),
    "elements": Key(
        "table of elements by channel",
        "What a channel is to the kernel: `accel_x`, `voltage0`, `rot_quaternion[1]`.",
        '{ x = "accel_x" }',
        "the element of the channel's name, or the only one that ends in it",
        ("scan_elements", "element"),
    ),
    "frequency": Key(
        "rate",
        "The sampling frequency that is set, of the trigger or of the sensor.",
        '"100Hz"',
        "as it is",
        ("sampling_frequency", "odr", "sample_rate"),
    ),
    "trigger": Key(
        "text",
        "What makes the sensor take a scan, by its name.",
        '"t100"',
        "the one that is set, or the sensor's own",
        ("current_trigger",),
    ),
    "buffer": Key(
        "whole number",
        "So many scans wait in the kernel; what comes while it is full is lost.",
        "8192",
        "1024",
        ("buffer_length", "length"),
    ),
    "mount_matrix": Key(
        "true or false",
        "Turn the sensor's axes into its device's, where the kernel knows how it is mounted.",
        "false",
        "true",
        ("mounting_matrix", "orientation"),
    ),
    "poll": Key(
        "duration",
        "Ask for single values so often, for what has no buffer.",
        '"1s"',
        "none: its buffer is read",
        ("interval", "period", "every"),
    ),
}
BUFFER: Final = 1024
BUFFER_MAX: Final = 1 << 20
_OF_BUFFERS: Final = ("trigger", "buffer")


@dataclass(frozen=True, slots=True)
class Settings:
    """A sensor, and how it is read."""

    chip: str
    elements: Mapping[str, str]
    """By channel, in their order."""
    units: Mapping[str, str] = field(default_factory=dict)
    """The same of the channels' units."""
    frequency: Fraction | None = None
    """In hertz."""
    trigger: str = ""
    buffer: int = BUFFER
    is_mounted: bool = True
    poll_ns: int = 0
    """0: its buffer is read."""


def read_settings(config: SourceConfig) -> Settings:
    """Raises `UsageError` where a key says what cannot be."""
    every_ns = poll_ns(config, "") if "poll" in config.options else 0
    for key in _OF_BUFFERS:
        if every_ns and key in config.options:
            raise UsageError(
                f"{config.where}: {key}: belongs to a buffer, which poll leaves alone; leave one of both out"
            )
    buffer = config.option("buffer", int, BUFFER)
    if not 2 <= buffer <= BUFFER_MAX:
        raise UsageError(f"{config.where}: buffer: {buffer} is not in 2..{BUFFER_MAX}")
    return Settings(
        config.option("chip", str),
        _elements(config),
        dict(config.channels),
        _frequency(config),
        config.option("trigger", str, ""),
        buffer,
        config.option("mount_matrix", bool, True),
        every_ns,
    )


def _elements(config: SourceConfig) -> dict[str, str]:
    where, given = config.where, config.option("elements", dict, {})
    for channel, element in given.items():
        if channel not in config.channels:
            raise UsageError(f'{where}: elements: "{channel}" is no channel{suggest(channel, config.channels)}')
        if not isinstance(element, str) or not Column.of(element).element:
            raise UsageError(f'{where}: elements: {channel}: found {element!r}, expected a name, as in "accel_x"')
    return {channel: given.get(channel, channel) for channel in config.channels}


def _frequency(config: SourceConfig) -> Fraction | None:
    if "frequency" not in config.options:
        return None
    try:
        return parse_rate(config.option("frequency", str))
    except UsageError as error:
        raise UsageError(f"{config.where}: frequency: {error}") from None
