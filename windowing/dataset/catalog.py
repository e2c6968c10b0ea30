"""What a dataset folder holds: its chains, read and checked.

Nothing is believed before its hash is seen to be right; what is in no manifest entry does not exist.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from ingest.engine.chain import Chain, check_place, missing_entry, read_chain, states_of, went_further
from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis, decode_genesis
from ingest.engine.manifest import FileRef, Manifest, chain_folder, decode_entry, entry_name
from ingest.engine.operator import Buffer
from ingest.errors import CorruptError, UsageError
from windowing.config import FILE, DatasetConfig

Damaged: TypeAlias = Literal["raise", "skip"]
WINDOWS: Final = "windows"
LABELS: Final = "labels"
RULES: Final = "rules"
REMEDY: Final = "restore it from a backup, or rebuild the dataset from the log into another folder"


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
    damage: list[Damage] = field(default_factory=list)

    @property
    def cut(self) -> dict[str, int]:
        """The newest sequence number of each chain."""
        return {name: head.seq for name, head in self.heads.items()}

    @property
    def totals(self) -> Counter[str]:
        """What happened, by reason, over all chains."""
        return sum((Counter(head.totals) for head in self.heads.values()), Counter())

    def of(self, kind: str) -> list[FileRef]:
        """The files of one folder, `signal` or `index` …"""
        return [ref for ref in self.files if ref.name.startswith(f"{kind}/")]


def dataset_root(path: str | Path) -> Path:
    """The dataset's folder. Raises `UsageError` where there is none."""
    root = Path(path)
    if not (root / FILE).is_file():
        found = "it has no dataset.toml" if root.is_dir() else "there is no such folder"
        raise UsageError(f"{root}: no dataset: {found}; `sensorloom window run --out {root}` makes one")
    return root


def windows_folder(root: Path, config: DatasetConfig) -> Path:
    """The folder of the windows that dataset.toml names.

    Raises:
        UsageError: the folder holds windows of another spec only.
    """
    folder = root / WINDOWS / config.window.id
    others = sorted(entry.name for entry in (root / WINDOWS).glob("*/") if entry != folder)
    if others and not folder.exists():
        raise UsageError(
            f"{root / FILE}: window: its spec is {config.window.id}, but the windows here are {', '.join(others)}; "
            "the table was changed by hand: put back the one that they were cut with"
        )
    return folder


def read_genesis(folder: Path) -> Genesis | None:
    """What the chains in `folder` rest on; None where no worker has begun. Raises `CorruptError`."""
    path = folder / GENESIS
    try:
        return decode_genesis(path.read_bytes(), str(path))
    except FileNotFoundError:
        if any((folder / "manifest").glob("*/*")):
            raise CorruptError(f"{path}: is missing, but there are chains; {REMEDY}") from None
        return None


def read_chains(folder: Path, damaged: Damaged = "raise") -> Chains:
    """Every chain of an operator's folder.

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
            chain = _chain(folder, name)
        except CorruptError as error:
            if damaged == "raise":
                raise
            _salvage(chains, name, error)
            continue
        if chain is not None:
            chains.heads[Path(name).name] = chain.head
            chains.files += chain.files
    return chains


def _chain(folder: Path, name: str) -> Chain | None:
    try:
        chain = read_chain(lambda entry: (folder / entry).read_bytes(), lambda entry: (folder / entry).exists(), name)
        newest = chain.head.seq if chain else -1
        states = [path.name for path in (folder / states_of(name)).glob("*")]
        # The entry behind may have come since: a service at work moves the chain on.
        if went_further(newest, states) and not (folder / entry_name(name, newest + 1)).exists():
            raise CorruptError(missing_entry(name, newest + 1))
        return chain
    except CorruptError as error:
        raise CorruptError(f"{folder}/{error}") from None
    except FileNotFoundError as error:
        raise CorruptError(f"{error.filename}: is missing from its chain; {REMEDY}") from None


def _salvage(chains: Chains, name: str, error: CorruptError) -> None:
    """Take every entry of a broken chain that is whole in itself."""
    chains.damage.append(Damage(name, str(error), None))
    for path in sorted((chains.folder / name).glob("[0-9]*.json")):
        try:
            entry = check_place(decode_entry(path.read_bytes(), str(path)), int(path.stem), str(path))
        except CorruptError:
            continue
        chains.heads[Path(name).name] = entry
        chains.files += entry.files


def check_size(path: Path, ref: FileRef) -> None:
    """Raise `CorruptError` where a file is missing or has another size than its manifest entry says."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise CorruptError(f"{path}: is missing; {REMEDY}") from None
    if size != ref.bytes:
        raise CorruptError(f"{path}: found {size} bytes, expected {ref.bytes}; {REMEDY}")


def read_checked(folder: Path, ref: FileRef) -> bytes:
    """A file's bytes. Raises `CorruptError` where they are not those that were written."""
    path = folder / ref.name
    check_size(path, ref)
    data = path.read_bytes()
    check_hash(path, data, ref)
    return data


def check_hash(path: Path, data: Buffer, ref: FileRef) -> None:
    """Raise `CorruptError` where `data` has another SHA-256 than its manifest entry says."""
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise CorruptError(f"{path}: its bytes are not those that were written (SHA-256 differs); {REMEDY}")
