"""Up to when a topic was heard, and what may be missing of it. Pure: times are arguments.

A broker says nothing of what it drops: of its queue that ran over while nobody was connected (Mosquitto keeps 1,000
messages), or while more was under way than it sends without an acknowledgement. What can be known is when nothing waits
there any more: packets are answered in order, so when a question is answered and fewer messages are under way than the
broker has sent at once before, its queue is empty. Until then what arrives has waited, and nothing is promised.

A publisher may keep what the broker was not there for, too: see `edge.sources.mqtt.kept`. (`edge.recording.catchup`
sees heaps of all kinds in streams that have a pace.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge.sources.mqtt.kept import Kept

CONNECTION_LOST: Final = "connection_lost"
SESSION_LOST: Final = "session_lost"
MAY_BE_DROPPED: Final = "may_be_dropped"
QUEUE_LEAST: Final = 100
"""No broker in use keeps fewer messages than this of a client that is connected and slow."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages may be missing from `since_ns` on."""

    reason: str
    since_ns: int


class Hearing:
    """What is known of one subscription. Times are CLOCK_BOOTTIME, in ns.

    Args:
        window: how many messages the broker sends without an acknowledgement.
        qos: with 0, the broker keeps nothing.
        longest_wait_ns: how long a message can have waited for the first connection of a boot.
        has_grid: the stream has a rate, whose grid shows what a publisher kept.
    """

    def __init__(self, window: int, qos: int, longest_wait_ns: int, *, has_grid: bool = False) -> None:
        self.heard_ns = 0
        """Up to here all has come; 0 before the first connection."""
        self.is_current = False
        """Nothing waits at the broker: what arrives comes as it is published."""
        self._window = window
        self._qos = qos
        self._longest_wait_ns = longest_wait_ns
        self._has_grid = has_grid
        self._is_connected = False
        self._behind_ns = 0
        """Since when something may wait: only what is asked after it counts."""
        self._subscribed_ns: int | None = None
        """What comes cannot be older, where the broker had nothing of us."""
        self._reason = ""
        """Why there is a loss to announce when all has come."""
        self._waited = 0
        self._most = 0
        """How many messages were under way at once since then."""
        self._kept = {"": Kept()}
        """By device: each publisher has a pace of its own, and may have kept what it had to say."""
        self._absent_ns = 0
        """Since when a connection was away before the one that is there."""

    def failed(self, since_ns: int) -> None:
        """No connection came about since then: who keeps nothing loses what is said meanwhile."""
        if not self._qos and not self.heard_ns:
            self.heard_ns = since_ns

    def connected(self, session_kept: bool, now_ns: int) -> None:
        """A connection is there. A session that was kept delivers what waited in it first."""
        self._is_connected = True
        is_kept = session_kept and self._qos
        if is_kept:
            reason = MAY_BE_DROPPED
        elif self.heard_ns:
            reason = SESSION_LOST if self._qos else CONNECTION_LOST
        else:  # nobody knows of a session before this boot; what lies between two boots is told by the recording
            reason = ""
        self._fall_behind(now_ns, reason)
        self._subscribed_ns = None if is_kept else now_ns
        self._absent_ns = self.heard_ns
        if not self._has_grid:
            for kept in self._kept.values():
                kept.absent(self.heard_ns)

    def over(self) -> None:
        """The connection is lost."""
        self._is_connected = self.is_current = False
        self._subscribed_ns = None

    def arrived(self, now_ns: int, under_way: int, device: str = "") -> int:
        """A message came, and so many wait for their acknowledgement now; up to how long it has waited, in ns.

        `device` tells publishers apart where there are several: as many as were made are remembered, so the caller
        bounds them.
        """
        if not self.is_current:
            self._waited += 1
            self._most = max(self._most, under_way)
            since_ns = self.heard_ns or self._subscribed_ns
            return now_ns - since_ns if since_ns else self._longest_wait_ns
        self.heard_ns = now_ns
        if self._qos and under_way >= self._window:  # what is published now waits at the broker
            self._fall_behind(now_ns, "")
            self._most = under_way
        return 0 if self._has_grid else self._kept_by(device).arrived(now_ns)

    def _kept_by(self, device: str) -> Kept:
        if device not in self._kept:
            self._kept[device] = Kept()
            self._kept[device].absent(self._absent_ns)
        return self._kept[device]

    def stalled(self, now_ns: int) -> None:
        """Nothing was read for a while: what comes now may have waited."""
        if self.is_current:
            self._fall_behind(now_ns, "" if self._qos else MAY_BE_DROPPED)
        else:
            self._behind_ns = now_ns

    def answered(self, asked_ns: int, under_way: int, now_ns: int) -> Loss | None:
        """The broker has answered what it was asked at `asked_ns`, with so many messages under way."""
        if self.is_current:
            self.heard_ns = max(self.heard_ns, asked_ns)
        elif self._is_connected and asked_ns >= self._behind_ns:
            self._most = max(self._most, under_way)
            keeps_none = self._subscribed_ns is not None or not self._qos
            if keeps_none or not under_way or under_way < min(self._most, self._window):
                return self._become_current(now_ns)
        return None

    def _fall_behind(self, now_ns: int, reason: str) -> None:
        self.is_current = False
        self._subscribed_ns = None
        self._behind_ns = now_ns
        self._reason = reason or self._reason
        self._waited = self._most = 0

    def _become_current(self, now_ns: int) -> Loss | None:
        is_overrun = self._qos and self._most >= self._window and self._waited >= QUEUE_LEAST
        reason = self._reason or (MAY_BE_DROPPED if is_overrun else "")
        loss = Loss(reason, self.heard_ns) if reason else None
        self.is_current, self._reason, self.heard_ns = True, "", now_ns
        return loss
