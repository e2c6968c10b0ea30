"""A backup of a running site: its datasets and archives first, then its log, which so holds all that they rest on.

Everything goes on meanwhile. The backup is a site itself: it can be looked at, read and gone on from where it lies. A
later backup into the same folder copies what is new.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from ingest.copying import TEMPORARY, Copier
from ingest.engine.copying import copy_chains
from ingest.engine.ledger import BELONGS
from ingest.errors import StoreFullError, UsageError
from ingest.files import FULL_ERRORS, make_folder, put, sync_folder
from ingest.log.segments.copying import copy_log
from service.site import Site, find_site, operator_folders
from windowing.dataset.reader import open_dataset
from windowing.dataset.versions import VERSIONS

RECORD: Final = "backup.json"
"""Says that a backup is whole, and when it was begun; it is away while a backup is under way."""


@dataclass(slots=True)
class BackupReport:
    """What a backup did."""

    site: str
    to: str
    begun_ns: int
    datasets: dict[str, dict[str, int]] = field(default_factory=dict)
    """The newest entry of each chain, by dataset."""
    archives: dict[str, dict[str, int]] = field(default_factory=dict)
    """The same, by archive."""
    logs: dict[str, dict[str, int]] = field(default_factory=dict)
    """The records of each topic, by log."""
    copied_files: int = 0
    copied_bytes: int = 0
    kept_files: int = 0
    """Which an earlier backup had brought."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def backup(source: Path, to: Path) -> BackupReport:
    """Copy a site that may be at work, durably, and open what was copied.

    Raises:
        UsageError: there is no site, `to` lies in it, or holds another one or a newer state of it.
        CorruptError: something of the site is damaged.
        StoreFullError: no room; run it again once there is.
    """
    site = find_site(source)
    _check_apart(site.root, to)
    report, copier = BackupReport(str(source), str(to), time.time_ns()), Copier()
    try:
        make_folder(to)
        if (to / RECORD).exists():
            (to / RECORD).unlink()
            sync_folder(to)
        _copy(site, to, copier, report)
        report.copied_files, report.copied_bytes, report.kept_files = copier.copied, copier.bytes, copier.kept
        put(to / RECORD, msgspec.json.encode(report.as_dict()) + b"\n")
    except OSError as error:
        if error.errno in FULL_ERRORS:
            raise StoreFullError(f"{to}: {error.strerror}; make room, then run the backup again: it goes on") from error
        raise
    return report


def _check_apart(source: Path, to: Path) -> None:
    inner, outer = to.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise UsageError(f"{to}: a backup lies outside of its site; name a folder beside {source}, on another disk")


def _copy(site: Site, to: Path, copier: Copier, report: BackupReport) -> None:
    for path in site.configurations:
        copier.copy(path, to / path.name)
    for folder in site.datasets:
        name = str(folder.relative_to(site.root))
        report.datasets[name] = _copy_chains(folder, to / name, copier)
        copier.settle()
        open_dataset(to / name)
    for folder in site.archives:
        name = str(folder.relative_to(site.root))
        report.archives[name] = _copy_chains(folder, to / name, copier)
    for folder in site.logs:
        name = str(folder.relative_to(site.root))
        report.logs[name] = copy_log(folder, to / name, copier)
    copier.settle()


def _copy_chains(source: Path, to: Path, copier: Copier) -> dict[str, int]:
    """Copy what says how much there must be, then the chains of a dataset or an archive, then what else is in it;
    returns the newest entry of each chain. A version that is made meanwhile may rest on entries that come too late for
    the copy: it is not in it."""
    newest: dict[str, int] = {}
    left_out = {source / BELONGS, source / VERSIONS}
    for first in (BELONGS, VERSIONS):
        for path in sorted((source / first).rglob("*")):
            if path.is_file():
                copier.copy(path, to / path.relative_to(source))
    for folder in operator_folders(source):
        name = folder.relative_to(source)
        copied = copy_chains(folder, to / name, copier)
        newest |= {f"{name}/{chain}": seq for chain, seq in copied.newest.items()}
        left_out |= {folder / kind for kind in copied.folders}
    for path in sorted(source.rglob("*")):
        if path.name.endswith((".tmp", TEMPORARY)) or not left_out.isdisjoint([path, *path.parents]):
            continue
        if path.is_file():
            _copy_there(path, to / path.relative_to(source), copier)
    return newest


def _copy_there(path: Path, to: Path, copier: Copier) -> None:
    try:
        copier.copy(path, to)
    except FileNotFoundError:  # nothing that is needed ever goes
        if path.exists():
            raise
