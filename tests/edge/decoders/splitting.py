"""What tests of decoders ask of the samples and faults that came out (`simulators.doubles.suite`)."""

from __future__ import annotations

from collections.abc import Iterable

from edge.protocol import Fault
from simulators.doubles.suite import Sample, check_splits, cut, run

__all__ = ["Sample", "check_splits", "cut", "faults", "reasons", "run", "samples"]


def samples(found: Iterable[Sample | Fault]) -> list[Sample]:
    return [item for item in found if not isinstance(item, Fault)]


def faults(found: Iterable[Sample | Fault]) -> list[Fault]:
    return [item for item in found if isinstance(item, Fault)]


def reasons(found: Iterable[Sample | Fault]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Fault)]
