"""Acts as events for the log, with the times that the device's samples have. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from edge.agent.marking.book import Add, Open, Retract
from edge.spool.entries import MARK, held_mark, urgent
from ingest.log.protocol import Entry
from ingest.records import MarkAdd, MarkRetract

Dated: TypeAlias = Callable[[str, int], tuple[int, bool]]
"""A device's name and an instant of CLOCK_BOOTTIME to its time, and whether it waits for the clock."""
CLOCK_STEP: Final = "clock step s"
"""Evidence of a mark: so far the clock of the device was put on within it."""
STEP_NS: Final = 50_000_000


def entry_of(act: Add | Retract, kernel_boot: bytes, dated: Dated) -> Entry:
    """The spool's entry for a mark, or for one that is taken back."""
    if isinstance(act, Retract):
        made = act.made
        at_ns, is_held = dated(made.device, act.at_ns)
        event = MarkRetract(made.device, made.id, made.author, made.tool, at_ns, undo=True)
        return held_mark(made.device, event, kernel_boot) if is_held else urgent(MARK, made.device, event)
    opened = act.open
    start_ns, end_ns, whose = _times(act, kernel_boot, dated)
    evidence = act.evidence if whose else act.evidence | _step(act, end_ns - start_ns)
    add = MarkAdd(
        opened.device,
        opened.id,
        start_ns,
        max(start_ns, end_ns),
        opened.label,
        opened.author,
        opened.tool,
        client_ns=max(start_ns, end_ns),
        evidence=evidence,
        reason=act.note,
    )
    return held_mark(opened.device, add, whose) if whose else urgent(MARK, opened.device, add)


def _times(act: Add, kernel_boot: bytes, dated: Dated) -> tuple[int, int, bytes]:
    """Start and end, and the kernel boot whose clock they wait for."""
    opened = act.open
    if not opened.kernel_boot:
        return opened.start_ns, act.end_ns, b""
    if opened.kernel_boot != kernel_boot:
        if not opened.start_utc_ns:
            return opened.start_ns, act.end_ns, opened.kernel_boot
        return opened.start_utc_ns, opened.start_utc_ns + act.end_ns - opened.start_ns, b""
    end_ns, is_held = dated(opened.device, act.end_ns)
    if is_held:
        return opened.start_ns, act.end_ns, kernel_boot
    start_ns = opened.start_utc_ns or dated(opened.device, opened.start_ns)[0]
    steady_ns = start_ns + act.end_ns - opened.start_ns
    return start_ns, steady_ns if abs(end_ns - steady_ns) <= STEP_NS else end_ns, b""


def _step(act: Add, span_ns: int) -> dict[str, float]:
    """By how much a range is longer than it lasted: the clock was set within it."""
    step_ns = span_ns - (act.end_ns - act.open.start_ns)
    return {CLOCK_STEP: round(step_ns / 1e9, 3)} if abs(step_ns) > STEP_NS else {}


def words_of(opened: Open) -> str:
    """What is open, for people."""
    return f'"{opened.label or opened.name}" of {opened.device}'
