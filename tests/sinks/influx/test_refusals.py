"""Which lines a database has refused, asked of one whose rules are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.influx.refusals import Answer, Refusals, write_lines

Rule = Callable[[bytes], str]


class Known:
    """A database that refuses lines by a rule, and words it as InfluxDB does: one reason, one number."""

    def __init__(self, rule: Rule, most: int = 1 << 30) -> None:
        self.rule = rule
        self.most = most
        self.taken: set[bytes] = set()
        self.requests = 0

    def answer(self, lines: Sequence[bytes]) -> Answer:
        self.requests += 1
        if len(b"\n".join(lines)) > self.most:
            return Answer(413, '{"error":"Request Entity Too Large"}')
        why = {line: self.rule(line) for line in lines}
        self.taken |= {line for line in lines if not why[line]}
        reasons = sorted({reason for reason in why.values() if reason})
        if not reasons:
            return Answer(204)
        dropped = sum(reason == reasons[0] for reason in why.values())
        number = 0 if "parse" in reasons[0] else dropped
        return Answer(400, f'{{"error":"partial write: {reasons[0]} dropped={number}"}}')

    def write(self, lines: Sequence[bytes]) -> Refusals:
        writing = write_lines(lines)
        part = next(writing)
        while True:
            try:
                part = writing.send(self.answer(part))
            except StopIteration as done:
                refused: Refusals = done.value
                return refused


REASONS = {
    "": "",
    "type_conflict": 'field type conflict: input field \\"v\\"',
    "retention": "points beyond retention policy",
    "unparsable": "unable to parse 'x': invalid number",
}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(REASONS))), min_size=1, max_size=60))
def test_every_line_is_taken_or_counted_by_its_reason(said: list[tuple[str, str]]) -> None:
    lines = [f"{name},device=d v=1 {number}".encode() for number, (name, _) in enumerate(said)]
    why = dict(zip(lines, (REASONS[reason] for _, reason in said), strict=True))
    database = Known(why.__getitem__, most=500)
    refused = database.write(lines)
    assert database.taken == {line for line in lines if not why[line]}
    reasons = [reason for _, reason in said if reason]
    assert refused.counts == {reason: reasons.count(reason) for reason in set(reasons)}


def test_a_stream_that_is_refused_as_a_whole_costs_few_requests() -> None:
    lines = [f"{'bad' if number % 2 else 'good'} v=1 {number}".encode() for number in range(5000)]
    database = Known(lambda line: REASONS["type_conflict"] if line.startswith(b"bad") else "")
    assert database.write(lines).counts == {"type_conflict": 2500}
    assert database.requests == 3


def test_what_is_too_old_costs_few_requests() -> None:
    lines = [f"m v=1 {number}".encode() for number in range(5000)]
    database = Known(lambda line: REASONS["retention"] if int(line.split()[-1]) < 1234 else "")
    assert database.write(lines[::-1]).counts == {"retention": 1234}
    assert database.requests < 40


def test_a_line_that_is_too_large_alone_is_refused() -> None:
    database = Known(lambda line: "", most=40)
    assert database.write([b"m v=1 1", b"m " + b"v" * 60 + b"=1 2", b"m v=1 3"]).counts == {"too_large": 1}
    assert database.taken == {b"m v=1 1", b"m v=1 3"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(400, '{"error":"database is required"}'),
        Answer(400, "<html>The plain HTTP request was sent to HTTPS port</html>"),
        Answer(401, '{"error":"authorization failed"}'),
        Answer(404, '{"error":"database not found: \\"x\\""}'),
        Answer(429),
        Answer(500, '{"error":"partial write: timeout"}'),
        Answer(503),
        Answer(302),
    ],
)
def test_what_is_no_word_on_points_is_waited_for(answer: Answer) -> None:
    assert answer.verdict == "away"


def test_messages_are_unwrapped() -> None:
    assert Answer(400, '{"error":"partial  write: a\\n b"}').message == "partial write: a b"
    assert Answer(422, '{"code":"x","message":"dropped=1"}').message == "dropped=1"
    assert Answer(502, "[1]").message == "[1]"
