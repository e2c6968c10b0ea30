"""How a site is: who is silent, how far its datasets lag, what the last hour brought, how long the disk lasts.

Only ends are read: the last record of each device, the newest entries of each chain. What is found is plain data;
`trouble` says in words what a person should look at.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis, decode_genesis
from ingest.engine.history import Growth, entry, growth, last_before, newest_entry, sealed_ns
from ingest.engine.manifest import chain_folder
from ingest.errors import SensorloomError, WireError
from ingest.inspection import time_of
from ingest.log.protocol import READINGS, STATUS
from ingest.log.segments.latest import Grown, Latest, LogTails
from ingest.records import Birth, Chunk, Death, RecordingEnd
from ingest.units import format_time
from ingest.wire import decode
from service.site import Site, operator_folders
from windowing.dataset.belongings import WINDOWS

S: Final = 1_000_000_000
HOUR_NS: Final = 3_600 * S
DAY_NS: Final = 24 * HOUR_NS
AHEAD_NS: Final = 60 * S
"""A sample may lie so far ahead of this machine's clock."""
FORECAST_NS: Final = HOUR_NS
"""Growth that has been seen for less is no forecast."""
_TOLD: Final = {"lost.offsets": "records were lost", "quarantine.samples": "samples are ahead of the log's clock"}
_ENDED: Final = ("end_of_file", "clock_step")
State: TypeAlias = Literal["live", "silent", "stopped", "ended", "gone"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is trouble."""

    silent_ns: int = 10 * 60 * S
    gone_ns: int = 30 * DAY_NS
    """Who is silent for longer is not waited for."""
    lag_ns: int = 10 * 60 * S
    days: float = 7.0
    """Less room than for so many days."""


class DeviceStatus(msgspec.Struct, frozen=True):
    """A device as the log knows it."""

    device: str
    state: State
    last_ns: int
    """Its last sample, or the end of what its last record speaks of."""
    append_ns: int
    """When that came."""
    silent_s: float
    agent: str
    """What its agent said last."""


class DatasetFigures(msgspec.Struct, frozen=True):
    """A dataset's or an archive's last hour."""

    dataset: str
    sealed_ns: int | None
    """The last seal of windows, or of archived readings."""
    lag_s: float | None
    """For how long the oldest record waits that is in the log and not sealed; None where the log is elsewhere."""
    behind: int | None
    """So many records are in the log and not sealed."""
    windows_hour: int
    drops_hour: dict[str, int]
    counts_hour: dict[str, int]
    """What else was counted: samples, late, lost …"""
    kind: Literal["dataset", "archive"] = "dataset"
    """An archive has no windows, and drops nothing."""


class DiskFigures(msgspec.Struct, frozen=True):
    """A disk on which a part of the site lies."""

    folder: str
    free_bytes: int
    free_inodes: int | None
    """None where the file system has no bound."""
    bytes_day: int | None
    """None where it has been seen for less than an hour."""
    inodes_day: int | None
    days_left: float | None


class SiteStatus(msgspec.Struct, frozen=True):
    """A site in figures."""

    site: str
    time_ns: int
    devices: list[DeviceStatus]
    datasets: list[DatasetFigures]
    disks: list[DiskFigures]
    trouble: list[str]


@dataclass(slots=True)
class _Rate:
    """Growth of some folders of one disk."""

    bytes: float = 0.0
    files: float = 0.0
    is_known: bool = False

    def add(self, size: int, files: int, since_ns: int, now_ns: int) -> None:
        if now_ns - since_ns >= FORECAST_NS:
            share = DAY_NS / (now_ns - since_ns)
            self.bytes, self.files, self.is_known = self.bytes + size * share, self.files + files * share, True


def site_status(site: Site, now_ns: int, bounds: Bounds) -> SiteStatus:
    """The status of a site now. What cannot be read is trouble, and no reason to hold back the rest."""
    with ExitStack() as opened:
        looking = _Looking(now_ns, bounds, opened)
        for folder in site.logs:
            looking.look_at_log(folder, str(folder.relative_to(site.root)))
        for folder in (*site.datasets, *site.archives):
            looking.look_at_dataset(folder, str(folder.relative_to(site.root)))
        disks = looking.disks(site)
    return SiteStatus(str(site.root), now_ns, looking.devices, looking.datasets, disks, looking.trouble)


class _Looking:
    def __init__(self, now_ns: int, bounds: Bounds, opened: ExitStack) -> None:
        self._now_ns = now_ns
        self._bounds = bounds
        self._rates: dict[int, _Rate] = {}
        self.devices: list[DeviceStatus] = []
        self.datasets: list[DatasetFigures] = []
        self.trouble: list[str] = []
        self._tails: dict[str, LogTails] = {}
        self._opened = opened

    def look_at_log(self, folder: Path, name: str) -> None:
        """Devices, and how the log grows."""
        try:
            tails = self._opened.enter_context(closing(LogTails(folder)))
            self._tails[tails.identity] = tails
            readings, status = tails.topic(READINGS), tails.topic(STATUS)
            self._look_at_devices(readings.latest() if readings else {}, status.latest() if status else {})
            self._add_growth(folder, [topic.grown(self._now_ns - DAY_NS) for topic in (readings, status) if topic])
        except (SensorloomError, OSError) as error:
            self.trouble.append(f"{name}: {error}")

    def _look_at_devices(self, readings: Mapping[bytes, Latest], agents: Mapping[bytes, Latest]) -> None:
        for key, latest in sorted(readings.items()):
            said = _agent(agents.get(key), self._now_ns)
            device = device_status(key, latest, said, self._now_ns, self._bounds)
            self.devices.append(device)
            if device.last_ns - self._now_ns > AHEAD_NS:
                ahead = span((device.last_ns - self._now_ns) / S)
                self.trouble.append(f"{device.device}: its last sample lies {ahead} ahead: is its clock set?")
            if device.state == "silent":
                since = f"silent since {format_time(device.last_ns)}, for {span(device.silent_s)}"
                self.trouble.append(f"{device.device}: {since}" + (f"; its agent: {said}" if said else ""))

    def look_at_dataset(self, folder: Path, name: str) -> None:
        """The last seals, lag and last hour of windows, or of an archive's readings, and how the folder grows."""
        try:
            growths = []
            for operator in operator_folders(folder):
                genesis = decode_genesis((operator / GENESIS).read_bytes(), str(operator / GENESIS))
                chains = list(_chains(operator, genesis))
                growths += [growth(operator, chain, newest, self._now_ns - DAY_NS) for _, chain, newest in chains]
                if operator.parent.name == WINDOWS:
                    self._look_at_chains(operator, name, genesis, chains, "dataset")
                elif operator.name == READINGS:
                    self._look_at_chains(operator, name, genesis, chains, "archive")
            self._add_entries(folder, growths)
        except (SensorloomError, OSError) as error:
            self.trouble.append(f"{name}: {error}")

    def _look_at_chains(
        self,
        folder: Path,
        name: str,
        genesis: Genesis,
        chains: list[tuple[int, str, int]],
        kind: Literal["dataset", "archive"],
    ) -> None:
        through: dict[int, int] = {}
        hour: Counter[str] = Counter()
        sealed: list[int] = []
        for partition, chain, newest in chains:
            if newest < 0:
                continue
            head = entry(folder, chain, newest)
            through[partition] = head.through
            sealed.append(sealed_ns(folder, chain, newest))
            before = last_before(folder, chain, newest, self._now_ns - HOUR_NS)
            hour.update(head.totals)
            if before >= 0:
                hour.subtract(entry(folder, chain, before).totals)
        behind, lag_s = self._lag(genesis, through, name)
        counts = {reason: count for reason, count in sorted(hour.items()) if count}
        figures = DatasetFigures(
            name,
            max(sealed, default=None),
            lag_s,
            behind,
            counts.pop("windows", 0),
            {r.removeprefix("drop."): count for r, count in counts.items() if r.startswith("drop.")},
            {r: count for r, count in counts.items() if not r.startswith("drop.")},
            kind,
        )
        self.datasets.append(figures)
        self.trouble += dataset_trouble(figures, self._bounds)

    def _lag(self, genesis: Genesis, through: Mapping[int, int], name: str) -> tuple[int | None, float | None]:
        if genesis.window and msgspec.json.decode(genesis.window).get("complete"):
            return None, None  # of an archive as it was then: its offsets are its own
        log = self._tails.get(genesis.log)
        if log is None:
            if self._tails:
                self.trouble.append(f"{name}: was made of the log {genesis.log}, which is not here")
            return None, None
        topic = log.topic(genesis.topic)
        ends = topic.ends() if topic is not None else {}
        waiting = {p: through.get(p, 0) for p, end in ends.items() if end > through.get(p, 0)}
        times = [topic.append_ns(p, offset) for p, offset in waiting.items()] if topic is not None else []
        short = [p for p, offset in through.items() if offset > ends.get(p, offset)]
        if short:
            self.trouble.append(f"{name}: has read more than its log holds (partitions {short}): it was restored?")
        oldest_ns = min((time_ns for time_ns in times if time_ns is not None), default=self._now_ns)
        return sum(ends[p] - offset for p, offset in waiting.items()), max(0, self._now_ns - oldest_ns) / S

    def _add_growth(self, folder: Path, grown: Iterable[Grown]) -> None:
        rate = self._rates.setdefault(folder.stat().st_dev, _Rate())
        for one in grown:
            if not one.is_bounded:
                rate.add(one.bytes, 0, one.since_ns, self._now_ns)

    def _add_entries(self, folder: Path, growths: Iterable[Growth]) -> None:
        rate = self._rates.setdefault(folder.stat().st_dev, _Rate())
        for one in growths:
            rate.add(one.bytes, one.files, one.since_ns, self._now_ns)

    def disks(self, site: Site) -> list[DiskFigures]:
        """The disks of what was looked at."""
        found: dict[int, DiskFigures] = {}
        for folder in (*site.logs, *site.archives, *site.datasets):
            device = folder.stat().st_dev
            if device not in found:
                found[device] = disk_figures(folder, self._rates.get(device, _Rate()))
                left = found[device].days_left
                if left is not None and left < self._bounds.days:
                    self.trouble.append(f"{folder}: at this pace its disk is full in {left:.1f} days")
        return list(found.values())


def _chains(folder: Path, genesis: Genesis) -> Iterator[tuple[int, str, int]]:
    for partition in range(genesis.partitions):
        chain = chain_folder(genesis.topic, partition)
        yield partition, chain, newest_entry(folder, chain)


def device_status(key: bytes, latest: Latest, agent: str, now_ns: int, bounds: Bounds) -> DeviceStatus:
    """A device by its last record."""
    record = None
    if latest.value is not None:
        try:
            record = decode(latest.value)
        except WireError:
            record = None
    last_ns = time_of(record, latest.append_ns)
    state: State = "live"
    if isinstance(record, RecordingEnd):
        last_ns -= 1 if record.end_ns == last_ns else 0
        state = "ended" if record.reason in _ENDED else "stopped" if record.reason == "stopped" else "live"
    elif isinstance(record, Chunk) and record.clock is not None and record.clock.source == "import":
        state = "ended"
    heard_ns = last_ns if isinstance(record, RecordingEnd) else latest.append_ns
    if state == "live" and now_ns - heard_ns > bounds.silent_ns:
        state = "gone" if now_ns - heard_ns > bounds.gone_ns else "silent"
    silent_s = max(0, now_ns - last_ns) / S
    return DeviceStatus(key.decode("utf-8", "replace"), state, last_ns, latest.append_ns, silent_s, agent)


def _agent(latest: Latest | None, now_ns: int) -> str:
    """What an agent said last, in words."""
    if latest is None or latest.value is None:
        return ""
    try:
        record = decode(latest.value)
    except WireError:
        return ""
    ago = span(max(0, now_ns - latest.append_ns) / S)
    if isinstance(record, Death):
        return f"ended {ago} ago: {record.reason}"
    return f"{'began' if isinstance(record, Birth) else 'alive'} {ago} ago"


def span(seconds: float) -> str:
    """A stretch of time by its two largest units: "3 d 4 h", "12 s"."""
    left, words = int(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"


def dataset_trouble(figures: DatasetFigures, bounds: Bounds) -> Iterator[str]:
    """What of a dataset a person should look at."""
    if figures.lag_s is not None and figures.lag_s * S > bounds.lag_ns:
        sealed = (
            f"the last seal was at {format_time(figures.sealed_ns)}" if figures.sealed_ns else "none was ever sealed"
        )
        waiting = f"{figures.behind:,} records wait, for {span(figures.lag_s)}"
        yield f"{figures.dataset}: {waiting}; {sealed}: does the service run?"
    drops = sum(figures.drops_hour.values())
    if drops and not figures.windows_hour:
        yield f"{figures.dataset}: no window in the last hour, {drops:,} dropped: {_listed(figures.drops_hour)}"
    for reason, what in _TOLD.items():
        if count := figures.counts_hour.get(reason):
            yield f"{figures.dataset}: {count:,} {what} in the last hour"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items(), key=lambda item: -item[1]))


def disk_figures(folder: Path, rate: _Rate) -> DiskFigures:
    """How full a disk is, and when it will be."""
    found = os.statvfs(folder)
    free, inodes = found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None
    lasting = []
    if rate.bytes > 0:
        lasting.append(free / rate.bytes)
    if rate.files > 0 and inodes is not None:
        lasting.append(inodes / rate.files)
    bytes_day, files_day = (round(rate.bytes), round(rate.files)) if rate.is_known else (None, None)
    return DiskFigures(str(folder), free, inodes, bytes_day, files_day, min(lasting, default=None))
