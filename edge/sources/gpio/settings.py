"""What a `[[source]]` of type "gpio" says, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, get_args

from edge.protocol import Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration

EdgeKind: TypeAlias = Literal["both", "rising", "falling"]
Bias: TypeAlias = Literal["as-is", "pull-up", "pull-down", "disabled"]

KEYS: Final[Mapping[str, Key]] = {
    "chip": Key(
        "text",
        "The GPIO chip: its device file, or the label by which it stays the same from kernel to kernel.",
        '"pinctrl-rp1"',
        "the one that has lines of these names",
        ("gpiochip", "controller"),
    ),
    "lines": Key(
        "table of lines by channel",
        "Which line is a channel's: its number on the chip, or its name.",
        '{ door = 17, lid = "GPIO27" }',
        "those of quadrature",
        ("pins", "line", "pin", "gpio"),
    ),
    "quadrature": Key(
        "list of two lines",
        "An encoder's lines A and B, in the place of `lines`: the first channel is the position, in edges; a second "
        "one the direction, 1 or -1.",
        "[17, 27]",
        "none",
        ("encoder", "ab", "rotary"),
    ),
    "edge": Key(
        "one of both, rising, falling",
        "Which edges count. `both`: each gives a sample of all lines' levels; else each is a sample of its own line "
        "only.",
        '"falling"',
        "both; rising with every",
        ("edges", "trigger"),
    ),
    "every": Key(
        "duration",
        "Count the edges, and say how many there were, so often: for flow meters, rain gauges, fans.",
        '"1s"',
        "none: each edge is a sample",
        ("interval", "count", "counter", "per"),
    ),
    "bias": Key(
        "one of as-is, pull-up, pull-down, disabled",
        "The line's own resistor: a contact to ground needs pull-up.",
        '"pull-up"',
        "as-is",
        ("pull", "pull_up_down", "resistor"),
    ),
    "active_low": Key(
        "true or false",
        "A line on ground is 1, and one that falls to it has a rising edge.",
        "true",
        "false",
        ("invert", "inverted"),
    ),
    "debounce": Key(
        "duration",
        "What changes back within this time is no edge; the kernel sees to it, and stamps an edge when it is over.",
        '"10ms"',
        "none",
        ("debounce_time", "bounce", "bouncetime"),
    ),
}
BIASES: Final[tuple[Bias, ...]] = get_args(Bias)
DEBOUNCE_MAX_NS: Final = 1_000_000_000
LINES_MAX: Final = 64
"""So many a request takes (GPIO_V2_LINES_MAX of linux/gpio.h)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Lines of a chip, and what is made of their edges."""

    chip: str
    """Device file, its name, or label; empty: the one that has the lines."""
    lines: tuple[int | str, ...]
    """In the order of the channels."""
    edge: EdgeKind = "both"
    every_ns: int = 0
    """0: each edge is a sample."""
    bias: Bias = "as-is"
    active_low: bool = False
    debounce_ns: int = 0
    encoder_channels: int = 0
    """Not 0: the lines are an encoder's, and give so many channels."""


def read_settings(config: SourceConfig) -> Settings:
    """Raises `UsageError` where a key says what cannot be."""
    where = config.where
    every_ns = _duration(config, "every", 1_000_000, 86_400 * 10**9) if "every" in config.options else 0
    edge = _one_of(
        config, "edge", get_args(EdgeKind), "rising" if every_ns and "quadrature" not in config.options else "both"
    )
    is_encoder = "quadrature" in config.options
    if is_encoder and "edge" in config.options:
        raise UsageError(f"{where}: edge: each edge of an encoder counts; leave it out")
    if edge == "both" and not every_ns and not is_encoder and set(config.states) != set(config.channels):
        raise UsageError(
            f"{where}: values is missing: say what the levels mean, as in values = "
            '{ 0 = "open", 1 = "closed" }: nothing is drawn or computed between two of them then'
        )
    lines = _encoder(config) if is_encoder else _lines(config)
    chip = config.option("chip", str, "")
    if not chip and any(isinstance(line, int) for line in lines):
        raise UsageError(
            f'{where}: chip is missing: whose lines these are, as in chip = "gpiochip0" (gpioinfo lists them)'
        )
    return Settings(
        chip,
        lines,
        cast(EdgeKind, edge),
        every_ns,
        cast(Bias, _one_of(config, "bias", BIASES, "as-is")),
        config.option("active_low", bool, False),
        _duration(config, "debounce", 1000, DEBOUNCE_MAX_NS) if "debounce" in config.options else 0,
        len(config.channels) if is_encoder else 0,
    )


def _encoder(config: SourceConfig) -> tuple[int | str, ...]:
    """Its lines A and B."""
    where, found = config.where, config.option("quadrature", list)
    if "lines" in config.options:
        raise UsageError(f"{where}: lines: quadrature has the lines; leave one of both out")
    if len(found) != 2 or found[0] == found[1] or not all(map(_is_line, found)):
        raise UsageError(f"{where}: quadrature: found {found!r}, expected lines A and B, as in [17, 27]")
    if len(config.channels) > 2 or config.states:
        raise UsageError(
            f"{where}: channels: an encoder gives a position, in edges, and a direction, as in "
            'channels = { position = "1" }'
        )
    return tuple(found)


def _is_line(found: object) -> bool:
    """Whether it may be a line's number or name."""
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        return False
    return isinstance(found, str) or found >= 0


def _lines(config: SourceConfig) -> tuple[int | str, ...]:
    """Each channel's line."""
    where, found = config.where, config.option("lines", dict)
    for channel in found:
        if channel not in config.channels:
            raise UsageError(f'{where}: lines: "{channel}" is no channel{suggest(channel, config.channels)}')
    for channel in config.channels:
        line = found.get(channel)
        if line is None:
            raise UsageError(f"{where}: lines: {channel} has none; say its number or name, as in {{ {channel} = 17 }}")
        if not _is_line(line):
            raise UsageError(f"{where}: lines: {channel}: found {line!r}, expected a line's number or name")
    lines = tuple(found[channel] for channel in config.channels)
    if len(set(lines)) < len(lines):
        raise UsageError(f"{where}: lines: two channels have the same line")
    if len(lines) > LINES_MAX:
        raise UsageError(f"{where}: lines: {len(lines)} of them; a source has {LINES_MAX} at most: make it two")
    return lines


def _one_of(config: SourceConfig, key: str, known: tuple[str, ...], default: str) -> str:
    found = config.option(key, str, default)
    if found not in known:
        raise UsageError(f'{config.where}: {key}: found "{found}"{suggest(found, known)}')
    return found


def _duration(config: SourceConfig, key: str, least_ns: int, most_ns: int) -> int:
    text = config.option(key, str)
    try:
        found = parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{config.where}: {key}: {error}") from None
    if not least_ns <= found <= most_ns:
        raise UsageError(f'{config.where}: {key}: found "{text}", expected {least_ns / 1e6:g}ms to {most_ns / 1e9:g}s')
    return found
