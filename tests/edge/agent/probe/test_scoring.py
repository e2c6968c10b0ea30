"""How good a guess is, and how often samples come."""

from __future__ import annotations

import random
from functools import reduce
from operator import xor

import pytest

from edge.agent.probe.scoring import Heard, probe
from tests.edge.agent.probe.hearing import lines


def rate(heard: list[Heard]) -> float | None:
    return probe(heard)[0].rate_hz


@pytest.mark.parametrize("hertz", [1, 2, 10, 46.5, 50, 100, 104, 1000])
def test_the_rate_of_what_comes_evenly_is_found(hertz: float) -> None:
    chance = random.Random(3)
    heard = [
        Heard(b"%d,2\n" % (n % 7), item.at_ns + int(chance.random() * 0.08e9 / hertz))
        for n, item in enumerate(lines(["x"] * int(5 * hertz + 1), hertz))
    ]
    assert rate(heard) == pytest.approx(hertz, rel=0.01)


def test_an_adapter_that_brings_lines_together_changes_nothing() -> None:
    apart = lines(["1,2"] * 500, 100)
    together = [Heard(b"1,2\n" * 2, apart[at + 1].at_ns) for at in range(0, 500, 2)]
    assert rate(together) == 100.0


def test_what_comes_now_and_then_has_no_rate() -> None:
    chance, at_ns, heard = random.Random(5), 0, []
    for _ in range(100):
        at_ns += int(chance.expovariate(10) * 1e9)
        heard.append(Heard(b"1,2\n", at_ns))
    assert rate(heard) is None
    assert rate(heard[:6]) is None
    assert probe(heard)[0].per_s == pytest.approx(10, rel=0.5)


def test_the_score_is_the_part_that_is_read() -> None:
    found = probe(lines(["1,2"] * 90 + ["boot"] * 10))[0]
    assert (found.score, found.samples, found.values) == (0.9, 90, (1.0, 2.0))
    assert found.example == "boot"


def checked(sentence: str) -> str:
    return f"${sentence}*{reduce(xor, sentence.encode()):02X}"


def test_a_receiver_without_a_fix_is_one() -> None:
    found = probe(lines([checked(f"GPGGA,12351{n},,,,,0,00,99.9,,,,,,") for n in range(5)]))[0]
    assert (found.guess.decoder, list(found.guess.channels), found.samples) == ("nmea", ["lat", "lon"], 0)
