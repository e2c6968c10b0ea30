"""How a worker begins on a dataset: the configuration that it is asked for, and the one that the dataset keeps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import TYPE_CHECKING

import msgspec

from ingest.engine.store import Exists, Store
from ingest.errors import UsageError
from labeling.rulefile import read_rules
from windowing.config import FILE, DatasetConfig

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file: its bytes, and what they mean."""

    data: bytes
    config: DatasetConfig
    rules: RuleSet | None = None
    """The rules that it names, checked."""

    @classmethod
    def read(cls, path: str | Path) -> Source:
        """The file at `path`, and the rule file beside it that it names. Raises `UsageError`."""
        config = DatasetConfig.load(path)
        rules = None if config.rules is None else read_rules(Path(path).parent / config.rules)
        return cls(Path(path).read_bytes(), config, rules)

    @property
    def window(self) -> str:
        """The `[window]` table as JSON."""
        return msgspec.json.encode(loads(self.data.decode())["window"], order="sorted").decode()


async def claim_config(store: Store, source: Source, out: Path) -> None:
    """Put the dataset's own copy of its configuration; one that is there must have the same windows.

    What says how windows are labelled may change from run to run: the copy is replaced.

    Raises:
        UsageError: the dataset has windows of another specification.
    """
    try:
        await store.create(FILE, source.data)
        return
    except Exists:
        found = await store.read(FILE)
    if found == source.data:
        return
    try:
        before = DatasetConfig.parse(loads(found.decode()), str(out / FILE)).window.id
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{out / FILE}: not TOML: {error}; restore it, or use another --out") from None
    if before != source.config.window.id:
        raise UsageError(
            f"{out}: holds windows with the spec {before}, this [window] table has {source.config.window.id}; "
            "use another --out"
        )
    await store.put([(FILE, (source.data,))])
