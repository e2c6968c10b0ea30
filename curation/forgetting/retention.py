"""`sensorloom dataset retain`: what is older than people may keep it is erased, as who is to be forgotten is.

A window is as old as its end, a recording as its newest window, and it goes whole when it has ended before; marks go
when no window that stays reaches back to them. Nothing is told to the log, whose own retention is its own; doing it
again later takes what became too old meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from curation.forgetting.erasure import Place, Proof, archive_eraser_of, clean, eraser_of, said
from curation.forgetting.whom import Whom
from ingest.archive.topic import archived_topics
from ingest.engine.chain import read_head
from ingest.engine.disk import DiskFiles
from ingest.engine.erasing import Eraser, outlook
from ingest.engine.manifest import chain_folder
from ingest.engine.partition import read_state
from ingest.engine.store import Files, FileStore
from ingest.errors import UsageError
from ingest.forgetting import Forgotten
from ingest.units import exact_time, parse_duration
from windowing.config import FILE
from windowing.dataset.belongings import WINDOWS, operator_folders
from windowing.dataset.catalog import dataset_root, read_genesis
from windowing.dataset.configs import read_config
from windowing.dataset.contents import Contents
from windowing.dataset.heard import read_dropped
from windowing.dataset.index import read_index
from windowing.dataset.reading import read_contents
from windowing.fold.shards import INDEX
from windowing.fold.state import decode_state

_KEYS: Final = ("device", "recording")
NOT_OURS: Final = (
    (
        "the log",
        "keeps what its own retention lets it; a dataset that is made of it anew has that again: retain that too",
    ),
    ("states", "hold what recordings that have not ended wait for; after 30 days of silence these are closed"),
    ("chunks of archives", "stay until the last sample in them is too old"),
    ("exports, copies and backups", "were handed out, and are not known here"),
    ("InfluxDB and other sinks", "have a retention of their own"),
)


async def retain(
    path: str | Path,
    archives: Sequence[Path],
    *,
    older_than: str | None = None,
    dry: bool = False,
    time_ns: int,
    author: str,
    disk: Callable[[Path], Files] = DiskFiles,
) -> Proof:
    """Erase what is older than a duration, that of dataset.toml's `[privacy] retention` where None; with `dry`, only
    count it.

    Raises:
        UsageError: there is no dataset or archive, or nobody says how long it is kept.
        CorruptError: a file is damaged: mend it first.
        StoreUnavailableError: some is done; doing it again completes it.
    """
    root = dataset_root(path)
    for archive in archives:
        archived_topics(archive)
    keep = older_than or read_config(root).config.privacy.retention
    if not keep:
        raise UsageError(
            f"retain: {root / FILE} does not say [privacy] retention; write it there, or give --older-than"
        )
    age_ns = parse_duration(keep)
    if age_ns <= 0:
        raise UsageError(f'retain: --older-than: found "{keep}", expected more than nothing')
    before_ns = time_ns - age_ns
    asked = f"older than {keep}: ended by {exact_time(before_ns)}"
    whom, proof = await whom_of_age(root, before_ns), Proof(asked)
    if dry:
        for folder, eraser in _erasers(root, archives, whom):
            gone = await _outlook(disk, folder, eraser)
            proof.places.append(Place(str(folder), said(gone).replace("erased", "to be erased")))
            proof.rows |= {folder.relative_to(root).as_posix(): gone} if gone and root in folder.parents else {}
        return proof
    await clean(root, archives, whom, proof, reason=asked, time_ns=time_ns, author=author, disk=disk)
    proof.places += [Place(place, what, ours=False) for place, what in NOT_OURS]
    return proof


def _erasers(root: Path, archives: Sequence[Path], whom: Whom) -> Iterator[tuple[Path, Eraser]]:
    for folder in operator_folders(root):
        yield folder, eraser_of(root, folder, whom.forgotten)
    for archive in archives:
        for topic in archived_topics(archive):
            yield archive / topic, archive_eraser_of(archive / topic, whom)


async def _outlook(disk: Callable[[Path], Files], folder: Path, eraser: Eraser) -> dict[str, int]:
    found: dict[str, int] = {}
    genesis = read_genesis(folder)
    if genesis is None:
        return found
    store = FileStore(disk(folder), secrets.token_hex(8))
    for number in range(genesis.partitions):
        for kind, count in (await outlook(store, genesis.topic, number, eraser)).items():
            found[kind] = found.get(kind, 0) + count
    return {kind: count for kind, count in found.items() if count}


async def whom_of_age(root: Path, before_ns: int) -> Whom:
    """What ended by an instant: recordings whole, of others the windows; and the groups that nothing is left of."""
    contents = read_contents(root)
    columns = (*_KEYS, "t0_ns", "t1_ns")
    index, _ = read_index(contents.windows.folder, contents.windows.of(INDEX), "raise", columns)
    ends = pl.concat([index, read_dropped(contents.windows).select(columns)]).group_by(_KEYS).agg(pl.col("t1_ns").max())
    ages = {(device, recording): end_ns for device, recording, end_ns in ends.iter_rows()}
    open_now = await _open_recordings(root)
    old = [key for key, end_ns in ages.items() if end_ns <= before_ns and key not in open_now]
    some: dict[str, set[str]] = {}
    for device, recording in old:
        some.setdefault(device, set()).add(recording)
    staying = index.filter(pl.col("t1_ns") > before_ns)["t0_ns"].min()
    assert staying is None or isinstance(staying, int)
    forgotten = Forgotten(
        {device: frozenset(few) for device, few in some.items()},
        before_ns=before_ns,
        marks_before_ns=before_ns if staying is None else min(before_ns, staying),
    )
    return Whom(forgotten, (), _groups(contents, set(old), set(ages) - set(old)))


async def _open_recordings(root: Path) -> set[tuple[str, str]]:
    """The recordings that have not ended, as the states of the windows say."""
    found: set[tuple[str, str]] = set()
    for folder in operator_folders(root):
        genesis = read_genesis(folder)
        if folder.parent.name != WINDOWS or genesis is None:
            continue
        store = FileStore(DiskFiles(folder), "reads")
        for number in range(genesis.partitions):
            head = await read_head(store, chain_folder(genesis.topic, number))
            if head is not None:
                parts, _ = await read_state(store, head.entry)
                recordings = decode_state(parts, folder.name).recordings
                found |= {(each.device, each.name) for each in recordings if not each.closed}
    return found


def _groups(contents: Contents, old: set[tuple[str, str]], others: set[tuple[str, str]]) -> tuple[str, ...]:
    """What splits may name that only recordings have that go: their devices, and what their attributes say."""
    names: list[set[str]] = []
    for keys in (old, others):
        rows = contents.recordings.join(pl.DataFrame(list(keys), dict.fromkeys(_KEYS, pl.String), orient="row"), _KEYS)
        said_of = {str(value) for name in rows.columns for value in rows[name].drop_nulls() if name != "recording"}
        names.append(said_of | {device for device, _ in keys})
    return tuple(sorted(names[0] - names[1]))
