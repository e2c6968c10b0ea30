"""An export's own description, which has the SHA-256 of each of its files and of itself: whoever has a copy can tell
whether that is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ingest.errors import UsageError
from ingest.files import explained

DESCRIPTION: Final = "sensorloom.json"
"""Where it lies in an export."""
_FILES, _OWN = "files", "sha256"


class Checked(NamedTuple):
    """What was looked at, and what is wrong."""

    files: int
    bytes: int
    problems: list[tuple[str, str]]
    """Files, and what is wrong with each."""


def is_export(folder: Path) -> bool:
    """Does a folder hold an export?"""
    return (folder / DESCRIPTION).is_file()


def describe(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the description of all that lies in the folder of an export: it comes last."""
    files = {name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for name, path in _files(folder)}
    (folder / DESCRIPTION).write_bytes(_rendered({**facts, _FILES: files}))


def check_files(folder: Path) -> Checked:
    """Compare every byte of an export with its description. Hidden files are passed over: a repository has some.

    Raises:
        UsageError: it is no export, or of a release that wrote no checksums.
    """
    try:
        data = (folder / DESCRIPTION).read_bytes()
    except OSError as error:
        raise UsageError(f"verify: {explained(error, folder / DESCRIPTION)}; it is no export") from None
    try:
        said = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError) as error:
        return Checked(0, len(data), [(DESCRIPTION, f"no description any more: {error}")])
    if _FILES not in said and _OWN not in said:
        raise UsageError(f"verify: {folder / DESCRIPTION} has no checksums: export again with this release")
    body = {name: value for name, value in said.items() if name != _OWN}
    try:
        wanted = msgspec.convert(body.get(_FILES), dict[str, _File])
    except msgspec.MsgspecError:
        wanted = {}
    if data != _rendered(body):
        return Checked(0, len(data), [(DESCRIPTION, "is not as it was written (its own SHA-256 differs)")])
    there = dict(_files(folder))
    problems = [(name, "is not of this export") for name in there if name not in wanted]
    problems += [(name, "is missing") for name in wanted if name not in there]
    for name, each in wanted.items():
        if name in there and (size := there[name].stat().st_size) != each.bytes:
            problems.append((name, f"found {size:,} bytes, expected {each.bytes:,}"))
        elif name in there and _sha256(there[name]) != each.sha256:
            problems.append((name, "is not as it was written (SHA-256 differs)"))
    return Checked(len(wanted), len(data) + sum(each.bytes for each in wanted.values()), sorted(problems))


class _File(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


def _rendered(body: Mapping[str, Any]) -> bytes:
    own = hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
    return msgspec.json.format(msgspec.json.encode({**body, _OWN: own}), indent=2) + b"\n"


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.name != DESCRIPTION and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
