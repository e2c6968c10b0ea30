"""Never lose data at the edge, with real parts: the agent as a process, a serial line, Mosquitto, a small disk, a log.

What is promised, and looked at here from outside:

- every message that the broker took from its publisher is in the log, once: the agent acknowledges a message when it
  is durable, and the broker delivers again what was not acknowledged;
- every line whose fsync is over is in the log, once;
- every line that is not in the log lies in a range of time that was announced: a gap of its stream, or the range
  between how far a boot reached and the begin of the next one's first recording;
- "once" is meant as for everyone who reads the log: chunks with one identity (stream, boot, sequence number) are one
  chunk, and equal to the byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from ingest.records import Chunk, Gap, Record, RecordingStart
from ingest.times import sample_times
from tests.integration.field import Field, KafkaServerLog, SegmentsLog
from tests.integration.observed_agent import numbers_of
from tests.integration.sensors import check_of
from tests.support.kafka import KafkaBroker

SLACK_NS: Final = 250_000_000
"""Between when a line was said and when it was read, on a machine that is not stalled; what was seen counts if it is
more."""


S: Final = 10**9
SHOWN: Final = ("t0_ns", "start_ns", "end_ns", "previous_reach_ns", "complete_to_ns", "seq", "count", "reason")
TIMES: Final = SHOWN[:5]


@dataclass(frozen=True)
class Range:
    """An announced loss."""

    start_ns: int
    end_ns: int
    samples: int
    reason: str


@dataclass(frozen=True)
class Stream:
    """What the log has of a stream, each chunk once."""

    numbers: list[int]
    times_ns: list[int]
    chunks: dict[tuple[bytes, int], list[int]]
    duplicates: int


def stream_of(records: Sequence[Record], name: str) -> Stream:
    found: dict[tuple[bytes, int], Chunk] = {}
    duplicates = 0
    for record in records:
        if isinstance(record, Chunk) and record.stream == name:
            known = found.setdefault((record.boot, record.seq), record)
            assert known == record
            duplicates += known is not record
    samples = {key: numbers_of(chunk) for key, chunk in found.items()}
    for values in samples.values():
        assert [check_of(int(number)) for number in values[:, 0]] == values[:, 1].tolist()
    chunks = {key: values[:, 0].tolist() for key, values in samples.items()}
    times = [int(time) for chunk in found.values() for time in sample_times(chunk)]
    return Stream([number for numbers in chunks.values() for number in numbers], times, chunks, duplicates)


def announced(records: Sequence[Record]) -> list[Range]:
    """What the log says about lines that are missing."""
    found = []
    for record in records:
        if isinstance(record, Gap) and record.stream == "line":
            found.append(Range(record.start_ns, record.end_ns, record.samples, record.reason))
        elif isinstance(record, RecordingStart) and record.previous_boot:
            found.append(Range(record.previous_reach_ns, record.start_ns, -1, "boot"))
    return sorted(set(found), key=lambda known: known.start_ns)


def uncovered(begin_ns: int, end_ns: int, ranges: Sequence[Range]) -> list[tuple[int, int]]:
    """The parts of a range of time about which nothing is said."""
    left: list[tuple[int, int]] = []
    for known in ranges:
        if begin_ns >= end_ns:
            break
        if known.end_ns <= begin_ns or known.start_ns >= end_ns:
            continue
        if known.start_ns > begin_ns:
            left.append((begin_ns, known.start_ns))
        begin_ns = max(begin_ns, known.end_ns)
    return left if begin_ns >= end_ns else [*left, (begin_ns, end_ns)]


def nearby(records: Sequence[Record], at_ns: int, then_ns: int) -> str:
    """What the log says of the line and of its device between two seconds before a hole and one after it."""
    said = []
    for record in records:
        times = [value for name in TIMES if (value := getattr(record, name, None)) is not None]
        if (
            times
            and getattr(record, "stream", "line") == "line"
            and max(times) > at_ns - 2 * S
            and min(times) < then_ns + S
        ):
            shown = {name: getattr(record, name) for name in SHOWN if hasattr(record, name)}
            said.append(f"{type(record).__name__} {getattr(record, 'boot', b'').hex()[:8]} {shown}")
    return "\n".join(said)


def check_holes(field: Field, records: Sequence[Record], line: Stream, ranges: Sequence[Range]) -> int:
    """Every missing line lies in what was announced; how many are missing."""
    said_ns = field.line.said_ns
    slack = max(SLACK_NS, *(time - said_ns[n] for n, time in zip(line.numbers, line.times_ns, strict=True)))
    missing = 0
    for before, after, at_ns, then_ns in zip(
        line.numbers, line.numbers[1:], line.times_ns, line.times_ns[1:], strict=False
    ):
        lost = after - before - 1
        missing += lost
        if not lost:
            continue
        inside = [known for known in ranges if known.end_ns > at_ns and known.start_ns <= then_ns]
        where = f"lines {before + 1} to {after - 1} ({at_ns} to {then_ns}), {inside}: {field.story()}"
        where += f"\n{nearby(records, at_ns, then_ns)}"
        assert inside, where
        said = max(at_ns, said_ns[before + 1]), min(then_ns, said_ns[after - 1])  # the sensor may have been held up
        assert all(end - start <= slack for start, end in uncovered(*said, inside)), where
        if all(known.samples >= 0 for known in inside):
            assert sum(known.samples for known in inside) == lost, where
    return missing + line.numbers[0]


def check(field: Field, records: list[Record], rounds: int) -> dict[str, int]:
    """Nothing is lost in silence, nothing is there twice; what came to pass."""
    line, messages = stream_of(records, "line"), stream_of(records, "messages")
    assert sorted(messages.numbers) == list(range(field.messages.published)), field.story()
    assert line.numbers == sorted(set(line.numbers)), field.story()
    assert line.times_ns == sorted(set(line.times_ns)), field.story()
    for (name, boot, seq), numbers in field.covered.items():
        assert (line if name == "line" else messages).chunks.get((boot, seq)) == numbers, field.story()
    ranges = announced(records)
    assert all(known.start_ns <= known.end_ns for known in ranges), field.story()
    missing = check_holes(field, records, line, ranges)
    assert "Traceback" not in field.said(), field.said()
    return {
        "rounds": rounds,
        "kills": field.kills,
        "messages": len(messages.numbers),
        "delivered again and known": field.repeated,
        "lines said": len(field.line.said_ns),
        "lines in the log": len(line.numbers),
        "lines missing and announced": missing,
        "chunks covered by a seen fsync": len(field.covered),
        "duplicate chunks removed": line.duplicates + messages.duplicates,
        "gaps announced": sum(known.reason != "boot" for known in ranges),
        "ranges between boots announced": sum(known.reason == "boot" for known in ranges),
    }


def weather(field: Field, rounds: Sequence[Sequence[str]]) -> None:
    with field:
        for wanted in rounds:
            field.round(*wanted)
        report = check(field, field.calm(), len(rounds))
    print(json.dumps(report))


@pytest.mark.timeout(300)
def test_an_agent_killed_in_all_weathers_on_segments(tmp_path: Path) -> None:
    weather(
        Field(tmp_path, SegmentsLog(tmp_path / "log"), seed=4),
        [["port"], ["disk", "frozen"], ["broker", "log"], ["port touched"]],
    )


@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_an_agent_killed_in_all_weathers_on_kafka(tmp_path: Path) -> None:
    with KafkaBroker() as broker:
        weather(Field(tmp_path, KafkaServerLog(broker), seed=5), [["log"]])


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(int(os.environ.get("SENSORLOOM_FIELDS", "10"))))
def test_many_weathers(seed: int, tmp_path: Path) -> None:
    weather(Field(tmp_path, SegmentsLog(tmp_path / "log"), seed=seed + 100), [[]] * 60)


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.parametrize("seed", range(int(os.environ.get("SENSORLOOM_FIELDS", "10")) // 3))
def test_many_weathers_on_kafka(seed: int, tmp_path: Path) -> None:
    with KafkaBroker() as broker:
        weather(Field(tmp_path, KafkaServerLog(broker), seed=seed + 200), [[]] * 20)
