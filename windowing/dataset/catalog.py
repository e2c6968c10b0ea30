"""What a dataset folder holds: its chains, read and checked.

Nothing is believed before its hash is seen to be right; what is in no manifest entry does not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os.path import exists
from pathlib import Path
from typing import Final, Literal, TypeAlias

from ingest.engine.chain import Chain, check_place, missing_entry, read_chain, states_of, went_further
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis, decode_genesis
from ingest.engine.heads import NOTHING, ChainHead
from ingest.engine.ledger import BELONGS
from ingest.engine.manifest import FileRef, Manifest, chain_folder, decode_entry, decode_merged, entry_name
from ingest.engine.operator import Buffer
from ingest.errors import CorruptError, UsageError
from windowing.config import FILE, DatasetConfig
from windowing.dataset.belongings import LABELS, REMEDY, WINDOWS
from windowing.dataset.versions import ChainCut

Damaged: TypeAlias = Literal["raise", "skip"]
_PIECE_BYTES: Final = 1 << 18
KEPT_STATES: Final = 2
"""The engine keeps the states of a chain's last two entries."""
_NO_HEADS: Final[Mapping[str, ChainHead]] = {}


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that was left out, and why."""

    file: str
    problem: str
    windows: int | None
    """How many windows are missing for it; None where that cannot be known."""


@dataclass(slots=True)
class Chains:
    """The chains of one operator: what their entries say together."""

    folder: Path
    genesis: Genesis | None
    heads: dict[str, Manifest] = field(default_factory=dict)
    """The newest entry of each chain that has one, by `<topic>-<partition>`."""
    files: list[FileRef] = field(default_factory=list)
    files_of: dict[str, list[FileRef]] = field(default_factory=dict)
    """The files of each chain that is whole, by its name."""
    states: list[tuple[FileRef, Path]] = field(default_factory=list)
    """The states of each chain's last entries, with the later entry whose creation outdates them."""
    damage: list[Damage] = field(default_factory=list)
    cuts: Mapping[str, ChainCut] | None = None
    """Of a version: how much of each chain counts; None: all."""

    @property
    def cut(self) -> dict[str, int]:
        """The newest sequence number of each chain."""
        return {name: each.seq for name, each in (self.heads if self.cuts is None else self.cuts).items()}

    @property
    def totals(self) -> Counter[str]:
        """What happened, by reason, over all chains."""
        return sum((Counter(head.totals) for head in self.heads.values()), Counter())

    def of(self, kind: str) -> list[FileRef]:
        """The files of one folder, `signal` or `index` …, that have rows which count."""
        if self.cuts is None:
            return [ref for ref in self.files if ref.name.startswith(f"{kind}/")]
        return [ref for ref, rows in self.counting(kind) if rows]

    def counting(self, kind: str) -> list[tuple[FileRef, int]]:
        """The files of one folder, and how many of each one's rows count.

        Raises:
            CorruptError: a chain has fewer rows than the version that it is read for.
        """
        if self.cuts is None:
            return [(ref, ref.rows) for ref in self.of(kind)]
        found = []
        for name, cut in self.cuts.items():
            rest = cut.rows.get(kind, 0)
            for ref in self.files_of.get(name, ()):
                if ref.name.startswith(f"{kind}/"):
                    found.append((ref, min(rest, ref.rows)))
                    rest -= found[-1][1]
            if rest:
                raise CorruptError(f"{self.folder / 'manifest' / name}: has {rest:,} rows less of {kind}; {REMEDY}")
        return found


def dataset_root(path: str | Path) -> Path:
    """The dataset's folder, absolute. Raises `UsageError` where there is none."""
    root = Path(path).expanduser().absolute()
    if root.is_file():
        raise UsageError(f"{root}: no dataset: it is a file; a dataset is a folder, the one that `--out` named")
    if not root.is_dir():
        raise UsageError(f"{root}: no dataset: there is no such folder; `sensorloom window run --out {root}` makes one")
    if not any((root / name).is_dir() for name in (BELONGS, WINDOWS, LABELS)):
        found = f"only a {FILE}, which is what a run is given" if (root / FILE).is_file() else f"it has no {FILE}"
        near = sorted(str(other.parent) for other in root.glob(f"*/{WINDOWS}/"))
        hint = f"; did you mean {near[0]}?" if near else "; `sensorloom window run -c … --out …` makes one"
        raise UsageError(f"{root}: no dataset: {found}{hint}")
    return root


def windows_folder(root: Path, config: DatasetConfig, window: str = "") -> Path:
    """The folder of the windows that the configuration names; `window` is its `[window]` table as JSON.

    A later release may give the same table another id: then the folder whose genesis has this table is the one.

    Raises:
        UsageError: the folder holds windows of another spec only.
    """
    folder = root / WINDOWS / config.window.id
    others = sorted(entry for entry in (root / WINDOWS).glob("*/") if entry != folder)
    if not others or folder.exists():
        return folder
    for other in others:
        genesis = _genesis_or_none(other)
        if genesis is not None and window and genesis.window == window:
            return other
    raise UsageError(
        f"{root / FILE}: window: its spec is {config.window.id}, but the windows here are "
        f"{', '.join(other.name for other in others)}; the table was changed by hand: put back the one that they were "
        "cut with"
    )


def _genesis_or_none(folder: Path) -> Genesis | None:
    try:
        return read_genesis(folder)
    except CorruptError:
        return None


def read_genesis(folder: Path) -> Genesis | None:
    """What the chains in `folder` rest on; None where no worker has begun. Raises `CorruptError`."""
    path = folder / GENESIS
    try:
        return decode_genesis(path.read_bytes(), str(path))
    except FileNotFoundError:
        if any((folder / "manifest").glob("*/*")):
            raise CorruptError(f"{path}: is missing, but there are chains; {REMEDY}") from None
        return None


