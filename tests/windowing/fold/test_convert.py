"""From packed bytes to physical values: whatever a device may send."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np

from ingest.records import Record
from tests.windowing.feeding import START_NS, Source, describe, run
from windowing.spec import StreamRule, WindowSpec

STEP = 20_000_000
SIGNALLING = np.array([0x7FA00000, 0xFFA00001, 0x7F800001], dtype="<u4").view("<f4")


def _twelve(source: Source, first: int, values: object) -> Record:
    return source.regular(START_NS + first * STEP, 0, Fraction(STEP), values)


def test_signalling_nans_are_missing_without_a_warning() -> None:
    """A RuntimeWarning was printed for each of a hostile device's chunks."""
    plain, scaled, wide = describe("a", "x"), describe("a", "x", scale=0.5), describe("a", "x", "float64")
    bad = np.tile(SIGNALLING, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kinds in ((plain, plain), (scaled, plain), (plain, wide), (wide, scaled)):
            records: list[Record] = []
            source = Source(kinds[0])
            for number, kind in enumerate(kinds):
                source.description = kind
                values = bad if kind.dtype == "float32" else np.frombuffer(b"\1\0\0\0\0\0\xf4\x7f" * 12, dtype="<f8")
                records.append(_twelve(source, 24 * number, values))
                records.append(_twelve(source, 24 * number + 12, np.arange(12)))
            spec = WindowSpec(4, 4, Fraction(50), ("a.x",), rule=StreamRule("none"), min_coverage=Fraction(1, 4))
            found = run(spec, [*records, source.end()], kinds)
            assert found.counts["drop.coverage"] == 6
            assert found.counts["windows"] == 6
