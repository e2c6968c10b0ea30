"""What was heard, as the sources of an agent.toml: their names, and the file's text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edge.agent.probe.scoring import Candidate
from ingest.showing import printable

UNKNOWN: Final = "{unknown}"
"""The unit of a channel of which nobody said one: it compares with nothing but itself, so no rule reads it wrongly."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A `[[source]]` to be written."""

    name: str
    """Its stream has the same."""
    type: str
    where: Mapping[str, Any]
    """Keys of its type: port and baud, broker and topic."""
    candidate: Candidate
    names: Mapping[str, str] = field(default_factory=dict)
    """Other names of its channels."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By the channels' own names."""

    @property
    def channels(self) -> dict[str, str]:
        """Unit by the name that it is written with."""
        known = self.candidate.guess.channels.items()
        return {self.names.get(name, name): self.units.get(name, unit) or UNKNOWN for name, unit in known}

    @property
    def unknown(self) -> list[str]:
        """The channels, by their own names, of which nobody said a unit."""
        known = self.candidate.guess.channels.items()
        return [name for name, unit in known if not (self.units.get(name) or unit)]


def named(found: Sequence[tuple[str, str, Mapping[str, Any], Candidate]]) -> list[Planned]:
    """Sources with names, each once, of (what it might be called, type, keys, candidate)."""
    taken: set[str] = set()
    planned = []
    for wish, kind, where, candidate in found:
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", wish).strip("-") or candidate.guess.decoder
        number, name = 1, base
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        planned.append(Planned(name, kind, where, candidate))
    return planned


def with_names(source: Planned, names: Sequence[str]) -> Planned:
    """The source with these names of its channels, in their order. Raises `ValueError` for another number of them."""
    own = list(source.candidate.guess.channels)
    if len(names) != len(own) or len(set(names)) != len(own) or not all(names):
        raise ValueError(f"{len(own)} names are wanted, each once, as in {','.join(own)}")
    return replace(source, names={old: new for old, new in zip(own, names, strict=True) if old != new})


def heard_lines(source: Planned) -> Iterator[str]:
    """What was heard of it, for people."""
    candidate = source.candidate
    place = " ".join(str(value) for key, value in source.where.items() if key in ("port", "broker", "topic"))
    baud = f" at {source.where['baud']} baud" if "baud" in source.where else ""
    pace = "" if candidate.per_s is None else f", {candidate.per_s:.4g} samples a second"
    yield f"{source.name}: {place}{baud}: {candidate.guess.decoder}, reads {100 * candidate.score:.0f} % of it{pace}"
    yield f"  raw      {candidate.example}"
    channels = source.channels.items()
    values: list[float | None] = [*candidate.values] or [None] * len(channels)
    shown = ", ".join(_shown(name, unit, value) for (name, unit), value in zip(channels, values, strict=True))
    yield f"  decoded  {shown}"
    yield from (f"  note     {printable(note)}" for note in candidate.guess.notes)


def _shown(name: str, unit: str, value: float | None) -> str:
    number = "nothing yet" if value is None or value != value else f"{value:.6g}"
    return f"{name} = {number}" if unit in ("1", UNKNOWN) else f"{name} = {number} {unit}"


def as_toml(device: str, log: str, spool: str, sources: Iterable[Planned]) -> str:
    """The text of an agent.toml."""
    lines = [
        "# Made by listening (sensorloom agent init); all keys: sensorloom agent keys",
        f"device = {_value(device)}",
        f"log = {_value(log)}",
        "",
        "[spool]",
        f"dir = {_value(spool)}",
    ]
    for source in sources:
        lines += ["", "[[source]]", *_source_lines(source)]
    return "\n".join(lines) + "\n"


def _source_lines(source: Planned) -> Iterator[str]:
    guess = source.candidate.guess
    yield f"name = {_value(source.name)}"
    yield f"type = {_value(source.type)}"
    yield from (f"{key} = {_value(value)}" for key, value in source.where.items())
    yield f"decoder = {_value(guess.decoder)}"
    yield from (f"{key} = {_value(value)}" for key, value in _options(source).items())
    yield f"stream = {_value(source.name)}"
    if source.unknown:
        yield f'# A unit is missing: write it in place of "{UNKNOWN}" (sensorloom agent keys units)'
    yield f"channels = {_value(source.channels)}"
    if source.candidate.rate_hz is not None:
        yield f'rate = "{source.candidate.rate_hz:g}Hz"'
    if guess.clock == "arrival" and guess.decoder == "senml":
        yield 'clock = "arrival"'
    yield from (f"# {printable(note)}" for note in guess.notes)


def _options(source: Planned) -> dict[str, Any]:
    """The decoder's keys, with the channels' other names."""
    guess, names = source.candidate.guess, source.names
    options = dict(guess.options)
    if not names:
        return options
    if guess.decoder == "csv" and "columns" in options:
        options["columns"] = [names.get(name, name) for name in options["columns"]]
    elif guess.decoder == "regex":
        options["groups"] = {new: old for old, new in names.items()}
    elif guess.decoder in ("json", "cbor", "keyvalue", "senml"):
        prefix, fields = options.get("prefix", ""), options.get("fields", {})
        renamed = {names.get(name, name): fields.get(name, prefix + name) for name in guess.channels}
        options["fields"] = {name: path for name, path in renamed.items() if name != path}
    return options


def _value(value: Any) -> str:
    """As TOML has it: its basic strings take JSON's escapes."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(name))} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("${", "$${")  # no variable is meant


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
