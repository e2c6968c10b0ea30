"""A set of rules, checked and frozen: what everything that runs rules is given."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from labeling.rules.ast import Condition, canonical, streams
from labeling.rules.document import Limits, TestText

SEMANTICS: Final = 2
"""Raised when the same rule gives other marks than before. 2: a mark that no sample ends includes its last one, and
`max_gap` is by default a number of the stream's own periods."""
_HEX: Final = 16


class Timing(msgspec.Struct, frozen=True):
    """A rule's durations, ns."""

    max_gap_ns: int | None = None
    """None: a number of the stream's own periods."""
    for_ns: int = 0
    hold_ns: int = 0
    cooldown_ns: int = 0
    for_samples: int = 0
    """So many samples at which it is known lie in an event at least."""


@dataclass(frozen=True)
class Rule:
    """One rule, checked as far as that goes without stream descriptions."""

    label: str
    when: Condition
    until: Condition | None
    timing: Timing
    pad_ns: tuple[int, int]
    limits: Limits
    spelled: str = ""
    """The label as it is written, where that is another form of it: revisions of before hold it."""

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Whose channels it names, sorted; of several it joins the newest samples."""
        return tuple(sorted(streams(self.when) | (streams(self.until) if self.until is not None else frozenset())))

    @property
    def max_age_ns(self) -> int | None:
        """How long a stream's last sample stands in for its next, where it joins streams; None: as long as what is no
        gap in that stream."""
        return self.limits.max_gap_ns if self.limits.max_age_ns is None else self.limits.max_age_ns

    @cached_property
    def revision(self) -> str:
        """16 hex digits: a hash of what it means, its names replaced. Its marks are named by it."""
        timing, coverage = self.timing, self.limits.coverage
        return _hash(
            [
                SEMANTICS,
                self.spelled or self.label,
                canonical(self.when),
                canonical(self.until) if self.until is not None else None,
                [timing.for_ns, timing.for_samples, timing.hold_ns, timing.cooldown_ns, timing.max_gap_ns],
                self.pad_ns,
                [coverage.numerator, coverage.denominator, self.max_age_ns if len(self.streams) > 1 else None],
            ]
        )


@dataclass(frozen=True)
class RuleSet:
    """The rules of a file."""

    name: str
    """The file's, as in `rules.yaml`: the author of its marks."""
    rules: tuple[Rule, ...]
    tests: tuple[TestText, ...] = ()

    @cached_property
    def revision(self) -> str:
        """16 hex digits: a hash of what all its rules mean."""
        return _hash([rule.revision for rule in self.rules])

    @cached_property
    def streams(self) -> frozenset[str]:
        """The streams that the rules name."""
        return frozenset(stream for rule in self.rules for stream in rule.streams)


def _hash(content: Sequence[object]) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:_HEX]