def read_chains(
    folder: Path,
    damaged: Damaged = "raise",
    heads: Mapping[str, ChainHead] = _NO_HEADS,
    at: Mapping[str, int] | None = None,
) -> Chains:
    """Every chain of an operator's folder; `heads` says how far they have surely come, `at` up to which entry each is
    read, the newest where None; a chain that it does not name had none.

    With `damaged="skip"`, entries that cannot be read are left out and noted; the others count.

    Raises:
        CorruptError: a document is damaged or missing.
    """
    chains = Chains(folder, read_genesis(folder))
    if chains.genesis is None:
        return chains
    for partition in range(chains.genesis.partitions):
        name = chain_folder(chains.genesis.topic, partition)
        try:
            last = None if at is None else at.get(Path(name).name, -1)
            chain = _chain(folder, name, heads.get(name, NOTHING), last)
        except CorruptError as error:
            if damaged == "raise":
                raise
            _salvage(chains, name, error, last)
            continue
        if chain is not None:
            chains.heads[Path(name).name] = chain.head
            chains.files += chain.files
            chains.files_of[Path(name).name] = list(chain.files)
            chains.states += [
                (state, folder / entry_name(name, seq + KEPT_STATES))
                for seq, state in chain.states
                if seq > chain.head.seq - KEPT_STATES
            ]
    return chains


def _chain(folder: Path, name: str, head: ChainHead, last: int | None) -> Chain | None:
    base = str(folder)

    def read(entry: str) -> bytes:
        with open(f"{base}/{entry}", "rb") as file:  # noqa: PTH123 - a Path for each of many costs more than the reading
            return file.read()

    try:
        chain = read_chain(read, lambda entry: exists(f"{base}/{entry}"), name, last=last)  # noqa: PTH110 - as above
        if last is not None:
            return chain
        newest = chain.head.seq if chain else -1
        states = [path.name for path in (folder / states_of(name)).glob("*")]
        if newest < head.seq:
            raise CorruptError(missing_entry(name, newest + 1))
        # The entry behind may have come since: a service at work moves the chain on.
        if went_further(newest, states) and not (folder / entry_name(name, newest + 1)).exists():
            raise CorruptError(missing_entry(name, newest + 1))
        return chain
    except CorruptError as error:
        raise CorruptError(f"{folder}/{error}") from None
    except FileNotFoundError as error:
        raise CorruptError(f"{error.filename}: is missing from its chain; {REMEDY}") from None


def _salvage(chains: Chains, name: str, error: CorruptError, last: int | None) -> None:
    """Take every entry of a broken chain, up to the `last` one, that is whole in itself, and what the newest one knows
    to be merged."""
    chains.damage.append(Damage(name, str(error), None))
    entries: list[Manifest] = []
    merged, known = None, None
    for path in sorted((chains.folder / name).glob("[0-9]*.json")):
        if last is not None and int(path.stem) > last:
            continue
        try:
            entry = check_place(decode_entry(path.read_bytes(), str(path)), int(path.stem), str(path))
        except CorruptError:
            continue
        entries.append(entry)
    for entry in entries:
        chains.heads[Path(name).name] = entry
        if entry.merged is not None and entry.merged != known:
            known = entry.merged
            with contextlib.suppress(CorruptError):
                merged = decode_merged(read_checked(chains.folder, entry.merged), entry.merged)
    chains.files += () if merged is None else merged.files
    chains.files += [ref for entry in entries if merged is None or entry.seq > merged.last for ref in entry.files]


def check_size(path: Path, ref: FileRef) -> None:
    """Raise `CorruptError` where a file is missing or has another size than its manifest entry says."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise CorruptError(f"{path}: is missing; {REMEDY}") from None
    if size != ref.bytes:
        raise CorruptError(f"{path}: found {size} bytes, expected {ref.bytes}; {REMEDY}")


def check_sizes(folder: Path, refs: Iterable[FileRef]) -> None:
    """`check_size` of many files."""
    base = str(folder)
    for ref in refs:
        try:
            same = os.stat(f"{base}/{ref.name}").st_size == ref.bytes  # noqa: PTH116 - as above
        except FileNotFoundError:
            same = False
        if not same:
            check_size(folder / ref.name, ref)


def check_files(files: Iterable[tuple[Path, FileRef]]) -> None:
    """Compare files with their hashes, without holding more than a piece of one. Raises `CorruptError`."""
    room = bytearray(_PIECE_BYTES)
    view = memoryview(room)
    for folder, ref in files:
        check_sizes(folder, [ref])
        digest = hashlib.sha256()
        with open(f"{folder}/{ref.name}", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            while count := file.readinto(room):
                digest.update(view[:count])
        _check_digest(folder / ref.name, digest.hexdigest(), ref)


def read_checked(folder: Path, ref: FileRef) -> bytes:
    """A file's bytes. Raises `CorruptError` where they are not those that were written."""
    path = folder / ref.name
    check_size(path, ref)
    data = path.read_bytes()
    check_hash(path, data, ref)
    return data


def check_hash(path: Path, data: Buffer, ref: FileRef) -> None:
    """Raise `CorruptError` where `data` has another SHA-256 than its manifest entry says."""
    _check_digest(path, hashlib.sha256(data).hexdigest(), ref)


def _check_digest(path: Path, found: str, ref: FileRef) -> None:
    if found != ref.sha256:
        raise CorruptError(f"{path}: its bytes are not those that were written (SHA-256 differs); {REMEDY}")
