"""Rows of the kernel's records."""

from __future__ import annotations

import random

import numpy as np
import pytest

from edge.decoders.scans.decoder import ScansDecoder, row_type, rows_of
from edge.protocol import Fault, Frame
from simulators.doubles.suite import check_items, check_splits, mutated
from tests.edge.configs import source_config

NAN = float("nan")


def rows(*samples: tuple[int, int, list[float]]) -> bytes:
    times, missed, values = zip(*samples, strict=True)
    return rows_of(np.array(times), np.array(values), np.array(missed, dtype=np.uint32))


def test_rows_are_samples_with_the_kernels_times() -> None:
    (frame,) = ScansDecoder(2).feed(rows((5, 0, [1, NAN]), (7, 0, [2, 3])))
    assert isinstance(frame, Frame)
    assert frame.times_ns is not None
    assert frame.times_ns.tolist() == [5, 7]
    np.testing.assert_array_equal(frame.values, [[1, NAN], [2, 3]])
    assert frame.offset == 2 * row_type(2).itemsize


def test_what_is_missing_is_a_fault_before_its_sample_with_its_time() -> None:
    first, loss, second, alone, empty = ScansDecoder(1).feed(
        rows((1, 0, [1]), (2, 9, [2]), (3, 4, [NAN]), (4, 0, [NAN]))
    )
    assert [item.values.tolist() for item in (first, second) if isinstance(item, Frame)] == [[[1]], [[2]]]
    found = [(item.reason, item.samples, item.time_ns) for item in (loss, alone, empty) if isinstance(item, Fault)]
    assert found == [("missed", 9, 2), ("missed", 4, 3), ("missing", 1, 4)]


@pytest.mark.parametrize("channels", [1, 3])
def test_it_keeps_its_promises_as_a_decoder(channels: int) -> None:
    values = np.arange(8.0 * channels).reshape(8, channels)
    values[3] = NAN
    missed = np.array([0, 0, 5, 0, 0, 7, 0, 0], dtype=np.uint32)
    data = rows_of(np.arange(8) * 10, values, missed)
    config = source_config("scans", tuple(f"c{number}" for number in range(channels)), kind="gpio", clock="kernel")

    def new() -> ScansDecoder:
        return ScansDecoder.from_config(config)

    check_splits(new, data, range(1, len(data)))
    chance = random.Random(0)
    for _ in range(30):
        damaged = mutated(data, chance)
        check_items(new(), [damaged], channels)
        check_items(new(), [damaged], channels, messages=True)
        check_splits(new, damaged, [chance.randrange(len(damaged) + 1) for _ in range(3)])


def test_rows_that_nobody_stamped_have_no_times() -> None:
    decoder = ScansDecoder.from_config(source_config("scans", ("x",), kind="i2c"))
    frame, loss = decoder.feed(rows((0, 0, [1]), (0, 2, [NAN])))
    assert isinstance(frame, Frame)
    assert frame.times_ns is None
    assert isinstance(loss, Fault)
    assert (loss.samples, loss.time_ns) == (2, None)


def test_what_is_torn_is_a_fault() -> None:
    decoder = ScansDecoder(1)
    decoder.feed(rows((1, 0, [1]))[:-1])
    assert list(decoder.reset()) == [Fault("torn", 0, -1, rows((1, 0, [1]))[:-1])]
    assert list(decoder.feed(rows((1, 0, [1]))))
