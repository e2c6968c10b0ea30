from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from edge.decoders.nmea.decoder import UNITS, NmeaDecoder
from edge.protocol import Fault, Frame
from simulators.gps import LABELS, LIMIT_M_S, NEAR_MISSES, Receiver, sentence, sentences, simulate
from simulators.recording import Recording

T0 = 1_767_657_590_000_000_000  # ten seconds before midnight


def recording(seed: int = 1, seconds: float = 1200.0, receiver: Receiver | None = None) -> Recording:
    return simulate(np.random.default_rng(seed), receiver or Receiver(), T0, seconds)


def test_the_same_seed_gives_the_same_recording() -> None:
    first, again, other = recording(5), recording(5), recording(6)
    assert first.counts.tobytes() == again.counts.tobytes()
    assert list(sentences(first)) == list(sentences(again))
    assert (first.events, first.near_misses, first.gaps) == (again.events, again.near_misses, again.gaps)
    assert first.counts.tobytes() != other.counts.tobytes()


def test_the_truck_stays_in_the_yard_and_its_speed_is_how_it_moves() -> None:
    made = recording(receiver=Receiver(wander_m=0.0, noise_m=0.0, speed_noise_m_s=0.0))
    values = made.counts * np.array([channel.scale for channel in made.description.channels])
    north = (values[:, 0] - 52.2297) * 111_320
    east = (values[:, 1] - 10.5267) * 111_320 * np.cos(np.deg2rad(52.2297))
    quiet = np.ones(len(made.times), dtype=np.bool_)
    for episode in made.near_misses:
        if episode.kind == "multipath":
            quiet &= (made.times < episode.start_ns) | (made.times > episode.end_ns)
    assert np.hypot(north, east)[quiet] == pytest.approx(60.0, abs=0.1)
    steps = np.diff(made.times) == 10**9
    steps &= quiet[1:] & quiet[:-1]
    moved = np.hypot(np.diff(north), np.diff(east))[steps]
    assert moved == pytest.approx(values[1:, 3][steps], abs=0.05)
    heading = np.rad2deg(np.arctan2(np.diff(east), np.diff(north)))[steps]
    off = (heading - values[1:, 4][steps] + 180) % 360 - 180
    assert np.abs(off).max() < 12  # degrees: the course's own noise and the turn within a second


def test_events_are_when_it_is_too_fast_and_noise_hides_that_a_little() -> None:
    exact = recording(receiver=Receiver(speed_noise_m_s=0.0))
    speed = exact.counts[:, 3] * 1e-3
    true = np.zeros(len(speed), dtype=np.bool_)
    jumped = np.zeros(len(speed), dtype=np.bool_)
    for event in exact.events:
        true |= (exact.times >= event.start_ns) & (exact.times < event.end_ns)
    for episode in exact.near_misses:
        jumped |= (exact.times >= episode.start_ns) & (exact.times < episode.end_ns) & (episode.kind == "multipath")
    assert {event.kind for event in exact.events} == set(LABELS)
    assert {episode.kind for episode in exact.near_misses} == set(NEAR_MISSES)
    assert (speed[true & ~jumped] > LIMIT_M_S - 0.001).all()
    assert (speed[~true & ~jumped] < LIMIT_M_S + 0.001).all()
    assert (speed[jumped & ~true] > LIMIT_M_S).any()
    assert all(a.end_ns < b.start_ns for a, b in pairwise(exact.events))


@pytest.mark.parametrize("rate", [Fraction(1), Fraction(5)])
def test_the_agents_decoder_hears_every_fix_to_the_last_digit(rate: Fraction) -> None:
    made = recording(seconds=600, receiver=Receiver(rate=rate))
    channels = ["lat", "lon", "alt", "speed", "course"]
    assert {channel.name: channel.unit for channel in made.description.channels}.items() <= UNITS.items()
    decoder = NmeaDecoder(channels)
    said = b"".join(data for _, data in sentences(made))
    items = [*decoder.feed(said), *decoder.reset()]
    frames = [item for item in items if isinstance(item, Frame)]
    faults = [item for item in items if isinstance(item, Fault)]
    assert [frame.times_ns for frame in frames] == made.times.tolist()
    heard = np.concatenate([frame.values for frame in frames])
    counts = heard / np.array([channel.scale for channel in made.description.channels])
    assert np.abs(counts - made.counts).max() < 0.5
    assert {fault.reason for fault in faults} == {"no_fix"}
    assert len(faults) == sum(gap.samples for gap in made.gaps)


def test_a_sentence_has_its_checksum() -> None:
    assert sentence("GPGLL,5057.970,N,00146.110,E,142451,A") == b"$GPGLL,5057.970,N,00146.110,E,142451,A*27\r\n"
