"""`sensorloom dataset forget`: the log is told, then every chain is erased, then versions say what they select since.

Each step is whole in itself and finds for itself what is still to do: doing it again completes what was cut off.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from curation.forgetting.behind import records_unread
from curation.forgetting.searching import find
from curation.forgetting.whom import Whom, whom_of
from curation.versions.making import write_copies
from ingest.archive.erasing import ArchiveEraser
from ingest.archive.topic import archived_topics
from ingest.engine.disk import DiskFiles
from ingest.engine.erasing import Eraser, erase
from ingest.engine.history import newest_entry
from ingest.engine.ledger import append_page, read_ledger, redact_page
from ingest.engine.manifest import FileRef, chain_folder
from ingest.engine.operator import State
from ingest.engine.store import Files, FileStore
from ingest.errors import UsageError
from ingest.forgetting import Forgotten
from ingest.log.protocol import MARKS, READINGS, Entry, Log
from ingest.records import Forget, RecordingUndo
from ingest.wire import encode
from labeling.rules.operator import without as rules_without
from windowing.dataset.belongings import LABELS, RULES, operator_folders
from windowing.dataset.catalog import dataset_root, read_checked, read_genesis
from windowing.dataset.configs import read_config
from windowing.dataset.erasing import DatasetEraser
from windowing.dataset.exclusions import EXCLUSIONS, read_exclusions
from windowing.dataset.pinned import SPLITS, PinnedSplit, encode_split
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.reading import read_contents
from windowing.dataset.versionchecks import digests_of
from windowing.dataset.versions import FORMAT, REPLACEMENTS, ErasureBody, Selected, Version, read_versions
from windowing.fold.state import without as windows_without

NOT_OURS: Final = (
    ("the log", "has its bytes until its retention takes them; it does not come back from there"),
    ("agents' spools and sensors", "hold what they hold; what still comes is counted, and kept nowhere"),
    ("exports, copies and backups", "were handed out, and are not known here: delete them, or take the backup anew"),
    ("the names of labels", "stay, as the numbers in y rest on them: let no label name a person"),
    ("InfluxDB and other sinks", "keep what they were sent: delete it there"),
)
_BEHIND: Final = (
    "is behind: it has {:,} records of it to read that lie before what tells it; run its service, then forget again"
)
BLOCKS: Final = "names it, so that it does not come back"


class Place(msgspec.Struct, frozen=True):
    """A place, and what became of it."""

    place: str
    what: str
    ours: bool = True
    clean: bool = True


@dataclass(slots=True)
class Proof:
    """What was done, where."""

    asked: str
    places: list[Place] = field(default_factory=list)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many rows went, by the operator's folder in the dataset's, and that of their files."""

    @property
    def clean(self) -> bool:
        """Is nothing left in any place of ours?"""
        return all(place.clean for place in self.places if place.ours)


async def forget(
    path: str | Path,
    asked: str,
    log: Log,
    archives: Sequence[Path],
    *,
    reason: str,
    time_ns: int,
    author: str,
    disk: Callable[[Path], Files] = DiskFiles,
) -> Proof:
    """Erase a device, a recording (`pump-7/R1`) or all recordings with an attribute (`subject=u07`).

    Raises:
        UsageError: there is no dataset or archive, no reason is given, or nobody has such an attribute.
        CorruptError: a file is damaged: mend it first.
        LogUnavailableError, StoreUnavailableError: some is done; doing it again completes it.
    """
    if not reason.strip():
        raise UsageError("forget: --reason: say why, as in --reason 'asked for on 3 March'")
    root = dataset_root(path)
    for archive in archives:
        archived_topics(archive)
    whom, proof = whom_of(read_contents(root), asked), Proof(asked)
    # Rules keep no rows, and those of revisions of before read nothing more.
    folders = [folder for folder in operator_folders(root) if folder.parent.name != RULES]
    folders += [archive / topic for archive in archives for topic in archived_topics(archive)]
    unread = {it: await records_unread(log, it, whom.forgotten) for it in folders}
    await _tell(log, whom, reason, time_ns, author)
    proof.places += [Place(str(it), _BEHIND.format(count), clean=False) for it, count in unread.items() if count]
    proof.places.append(Place(log.url, "was told: it stays out of every dataset of this log", ours=False))
    await clean(root, archives, whom, proof, reason=reason, time_ns=time_ns, author=author, disk=disk)
    proof.places += [Place(place, what, ours=False) for place, what in NOT_OURS]
    if "=" in asked:
        proof.places.append(Place("recordings to come", "count: no name is kept to know them by", ours=False))
    return proof


