"""What people should know of the streams that windows are cut from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ingest.records import StreamDescription
from ingest.showing import printable
from ingest.states import MAX_STATES, States
from windowing.fold.convert import fault_of
from windowing.spec import StreamPlan

if TYPE_CHECKING:
    from labeling.rules.ruleset import RuleSet

_SHOWN: Final = 3
"""Units of a channel in a text."""
_WIDEST: Final = 24
"""Characters of a unit in a text."""


class Remarks:
    """Collects what should be known of streams, one description after another; bounded, whatever devices say."""

    def __init__(self, plans: Iterable[StreamPlan]) -> None:
        self._plans = tuple(plans)
        self._too_slow: dict[str, str] = {}
        """By stream."""
        self._fitting: dict[tuple[str, str], set[str]] = {}
        self._wrong: dict[tuple[str, str], set[str]] = {}
        """Units by stream and channel: those that windows take, and those that they leave out."""
        self._names: dict[tuple[str, str], dict[int, set[str]]] = {}
        """Names of states by stream and channel, then by code."""
        self._without: set[tuple[str, str]] = set()
        """Channels that some device does not have."""

    def learn(self, description: StreamDescription) -> None:
        """A device's stream is described like this."""
        units = {channel.name: channel.unit for channel in description.channels}
        states = {channel.name: channel.states for channel in description.channels}
        for plan in self._plans:
            if plan.name != description.stream:
                continue
            if fits := fault_of(description, plan) is None:
                self._too_slow |= _too_slow(description, plan)
            for name, wanted in zip(plan.channels, plan.units, strict=True):
                if fits:
                    self._learn_states((plan.name, name), states[name])
                if name not in units:
                    self._without.add((plan.name, name))
                elif fits:
                    _note(self._fitting.setdefault((plan.name, name), set()), units[name])
                elif wanted not in (None, units[name]):
                    _note(self._wrong.setdefault((plan.name, name), set()), units[name])

    def _learn_states(self, channel: tuple[str, str], states: States) -> None:
        names = self._names.setdefault(channel, {})
        for code, name in states[: MAX_STATES - len(names)]:
            _note(names.setdefault(code, set()), name)

    def texts(self) -> list[str]:
        """Which descriptions do not fit, and which channels come in several units, or with codes of several names, each
        as a text."""
        found = []
        for plan in self._plans:
            found += [self._too_slow[plan.name]] if plan.name in self._too_slow else []
            named = list(zip(plan.channels, plan.units, strict=True))
            for name, wanted in named:
                if (plan.name, name) in self._without:
                    found.append(_left_out(plan.name, name, f"no such channel in its stream {plan.name}", "has"))
                if units := self._wrong.get((plan.name, name)):
                    found.append(_left_out(plan.name, name, f"{_shown(units)}, [window.units] wants {wanted}", "says"))
            for name, _ in named:
                units = self._fitting.get((plan.name, name), set())
                if len(units) > 1:
                    found.append(
                        f"{plan.name}.{name}: comes in {_shown(units, ' and in ')}; windows hold what each device "
                        "says: name the one that you want in [window.units]"
                    )
                found += _ambiguous(f"{plan.name}.{name}", self._names.get((plan.name, name), {}))
        return found


def notes_on(plans: Iterable[StreamPlan], descriptions: Iterable[StreamDescription]) -> list[str]:
    """See `Remarks.texts`."""
    remarks = Remarks(plans)
    for description in descriptions:
        remarks.learn(description)
    return remarks.texts()


def lacks_stream(device: str, recording: str, stream: str) -> str:
    """Which device lacks a stream that its windows waited for."""
    return (
        f"{printable(device)}: recording {printable(recording)} has had no {stream} for over a day of its time, in "
        "which its other streams went on: windows no longer wait for it, and are dropped (no_stream, gap); see what "
        "ails it, or leave it out of [window] channels"
    )


def rules_without_streams(rules: RuleSet, descriptions: Iterable[StreamDescription]) -> list[str]:
    """Which rules never ran, for want of a stream."""
    missing = rules.streams - {description.stream for description in descriptions}
    named = ((rule.label, ", ".join(name for name in rule.streams if name in missing)) for rule in rules.rules)
    return [
        f'{rules.name}: rule "{label}" reads {names}, of which no device in the log has a stream'
        for label, names in named
        if names
    ]


def _too_slow(description: StreamDescription, plan: StreamPlan) -> dict[str, str]:
    """A `max_gap` shorter than the stream's own period bridges nothing at all: the stream's name and what to say."""
    max_gap_ns, rate = plan.rule.max_gap_ns, description.rate_num / description.rate_den
    if not max_gap_ns or not 0 < rate * max_gap_ns < 10**9:
        return {}
    return {
        plan.name: f"{plan.name}: its samples come every {1 / rate:g} s, and a max_gap of {max_gap_ns / 1e9:g} s is "
        "shorter: nothing between them is bridged, and windows off their times are dropped as gap; give a longer one, "
        "or none: without it, it is some of the stream's own periods"
    }


def _left_out(stream: str, channel: str, what: str, verb: str) -> str:
    fault = "unknown_channel" if verb == "has" else "wrong_unit"
    return f"{stream}.{channel}: some device {verb} {what}; its samples are left out, counted as {fault}"


def _ambiguous(channel: str, names: Mapping[int, set[str]]) -> list[str]:
    """Which code of a channel means several things, where one does; the first of them."""
    twice = next((code for code in sorted(names) if len(names[code]) > 1), None)
    if twice is None:
        return []
    shown = _shown(names[twice], " and ")
    return [f"{channel}: {twice} is named {shown}: windows hold codes; name them alike on every device"]


def _note(units: set[str], unit: str) -> None:
    """One more than is shown: a device that says another unit at every boot would fill a page, and the memory."""
    if len(units) <= _SHOWN:
        units.add(unit)


def _shown(units: set[str], between: str = ", ") -> str:
    words = [printable(unit)[:_WIDEST] for unit in sorted(units)]
    return between.join([*words[:_SHOWN], "others"] if len(words) > _SHOWN else words)
