"""A site: a folder with what one place has, its log and what was made of it.

::

    SITE/log/…          a log of `segments`
    SITE/archive/…      an archive of the log
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
from ingest.log.protocol import READINGS
from windowing.config import FILE
from windowing.dataset.belongings import LABELS, RULES, WINDOWS

DEPTH_MAX: Final = 3
_CONFIGURATIONS: Final = (".toml", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Site:
    """What was found in a site's folder."""

    root: Path
    logs: tuple[Path, ...]
    archives: tuple[Path, ...]
    datasets: tuple[Path, ...]

    @property
    def configurations(self) -> list[Path]:
        """The files that people wrote for it."""
        return sorted(path for path in self.root.iterdir() if path.suffix in _CONFIGURATIONS and path.is_file())


def find_site(path: str | Path) -> Site:
    """The site in a folder; a log's, an archive's or a dataset's own folder is a site of that alone.

    Raises:
        UsageError: there is none of them.
    """
    root = Path(path)
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder; name the one that holds the site's log and datasets")
    found = sorted(_folders(root, DEPTH_MAX))
    if not found:
        raise UsageError(f"{root}: holds no log of segments, no archive and no dataset; name the folder that does")
    logs, archives, datasets = (tuple(filter(is_one, found)) for is_one in (is_log, is_archive, is_dataset))
    return Site(root, logs, archives, datasets)


def is_log(folder: Path) -> bool:
    """Whether a folder is a log of `segments`."""
    return (folder / "topics").is_dir()


def is_archive(folder: Path) -> bool:
    """Whether a folder is an archive that a worker has begun."""
    return (folder / READINGS / GENESIS).is_file()


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset that a worker has begun; who writes a dataset.toml has none yet."""
    return (folder / FILE).is_file() and any(operator_folders(folder))


def operator_folders(folder: Path) -> Iterator[Path]:
    """The folders of a dataset's or an archive's operators, each with its chains."""
    for pattern in ("*",) if is_archive(folder) else (f"{WINDOWS}/*", LABELS, f"{RULES}/*"):
        for path in sorted(folder.glob(f"{pattern}/{GENESIS}")):
            yield path.parent


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """The logs, archives and datasets in a folder; there are none in these."""
    if is_log(root) or is_archive(root) or is_dataset(root):
        yield root
    elif depth:
        for folder in sorted(root.iterdir()):
            if folder.is_dir() and not folder.is_symlink():
                yield from _folders(folder, depth - 1)
