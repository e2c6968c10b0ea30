"""From facts of a device to what is wrong with it and what to do, the gravest first. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from edge.agent.overview import Overview, SourceView, troubles

LOST: Final = 1
"""Data are being lost, or none come."""
STUCK: Final = 2
"""Data do not get on, or soon will not."""
TIMES: Final = 3
"""Times may be wrong, or the machine may fall over."""
WEAR: Final = 4
"""It goes well, and will not for ever."""
FREE_LEAST: Final = 200_000_000
"""A disk with less room, in bytes, is nearly full."""
BEHIND_S: Final = 60.0
FULL: Final = 0.8
"""A spool that is so full will soon drop."""
WORN: Final = 0.8
WRITTEN_A_DAY: Final = 20_000_000_000
"""A card to which so many bytes are written a day lives for a few years, not for ten."""


class ClockFacts(msgspec.Struct, frozen=True):
    """The machine's clock."""

    trust: str
    """`system` or `ntp`, as agent.toml says."""
    is_plausible: bool
    """It says a year that can be."""
    is_synchronised: bool
    """The kernel says so (adjtimex(2))."""
    daemon: str = ""
    """Which program sets it, as far as that can be seen."""
    has_rtc: bool = True
    """There is a clock that goes on without power."""


class DiskFacts(msgspec.Struct, frozen=True):
    """The disk on which the spool lies."""

    spool: str
    ground: str = ""
    """What is wrong with where it lies (`edge.agent.startup.check_ground`)."""
    is_read_only: bool = False
    free_bytes: int = 1 << 62
    used_bytes: int = 0
    """By the spool."""
    max_bytes: int = 0
    """What the spool may become."""
    device: str = ""
    """`mmcblk0`; empty where that is not known."""
    worn: float | None = None
    """How much of its life an eMMC says that it has behind it, 0 to 1."""
    written_a_day: float | None = None
    """Bytes, by all programs, since the machine started."""


class PowerFacts(msgspec.Struct, frozen=True):
    """The supply's voltage, where the machine measures it; None where it does not."""

    is_low: bool | None = None
    was_low: bool | None = None
    """At any time since it started."""


class LinkFacts(msgspec.Struct, frozen=True):
    """Somebody on the network, whom the agent needs."""

    who: str
    """`log`, or a source's name."""
    address: str
    problem: str = ""
    """Why it cannot be reached, and what to do."""
    limits: list[str] = []
    """What it does not grant, and what to do."""


class Facts(msgspec.Struct, frozen=True):
    """All that was found out of a device."""

    clock: ClockFacts
    disk: DiskFacts
    power: PowerFacts
    links: list[LinkFacts]
    agent: Overview | None = None
    """What a running agent says of itself."""
    why_none: str = ""
    """Why none was asked."""
    sources: list[SourceView] = []
    """Of the sources, where no agent reads them."""
    calibrations: dict[str, str] = {}
    """By source, what is wrong with its calibration."""


class Remedy(msgspec.Struct, frozen=True):
    """Something that is wrong, and what to do."""

    weight: int
    """1 is the gravest: `LOST`, `STUCK`, `TIMES`, `WEAR`."""
    what: str
    """Whose matter it is: `imu`, `log`, `clock` …"""
    text: str


def remedies(facts: Facts) -> list[Remedy]:
    """What is wrong, the gravest first; nothing where all is well."""
    views = facts.sources if facts.agent is None else facts.agent.sources
    found = [
        *_agent(facts),
        *_sources(views, {link.who for link in facts.links if link.problem}),
        *(_spool(facts.agent) if facts.agent is not None else ()),
        *_links(facts.links, facts.agent, {view.name for view in views if view.waiting_for}),
        *_clock(facts.clock),
        *_pulses(facts.agent),
        *(Remedy(TIMES, name, text) for name, text in facts.calibrations.items()),
        *_disk(facts.disk),
        *_power(facts.power),
    ]
    return sorted(found, key=lambda one: one.weight)


def doctor_page(found: Sequence[Remedy], facts: Facts) -> str:
    """The same for people."""
    agent = facts.agent
    who = [] if agent is None else [f"an agent runs: process {agent.pid}, sensorloom {agent.version}"]
    if not found:
        return "\n".join([*who, "all is well"])
    return "\n".join([*who, *(f"{number}. {one.what}: {one.text}" for number, one in enumerate(found, 1))])


def _agent(facts: Facts) -> Iterator[Remedy]:
    if facts.agent is None:
        yield Remedy(LOST, "agent", facts.why_none)
    elif facts.agent.figures.get("conflicts"):
        yield Remedy(
            LOST,
            "agent",
            "another agent publishes for its device: is this card a copy of another one? Give each its own device in "
            "agent.toml",
        )


def _sources(views: Iterable[SourceView], unreached: Container[str]) -> Iterator[Remedy]:
    """What those wait for of which a link says it anew is left to that."""
    for view in views:
        found = view.findings if view.name in unreached else troubles(view)
        yield from (Remedy(LOST, view.name, text) for text in found)


