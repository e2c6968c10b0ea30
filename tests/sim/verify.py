"""What lies on the disk after the last power cut, checked against the oracle: every row once, every hash right."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec

from ingest.engine.chain import read_chain
from ingest.engine.heads import decode_head, head_name
from ingest.engine.manifest import (
    FileRef,
    Manifest,
    Merged,
    chain_folder,
    decode_entry,
    decode_merged,
    entry_name,
    sha256_of,
)
from simulators.sim.files import SimDisk

Row = tuple[Any, ...]


class WrongError(AssertionError):
    """The output is not what the log's records demand."""


def demand(condition: bool, text: str) -> None:
    if not condition:
        raise WrongError(text)


def read_entries(disk: SimDisk, topic: str, partition: int) -> list[Manifest]:
    """The chain, dense and linked, with right totals, every file there, and every byte as promised. What was merged are
    files of the first entry."""
    folder = chain_folder(topic, partition)
    names = [name for name in disk.names(folder) if len(name) == 17 and name.endswith(".json")]
    entries: list[Manifest] = []
    previous, totals = "", Counter[str]()
    for seq, name in enumerate(names):
        where = entry_name(folder, seq)
        demand(f"{folder}/{name}" == where, f"{folder}: found {name}, expected {where}: the chain has a hole")
        data = disk.read(where)
        entry = decode_entry(data, where)
        totals.update(entry.counts)
        demand(entry.previous == previous, f"{where}: does not follow the entry before it")
        demand(entry.seq == seq, f"{where}: holds number {entry.seq}")
        demand(not entries or entry.begin == entries[-1].through, f"{where}: begins at {entry.begin}")
        demand(entry.totals == dict(totals), f"{where}: totals are {entry.totals}, the counts sum up to {totals}")
        previous = sha256_of(data)
        entries.append(entry)
    entries = after_merging(disk, folder, entries)
    for ref in (ref for entry in entries for ref in entry.files):
        check_file(disk, ref)
    for entry in entries[-2:]:
        for ref in entry.states:
            check_file(disk, ref)
    check_head(disk, folder, entries)
    chain = read_chain(disk.read, lambda name: name in disk.visible, folder)
    found = chain.files if chain else ()
    demand(found == tuple(ref for entry in entries for ref in entry.files), f"{folder}: read_chain gives other files")
    return entries


def merged_of(disk: SimDisk, entry: Manifest) -> Merged | None:
    """What the entry says was merged before it."""
    if entry.merged is None:
        return None
    check_file(disk, entry.merged)
    return decode_merged(disk.read(entry.merged.name), entry.merged)


def after_merging(disk: SimDisk, folder: str, entries: list[Manifest]) -> list[Manifest]:
    """The entries, those that were merged without their own files."""
    merged = merged_of(disk, entries[-1]) if entries else None
    if merged is None:
        return entries
    document = disk.read(entry_name(folder, merged.last))
    demand(merged.last_sha256 == sha256_of(document), f"{folder}: another entry {merged.last} than was merged")
    now = {0: merged.files}
    return [
        msgspec.structs.replace(entry, files=now.get(entry.seq, ())) if entry.seq <= merged.last else entry
        for entry in entries
    ]


def check_head(disk: SimDisk, folder: str, entries: list[Manifest]) -> None:
    """What was written down as the chain's head is an entry of it, and not damaged."""
    where = head_name(folder)
    if where not in disk.visible:
        return
    head = decode_head(disk.read(where), where)
    demand(head.seq < len(entries), f"{where}: names entry {head.seq} of {len(entries)}")
    if head.seq >= 0:
        document = disk.read(entry_name(folder, head.seq))
        demand(head.sha256 == sha256_of(document), f"{where}: names another entry {head.seq} than there is")


def check_file(disk: SimDisk, ref: FileRef) -> None:
    demand(ref.name in disk.visible, f"{ref.name}: named by an entry, not on the disk")
    data = disk.read(ref.name)
    demand((len(data), sha256_of(data)) == (ref.bytes, ref.sha256), f"{ref.name}: other bytes than were sealed")


def read_rows(disk: SimDisk, names: list[str]) -> list[Row]:
    """The rows of these files. Raises `ValueError` where one is torn."""
    return [as_row(json.loads(line)) for name in names for line in disk.read(name).splitlines()]


def as_row(values: list[Any]) -> Row:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def compare(found: list[Row], expected: list[Row], where: str) -> None:
    """Raise `WrongError` unless the windows are the expected ones in their order, and so all other rows."""
    for kind, windows in (("windows", True), ("flips and holes", False)):
        got = [row for row in found if (row[0] == "window") is windows]
        want = [row for row in expected if (row[0] == "window") is windows]
        if got == want:
            continue
        surplus = Counter(map(repr, got)) - Counter(map(repr, want))
        missing = Counter(map(repr, want)) - Counter(map(repr, got))
        raise WrongError(
            f"{where}: {kind}: {len(got)} rows, expected {len(want)}; surplus {surplus}, missing {missing}"
        )