async def clean(
    root: Path,
    archives: Sequence[Path],
    whom: Whom,
    proof: Proof,
    *,
    reason: str,
    time_ns: int,
    author: str,
    disk: Callable[[Path], Files] = DiskFiles,
) -> None:
    """Erase from every chain of a dataset and of archives, say what versions select since, look through all bytes; adds
    to the proof. Raises as `forget`."""
    for folder in operator_folders(root):
        gone = await _erase_all(disk, folder, eraser_of(root, folder, whom.forgotten))
        if gone:
            proof.rows[folder.relative_to(root).as_posix()] = gone
        proof.places.append(Place(str(folder), said(gone)))
    for archive in archives:
        for topic in archived_topics(archive):
            gone = await _erase_all(disk, archive / topic, archive_eraser_of(archive / topic, whom))
            proof.places.append(Place(str(archive / topic), said(gone)))
    store = FileStore(disk(root), secrets.token_hex(8))
    proof.places.append(Place(str(root / EXCLUSIONS), await _redact(store, root, whom.forgotten)))
    proof.places.append(Place(str(root / "versions"), await _renew(store, root, whom, proof, reason, time_ns, author)))
    # An archive's samples may be younger than all windows of their recording: what is old there is its own to say.
    for folder in (root, *(archives if whom.forgotten.before_ns is None else ())):
        proof.places += _left(folder, whom)


async def _tell(log: Log, whom: Whom, reason: str, time_ns: int, author: str) -> None:
    """Write to the log who does not count any more, ever: what comes later, and what is imported."""
    for device in whom.devices:
        await log.ensure(READINGS)
        await log.append(READINGS, [Entry(device.encode(), encode(Forget(device, author, time_ns, reason)))])
    await log.ensure(READINGS)
    await log.ensure(MARKS)
    for device, recording in [*whom.recordings, *((device, "") for device in whom.devices)]:
        undo = Entry(device.encode(), encode(RecordingUndo(device, recording, author, reason, time_ns, forget=True)))
        if recording:
            await log.append(READINGS, [undo])
        await log.append(MARKS, [undo])


async def _erase_all(disk: Callable[[Path], Files], folder: Path, eraser: Eraser) -> dict[str, int]:
    """Erase from all chains in an operator's folder; how many rows went, by the folder of their files."""
    genesis = read_genesis(folder)
    found: dict[str, int] = {}
    store = FileStore(disk(folder), secrets.token_hex(8))
    for number in range(0 if genesis is None else genesis.partitions):
        assert genesis is not None
        for kind, count in (await erase(store, genesis.topic, number, eraser)).items():
            found[kind] = found.get(kind, 0) + count
    return {kind: count for kind, count in found.items() if count}


def eraser_of(root: Path, folder: Path, whom: Forgotten) -> DatasetEraser:
    """What takes them out of an operator's folder in a dataset."""

    def read(ref: FileRef) -> bytes:
        return read_checked(folder, ref)

    def untouched(parts: State) -> State:
        return parts

    def of_windows(parts: State) -> State:
        return windows_without(parts, folder.name, whom)

    def of_rules(parts: State) -> State:
        return rules_without(parts, whom)

    if folder.name == LABELS and folder.parent == root:
        return DatasetEraser(whom, read, untouched)
    if folder.parent.name == RULES:
        return DatasetEraser(whom, read, of_rules if whom.before_ns is None else untouched)
    return DatasetEraser(
        whom, read, of_windows if whom.before_ns is None else untouched, read_config(root).config.window
    )


def archive_eraser_of(folder: Path, whom: Whom) -> ArchiveEraser:
    """What takes them out of an archived topic."""

    def read(ref: FileRef) -> bytes:
        return read_checked(folder, ref)

    return ArchiveEraser(whom.forgotten, read, folder.name)


def said(gone: dict[str, int]) -> str:
    """How many rows went, in words."""
    rows = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(gone.items()))
    return f"rows erased: {rows}" if rows else "had nothing of it"


