"""How a boot of the agent begins: what earlier boots left in the spool is ended, and taken up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.agent.members import Devices
from edge.config import AgentConfig
from edge.errors import SpoolBusyError
from edge.protocol import SourceConfig
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from edge.spool.entries import DeviceTail, Identities, Tail, description, read_tail, reading
from edge.spool.spool import Spool, SpoolLimits
from ingest.errors import UsageError
from ingest.log.protocol import Entry
from ingest.mounts import MEMORY, filesystem_of, is_network
from ingest.records import Gap, Record, RecordingEnd

if TYPE_CHECKING:
    from edge.agent.rules import EdgeRules


AGENT_DIED: Final = "agent_died"
_CLAIMS, _CLAIM_S = 4, 0.25
"""How often the spool is claimed before it is another agent's, and how long after one another."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a boot begins with."""

    devices: Devices
    identities: Identities
    """Of arrivals that may be delivered again, and what their samples are known by."""
    first: list[Entry]
    """To be committed before all else: the streams' descriptions, and the ends of what died."""
    marks: list[Entry]
    """What the ends have finished."""


def begin(
    config: AgentConfig,
    boot: bytes,
    spool: Spool,
    clock: Callable[[], ClockState],
    offsets_ns: Mapping[bytes, int],
    rules: EdgeRules | None,
) -> Beginning:
    """Read the newest end of a spool. `clock` says what is known of the system's clock; `offsets_ns` as in
    `edge.agent.clock.Clocks`."""
    newest = spool.readings.tail_entries()
    tail = read_tail(newest)
    left = [*tail.devices.items(), *((device, known) for (device, _), known in tail.beside.items())]
    streams = {device: {own.stream for own in config.sources if own.device == device} for device in config.devices}
    for device, known in tail.devices.items():
        if known.start_ns:  # whose first sample had not been written was not heard from the recording's begin on
            known.streams = dict.fromkeys(streams.get(device, ()), known.start_ns) | known.streams
    ends = [entry for device, known in left if known.is_open for entry in _end_of(device, known)]
    marks: list[Entry] = []
    if rules is not None:
        from edge.agent.rules import unfinished

        marks = rules.feed(unfinished(newest, tail) + ends, time.time_ns())
    devices = Devices(partial(_recorder, config.rules, boot, tail, clock, offsets_ns))
    devices.name(config.sources)
    return Beginning(
        devices,
        Identities(tail.identities, tail.seen),
        [*map(description, config.descriptions), *ends],
        marks,
    )


def check_ground(folder: Path) -> str:
    """What people should know of where a spool lies; empty where that is a disk.

    Raises:
        UsageError: it lies where locks and fsync do not hold what the spool promises.
    """
    filesystem = filesystem_of(folder)
    if is_network(filesystem):
        raise UsageError(
            f"spool.dir: {folder}: lies on a network file system ({filesystem}), whose locks and fsync do not hold "
            "what a spool promises; name a folder on a disk of this machine"
        )
    if filesystem in MEMORY:
        return (
            f"spool: {folder} lies in memory ({filesystem}): what waits there is lost with the power, or at the next "
            "boot; name a folder on a disk"
        )
    return ""


def _recorder(
    rules: Rules,
    boot: bytes,
    tail: Tail,
    clock: Callable[[], ClockState],
    offsets_ns: Mapping[bytes, int],
    device: str,
    sources: Sequence[SourceConfig],
) -> Recorder:
    known = tail.devices.get(device)
    previous = Previous() if known is None else Previous(known.boot, _reach_ns(known, offsets_ns))
    return Recorder(device, boot, sources, rules, previous, clock())


def _reach_ns(known: DeviceTail, offsets_ns: Mapping[bytes, int]) -> int:
    """How far a boot reached, UTC; 0 where its clock was never set."""
    if not known.kernel_boot:
        return known.reach_ns
    offset = offsets_ns.get(known.kernel_boot)
    return 0 if offset is None else known.reach_ns + offset


def _end_of(device: str, known: DeviceTail) -> list[Entry]:
    """The end of a recording that an earlier boot left open. What its streams said after the last that is there of
    each, up to where the boot reached with any, was lost with it; what came later lies between the two boots."""
    gaps: list[Record] = [
        Gap(device, known.recording, stream, known.boot, reach_ns, known.reach_ns, -1, AGENT_DIED)
        for stream, reach_ns in sorted(known.streams.items())
        if reach_ns < known.reach_ns
    ]
    end = RecordingEnd(device, known.recording, known.boot, known.reach_ns, AGENT_DIED)
    return [reading(device, record, known.kernel_boot) for record in (*gaps, end)]


async def claimed(folder: Path, limits: SpoolLimits) -> Spool:
    """The spool. Who marks at the shell while no agent runs holds it for a moment. Raises `SpoolBusyError`."""
    for _ in range(_CLAIMS):
        with suppress(SpoolBusyError):
            return await asyncio.to_thread(Spool, folder, limits)
        await asyncio.sleep(_CLAIM_S)
    return await asyncio.to_thread(Spool, folder, limits)


def edge_rules(config: AgentConfig) -> EdgeRules | None:
    """What makes marks of a configuration's streams; None where no rules run."""
    if config.rule_set is None:
        return None
    from edge.agent.rules import EdgeRules  # the rules' grammar is built at import: only where rules run

    return EdgeRules(config.rule_set, config.descriptions)
