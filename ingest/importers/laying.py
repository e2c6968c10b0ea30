"""Where recordings lie that have no clock of their own: one behind the other, over nothing that is there. Pure.

Their times are invented, so what matters is that no two of a device lie over one another, and that the same files come
to lie where they lay before. The log is what remembers: a recording that it has keeps its place, and one that is new
takes the first place that is free from `--start` on, behind those that came before it in the same command. Where one
that has not ended will end nobody knows (it may be live, or was cut short): behind its start nothing is free, until it
is brought in whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ingest.errors import UsageError

PAUSE_NS: Final = 1_000_000_000
"""At least so much lies between two recordings; each begins at a whole second behind `--start`."""


@dataclass(slots=True)
class Places:
    """What of a device's time is taken."""

    start_ns: int
    """Where the first one lies."""
    taken: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """`[start_ns, end_ns)` of each recording; no end where it has not ended."""
    cursor_ns: int | None = None
    """Behind the newest that was placed."""

    def take(self, recording: str, start_ns: int, end_ns: int | None) -> None:
        """A recording lies there."""
        self.taken[recording] = start_ns, end_ns

    def place(self, recording: str, length_ns: int) -> int:
        """The first place for a recording that is so long, and it is taken.

        Raises:
            UsageError: it would lie behind the start of one that has not ended.
        """
        t_ns = self.start_ns if self.cursor_ns is None else self.cursor_ns
        for name, (start_ns, end_ns) in sorted(self.taken.items(), key=lambda item: item[1][0]):
            if start_ns < t_ns + length_ns + PAUSE_NS and (end_ns is None or t_ns < end_ns + PAUSE_NS):
                if end_ns is None:
                    raise UsageError(
                        f'recording "{recording}" has no clock, and no place: "{name}" of its device has not ended; '
                        "bring that in whole, or choose an earlier --start or another device"
                    )
                t_ns = self._behind(end_ns)
        self.cursor_ns = self._behind(t_ns + length_ns)
        self.take(recording, t_ns, t_ns + length_ns)
        return t_ns

    def _behind(self, end_ns: int) -> int:
        return self.start_ns + -(-(end_ns + PAUSE_NS - self.start_ns) // PAUSE_NS) * PAUSE_NS