async def _redact(store: FileStore, root: Path, whom: Forgotten) -> str:
    """Erase the exclusions that name them; what was done."""
    pages = [each.number for each in read_exclusions(root) if whom.has(each.what.device, each.what.recording or "")]
    numbers = set(pages)
    for page in read_ledger(root, EXCLUSIONS):
        if page.body.get("number") in numbers:
            numbers.add(page.number)
    for number in sorted(numbers):
        await redact_page(store, root, EXCLUSIONS, number)
    return f"{len(numbers)} pages erased" if numbers else "named nobody"


async def _renew(store: FileStore, root: Path, whom: Whom, proof: Proof, reason: str, time_ns: int, author: str) -> str:
    """Write down what each version selects since, where that is another selection; what was done."""
    before, after = {}, {}
    for version in read_versions(root):
        number, was = str(version.number), version.body
        before[number] = Selected(was.windows, was.labels, was.parts, was.digests, was.splits)
        after[number] = await _since(store, root, version, whom)
    changed = sum(after[number] != was for number, was in before.items())
    if not changed and not proof.rows:
        await _tidy(store, root)  # what a kill left behind the page
        return "selected nothing of it"
    upto = {
        folder.relative_to(root).as_posix(): {
            f"{genesis.topic}-{number}": newest_entry(folder, chain_folder(genesis.topic, number))
            for number in range(genesis.partitions)
        }
        for folder in operator_folders(root)
        if (genesis := read_genesis(folder)) is not None
    }
    told = [[Path(place.place).name, place.what] for place in proof.places]
    body = ErasureBody(FORMAT, "" if _names_any(reason, whom) else reason, proof.rows, upto, after, told)
    await append_page(store, root, REPLACEMENTS, msgspec.to_builtins(body), time_ns=time_ns, author=author)
    await _tidy(store, root)
    return f"{changed} of {len(before)} versions select fewer windows since"


async def _tidy(store: FileStore, root: Path) -> None:
    """Write the readable copies of versions, and delete the splits that none of them has any more."""
    await write_copies(store, root)
    needed = {version.body.splits.name for version in read_versions(root) if version.body.splits is not None}
    await store.delete(sorted({f"{SPLITS}/{name}" for name in await store.names(SPLITS)} - needed))


def _names_any(text: str, whom: Whom) -> bool:
    return any(name in text for name in (*whom.names, *(recording for _, recording in whom.recordings)))


async def _since(store: FileStore, root: Path, version: Version, whom: Whom) -> Selected:
    """What a version selects now."""
    dataset = open_dataset(root, version=str(version.number))
    split = dataset.source.pinned
    if split is not None:
        split = _split_without(dataset, split, whom)
        ref, data = encode_split(split)
        await store.put([(ref.name, (data,))])
    labels = dict(sorted(dataset.columns(("label",))["label"].fill_null("").value_counts().iter_rows()))
    parts: dict[str, int] = {}
    if split is not None:
        names = [*split.shares, ""]
        for place in split.parts(dataset.columns).tolist():
            parts[names[place]] = parts.get(names[place], 0) + 1
    return Selected(
        len(dataset),
        labels,
        dict(sorted(parts.items())),
        digests_of(dataset, split),
        None if split is None else encode_split(split)[0],
    )


def _split_without(dataset: Dataset, split: PinnedSplit, whom: Whom) -> PinnedSplit:
    """The split without the groups of whom nothing is left, where they are among those that are forgotten."""
    if not split.groups:
        return split
    names = {
        *whom.names,
        *whom.groups,
        *whom.devices,
        *(f"{device}/{recording}" for device, recording in whom.recordings),
    }
    return msgspec.structs.replace(
        split,
        groups={group: part for group, part in split.groups.items() if group not in names},
        folds={group: fold for group, fold in split.folds.items() if group not in names},
    )


def _left(folder: Path, whom: Whom) -> list[Place]:
    """What a search of all bytes still finds."""
    places = []
    for path, what in find(folder, whom.forgotten, whom.names):
        blocks = path.suffix == ".bin" and what == "names it"
        places.append(Place(str(path), BLOCKS if blocks else f"still {what}", clean=blocks))
    return places or [Place(str(folder), "every byte was looked through: nothing is left")]
