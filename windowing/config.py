"""dataset.toml: what is collected. Strict: an unknown key is an error that names its path and the nearest known key.

The `[window]` table determines the windows and their bytes, and is fixed for a dataset; `[labels]` may change at any
time, since labels are made when a dataset is opened, and so may what people want and say of it (`windowing.plan`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ingest.errors import UsageError
from ingest.names import normal, numbered
from ingest.settings import check_keys, suggest
from ingest.tomlfile import read_toml
from labeling.resolve import POLICIES, LabelPolicy
from windowing.plan import About, Plan, Privacy, parse_about, parse_plan, parse_privacy
from windowing.spec import WindowSpec

FILE: Final = "dataset.toml"


@dataclass(frozen=True, slots=True)
class DatasetConfig:
    """A dataset.toml, checked."""

    name: str
    window: WindowSpec
    labels: LabelPolicy
    rules: str | None = None
    """The rule file, relative to this one; None: no rules run."""
    plan: Plan = field(default_factory=Plan)
    privacy: Privacy = field(default_factory=Privacy)
    about: About = field(default_factory=About)

    @classmethod
    def load(cls, path: str | Path) -> DatasetConfig:
        """The configuration in a file. Raises `UsageError`."""
        return cls.parse(read_toml(path), str(path))

    def founded(self, root: Path) -> DatasetConfig:
        """As it holds for the dataset in `root`, whose windows may have been begun under semantics of before."""
        ids = {path.parent.name for path in root.glob("windows/*/genesis.json")}
        return replace(self, window=self.window.among(ids))

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str) -> DatasetConfig:
        """The configuration in a TOML table; `where` names it in errors. Raises `UsageError`."""
        check_keys(table, ("name", "rules", "window", "labels", "plan", "privacy", "about"), where)
        name = table.get("name")
        if not isinstance(name, str) or not name:
            raise UsageError(f'{where}: name: found {name!r}; give the dataset a name, as in name = "pump-states"')
        rules = table.get("rules")
        if rules is not None and (not isinstance(rules, str) or not rules):
            raise UsageError(f'{where}: rules: found {rules!r}; name a rule file, as in rules = "rules.yaml"')
        window = _table(table, "window", where)
        if window is None:
            raise UsageError(f"{where}: window: the table is missing; it says how the windows are cut")
        labels = _table(table, "labels", where)
        return cls(
            name,
            WindowSpec.from_table(window, f"{where}: window"),
            parse_labels(labels or {}, f"{where}: labels"),
            rules,
            parse_plan(_table(table, "plan", where) or {}, f"{where}: plan"),
            parse_privacy(_table(table, "privacy", where) or {}, f"{where}: privacy"),
            parse_about(_table(table, "about", where) or {}, f"{where}: about"),
        )


def parse_labels(table: Mapping[str, Any], where: str) -> LabelPolicy:
    """The label policy in a `[labels]` table; `where` names it in errors. Raises `UsageError`."""
    check_keys(table, ("policy", "min_share", "background", "classes"), where)
    default = LabelPolicy()
    policy = next((known for known in POLICIES if known == table.get("policy", default.policy)), None)
    if policy is None:
        raise UsageError(f"{where}.policy: found {table['policy']!r}{suggest(str(table['policy']), POLICIES)}")
    share = table.get("min_share", default.min_share)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UsageError(f"{where}.min_share: found {share!r}; use a share of the window's time from 0 to 1")
    background = table.get("background")
    if background is not None and (not isinstance(background, str) or not background):
        raise UsageError(f'{where}.background: found {background!r}; use a label, as in background = "none"')
    background = None if background is None else normal(background)
    return LabelPolicy(policy, float(share), background, _classes(table.get("classes"), background, where))


def _classes(found: Any, background: str | None, where: str) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list) or not found or not all(isinstance(it, str) and it for it in found):
        raise UsageError(f'{where}.classes: found {found!r}; list labels, as in classes = ["idle", "run"]')
    twice = next((label for label in found if found.count(label) > 1), None)
    if twice is not None:
        raise UsageError(f'{where}.classes: "{twice}" is there twice')
    classes = numbered(found)
    if background is not None and background not in classes:
        raise UsageError(f'{where}.background: "{background}" is not in classes{suggest(background, classes)}')
    return classes


def _table(table: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any] | None:
    found = table.get(key)
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{where}: {key}: found {found!r}; it is a table, [{key}]")
    return found
