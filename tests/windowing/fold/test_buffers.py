"""The sample buffer against plain arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from windowing.fold.buffers import SampleBuffer


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 3000), st.booleans()), max_size=12))
def test_it_keeps_what_instants_from_low_on_need(steps: list[tuple[int, int, bool]]) -> None:
    buffer, kept, t = SampleBuffer(2), np.empty(0, dtype=np.int64), 0
    for count, low, wide in steps:
        times, values = buffer.room(count, np.float64 if wide else np.float32)
        new = np.arange(t, t + 3 * count, 3)
        times[:], values[:] = new, np.stack([new, -new], axis=1)
        t += 3 * count
        kept = np.concatenate([kept, new])
        buffer.trim(low)
        kept = kept[max(0, int((kept <= low).sum()) - 1) :]
        assert buffer.times.tolist() == kept.tolist()
        assert buffer.values[:, 1].tolist() == (-kept).tolist()
    assert (buffer.values.dtype == np.float64) == any(wide for *_, wide in steps)


def test_its_memory_is_bounded_by_what_it_keeps() -> None:
    buffer = SampleBuffer(3)
    for i in range(1000):
        times, values = buffer.room(100, np.float32)
        times[:], values[:] = np.arange(i * 100, i * 100 + 100), 0
        buffer.trim(i * 100)
    assert len(buffer._times) <= 4096


def test_a_large_room_that_is_next_to_empty_is_given_back() -> None:
    buffer = SampleBuffer(3)
    times, values = buffer.room(100_000, np.float32)
    times[:], values[:] = np.arange(100_000), np.arange(300_000).reshape(-1, 3)
    buffer.trim(99_990)
    assert len(buffer._times) <= 1024
    assert buffer.times.tolist() == [*range(99_990, 100_000)]
    assert buffer.values[0].tolist() == [299_970, 299_971, 299_972]


def test_a_room_that_was_given_back_is_the_next_ones_and_of_nobody_else() -> None:
    one, other = SampleBuffer(7), SampleBuffer(7)
    times, values = one.room(20_000, np.float32)
    times[:], values[:] = np.arange(20_000), 1
    given = one._times
    one.trim(19_990)
    assert one._times is not given
    times, values = other.room(9000, np.float32)
    assert other._times is given
    times[:], values[:] = np.arange(9000), 2
    assert one.times.tolist() == [*range(19_990, 20_000)]
    assert one.values.min() == 1
    third = SampleBuffer(7)
    third.room(9000, np.float32)
    assert third._times is not given
