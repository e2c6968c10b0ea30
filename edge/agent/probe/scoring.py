"""Bytes with the times at which they came to candidates with scores: each guess is tried on its own decoder. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from edge.agent.probe.guesses import Guess, guesses
from edge.decoders import decoder_type
from edge.protocol import Frame, SourceConfig, Values
from ingest.errors import UsageError
from ingest.showing import shown_bytes
from ingest.times import NS

LEAST: Final = 0.5
"""A candidate reads at least this part of what came."""
EXAMPLE: Final = 60
_NICE: Final = (1, 2, 2.5, 4, 5, 6.25, 8, 10, 12.5, 20, 25, 26, 30, 32, 40, 50, 52, 60, 62.5, 64, 75, 80, 100)
_NEAR: Final = 0.03
"""A rate that is so near to a round one is taken for it: some seconds of arrivals say no more."""
_SURE: Final = 20
"""From so many samples on their evenness is seen in their counts, before in the pauses between them."""


class Heard(NamedTuple):
    """Bytes that came together: whole lines of a port, each with its line feed, or one message."""

    data: bytes
    at_ns: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to read what came."""

    guess: Guess
    score: float
    """The part of the lines or messages that it reads, 0 to 1."""
    samples: int
    per_s: float | None
    """How many samples a second came."""
    rate_hz: float | None
    """The nominal rate; None where they did not come evenly, or too few to tell."""
    example: str
    """A line or message, for people."""
    values: tuple[float, ...]
    """What the newest sample has, by channel."""


def probe(heard: Sequence[Heard], *, are_messages: bool = False) -> list[Candidate]:
    """What these bytes may be, the best first; nothing where they make no sense to any decoder."""
    lines = [item.data for item in heard] if are_messages else b"".join(item.data for item in heard).split(b"\n")
    lines = [line for line in lines if line.strip()]
    found = [
        _tried(guess, heard, lines, are_messages=are_messages) for guess in guesses(lines, are_messages=are_messages)
    ]
    good = [candidate for candidate in found if candidate is not None and candidate.score >= LEAST]
    return sorted(good, key=lambda candidate: -round(candidate.score, 2))  # of equal ones the more special is first


def _tried(guess: Guess, heard: Sequence[Heard], lines: Sequence[bytes], *, are_messages: bool) -> Candidate | None:
    try:
        decoder = decoder_type(guess.decoder, "").from_config(config_of(guess))
    except UsageError:
        return None
    frames: list[Frame] = []
    counts: list[tuple[int, int]] = []
    good = bad = 0
    for item in heard:
        samples = 0
        for one in decoder.message(item.data) if are_messages else decoder.feed(item.data):
            if isinstance(one, Frame):
                frames.append(one)
                samples += len(one.values)
            elif one.samples:
                bad += 1
            else:
                good += one.reason != "header"
        counts.append((item.at_ns, samples))
    samples = sum(count for _, count in counts)
    good += samples
    if not good:
        return None
    values = np.concatenate([frame.values for frame in frames]) if frames else np.empty((0, len(guess.channels)))
    if guess.decoder == "nmea":
        guess, values = _said_only(guess, values)
    return Candidate(
        guess,
        score=good / (good + bad),
        samples=samples,
        per_s=_per_s(counts),
        rate_hz=None if guess.clock == "device" else _rate_hz(counts),
        example=shown_bytes(lines[-1].strip(), EXAMPLE),
        values=tuple(values[-1].tolist()) if len(values) else (),
    )


def config_of(guess: Guess, kind: str = "mqtt") -> SourceConfig:
    """A configuration of that, as far as a decoder looks at it."""
    return SourceConfig(
        where="what was heard",
        base=".",
        name="heard",
        type=kind,
        decoder=guess.decoder,
        device="device",
        stream="heard",
        channels={name: unit or "1" for name, unit in guess.channels.items()},
        dtype="float64",
        clock=guess.clock,
        options=guess.options,
    )


def _said_only(guess: Guess, values: Values) -> tuple[Guess, Values]:
    """Without the channels of a fix that this receiver never says; its place is what one wants of it."""
    names, is_said = list(guess.channels), [not np.isnan(column).all() for column in values.T]
    kept = [at for at, name in enumerate(names) if is_said[at] or name in ("lat", "lon")]
    return replace(guess, channels={names[at]: guess.channels[names[at]] for at in kept}), values[:, kept]


# --- rates


def _per_s(counts: Sequence[tuple[int, int]]) -> float | None:
    some = [(at_ns, count) for at_ns, count in counts if count]
    if len(some) < 2 or some[-1][0] <= some[0][0]:
        return None
    return sum(count for _, count in some[1:]) * NS / (some[-1][0] - some[0][0])


def _rate_hz(counts: Sequence[tuple[int, int]]) -> float | None:
    """The nominal rate of samples that come evenly."""
    some, per_s = [(at_ns, count) for at_ns, count in counts if count], _per_s(counts)
    if per_s is None or len(some) < 4:
        return None
    if sum(count for _, count in some) < _SURE:
        pauses = [after[0] - before[0] for before, after in pairwise(some)]
        is_even = all(abs(pause / median(pauses) - 1) < 0.15 for pause in pauses) and {count for _, count in some} == {
            1
        }
    else:
        most = max(2 * max(count for _, count in some), 0.02 * sum(count for _, count in some))
        is_even = all(abs(off) <= most for off in _off_the_line(some, per_s))
    return _rounded(per_s) if is_even else None


def _off_the_line(counts: Sequence[tuple[int, int]], per_s: float) -> Iterator[float]:
    """By how many samples the count so far differs from an even pace."""
    total = 0
    for at_ns, count in counts[1:]:
        total += count
        yield total - per_s * (at_ns - counts[0][0]) / NS


def _rounded(per_s: float) -> float:
    power = 10.0 ** np.floor(np.log10(per_s))
    near = [nice * power * tens for nice in _NICE for tens in (0.1, 1.0)]
    best = min(near, key=lambda rate: abs(rate / per_s - 1))
    return float(f"{best if abs(best / per_s - 1) <= _NEAR else per_s:.3g}")
