"""The split that a version keeps: which group lies in which part, and which fold; or at which instants time is cut.

It is a document of its own, named by its hash, `splits/s-<sha16>.json`: versions that share a split share the file. A
group that was assigned stays where it is in all later versions; where time is cut does not move as windows are added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from ingest.engine.manifest import FileRef, encode_document, open_document, sha256_of
from ingest.errors import CorruptError
from windowing.dataset.belongings import REMEDY
from windowing.dataset.grouping import TIME, Ints, groups_of, times_of
from windowing.dataset.selecting import PartOf
from windowing.dataset.splits import parts_between

if TYPE_CHECKING:
    from windowing.dataset.selecting import Table

SPLITS: Final = "splits"
FORMAT: Final = 1


class PinnedSplit(msgspec.Struct, frozen=True):
    """Who lies where."""

    format: int
    shares: dict[str, float]
    """The parts, in their order, and the share of each that was asked for."""
    by: str
    stratified: bool = True
    seed: int = 0
    groups: dict[str, str] = {}
    """The part of each group."""
    folds: dict[str, int] = {}
    """The fold of each group; {}: there are none."""
    cuts_ns: list[int] = []
    """Of a split by time: between each two parts, the first start in the later one."""
    embargo_ns: int = 0
    """Of a split by time."""

    def parts(self, table: Table) -> Ints:
        """The place of each window's part among `shares`, -1 for in none. Raises `UsageError`."""
        if self.by == TIME:
            t0_ns, t1_ns = times_of(table)
            return parts_between(t0_ns, t1_ns, self.cuts_ns, self.embargo_ns)
        places = {name: place for place, name in enumerate(self.shares)}
        return self._placed(table, {group: places[part] for group, part in self.groups.items()})

    def fold_of(self, table: Table) -> Ints:
        """The fold of each window, -1 for in none. Raises `UsageError`."""
        return self._placed(table, self.folds)

    def _placed(self, table: Table, place: Mapping[str, int]) -> Ints:
        return np.array([place.get(group, -1) for group in groups_of(table, self.by).tolist()], np.int64)


@dataclass(frozen=True)
class PinnedPart(PartOf):
    """See `windowing.dataset.selecting.Step`."""

    split: PinnedSplit

    def kept(self, table: Table, count: int) -> Ints:
        """See `Step`."""
        return np.flatnonzero(self.split.parts(table) == list(self.split.shares).index(self.name))


def encode_split(split: PinnedSplit) -> tuple[FileRef, bytes]:
    """The file of a split: its name, which is made of its hash, and its bytes."""
    data = encode_document(split)
    digest = sha256_of(data)
    return FileRef(f"{SPLITS}/s-{digest[:16]}.json", digest, len(data), len(split.groups)), data


def read_split(root: Path, ref: FileRef) -> PinnedSplit:
    """The split in a file of the dataset in `root`. Raises `CorruptError`."""
    path = root / ref.name
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CorruptError(f"{path}: is missing; {REMEDY}") from None
    if sha256_of(data) != ref.sha256:
        raise CorruptError(f"{path}: its bytes are not those that were written (SHA-256 differs); {REMEDY}")
    try:
        return msgspec.json.decode(open_document(data, str(path)), type=PinnedSplit)
    except msgspec.MsgspecError as error:
        raise CorruptError(f"{path}: {error}; upgrade sensorloom") from None
