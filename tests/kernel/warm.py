"""What the guest's scripts, their agents and a windowing worker import: libraries' names, and the files of all of it.

Runs by itself on the host: `python -S -m tests.kernel.warm` writes one JSON object: `names` and `files` of what is no
part of this project, and the files that are, `ours`.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from tests.kernel.runner import prepare

PROJECT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Import all of it, and write down what was opened, and mapped."""
    opened: set[str] = set()

    def hook(event: str, found: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(found[0], str | os.PathLike):
            opened.add(os.fsdecode(found[0]))

    sys.addaudithook(hook)
    prepare()
    names = [name for name, module in sys.modules.items() if not _is_ours(module) and name != "__main__"]
    for module in list(sys.modules.values()):
        opened |= {
            str(path) for path in (getattr(module, "__file__", None), getattr(module, "__cached__", None)) if path
        }
    opened |= {f"/{line.partition('/')[2]}" for line in Path("/proc/self/maps").read_text().splitlines()}
    opened |= {source_from_cache(path) for path in opened if path.endswith(".pyc")}
    files = sorted(path for path in opened if path.startswith("/") and _is_kept(Path(path)))
    ours = [path for path in files if _is_project(Path(path))]
    print(json.dumps({"names": names, "files": sorted({*files} - {*ours}), "ours": ours}))


def _is_ours(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and _is_project(Path(file))


def _is_project(path: Path) -> bool:
    return path.is_relative_to(PROJECT) and "site-packages" not in path.parts and ".cache" not in path.parts


def _is_kept(path: Path) -> bool:
    return path.is_file() and path.parts[1] not in ("proc", "sys", "dev")


if __name__ == "__main__":
    main()
