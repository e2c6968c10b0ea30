"""What a database answers to a batch of lines, and which of the lines it has refused. Pure.

InfluxDB takes what it can of a batch and answers 400 ("partial write") for the rest, with the reason of some of it and
not always a number. Which lines it has not taken is found by writing parts of the batch again, which changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

_REFUSALS: Final = (
    ("type_conflict", re.compile(r"field type conflict|conflicts? with|schema conflict", re.IGNORECASE)),
    ("retention", re.compile(r"retention|outside.*shard group", re.IGNORECASE)),
    ("series_limit", re.compile(r"max-(series|values)-per", re.IGNORECASE)),
    ("unparsable", re.compile(r"unable to parse|invalid (number|field|tag|timestamp)", re.IGNORECASE)),
    ("other", re.compile(r"partial write|dropped=\d", re.IGNORECASE)),
)
"""Reasons of refusals, the first that fits; what fits none is no word on points, and the points wait."""
_DROPPED: Final = re.compile(r"dropped=(\d+)")
_REFUSED: Final = (400, 422)
_TOO_LARGE: Final = 413
_MEASUREMENT: Final = re.compile(rb"(?:\\.|[^\\, ])*")
_SHOWN: Final = 300

Verdict = Literal["taken", "refused", "too_large", "away"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a database said to a request."""

    status: int
    text: str = ""

    @property
    def reason(self) -> str:
        """Why points were refused; "" where it does not speak of points."""
        return next((name for name, pattern in _REFUSALS if pattern.search(self.text)), "")

    @property
    def message(self) -> str:
        """What it says, without the wrapping."""
        try:
            told = json.loads(self.text)
            text = str(told.get("error") or told.get("message") or self.text)
        except (ValueError, AttributeError):
            text = self.text
        return " ".join(text.split())[:_SHOWN]

    @property
    def dropped(self) -> int | None:
        """How many lines it says that it has dropped; None where it does not say."""
        found = _DROPPED.search(self.text)
        return int(found[1]) if found and int(found[1]) else None

    @property
    def verdict(self) -> Verdict:
        """What is to be done: nothing, find what was refused, write less at once, or wait. What is not understood is
        waited for: a database that is set up wrongly must not cost points."""
        if 200 <= self.status < 300:
            return "taken"
        if self.status in _REFUSED and self.reason:
            return "refused"
        return "too_large" if self.status == _TOO_LARGE else "away"


@dataclass(slots=True)
class Refusals:
    """Lines that a database does not take, by reason, with what it said of the first of each."""

    counts: dict[str, int] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, count: int, message: str) -> None:
        """Count some."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        self.messages.setdefault(reason, message)


def write_lines(lines: Sequence[bytes]) -> Generator[Sequence[bytes], Answer, Refusals]:
    """Yields what is to be written, takes the answer to it, and returns what was refused; an answer that is neither
    yes nor no (`away`) is not to be sent here, but to be waited out."""
    refused = Refusals()
    waiting = [lines]
    while waiting:
        part = waiting.pop()
        answer = yield part
        match answer.verdict:
            case "refused" if len(part) == 1 or answer.dropped == len(part):
                refused.add(answer.reason, len(part), answer.message)
            case "refused":
                waiting += _parts(part)
            case "too_large" if len(part) == 1:
                refused.add("too_large", 1, answer.message)
            case "too_large":
                waiting += _halves(part)
    return refused


def _parts(lines: Sequence[bytes]) -> list[Sequence[bytes]]:
    """By measurement, since types are; lines of one by time, since retention is."""
    by_measurement: dict[bytes, list[bytes]] = {}
    for line in lines:
        found = _MEASUREMENT.match(line)
        by_measurement.setdefault(found[0] if found else b"", []).append(line)
    if len(by_measurement) > 1:
        return list(by_measurement.values())
    return _halves(sorted(lines, key=lambda line: int(line.rpartition(b" ")[2])))


def _halves(lines: Sequence[bytes]) -> list[Sequence[bytes]]:
    middle = len(lines) // 2
    return [lines[:middle], lines[middle:]]
