"""What a folder is that is named as a log's: one, an empty one, or somebody else's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_SHOWN: Final = 3


def is_log(folder: Path) -> bool:
    """Whether an embedded log lies in a folder."""
    return (folder / "identity").is_file() or (folder / "topics").is_dir()


def strangers(folder: Path) -> list[str]:
    """The names of what lies in a folder that is no log; hidden files do not count. Raises `OSError`."""
    names = sorted(path.name for path in folder.iterdir())
    if is_log(folder):  # asked after the names were read: another process may be making the log at this moment
        return []
    return [name for name in names if not name.startswith(".") and name not in ("lost+found", "groups")]


def shown_names(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
