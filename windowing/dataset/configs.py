"""The configurations that a dataset has had: a ledger, whose newest page counts, and dataset.toml, its readable copy.

dataset.toml says how windows are labelled: one flipped byte of it (0.5 to 0.7) would be wrong labels in silence. So it
must be what a run put there. Datasets of before there was a ledger have dataset.toml alone, which is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import Final

import msgspec

from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.ledger import BELONGS, Page, append_page, has_ledger, mend_head, page_name, read_ledger
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, UsageError
from labeling.counting import CountedRules
from windowing.config import FILE, DatasetConfig

CONFIGS: Final = "configs"
"""The ledger's name."""
MEND: Final = f"`sensorloom window run -c FILE` with the file that you want puts {FILE} back"


class ConfigPage(msgspec.Struct, frozen=True):
    """What a page holds."""

    toml: str
    """dataset.toml, as it was given."""
    rules: CountedRules | None = None
    """The rules that it names, as they were; None: none."""


@dataclass(frozen=True, slots=True)
class CurrentConfig:
    """The configuration that counts."""

    config: DatasetConfig
    page: ConfigPage | None
    """Its page; None in a dataset of before there was a ledger."""
    window: str = ""
    """The `[window]` table as JSON, as geneses hold it."""
    since_ns: int = 0
    author: str = ""
    problem: CorruptError | None = None
    """dataset.toml, the readable copy, is missing or damaged: the page counts."""


def read_config(root: Path, upto: int | None = None) -> CurrentConfig:
    """The configuration of the dataset in `root`; the one that counted when its ledger had `upto` pages.

    Raises:
        UsageError: a dataset.toml of before there was a ledger is no configuration.
        CorruptError: the ledger is damaged.
    """
    path = root / FILE
    copy = path.read_bytes() if path.is_file() else None  # before the ledger: a run writes the ledger first
    pages = read_ledger(root, CONFIGS)
    if not pages:
        if copy is None:
            raise CorruptError(f"{path}: is missing; {MEND}")
        return CurrentConfig(DatasetConfig.load(path).founded(root), None, window_of(copy.decode()))
    counting = pages[: None if upto is None else max(upto, 1)][-1]
    page, where = _body(counting), root / page_name(CONFIGS, counting.number)
    problem = None
    if copy is None:
        problem = CorruptError(f"{path}: is missing; {MEND}")
    elif copy not in [_body(last).toml.encode() for last in pages[-2:]]:
        problem = CorruptError(f"{path}: is not what the last run put there ({where}): damaged or edited; {MEND}")
    config = DatasetConfig.parse(loads(page.toml), str(where)).founded(root)
    return CurrentConfig(config, page, window_of(page.toml), counting.time_ns, counting.author, problem)


def window_of(toml: str) -> str:
    """The `[window]` table in a dataset.toml as JSON."""
    return msgspec.json.encode(loads(toml)["window"], order="sorted").decode()


def _body(page: Page) -> ConfigPage:
    return msgspec.convert(page.body, ConfigPage)


async def claim_config(store: Store, root: Path, asked: ConfigPage, where: str, *, time_ns: int, author: str) -> None:
    """Make `asked` the configuration of the dataset in `root`, whose store is `store`.

    What says how windows are labelled may change from run to run; what says how they are cut is fixed.

    Raises:
        UsageError: the dataset has windows of another specification, or its only configuration cannot be read.
        CorruptError: the ledger is damaged.
    """
    config = DatasetConfig.parse(loads(asked.toml), where).founded(root)
    await mend_head(store, root, CONFIGS)
    current = await _current(store, root, asked.toml.encode())
    if current is not None and current.config.window.id != config.window.id:
        raise UsageError(
            f"{root}: holds windows with the spec {current.config.window.id}, this [window] table has "
            f"{config.window.id}{_differences(current.config, config)}; use another --out"
        )
    _check_folders(root, config)
    if current is None or current.page != asked:
        body = msgspec.to_builtins(asked)
        await append_page(store, root, CONFIGS, body, time_ns=time_ns, author=author)
    if not await store.exists(FILE) or await store.read(FILE) != asked.toml.encode():
        await store.put([(FILE, (asked.toml.encode(),))])


async def _current(store: Store, root: Path, data: bytes) -> CurrentConfig | None:
    """The configuration so far; None in a new dataset, whose dataset.toml is `data` then."""
    if not has_ledger(root, CONFIGS):
        _check_free(root)
        try:
            await store.create(FILE, data)
            return None
        except Exists:
            pass
    try:
        return read_config(root)
    except UsageError as error:
        raise UsageError(f"{error}; restore {root / FILE}, or use another --out") from None
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{root / FILE}: not TOML: {error}; restore it, or use another --out") from None


def _check_free(root: Path) -> None:
    """Raise `UsageError` where a folder that is no dataset holds other files: it was hardly meant to become one."""
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    others = [name for name in names if not name.startswith((".", FILE)) and name != "lost+found"]
    if others and not {BELONGS, "windows", "labels"} & set(others):
        shown = ", ".join(others[:3]) + (", …" if len(others) > 3 else "")
        raise UsageError(f"--out: {root} holds other files ({shown}), and no dataset; name a folder of its own")


def _check_folders(root: Path, config: DatasetConfig) -> None:
    """Raise `UsageError` where there are windows of another specification, whatever dataset.toml says."""
    others = sorted(folder.name for folder in root.glob("windows/*/") if (folder / GENESIS).exists())
    if others and config.window.id not in others:
        raise UsageError(
            f"{root}: holds windows with the spec {', '.join(others)}, this [window] table has {config.window.id}; "
            "use another --out"
        )


def _differences(before: DatasetConfig, now: DatasetConfig) -> str:
    """Which parts of the window's specification differ, as ` (hop 25, now 50)`."""
    fields = before.window.__dataclass_fields__
    parts = [
        f"{name} {getattr(before.window, name)}, now {getattr(now.window, name)}"
        for name in fields
        if getattr(before.window, name) != getattr(now.window, name)
    ]
    return f" ({'; '.join(parts)})" if parts else ""
