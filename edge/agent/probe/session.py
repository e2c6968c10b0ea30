"""`agent init`: what was heard is shown, what cannot be heard is asked, and the file is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from edge.agent.probe.baud import READABLE, AtBaud, readable, understood
from edge.agent.probe.plan import UNKNOWN, Planned, as_toml, heard_lines, named, with_names
from edge.agent.probe.scoring import Candidate, probe
from edge.config import load_config
from edge.sources.serial.remote import is_remote
from ingest.errors import TransientError, UsageError
from ingest.measures import check_unit
from ingest.showing import counted, shown_bytes

Ask = Callable[[str, str], str]
"""A question and what holds without an answer, to the answer."""
Say = Callable[[str], None]
_EXAMPLE: Final = 60
Found = tuple[str, str, Mapping[str, Any], Candidate]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says already."""

    device: str = ""
    log: str = ""
    spool: str = "spool"
    names: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    """By channel; of all channels under an empty name."""

    def check(self) -> None:
        """Raise `UsageError` for a unit that is none."""
        for channel, unit in self.units.items():
            try:
                check_unit(unit)
            except UsageError as error:
                raise UsageError(f"--unit: {channel or 'all channels'}: {error}") from None


def of_port(port: str, heard: Sequence[AtBaud]) -> Found:
    """What a port says.

    Raises:
        TransientError: nothing came, or nothing that any decoder reads: what was heard, and what to do.
    """
    found = understood(heard)
    if found is None:
        raise TransientError(f"{port}: {_not_understood(heard)}")
    where: dict[str, Any] = {"port": port} if is_remote(port) else {"port": port, "baud": found.baud}
    if found.framing != "8N1":
        where["framing"] = found.framing
    if found.line_end != "auto":
        where["line_end"] = found.line_end
    candidate = found.candidates[0]
    return "gps" if candidate.guess.decoder == "nmea" else "sensor", "serial", where, candidate


def _not_understood(heard: Sequence[AtBaud]) -> str:
    if not any(one.data for one in heard):
        return (
            "nothing came; is the sensor on, does its TX go to this port's RX, does it want to be asked (Modbus: "
            "sensorloom agent keys modbus)? Listen longer with --for 30s"
        )
    is_text = readable(heard[-1].data) >= READABLE
    told = heard[-1] if is_text else max(heard, key=lambda one: len(one.data))
    example = shown_bytes(told.data[:200].strip(), _EXAMPLE)
    if is_text:
        return (
            f'what comes at {heard[-1].baud} baud is text that no decoder reads by itself, as in "{example}"; describe '
            'it: decoder = "regex" (sensorloom agent keys regex)'
        )
    bauds = ", ".join(str(one.baud) for one in heard)
    return (
        f'what comes is no text at {bauds} baud, as in "{example}"; see the manual for its rate, or for its records: '
        'decoder = "binary" (sensorloom agent keys binary)'
    )


def speaks(heard: Sequence[AtBaud]) -> str:
    """What a port says, or why nobody can tell, in a line."""
    found = understood(heard)
    if found is None:
        return _not_understood(heard)
    best = found.candidates[0]
    framing = "" if found.framing == "8N1" else f", {found.framing}"
    pace = "" if best.per_s is None else f", {best.per_s:.4g} samples a second"
    what = f"{best.guess.decoder} of {counted(len(best.guess.channels), 'channel')}"
    return f'{what} at {found.baud} baud{framing}, reads {100 * best.score:.0f} % of it{pace}, as in "{best.example}"'


def of_topics(options: Mapping[str, Any], heard: Mapping[str, Sequence[Any]], say: Say) -> list[Found]:
    """What a broker's topics say; those that no decoder reads are told."""
    found: list[Found] = []
    for topic, messages in sorted(heard.items()):
        candidates = probe(messages, are_messages=True)
        if candidates:
            wish = topic.strip("/").rpartition("/")[2]
            found.append((wish, "mqtt", {**options, "topic": topic}, candidates[0]))
        else:
            example = shown_bytes(messages[-1].data[:200], _EXAMPLE)
            say(f'{topic}: {counted(len(messages), "message")} that no decoder reads by itself, as in "{example}"')
    return found


def planned(found: Sequence[Found], wishes: Wishes, ask: Ask | None, say: Say) -> list[Planned]:
    """The sources that are wanted, with names and units; `ask` is None where nobody can be asked.

    Raises:
        UsageError: the command line names another number of channels than were heard.
    """
    wanted: list[Planned] = []
    for source in named(found):
        own = _wished(source, wishes)
        for line in heard_lines(own):
            say(line)
        if ask is not None:
            if len(found) > 1 and not ask(f"Read {own.name}?", "yes").lower().startswith("y"):
                continue
            own = _asked(own, ask, say)
        wanted.append(own)
    return wanted


def _wished(source: Planned, wishes: Wishes) -> Planned:
    if wishes.names and source.unknown:
        try:
            source = with_names(source, wishes.names)
        except ValueError as error:
            raise UsageError(f"--channels: {source.name}: {error}") from None
    names = {name: source.names.get(name, name) for name in source.candidate.guess.channels}
    for_all = wishes.units.get("", "")
    units = {
        name: wishes.units.get(shown) or (for_all if name in source.unknown else "") for name, shown in names.items()
    }
    return replace(source, units={name: unit for name, unit in units.items() if unit})


def _asked(source: Planned, ask: Ask, say: Say) -> Planned:
    if source.unknown:
        own = ",".join(source.channels)
        while (given := ask(f"  names of its {counted(len(source.channels), 'channel')}, in order", own)) != own:
            try:
                source = with_names(source, [name.strip() for name in given.split(",")])
                break
            except ValueError as error:
                say(f"  {error}")
    units = dict(source.units)
    for name in source.unknown:
        unit = _asked_unit(source.names.get(name, name), ask, say)
        if unit:
            units[name] = unit
    return replace(source, units=units)


def _asked_unit(shown: str, ask: Ask, say: Say) -> str:
    while True:
        unit = ask(f"  unit of {shown} (g, degC, m/s2, %, 1 …; nothing: unknown)", "")
        try:
            if unit:
                check_unit(unit)
            return unit
        except UsageError as error:
            say(f"  {error}")


def write(path: Path, wishes: Wishes, sources: Iterable[Planned], *, over: bool) -> None:
    """Write agent.toml, which is checked before it has its name.

    Raises:
        UsageError: there is one already and it is not to be replaced, or it cannot be written.
    """
    text = as_toml(wishes.device, wishes.log, wishes.spool, sources)
    draft = path.with_name(f".{path.name}.{os.getpid()}.toml")
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            load_config(draft)
            if not over:
                path.touch(exist_ok=False)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except FileExistsError:
        raise already_there(path) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None


def already_there(path: Path) -> UsageError:
    """That a file is not replaced unasked."""
    return UsageError(f"{path}: is there already; write another one (-c FILE), or replace it with --force")


def unknown_units(sources: Iterable[Planned]) -> str:
    """What is left to be said of units; empty where all are known."""
    left = [f"{source.name}.{source.names.get(name, name)}" for source in sources for name in source.unknown]
    if not left:
        return ""
    return f'units of {", ".join(left)} are not known: "{UNKNOWN}" stands for them; write them into the file'
