"""Versions of a dataset, as they are read: a ledger, whose pages say what each one selects.

A version is a selection, not a copy: of each chain the first so many rows of each kind of files, and of each ledger the
first so many pages. Rows keep their order when files are merged, so a version finds its windows in whatever files they
lie by now. Its labels follow from these, and are compared with those that it had when it was made. A file as
`versions/1.3.0.json` is the readable copy of a page. An erasure (`replacements/`) takes rows away: it says what each
version selects since.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.engine.ledger import RESTORE, page_name, read_ledger
from ingest.engine.manifest import FileRef
from ingest.errors import CorruptError, UsageError
from ingest.settings import suggest
from labeling.resolve import WindowLabels

VERSIONS: Final = "versions"
"""The ledger's name, and the folder of the readable copies."""
ERASED: Final = "erased"
"""The folder of what rows went, in an operator's."""
REPLACEMENTS: Final = "replacements"
"""The ledger of erasures."""
LATEST: Final = "latest"
FORMAT: Final = 1
_Body = TypeVar("_Body", bound=msgspec.Struct)
_NUMBER: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class Number(NamedTuple):
    """A version's number; of SemVer 2.0.0, without what may follow the three."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return ".".join(map(str, self))


def parse_number(text: str) -> Number | None:
    """The number, None where the text is none."""
    found = _NUMBER.fullmatch(text)
    return Number(*map(int, found.groups())) if found else None


class Digests(msgspec.Struct, frozen=True):
    """SHA-256 of what a version holds, each over its windows in their order."""

    windows: str
    """Over the ids, and the hashes of the signals."""
    labels: str
    splits: str


class ChainCut(msgspec.Struct, frozen=True):
    """How much of a chain a version selects."""

    seq: int
    """The newest entry when it was made."""
    through: int
    """The first offset of the log that was not in it."""
    rows: dict[str, int]
    """How many rows, by the folder of the files, count: the first ones."""


class LeakChecks(msgspec.Struct, frozen=True):
    """What was looked for between the parts before the version was made, and what was found."""

    found: dict[str, int]
    """How many of each kind."""
    near: bool
    """Were nearly equal windows looked for?"""
    allowed: str = ""
    """Why somebody made the version in spite of what was found; "": nothing was."""


class VersionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page holds."""

    format: int
    number: str
    previous: str
    """The number of the one before; "" of the first."""
    because: list[str]
    """What changed since that one, in words."""
    note: str
    spec: str
    """The id of the window specification."""
    chains: dict[str, dict[str, ChainCut]]
    """By the operator's folder, and the chain's name."""
    pages: dict[str, int]
    """How many pages of each ledger count."""
    classes: list[str]
    windows: int
    labels: dict[str, int]
    """How many windows have each label; "": none."""
    parts: dict[str, int]
    """How many windows each part of the split has; "": in none. {}: there is no split."""
    totals: dict[str, int]
    """What became of the log's records and of windows that were not given out, by reason, up to here."""
    digests: Digests
    splits: FileRef | None = None
    """The document that says which group lies in which part."""
    leaks: LeakChecks | None = None


class Selected(msgspec.Struct, frozen=True):
    """What a version selects since an erasure."""

    windows: int
    labels: dict[str, int]
    parts: dict[str, int]
    digests: Digests
    splits: FileRef | None = None


class ErasureBody(msgspec.Struct, frozen=True):
    """What a page of `replacements` holds: what went of each place, and what each version selects since. It names
    nobody."""

    format: int
    reason: str
    rows: dict[str, dict[str, int]]
    """How many rows went, by the operator's folder, and that of their files."""
    upto: dict[str, dict[str, int]]
    """The newest entry of each chain, by the operator's folder: erasures up to there are counted in `versions`."""
    versions: dict[str, Selected]
    proof: list[list[str]] = []
    """Each place, and what became of it."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version in its place."""

    page: int
    number: Number
    body: VersionBody
    """As it is since the last erasure."""
    time_ns: int
    author: str
    erased: int = 0
    """How many windows it lost by erasures."""
    upto: Mapping[str, Mapping[str, int]] | None = None
    """The newest entry of each chain behind the last erasure that `body` knows."""

    def cuts(self, folder: str) -> Mapping[str, ChainCut]:
        """How much of each chain counts, of an operator's folder in the dataset's."""
        return self.body.chains.get(folder, {})


def read_versions(root: Path) -> list[Version]:
    """The versions of the dataset in `root`, the oldest first. Raises `CorruptError`."""
    found = []
    for page in read_ledger(root, VERSIONS):
        body = _convert(page.body, VersionBody, root / page_name(VERSIONS, page.number))
        number = parse_number(body.number)
        if number is None:
            raise CorruptError(f'{root / page_name(VERSIONS, page.number)}: found number "{body.number}"; {RESTORE}')
        found.append(Version(page.number, number, body, page.time_ns, page.author))
    for erasure in read_erasures(root) if found else ():
        found = [_without(version, erasure) for version in found]
    return found


def read_erasures(root: Path) -> list[ErasureBody]:
    """The erasures of a dataset, in their order. Raises `CorruptError`."""
    pages = read_ledger(root, REPLACEMENTS)
    return [_convert(page.body, ErasureBody, root / page_name(REPLACEMENTS, page.number)) for page in pages]


def _convert(body: object, kind: type[_Body], where: Path) -> _Body:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise CorruptError(f"{where}: {error}; upgrade sensorloom") from None


def _without(version: Version, erasure: ErasureBody) -> Version:
    since = erasure.versions.get(str(version.number))
    if since is None:
        return version
    body = msgspec.structs.replace(version.body, **msgspec.structs.asdict(since))
    lost = version.erased + version.body.windows - since.windows
    return Version(version.page, version.number, body, version.time_ns, version.author, lost, erasure.upto)


def find_version(root: Path, asked: str) -> Version:
    """The version of this number, or the newest one where "latest" is asked for.

    Raises:
        UsageError: there is none.
        CorruptError: the ledger is damaged.
    """
    versions = read_versions(root)
    if not versions:
        raise UsageError(f"{root}: open: it has no versions; `sensorloom dataset version {root}` makes one")
    if asked == LATEST:
        return versions[-1]
    for version in versions:
        if str(version.number) == asked:
            return version
    known = [str(version.number) for version in versions]
    raise UsageError(f'{root}: open: version: found "{asked}"{suggest(asked, [*known, LATEST])}')


def windows_digest(windows: Sequence[str], hashes: NDArray[np.uint8]) -> str:
    """Over the windows' ids, and the XXH3-128 of each one's bytes, `(windows, 16) uint8`."""
    digest = hashlib.sha256("".join(f"{window}\n" for window in windows).encode())
    digest.update(hashes.tobytes())
    return digest.hexdigest()


def labels_digest(labels: WindowLabels) -> str:
    """Over the label of each window, whatever number it has in `y`."""
    return _coded_digest(labels.classes, labels.label)


def splits_digest(names: Sequence[str], part: NDArray[np.int64] | None) -> str:
    """Over the part of each window; of no split ""."""
    return "" if part is None else _coded_digest(names, part)


def _coded_digest(names: Sequence[str], codes: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(list(names)))
    digest.update(codes.astype("<i4").tobytes())
    return digest.hexdigest()
