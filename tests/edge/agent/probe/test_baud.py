"""At which rate a port speaks: bits as a UART sends them, read as a UART at another rate reads them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from edge.agent.probe.baud import AtBaud, framing_of, readable, understood
from edge.agent.probe.scoring import Heard

RATES = (115_200, 9600, 57_600, 38_400, 19_200, 4800)
TEXT = b"".join(b"%.3f,%.3f\r\n" % (random.Random(n).gauss(0, 1), n / 7) for n in range(16))


def sent(data: bytes, parity: str = "N") -> Iterator[int]:
    """The line's levels, a bit each: start, data bits, parity, stop; idle between lines."""
    for byte in data:
        bits = [byte >> at & 1 for at in range(8 if parity == "N" else 7)]
        if parity != "N":
            bits.append(sum(bits) % 2 if parity == "E" else 1 - sum(bits) % 2)
        yield from (0, *bits, 1)
        if byte == 10:
            yield from [1] * 40


def received(levels: list[int], sent_at: int, read_at: int) -> bytes:
    """What a UART at `read_at` makes of it: it waits for a start bit and looks at the middle of each bit."""
    found, bit, at, end = bytearray(), sent_at / read_at, 0.0, float(len(levels))
    while (start := next((n for n in range(int(at), len(levels)) if not levels[n]), None)) is not None:
        at = max(at, float(start))
        middles = [at + (n + 1.5) * bit for n in range(8)]
        if middles[-1] >= end:
            break
        found.append(sum(levels[int(middle)] << n for n, middle in enumerate(middles)))
        at += 9.5 * bit
    return bytes(found)


def heard(data: bytes, baud: int) -> AtBaud:
    return AtBaud(baud, tuple(Heard(data[at : at + 12], 10**9 + at * 10**7) for at in range(0, len(data), 12)))


@pytest.mark.parametrize("true", RATES)
def test_the_rate_at_which_it_is_text_is_found(true: int) -> None:
    levels = list(sent(TEXT))
    assert received(levels, true, true) == TEXT
    found = understood([heard(received(levels, true, rate), rate) for rate in RATES])
    assert found is not None
    assert (found.baud, found.framing, found.line_end) == (true, "8N1", "auto")
    assert found.candidates[0].guess.decoder == "csv"


@pytest.mark.parametrize(("parity", "framing"), [("E", "7E1"), ("O", "7O1")])
def test_a_parity_bit_on_top_of_text_is_found(parity: str, framing: str) -> None:
    data = received(list(sent(TEXT, parity)), 9600, 9600)
    assert readable(data) < 0.9
    assert framing_of(data) == framing
    found = understood([heard(data, 9600)])
    assert found is not None
    assert (found.framing, found.candidates[0].score) == (framing, 1.0)


def test_lines_that_end_in_nul_are_found() -> None:
    found = understood([heard(TEXT.replace(b"\r\n", b"\0"), 9600)])
    assert found is not None
    assert (found.line_end, found.candidates[0].score) == ("nul", 1.0)


def test_bytes_that_are_no_text_at_any_rate_are_nothing() -> None:
    noise = random.Random(2).randbytes(400)
    assert understood([heard(noise, rate) for rate in RATES]) is None
    assert understood([heard(b"", 9600)]) is None
    assert framing_of(noise) == "8N1"
    assert readable("21,5 °C µ\r\n".encode()) == 1.0
