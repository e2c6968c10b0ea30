"""What timebases share that expect no sample at any moment: times never run back, and that is all they keep. Pure."""

from __future__ import annotations


class Floor:
    """Of a `Timebase` whose samples have no rate: before `_floor` nothing comes any more."""

    def __init__(self) -> None:
        self._floor = -(1 << 62)

    def skip(self, count: int) -> None:
        """See `Timebase`: nothing was expected."""

    def interrupt(self) -> None:
        """See `Timebase`: nothing was expected."""

    def close_chunk(self) -> None:
        """See `Timebase`: nothing depends on it."""

    def promise(self, now_ns: int, *, is_away: bool = False) -> int:
        """See `Timebase`: what comes from now on lies at this time, or later."""
        self._floor = max(self._floor, now_ns)
        return self._floor
