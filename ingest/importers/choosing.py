"""Which files an import is told of: names, patterns and folders become files, each once, in order of their names."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.errors import UsageError
from ingest.importers.paths import PathTemplate

_NUMBER: Final = re.compile(r"(\d+)")
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file that is to be read, and what its path says."""

    path: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """The files of a command."""

    files: tuple[Chosen, ...]
    notes: tuple[str, ...] = ()
    """What lay in a folder and was left out."""


def choose_files(words: Sequence[str], template: PathTemplate | None) -> Choice:
    """The files that are meant; those of folders only where they are as the template says, the others are told.

    Raises:
        UsageError: nothing is there, or a file that was named, by a pattern too, is not as the template says.
    """
    found: dict[str, Chosen] = {}
    strange: list[str] = []
    for word in words:
        named, in_folder = _named(word)
        for path in [*named, *in_folder]:
            try:
                fields = template.match(path) if template else {}
            except UsageError:
                if path in named:
                    raise
                strange.append(path)
                continue
            found.setdefault(str(Path(path).resolve()), Chosen(path, fields))
    if not found:
        shown = f"; {len(strange)} files are not as --path says, as {strange[0]}" if strange else ""
        raise UsageError(f"{', '.join(words)}: holds no file to import{shown}")
    notes: tuple[str, ...] = ()
    if strange:
        shown = ", ".join(strange[:_SHOWN]) + (", …" if len(strange) > _SHOWN else "")
        notes = (f"{len(strange)} files are not as --path says and were left out: {shown}",)
    return Choice(tuple(sorted(found.values(), key=lambda chosen: natural(chosen.path))), notes)


def _named(word: str) -> tuple[list[str], list[str]]:
    """The files that a word names, and those in the folders that it names."""
    if Path(word).exists():
        paths = [word]
    elif glob.has_magic(word):
        paths = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - of absolute patterns, too
        if not paths:
            raise UsageError(f"{word}: no file is called so")
    else:
        raise UsageError(f"{word}: no such file")
    files = [path for path in paths if not Path(path).is_dir()]
    folders = [Path(path) for path in paths if path not in files]
    below = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    hidden = [path for path in below if any(part.startswith(".") for part in path.parts)]
    return files, [str(path) for path in below if path not in hidden]


def natural(path: str) -> list[tuple[str, int]]:
    """An order in which run2 comes before run10."""
    pieces = _NUMBER.split(path)
    return [(text, int(number or 0)) for text, number in zip(pieces[::2], [*pieces[1::2], ""], strict=True)]
