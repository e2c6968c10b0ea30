"""The labels that a site's configurations name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ingest.errors import SensorloomError
from ingest.tomlfile import read_toml
from labeling.rulefile import read_rules
from windowing.config import DatasetConfig


def palette_of(files: Iterable[Path], *, strict: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The classes of dataset configurations, and the labels of the rules that they name. A file that is none is passed
    over, unless `strict`.

    Raises:
        UsageError: with `strict`, a file is no dataset configuration.
    """
    classes: dict[str, None] = {}
    offered: dict[str, None] = {}
    for path in files:
        try:
            if not strict and (path.suffix != ".toml" or "window" not in read_toml(path)):
                continue
            config = DatasetConfig.load(path)
            classes.update(dict.fromkeys(config.labels.classes))
            if config.rules is not None:
                offered.update(dict.fromkeys(rule.label for rule in read_rules(path.parent / config.rules).rules))
        except SensorloomError:
            if strict:
                raise
    return tuple(classes), tuple(offered)
