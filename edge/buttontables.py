"""The `[buttons.NAME]` tables of agent.toml: buttons that make marks, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.protocol import Key, SourceConfig
from edge.sources.gpio.settings import BIASES, DEBOUNCE_MAX_NS, Bias, Settings
from edge.tables import NAME_BYTES, address_part, one_of, quantity, shown, text
from ingest.errors import MissingLibraryError, UsageError
from ingest.names import normal
from ingest.settings import check_keys
from ingest.units import parse_duration

LABEL_MAX: Final = 200
_DOES: Final = ("press", "hold", "start", "stop")
_EXAMPLE: Final = 'as in press = "fall", hold = "walk", or start = "walk" and, of another button, stop = "walk"'
_UNDO_NS: Final = (500_000_000, 60_000_000_000)
_LED_KEYS: Final = ("chip", "line", "active_low")

BUTTON: Final[Mapping[str, Key]] = {
    "line": Key(
        "whole number, or text",
        "The button's line: its number on the chip, or its name.",
        "17",
        synonyms=("pin", "gpio", "lines", "channel"),
    ),
    "chip": Key(
        "text",
        "The GPIO chip: its device file, or its label (`gpiodetect`).",
        '"pinctrl-rp1"',
        "the one that has a line of this name",
        ("gpiochip", "controller"),
    ),
    "press": Key(
        "text", "Pressed, it marks this instant: the label.", '"fall"', "none", ("label", "mark", "on_press", "instant")
    ),
    "hold": Key(
        "text", "It marks the range in which it is held: the label.", '"walk"', "none", ("held", "while", "range")
    ),
    "start": Key(
        "text",
        "Pressed, it begins a range of this label. With a stop of the same label it does both by turns.",
        '"walk"',
        "none",
        ("begin", "on"),
    ),
    "stop": Key("text", "Pressed, it ends the range of this label.", '"walk"', "none", ("end", "off")),
    "undo": Key(
        "duration",
        "Held for so long, it takes its last mark back; not together with hold.",
        '"2s"',
        "it takes nothing back",
        ("long_press", "undo_after"),
    ),
    "led": Key(
        "line, or table of line, chip and active_low",
        "A lamp or buzzer that says when a mark is on the disk; several buttons may share one.",
        "{ line = 5 }",
        "none",
        ("lamp", "buzzer", "light", "confirm"),
    ),
    "device": Key("text", "Whose marks they are.", '"pump-8"', "the file's device", ("device_id",)),
    "author": Key(
        "text", "Whom the marks name as their author.", '"anna"', "the device and the button", ("annotator", "operator")
    ),
    "bias": Key(
        "one of as-is, pull-up, pull-down, disabled",
        "The line's own resistor.",
        '"pull-down"',
        "pull-up: the button connects the line to ground",
        ("pull", "pull_up_down", "resistor"),
    ),
    "active_low": Key(
        "true or false",
        "It is pressed where the line is on ground.",
        "false",
        "true; false with pull-down",
        ("invert", "inverted"),
    ),
    "debounce": Key(
        "duration",
        "What changes back within this time is no press.",
        '"50ms"',
        "20ms",
        ("debounce_time", "bounce", "bouncetime"),
    ),
}
"""Of every `[buttons.NAME]`."""


@dataclass(frozen=True, slots=True)
class Led:
    """A line that is driven."""

    chip: str
    line: int | str
    active_low: bool = False


@dataclass(frozen=True, slots=True)
class Button:
    """A button, and what it does: one of `press`, `hold`, or `start` and `stop`, which are labels."""

    name: str
    device: str
    author: str
    settings: Settings
    press: str = ""
    hold: str = ""
    start: str = ""
    stop: str = ""
    undo_ns: int = 0
    """0: it takes nothing back."""
    led: Led | None = None

    @property
    def does(self) -> str:
        """For people: `press = walk`."""
        return ", ".join(f"{what} = {getattr(self, what)}" for what in _DOES if getattr(self, what))


def read_buttons(
    tables: Mapping[str, Any], file: str, device: str, sources: Sequence[SourceConfig]
) -> tuple[Button, ...]:
    """The buttons of a configuration; `device` is theirs where they name none. Raises `UsageError`."""
    found = tables.get("buttons", {})
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise UsageError(
            f"{file}: buttons: found {shown(found)}, expected tables with a name each, as in [buttons.walk]"
        )
    buttons = tuple(_button(name, table, file, device, sources) for name, table in found.items())
    _check_pairs(buttons, file)
    _check_lines(buttons, file, sources)
    if buttons:
        try:
            import gpiod  # noqa: F401  # there is none for every machine
        except ModuleNotFoundError as error:
            raise MissingLibraryError(f"{file}: buttons", error.name, "edge") from None
    return buttons


def check_label(found: str, where: str) -> str:
    """A label as marks have it. Raises `UsageError`."""
    if not found.strip() or not found.isprintable() or len(found) > LABEL_MAX:
        raise UsageError(
            f"{where}: {found!r} is no label; it has 1 to {LABEL_MAX} characters, none of them one that nobody sees"
        )
    return normal(found)


def _button(name: str, table: Mapping[str, Any], file: str, device: str, sources: Sequence[SourceConfig]) -> Button:
    where = f"{file}: buttons.{name}"
    if not name or not name.isprintable() or "/" in name or len(name.encode()) > NAME_BYTES:
        raise UsageError(f"{where}: {name!r} is no name of a button; take letters, digits and dashes")
    check_keys(table, BUTTON, where, _synonyms())
    labels = {what: check_label(text(table, what, where), f"{where}: {what}") for what in _DOES if what in table}
    if not labels or (("press" in labels or "hold" in labels) and len(labels) > 1):
        raise UsageError(f"{where}: found {', '.join(labels) or 'nothing'} that it does, expected one, {_EXAMPLE}")
    if len(set(labels.values())) > 1:
        raise UsageError(f"{where}: start and stop of one button have one label; take two buttons")
    undo_ns = quantity(table, "undo", where, parse_duration, 0)
    if undo_ns and not _UNDO_NS[0] <= undo_ns <= _UNDO_NS[1]:
        raise UsageError(f'{where}: undo: found "{table["undo"]}", expected 500ms to 60s, as in "2s"')
    if undo_ns and "hold" in labels:
        raise UsageError(f"{where}: undo: a long press of this button is a range; leave undo out")
    whose = address_part(table, "device", where, device)
    if "device" not in table and sources and all(source.device != whose for source in sources):
        others = ", ".join(sorted({source.device for source in sources}))
        raise UsageError(f'{where}: device is missing: no source is of "{whose}", they are of {others}')
    settings = _settings(table, where)
    author = text(table, "author", where, f"{whose}/{name}")
    return Button(name, whose, author, settings, undo_ns=undo_ns, led=_led(table, where, settings.chip), **labels)


def _settings(table: Mapping[str, Any], where: str) -> Settings:
    line = _line(table, where)
    chip = _chip(table, line, where)
    bias: Bias = one_of(table, "bias", where, BIASES, "pull-up")  # type: ignore[assignment]
    active_low = _truth(table, "active_low", where, default=bias != "pull-down")
    debounce_ns = quantity(table, "debounce", where, parse_duration, 20_000_000)
    if not 1000 <= debounce_ns <= DEBOUNCE_MAX_NS:
        raise UsageError(f'{where}: debounce: found "{table["debounce"]}", expected 1us to 1s, as in "20ms"')
    return Settings(chip, (line,), "both", 0, bias, active_low, debounce_ns)


def _led(table: Mapping[str, Any], where: str, chip: str) -> Led | None:
    found = table.get("led")
    if found is None:
        return None
    where = f"{where}: led"
    given = found if isinstance(found, dict) else {"line": found}
    check_keys(given, _LED_KEYS, where, {"pin": "line", "gpio": "line", "invert": "active_low"})
    line = _line(given, where)
    chip = text(given, "chip", where) if "chip" in given else chip if isinstance(line, int) else ""
    return Led(
        _chip({"chip": chip} if chip else {}, line, where), line, _truth(given, "active_low", where, default=False)
    )


def _line(table: Mapping[str, Any], where: str) -> int | str:
    line = table.get("line")
    if line is None:
        raise UsageError(f'{where}: "line" is missing: its number or name, as in line = 17')
    if isinstance(line, bool) or not isinstance(line, int | str) or line == "" or (isinstance(line, int) and line < 0):
        raise UsageError(f"{where}: line: found {shown(line)}, expected a line's number or name, as in line = 17")
    return line


def _chip(table: Mapping[str, Any], line: int | str, where: str) -> str:
    chip = text(table, "chip", where, "")
    if not chip and isinstance(line, int):
        raise UsageError(
            f'{where}: chip is missing: whose line {line} is, as in chip = "gpiochip0" (gpioinfo lists them)'
        )
    return chip


def _truth(table: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    found = table.get(key, default)
    if not isinstance(found, bool):
        raise UsageError(f"{where}: {key}: found {shown(found)}, expected true or false")
    return found


def _check_pairs(buttons: Iterable[Button], file: str) -> None:
    """What is begun must be ended by some button, and the other way round."""
    starts = {(button.device, button.start) for button in buttons if button.start}
    stops = {(button.device, button.stop) for button in buttons if button.stop}
    for button in buttons:
        if button.start and (button.device, button.start) not in stops:
            raise UsageError(
                f'{file}: buttons.{button.name}: no button has stop = "{button.start}": who ends the range? Say both '
                "of one button, and it does them by turns"
            )
        if button.stop and (button.device, button.stop) not in starts:
            raise UsageError(
                f'{file}: buttons.{button.name}: no button has start = "{button.stop}": who begins the range?'
            )


def _check_lines(buttons: Sequence[Button], file: str, sources: Sequence[SourceConfig]) -> None:
    """A line is one program's, and in it one's."""
    taken: dict[tuple[str, int | str], str] = {}
    for source in sources:
        if source.type == "gpio":
            for line in source.options.get("lines", {}).values():
                taken[str(source.options.get("chip", "")), line] = f'source "{source.name}"'
    leds: dict[tuple[str, int | str], Led] = {}
    for button in buttons:
        line = button.settings.chip, button.settings.lines[0]
        if line in taken:
            raise UsageError(f"{file}: buttons.{button.name}: line {line[1]} is taken by {taken[line]}")
        taken[line] = f"buttons.{button.name}"
        if button.led is not None and leds.setdefault((button.led.chip, button.led.line), button.led) != button.led:
            raise UsageError(f"{file}: buttons.{button.name}: led: another button has it with another active_low")
    for place in leds:
        if place in taken:
            raise UsageError(f"{file}: led: line {place[1]} is taken by {taken[place]}")


def _synonyms() -> dict[str, str]:
    return {other: name for name, key in BUTTON.items() for other in key.synonyms}
