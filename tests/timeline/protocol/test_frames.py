"""Frames hold what was asked for: read back by README's table alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.archive.tiles import BITS, tiles_of
from tests.timeline.site import START_NS, Frame
from timeline.protocol.frames import LIVE, SAMPLES_MAX, SPAN_MAX, readdressed, samples_frames, tiles_frame


def test_a_latitude_keeps_its_centimetres() -> None:
    values = np.array([[50.8503396, 4.3517103], [50.8503397, 4.3517104]])
    (data,) = samples_frames(7, 3, np.array([START_NS, START_NS + 1]), values)
    frame = Frame(data)
    assert (frame.view, frame.stream, frame.times.tolist()) == (7, 3, [START_NS, START_NS + 1])
    assert np.abs(frame.values.T - values).max() < 1e-9


def test_a_frame_is_readdressed_as_if_it_had_been_made_for_that_view() -> None:
    samples = np.array([START_NS, START_NS + 1]), np.array([[1.5, 2.5], [3.5, np.nan]])
    (made,), (meant,) = (list(samples_frames(*to, *samples, LIVE)) for to in ((0, 0), (4_000_000_000, 63)))
    assert readdressed(made, 4_000_000_000, 63) == meant


def test_a_value_that_is_missing_stays_so() -> None:
    (data,) = samples_frames(1, 0, np.array([START_NS, START_NS + 1]), np.array([[np.nan, np.nan], [5.0, np.nan]]))
    assert np.isnan(Frame(data).values).tolist() == [[True, False], [True, True]]


def test_many_samples_and_long_spans_come_in_several_frames() -> None:
    times = np.arange(SAMPLES_MAX + 5) + START_NS
    frames = [Frame(data) for data in samples_frames(1, 0, times, np.zeros((len(times), 1)))]
    assert [frame.count for frame in frames] == [SAMPLES_MAX, 5]
    times = np.array([START_NS, START_NS + SPAN_MAX - 1, START_NS + SPAN_MAX])
    frames = [Frame(data) for data in samples_frames(1, 0, times, np.zeros((3, 1)))]
    assert [frame.times.tolist() for frame in frames] == [times[:2].tolist(), times[2:].tolist()]


@given(st.lists(st.integers(0, 4_000), min_size=1, max_size=60, unique=True), st.integers(0, 3), st.integers(1, 50))
def test_tiles_are_the_lowest_and_highest_of_their_spans(offsets: list[int], level: int, points: int) -> None:
    times = np.sort(np.array(offsets)) + START_NS
    values = np.sin(np.arange(len(times)) * 7.0)
    there = np.arange(len(times)) % 3 > 0
    channels = [tiles_of(times, values, level), tiles_of(times, np.where(there, values, np.nan), level)]
    data = tiles_frame(1, 0, channels, level, points)
    assert data is not None
    frame = Frame(data)
    assert BITS * level <= frame.span <= BITS * (level + 1)
    assert frame.times.tolist() == np.unique(times >> frame.span << frame.span).tolist()
    for number, start in enumerate(frame.times):
        own = (times >= start) & (times < start + (1 << frame.span))
        for channel, kept in enumerate((own, own & there)):
            found = frame.values[channel, :, number]
            if not kept.any():
                assert np.isnan(found).all()
                continue
            part = values[kept]
            assert np.allclose(found, [part.min(), part.max(), part[0], part[-1]], atol=1e-6)


def test_nothing_is_no_frame() -> None:
    nothing = tiles_of(np.zeros(0, np.int64), np.zeros(0), 2)
    assert tiles_frame(1, 0, [nothing], 2, 10) is None
    assert list(samples_frames(1, 0, np.zeros(0, np.int64), np.zeros((0, 1)))) == []
