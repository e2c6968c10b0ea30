"""The log's own time: what lies ahead of it, how it ages, and where its clock cannot be right. Pure.

The running maximum of append times says what lies ahead: more than a day beyond it no time is believed. What is
remembered ages by the steps of append time, by a day at most with each record: neither a log that nobody wrote to for
months, nor a broker whose clock jumps, makes an operator forget by what it knows a duplicate.
"""

from __future__ import annotations

from typing import Final

from ingest.lifetimes import DAY_NS
from ingest.showing import printable
from ingest.units import format_time

NEVER: Final = -(1 << 63)
"""Before every time."""
JUMP_NS: Final = 30 * DAY_NS
"""A step of append time over this is told."""
_MOST_NOTES: Final = 8
_HOUR_NS: Final = 3_600 * 10**9


class LogTime:
    """The time of one partition."""

    __slots__ = ("_ahead", "_jumps", "age_ns", "append_ns", "last_ns", "trusted")

    def __init__(self, append_ns: int = NEVER, last_ns: int = NEVER, age_ns: int = NEVER) -> None:
        self.append_ns = append_ns
        """The running maximum of append times."""
        self.last_ns = append_ns if last_ns == NEVER else last_ns
        """As `append_ns`, but it goes back where append time goes back by more than a day."""
        self.age_ns = append_ns if age_ns == NEVER else age_ns
        """How far the log has aged: append time, less what its longer steps had over a day."""
        self.trusted = False
        """Some sample did not lie ahead."""
        self._jumps: list[str] = []
        self._ahead: dict[str, int] = {}

    @property
    def limit_ns(self) -> int:
        """Times after this lie more than a day ahead: they are not to be trusted."""
        return self.append_ns + DAY_NS

    def advance(self, append_ns: int) -> None:
        """The next record's append time."""
        last_ns = self.last_ns
        if append_ns > last_ns:
            self.age_ns = append_ns if last_ns == NEVER else self.age_ns + min(append_ns - last_ns, DAY_NS)
            if append_ns - last_ns > JUMP_NS and last_ns != NEVER:
                self._note(append_ns, "on: nothing was appended for so long, or a clock is ahead")
            self.last_ns = append_ns
            self.append_ns = max(self.append_ns, append_ns)
        elif last_ns - append_ns > DAY_NS:
            self._note(append_ns, "back: the clock that stamps records was ahead, or is behind now")
            self.last_ns = append_ns

    def ahead(self, device: str, time_ns: int) -> None:
        """A device's samples reach to `time_ns`, beyond `limit_ns`: people should know."""
        if device not in self._ahead and len(self._ahead) < _MOST_NOTES:
            self._ahead[device] = (time_ns - self.append_ns) // _HOUR_NS

    @property
    def notes(self) -> list[str]:
        """What people should know of the log's and the devices' clocks; a bounded number of texts."""
        if not self._ahead:
            return list(self._jumps)
        devices = ", ".join(f"{printable(device)} ({hours} h)" for device, hours in self._ahead.items())
        if self.trusted:
            text = f"samples lie more than a day ahead of their append time: the clock is wrong of {devices}"
        else:
            text = (
                "all samples so far lie more than a day ahead of their append time: the clock that stamps the log's "
                f"records is behind, or each device's is ahead: {devices}"
            )
        return [*self._jumps, f"{text}; they are left out, counted as quarantine.samples: set the clock right"]

    def _note(self, append_ns: int, what: str) -> None:
        if len(self._jumps) < _MOST_NOTES:
            days = abs(append_ns - self.last_ns) // DAY_NS
            before, after = format_time(self.last_ns), format_time(append_ns)
            self._jumps.append(f"append times jump from {before} to {after}, {days} days {what}")