def _spool(agent: Overview) -> Iterator[Remedy]:
    figures = agent.figures
    dropped = figures.get("spool.dropped_samples", 0) + figures.get("spool.refused_samples", 0)
    if dropped:
        yield Remedy(
            LOST,
            "spool",
            f"{dropped:,.0f} samples were dropped as it was full, since the agent began; raise max_bytes of [spool], "
            "or see why the log takes nothing",
        )
    damaged = sum(figures.get(f"spool.{kind}_records", 0) for kind in ("damaged", "lost"))
    if damaged:
        yield Remedy(
            LOST,
            "spool",
            f"{damaged:,.0f} of its records are gone: somebody deletes there, or the disk forgets; see dmesg",
        )
    if figures.get("too_large"):
        yield Remedy(
            LOST,
            "log",
            f"{figures['too_large']:,.0f} records were too large for it; raise its max.message.bytes, or lower bytes "
            "of [chunk]",
        )
    if agent.log_waiting_for:
        yield Remedy(STUCK, "log", f"waiting for {agent.log_waiting_for}")
    elif figures.get("lag_s", 0) > BEHIND_S:
        yield Remedy(
            STUCK,
            "log",
            f"it is {figures['lag_s']:,.0f} s behind, {figures.get('spool.backlog', 0):,.0f} records wait; where that "
            "grows, the link is too slow for what the sensors say",
        )


def _links(links: Iterable[LinkFacts], agent: Overview | None, waiting: Container[str]) -> Iterator[Remedy]:
    for link in links:
        is_told = agent is not None and link.who == "log" and agent.log_waiting_for
        if link.problem and not is_told:
            yield Remedy(LOST if link.who in waiting else STUCK, link.who, f"{link.address}: {link.problem}")
        yield from (Remedy(STUCK, link.who, f"{link.address}: {limit}") for limit in link.limits)


def _clock(clock: ClockFacts) -> Iterator[Remedy]:
    mend = {
        "": "no program sets it: sudo apt install chrony",
        "chronyd": "see whom chrony asks: chronyc sources",
        "systemd-timesyncd": "see whom it asks: timedatectl timesync-status",
    }.get(clock.daemon, f"see why {clock.daemon} does not set it")
    if not clock.is_plausible:
        yield Remedy(STUCK, "clock", f"it says a year that cannot be; data wait in the spool until it is set; {mend}")
    elif not clock.is_synchronised and clock.trust == "ntp":
        yield Remedy(STUCK, "clock", f'it is not synchronised, and trust = "ntp" lets data wait for that; {mend}')
    elif not clock.is_synchronised:
        yield Remedy(TIMES, "clock", f"the kernel does not know it to be synchronised; {mend}")
    if not clock.has_rtc and clock.trust == "system":
        yield Remedy(
            TIMES,
            "clock",
            "this machine has no clock that goes on without power: after a start it may be hours behind, and is "
            'believed; say trust = "ntp" in [clock]',
        )


def _pulses(agent: Overview | None) -> Iterator[Remedy]:
    if agent is not None and agent.pps_trouble:
        yield Remedy(TIMES, "pps", agent.pps_trouble)


def _disk(disk: DiskFacts) -> Iterator[Remedy]:
    if disk.is_read_only:
        yield Remedy(
            LOST,
            "disk",
            f"{disk.spool}: its file system is mounted read-only; see dmesg, and mount it anew: mount -o remount,rw",
        )
    if disk.ground:
        yield Remedy(STUCK, "disk", disk.ground)
    to_come = max(0, disk.max_bytes - disk.used_bytes)
    if disk.free_bytes < FREE_LEAST:
        yield Remedy(STUCK, "disk", f"{disk.spool}: {_size(disk.free_bytes)} are free; make room")
    elif disk.free_bytes < to_come:
        yield Remedy(
            WEAR,
            "disk",
            f"the spool may grow by {_size(to_come)}, {_size(disk.free_bytes)} are free: lower max_bytes of [spool], "
            "or make room",
        )
    if disk.max_bytes and disk.used_bytes > FULL * disk.max_bytes:
        yield Remedy(
            STUCK,
            "spool",
            f"it holds {_size(disk.used_bytes)} of {_size(disk.max_bytes)}, and will soon drop what is in it",
        )
    if disk.worn is not None and disk.worn >= WORN:
        yield Remedy(
            WEAR, "disk", f"{disk.device} has {100 * disk.worn:.0f} % of its life behind it; replace it in time"
        )
    if disk.written_a_day is not None and disk.written_a_day > WRITTEN_A_DAY and disk.device.startswith("mmc"):
        yield Remedy(
            WEAR,
            "disk",
            f"{_size(int(disk.written_a_day))} a day are written to the card {disk.device}, by all programs; see by "
            "which (sudo iotop -ao)",
        )


def _power(power: PowerFacts) -> Iterator[Remedy]:
    if power.is_low:
        yield Remedy(TIMES, "power", "the supply's voltage is too low now; give it a stronger one, or a shorter cable")
    elif power.was_low:
        yield Remedy(
            TIMES,
            "power",
            "the supply's voltage was too low since the start; give it a stronger one, or a shorter cable",
        )


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"
