"""How a worker begins on a dataset: the configuration that it is asked for, and the one that the dataset keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from tomllib import loads
from typing import TYPE_CHECKING, Final

from ingest.errors import UsageError
from labeling.counting import CountedRule, CountedRules
from labeling.rulefile import read_rules
from windowing.config import DatasetConfig
from windowing.dataset.configs import ConfigPage, window_of

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet


_HEADER: Final = re.compile(rb"^(\[window\][ \t]*(?:#[^\n]*)?)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file: its bytes, and what they mean."""

    data: bytes
    config: DatasetConfig
    rules: RuleSet | None = None
    """The rules that it names, checked."""
    rules_text: str = ""

    @classmethod
    def read(cls, path: str | Path, *, complete: bool = False) -> Source:
        """The file at `path`, and the rule file beside it that it names; with `complete`, as if its `[window]` said
        `complete = true`. Raises `UsageError`."""
        config = DatasetConfig.load(path)
        data = Path(path).read_bytes()
        if complete and not config.window.complete:
            data = _HEADER.sub(rb"\1\ncomplete = true", data, count=1)
            config = DatasetConfig.parse(loads(data.decode()), str(path))
            if not config.window.complete:
                raise UsageError(f"{path}: --complete: write `complete = true` into its window table")
        if config.rules is None:
            return cls(data, config)
        file = Path(path).parent / config.rules
        return cls(data, config, read_rules(file), file.read_text(encoding="utf-8"))

    def founded(self, root: Path) -> Source:
        """As it holds for the dataset in `root`: see `DatasetConfig.founded`."""
        return replace(self, config=self.config.founded(root))

    @property
    def page(self) -> ConfigPage:
        """What a dataset keeps of it."""
        return ConfigPage(self.data.decode(), self.counted)

    @property
    def counted(self) -> CountedRules | None:
        """The rules whose marks count beside people's."""
        return None if self.rules is None else CountedRules.of(self.rules, self.rules_text)

    @property
    def anchor_rules(self) -> tuple[CountedRule, ...] | None:
        """The rules at whose marks windows begin, beside people's; None where they are not anchored at marks."""
        if self.config.window.anchor != "mark":
            return None
        return () if self.counted is None else self.counted.rules

    @property
    def window(self) -> str:
        """The `[window]` table as JSON."""
        return window_of(self.data.decode())
