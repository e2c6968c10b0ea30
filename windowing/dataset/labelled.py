"""How marks become the labels of an opened dataset: which rules' marks count, and which number a label has in `y`.

**Rules.** Counted are the marks of people, and of the rules that the dataset's newest configuration names; `open(path,
rules=...)` counts those of another revision instead, to compare. Datasets of before there was a ledger of
configurations do not know their rules: every rule's mark counts there, as it did then, until a run writes the ledger.

**Classes.** `[labels] classes` in dataset.toml says what `y` means, for ever; a window whose label is not among them is
unlabelled, and counted. Without it a label keeps the number that it got first: the ledger `classes`, which runs append
to before the marks that need it are visible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.engine.ledger import Page, append_page, read_ledger
from ingest.engine.store import Store
from ingest.errors import UsageError
from ingest.names import normal, numbered
from ingest.settings import suggest
from labeling.counting import FORMAT, CountedRules, Counting, count
from labeling.marks import ResolvedMark
from labeling.resolve import WindowLabels
from windowing.dataset.configs import CONFIGS, ConfigPage, CurrentConfig

CLASSES: Final = "classes"
"""The ledger's name."""
ALL: Final = "all"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose rules' marks count."""

    rules: CountedRules | None
    """Of these; None: of none, or of all."""
    everything: bool = False

    @property
    def name(self) -> str:
        """The rules' revision, "none" or "all"."""
        return ALL if self.everything else NONE if self.rules is None else self.rules.revision

    def count(self, marks: tuple[ResolvedMark, ...]) -> Counting:
        """The marks that count among those that stand."""
        return Counting(marks, Counter()) if self.everything else count(marks, self.rules)


def configured(current: CurrentConfig) -> Choice:
    """The rules that a configuration names."""
    return Choice(None, everything=True) if current.page is None else Choice(current.page.rules)


def choose(root: Path, current: CurrentConfig, asked: str | None) -> Choice:
    """The rules to count: of `asked`, a revision that the dataset in `root` has had (of a file or of one rule), "none"
    or "all"; None: those of the configuration.

    Raises:
        UsageError: the dataset never had such rules.
    """
    if asked is None:
        return configured(current)
    if asked in (ALL, NONE):
        return Choice(None, everything=asked == ALL)
    known: dict[str, CountedRules] = {}
    for page in read_ledger(root, CONFIGS):
        rules = msgspec.convert(page.body, ConfigPage).rules
        if rules is not None:
            for rule in rules.rules:
                known[rule.revision] = CountedRules(FORMAT, rules.name, rule.revision, (rule,))
            known[rules.revision] = rules
    if asked not in known:
        raise UsageError(f'{root}: open: rules: found "{asked}"{suggest(asked, [*known, ALL, NONE])}')
    return Choice(known[asked])


def known_classes(pages: Sequence[Page]) -> tuple[str, ...]:
    """The labels that have a number, in their order, from the pages of the ledger."""
    return numbered(label for page in pages for label in page.body["labels"])


async def add_classes(store: Store, root: Path, labels: Sequence[str], *, time_ns: int, author: str) -> tuple[str, ...]:
    """Give those of `labels` a number that have none yet, in their order; the ones that were new.

    Of workers that do so at once, each sees what the others have written: a label that is there twice has its first
    number. Raises `CorruptError`.
    """
    known = set(known_classes(read_ledger(root, CLASSES)))
    new = tuple(label for label in dict.fromkeys(map(normal, labels)) if label not in known)
    if new:
        await append_page(store, root, CLASSES, {"labels": list(new)}, time_ns=time_ns, author=author)
    return new


@dataclass(frozen=True, slots=True)
class Codes:
    """What `y` holds."""

    classes: tuple[str, ...]
    y: NDArray[np.int64]
    """(windows,) int64: index into `classes`, -1 for no label or one that is not among them."""
    unknown: dict[str, int]
    """How many windows have a label that is not among the classes that dataset.toml names."""


def codes_of(labels: WindowLabels, fixed: Sequence[str], known: Sequence[str]) -> Codes:
    """The numbers of the windows' labels: by `fixed` alone where it names any, else by `known`, and behind them what
    has no number yet."""
    classes = tuple(fixed) or (*known, *(label for label in labels.classes if label not in known))
    place = {label: number for number, label in enumerate(classes)}
    table = np.array([*(place.get(label, -1) for label in labels.classes), -1], np.int64)
    counts = np.bincount(labels.label[labels.label >= 0], minlength=len(labels.classes))
    unknown = {label: int(n) for label, n in zip(labels.classes, counts, strict=True) if label not in place}
    return Codes(classes, table[labels.label], unknown)
