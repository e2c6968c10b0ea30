"""From packed bytes to physical values: whatever a device may send."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.records import Channel, Record, StreamDescription
from tests.windowing.feeding import START_NS, Source, describe, run
from windowing.fold.convert import Converter
from windowing.spec import StreamPlan, StreamRule, WindowSpec

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


@given(
    st.sampled_from(("int16", "int32", "float32", "float64")),
    st.lists(st.sampled_from((0.0, 1.0, 0.1, -3.0)), min_size=1, max_size=3),
    st.sampled_from(("a", "ab", "b", "ba", "cb")),
    st.lists(st.integers(1, 40) | st.just(1500), min_size=1, max_size=5),
    st.booleans(),
)
def test_each_way_of_reading_gives_what_one_channel_alone_is(
    dtype: str, scales: list[float], wanted: str, sizes: list[int], wide: bool
) -> None:
    """The pieces lie side by side, bit for bit `raw * scale + offset` where a channel has either."""
    names = "abc"[: len(scales)]
    channels = tuple(
        Channel(name, "g", scale or 1.0, 0.0 if scale else 5.0) for name, scale in zip(names, scales, strict=True)
    )
    wanted = "".join(name for name in wanted if name in names) or "a"
    plan = StreamPlan("s", tuple(wanted), tuple(range(len(wanted))), (None,) * len(wanted), StreamRule("none", 1))
    converter = Converter(StreamDescription("s", channels, dtype), plan)  # type: ignore[arg-type]
    raw = np.random.default_rng(len(sizes)).normal(0, 1000, (sum(sizes), len(names))).astype(dtype)
    raw[0] = -0.0
    stops = np.cumsum(sizes)
    pieces = [raw[stop - size : stop].tobytes() for stop, size in zip(stops, sizes, strict=True)]
    out = np.full((len(raw), len(wanted)), np.nan, np.float64 if wide else converter.kind)
    converter.read(pieces, out)
    for column, name in enumerate(wanted):
        channel, values = channels["abc".index(name)], raw[:, "abc".index(name)]
        if channel.scale != 1.0 or channel.offset != 0.0:
            values = values.astype(np.float64) * channel.scale + channel.offset
        assert out[:, column].tobytes() == values.astype(out.dtype).tobytes()
