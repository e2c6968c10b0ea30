"""Agents that speak for one device: heartbeats say who is alive, and a foreign one names a cloned card. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ingest.records import Heartbeat


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another agent publishes for one of our devices."""

    device: str
    agent: str
    boot: bytes

    def __str__(self) -> str:
        return (
            f'device "{self.device}": another agent publishes for it: "{self.agent}", boot {self.boot.hex()[:12]}; '
            'is its card a copy of this one? Give each its own "device" in agent.toml'
        )


class CloneWatch:
    """Knows this agent's boot and looks at everybody's heartbeats, from its own start on.

    Heartbeats are never spooled: a late one cannot come from an agent that is gone.
    """

    def __init__(self, devices: Collection[str], boot: bytes) -> None:
        self._devices = set(devices)
        self._boot = boot
        self._named: set[tuple[str, bytes]] = set()

    def found(self, device: str) -> None:
        """One more device is this agent's."""
        self._devices.add(device)

    @property
    def conflicts(self) -> int:
        """How many were found."""
        return len(self._named)

    def see(self, record: object) -> Conflict | None:
        """The conflict that a status record shows; each is told once."""
        if not isinstance(record, Heartbeat) or record.device not in self._devices or record.boot == self._boot:
            return None
        key = (record.device, record.boot)
        if key in self._named:
            return None
        self._named.add(key)
        return Conflict(record.device, record.agent, record.boot)
