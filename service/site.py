"""A site: a folder with what one place has, its log and the datasets made of it.

::

    SITE/log/…          a log of `segments`
    SITE/dataset/…      a dataset; any number of them, under any names
    SITE/*.toml, *.yaml configurations and rules

They are known by what is in them, and looked for three folders deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.engine.genesis import NAME as GENESIS
from ingest.errors import UsageError
from windowing.config import FILE
from windowing.dataset.belongings import LABELS, RULES, WINDOWS

DEPTH_MAX: Final = 3
_CONFIGURATIONS: Final = (".toml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Site:
    """What was found in a site's folder."""

    root: Path
    logs: tuple[Path, ...]
    datasets: tuple[Path, ...]

    @property
    def configurations(self) -> list[Path]:
        """The files that people wrote for it."""
        return sorted(path for path in self.root.iterdir() if path.suffix in _CONFIGURATIONS and path.is_file())


def find_site(path: str | Path) -> Site:
    """The site in a folder; a log's or a dataset's own folder is a site of that alone.

    Raises:
        UsageError: there is neither a log nor a dataset.
    """
    root = Path(path)
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder; name the one that holds the site's log and datasets")
    logs: list[Path] = []
    datasets: list[Path] = []
    for folder in _folders(root, DEPTH_MAX):
        (logs if is_log(folder) else datasets).append(folder)
    if not logs and not datasets:
        raise UsageError(f"{root}: holds neither a log of segments nor a dataset; name the folder that does")
    return Site(root, tuple(sorted(logs)), tuple(sorted(datasets)))


def is_log(folder: Path) -> bool:
    """Whether a folder is a log of `segments`."""
    return (folder / "topics").is_dir()


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset that a worker has begun; who writes a dataset.toml has none yet."""
    return (folder / FILE).is_file() and any(operator_folders(folder))


def operator_folders(dataset: Path) -> Iterator[Path]:
    """The folders of a dataset's operators, each with its chains."""
    for pattern in (f"{WINDOWS}/*", LABELS, f"{RULES}/*"):
        for path in sorted(dataset.glob(f"{pattern}/{GENESIS}")):
            yield path.parent


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """The logs and datasets in a folder; there are none in these."""
    if is_log(root) or is_dataset(root):
        yield root
    elif depth:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                yield from _folders(folder, depth - 1)
