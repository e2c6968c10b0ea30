"""Real sensors' lines, damaged in many ways: no decoder raises, the pieces never matter, nothing vanishes, and what is
whole afterwards is understood."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from edge.decoders.guard import FAILED
from edge.decoders.lines import bare
from edge.protocol import Fault
from simulators.doubles.suite import Sample, check_found, cut, run, shown
from tests.edge.decoders.fuzzing import Kind, damaged, kinds
from tests.edge.decoders.splitting import samples

KINDS = kinds()
ALIKE = Counter(kind.decoder for kind in KINDS)
SHARES = [(kind, share) for kind in KINDS for share in range(-(-3 // ALIKE[kind.decoder]))]
"""At least three of each decoder, so that none takes long."""
SHORT, LONG = 300, 34_000
"""Mutations a share."""


def ids(what: Kind | int) -> str:
    return str(what) if isinstance(what, int) else what.name


@pytest.mark.parametrize(("kind", "share"), SHARES, ids=ids)
def test_damaged_lines(kind: Kind, share: int) -> None:
    fuzz(kind, SHORT, f"test-{share}")


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "share"), SHARES, ids=ids)
def test_damaged_lines_for_long(kind: Kind, share: int) -> None:
    fuzz(kind, LONG, f"soak-{share}")


def fuzz(kind: Kind, count: int, seed: str) -> None:
    for number in range(count):
        chance = Random(f"{seed}-{kind.name}-{number}")
        data = damaged(kind.seeds, chance)
        try:
            check(kind, data, chance)
        except Exception as error:
            raise AssertionError(f"{seed}-{kind.name}-{number}: {data!r}") from error


def check(kind: Kind, data: bytes, chance: Random) -> None:
    """What a decoder found is looked at once, whatever is asked of it: to make one takes as long as to read a line."""
    decoder = kind.new()
    found = [*decoder.feed(data), *decoder.reset()]
    check_found(found, kind.channels, len(data) + 1)
    whole = shown(found)
    places = [chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 4))]
    assert run(kind.new(), cut(data, places)) == whole, places
    told = [*decoder.message(data)]
    check_found(told, kind.channels, len(data) + 1)
    assert FAILED not in {item.reason for item in (*found, *told) if isinstance(item, Fault)}
    if kind.decoder == "csv":
        assert len(samples(whole)) + len(lost(whole)) == said(data)
    elif data.strip(b"\r\n \t\0"):
        assert whole or not_meant(kind, data)
    assert understood(kind, data)


def lost(found: list[Sample | Fault]) -> list[Fault]:
    """Lines that gave no sample."""
    return [item for item in found if isinstance(item, Fault) and (item.samples or item.reason == "header")]


def said(data: bytes) -> int:
    """Lines of CSV that say something, the torn one at the end among them."""
    *lines, last = data.split(b"\n")
    return sum(bool(bare(line).strip()) and not bare(line).startswith(b"#") for line in lines) + bool(last)


def not_meant(kind: Kind, data: bytes) -> bool:
    """A receiver's sentences need not bear on a fix, and comments say nothing."""
    return kind.decoder == "nmea" or all(line[:1] in b"#" for line in map(bytes.strip, data.split(b"\n")))


def understood(kind: Kind, data: bytes) -> bool:
    """Whether a whole sample behind it is given; said twice, for a text that is torn may take the first one with it."""
    found = samples(run(kind.new(), [data + b"\n" + (kind.good + b"\n") * 2]))
    return found[-1][0] == kind.wanted
