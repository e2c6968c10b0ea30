"""Positions as the page draws them: speeds over the date line, and receivers without a fix."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.archive.reading import Answer
from ingest.archive.tiles import tiles_of
from ingest.records import Channel
from tests.timeline.site import START_NS, Frame, S
from timeline.protocol.frames import answer_frames
from timeline.protocol.positions import place_of, placed, placed_answer

GPS = (Channel("Latitude", "deg"), Channel("alt", "m"), Channel("lon", "deg"))
METRE = 1 / 111_195
TIMES = START_NS + np.arange(64) * S
EAST = np.where(np.arange(64) < 32, 180.0, -180.0) + (np.arange(64) - 31.5) * 10 * METRE
"""Ten metres a second along the equator, over the date line."""


def degrees(frame: Frame, channel: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What the page reads of a channel, the last values of tiles."""
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = frame.values[channel]
    return (values if values.ndim == 1 else values[3]).reshape(-1)


@pytest.mark.parametrize("level", [None, 10])
def test_a_way_over_the_date_line_keeps_its_steps(level: int | None) -> None:
    values = np.stack([np.full(64, 1e-9), np.full(64, 5.0), EAST], axis=1)
    answer = Answer(("Latitude", "alt", "lon"), ("deg", "m", "deg"), None, TIMES, values, ())
    if level is not None:
        tiles = tuple(tiles_of(TIMES, column, level) for column in values.T)
        answer = answer._replace(level=level, tiles=tiles)
    (data,) = answer_frames(1, 0, placed_answer(answer, GPS), 1000)
    frame = Frame(data)
    assert frame.count > 50
    steps = np.diff(degrees(frame, 2)) / METRE
    assert steps == pytest.approx(np.round(steps, -1), abs=0.01)  # a tile has a sample, now and then two
    assert set(np.round(steps, -1)) <= {10.0, 20.0}
    assert degrees(frame, 1) == pytest.approx(5.0)


@pytest.mark.parametrize("level", [None, 10])
def test_nothing_is_at_0_0_before_a_fix_and_what_follows_keeps_its_centimetres(level: int | None) -> None:
    there = np.arange(64) >= 20
    values = np.stack([np.where(there, 50.8503396, 0.0), np.full(64, 5.0), np.where(there, 170.3517103, 0.0)], axis=1)
    answer = Answer(("Latitude", "alt", "lon"), ("deg", "m", "deg"), None, TIMES, values, ())
    if level is not None:
        answer = answer._replace(level=level, tiles=tuple(tiles_of(TIMES, column, level) for column in values.T))
    (data,) = answer_frames(1, 0, placed_answer(answer, GPS), 1000)
    frame = Frame(data)
    missing = frame.times < TIMES[20] - (S if level is not None else 0)
    assert np.isnan(degrees(frame, 0))[missing].all()
    seen = degrees(frame, 2)[~np.isnan(degrees(frame, 2))]
    assert len(seen) > 30
    assert np.abs(seen - 170.3517103).max() < 1e-7
    assert degrees(frame, 1) == pytest.approx(5.0)


def test_other_values_stay_as_they_are() -> None:
    assert place_of(GPS) == (0, 2)
    assert place_of((Channel("lat", "ms"), Channel("lon", "deg"))) is None
    values = np.array([[0.0, 0.0, 10.0], [0.0, 5.0, np.nan]])
    assert placed(values, (Channel("x", "g"), *GPS[1:])) is values
    assert placed(values, GPS) == pytest.approx(values, nan_ok=True)
