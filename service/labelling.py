"""How a dataset was labelled before a run, and how many windows its new configuration gives another label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ingest.errors import SensorloomError
from labeling.counting import changed_rules
from labeling.resolve import LabelPolicy
from windowing.config import FILE
from windowing.dataset.configs import read_config
from windowing.dataset.index import label_windows
from windowing.dataset.labelled import Choice, configured
from windowing.dataset.reader import Dataset


@dataclass(frozen=True, slots=True)
class Labelling:
    """What decides which label a window has, marks left aside."""

    policy: LabelPolicy
    choice: Choice

    def differs(self, other: Labelling) -> bool:
        """Whether windows may have another label under `other`; rule files of one meaning are one."""
        return (self.policy, self.choice.name) != (other.policy, other.choice.name)

    def changes_to(self, now: Labelling) -> list[str]:
        """What becomes of the rules, in words."""
        if self.choice.everything:
            return ["labels count the marks of the rules that the configuration names from now on, of no others"]
        gone, new = (set(labels) for labels in changed_rules(self.choice.rules, now.choice.rules))
        parts = ("changed", gone & new), ("no longer there", gone - new), ("new", new - gone)
        told = [f"{', '.join(sorted(labels))} {word}" for word, labels in parts if labels]
        return [f"rules: {'; '.join(told)}: labels count the marks of the rules as they are now"] if told else []


class Relabelled(msgspec.Struct, frozen=True):
    """The windows that have another label than under the configuration before."""

    windows: int
    changes: tuple[tuple[str, str, int], ...]
    """(label before, label now, windows), the most first; "" for none."""


def labelling_of(out: Path) -> Labelling | None:
    """How the dataset in `out` is labelled so far; None where there is none, or it cannot be told."""
    if not (out / FILE).exists():
        return None
    try:
        current = read_config(out)
    except (SensorloomError, ValueError):
        return None  # the run says so, or mends it
    return Labelling(current.config.labels, configured(current))


def relabelled(dataset: Dataset, before: Labelling) -> Relabelled:
    """What the marks that stand now would give under the configuration before, against what they give."""
    contents = dataset.contents
    marks = before.choice.count(contents.marks.marks).marks
    was, _ = label_windows(contents.index, marks, before.policy)
    is_now = dataset.columns(("label",))
    pairs = Counter(
        (old or "", new or "") for old, new in zip(was["label"], is_now["label"], strict=True) if old != new
    )
    changes = tuple((old, new, count) for (old, new), count in sorted(pairs.items(), key=lambda it: (-it[1], it[0])))
    return Relabelled(sum(pairs.values()), changes)
