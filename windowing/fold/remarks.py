"""What people should know of the streams that windows are cut from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ingest.records import StreamDescription
from ingest.showing import printable
from windowing.fold.convert import fault_of
from windowing.spec import StreamPlan

if TYPE_CHECKING:
    from labeling.rules.ruleset import RuleSet

_LEFT_OUT: Final = "its samples are left out, counted as {fault}"


def notes_on(plans: Iterable[StreamPlan], descriptions: Iterable[StreamDescription]) -> list[str]:
    """Which descriptions do not fit, and which channels come in several units, each as a text, without repetition."""
    known = list(descriptions)
    found: dict[str, None] = {}
    for plan in plans:
        own = [description for description in known if description.stream == plan.name]
        fitting = [description for description in own if fault_of(description, plan) is None]
        for description in fitting:
            found |= dict.fromkeys(_too_slow(description, plan))
        for description in own:
            if description not in fitting:
                found |= dict.fromkeys(_misfits(description, plan))
        found |= dict.fromkeys(_mixed(fitting, plan))
    return list(found)


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


def _too_slow(description: StreamDescription, plan: StreamPlan) -> Iterator[str]:
    """A `max_gap` shorter than the stream's own period bridges nothing at all."""
    max_gap_ns, rate = plan.rule.max_gap_ns, description.rate_num / description.rate_den
    if max_gap_ns and 0 < rate * max_gap_ns < 10**9:
        yield (
            f"{plan.name}: its samples come every {1 / rate:g} s, and a max_gap of {max_gap_ns / 1e9:g} s is shorter: "
            "nothing between them is bridged, and windows off their times are dropped as gap; give a longer one, or "
            "none: without it, it is some of the stream's own periods"
        )


def _misfits(description: StreamDescription, plan: StreamPlan) -> Iterator[str]:
    units = {channel.name: channel.unit for channel in description.channels}
    for name, wanted in zip(plan.channels, plan.units, strict=True):
        fault = None
        if name not in units:
            fault, text = "unknown_channel", f"some device has no such channel in its stream {plan.name}"
        elif wanted not in (None, units[name]):
            fault, text = "wrong_unit", f"some device says {units[name]}, [window.units] wants {wanted}"
        if fault is not None:
            yield f"{plan.name}.{name}: {text}; {_LEFT_OUT.format(fault=fault)}"


def _mixed(descriptions: Iterable[StreamDescription], plan: StreamPlan) -> Iterator[str]:
    for name in plan.channels:
        units = sorted({c.unit for description in descriptions for c in description.channels if c.name == name})
        if len(units) > 1:
            yield (
                f"{plan.name}.{name}: comes in {' and in '.join(units)}; windows hold what each device says: "
                "name the one that you want in [window.units]"
            )
