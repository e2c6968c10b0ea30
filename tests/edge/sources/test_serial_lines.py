"""Where lines end: the cases of the serial source's folder, cut everywhere; and what is said of bytes that end none."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge.sources.serial
from edge.sources.serial.lines import NAMES, NO_LINE_BYTES, FixedRecords, LineEnds, Lines, RawBytes

S = 1_000_000_000
PAUSE = "<pause>"
CASES = tomllib.loads((Path(edge.sources.serial.__file__).parent / "cases.toml").read_text())["case"]


def lines_of(case: dict[str, Any]) -> Lines:
    if "record_bytes" in case:
        return FixedRecords(case["record_bytes"], 9600)
    end = case.get("line_end", "auto")
    if end == "none":
        return RawBytes()
    return LineEnds(None if end == "auto" else NAMES.get(end, end.encode()), 9600)


def fed(lines: Lines, pieces: Iterable[str]) -> tuple[bytes, list[str]]:
    """What is handed on, and what is announced."""
    done, lost = b"", []
    for piece in pieces:
        if piece == PAUSE:
            lines.pause()
        else:
            done += lines.feed(piece.encode("latin-1"), 0)
        if loss := lines.take_loss():
            lost.append(loss)
    return done, lost


def cuts(pieces: list[str]) -> Iterator[list[str]]:
    """The same in other pieces: byte by byte, all at once, and cut at every place; pauses stay where they are."""
    yield pieces
    yield [part for piece in pieces for part in ([piece] if piece == PAUSE else piece)]
    joined: list[str] = []
    for piece in pieces:
        if joined and PAUSE not in (piece, joined[-1]):
            joined[-1] += piece
        else:
            joined.append(piece)
    yield joined
    for number, piece in enumerate(joined):
        for at in range(1, 0 if piece == PAUSE else len(piece)):
            yield [*joined[:number], piece[:at], piece[at:], *joined[number + 1 :]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_each_case(case: dict[str, Any]) -> None:
    expected = "".join(line + "\n" for line in case["lines"]).encode("latin-1")
    for pieces in cuts(case["pieces"]):
        lines = lines_of(case)
        done, lost = fed(lines, pieces)
        assert done == expected, pieces
        assert set(lost) == ({case["loss"]} if "loss" in case else set()), pieces
        assert lines.trouble == ""
        lines.begin()  # opened again: nothing is left of what was before
        assert fed(lines, pieces)[0] == expected


@given(st.lists(st.sampled_from([b"1", b"2", b"\r", b"\n", b"\r\n"]), max_size=40), st.data())
@settings(max_examples=300, deadline=None)
def test_it_never_matters_in_which_pieces_bytes_come(parts: list[bytes], data: st.DataObject) -> None:
    said = b"".join(parts)
    at = data.draw(st.integers(0, len(said)))
    for end in (None, b"\r", b"\n"):
        whole, bytewise, halves = LineEnds(end, 9600), LineEnds(end, 9600), LineEnds(end, 9600)
        expected = whole.feed(said, 0)
        assert b"".join(bytewise.feed(said[i : i + 1], 0) for i in range(len(said))) == expected
        assert halves.feed(said[:at], 0) + halves.feed(said[at:], 0) == expected


@given(st.lists(st.binary(max_size=6).map(lambda line: line.translate(None, b"\r\n")), max_size=30))
@settings(max_examples=200, deadline=None)
def test_each_end_is_found_and_no_line_is_lost(texts: list[bytes]) -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        found = LineEnds(None, 9600).feed(b"x" + end + b"".join(text + end for text in texts) + b"y" + end, 0)
        assert [line.rstrip(b"\r") for line in found.split(b"\n")][:-1] == [*texts, b"y"]


def test_a_line_of_cr_is_handed_on_as_soon_as_its_cr_is_there() -> None:
    lines = LineEnds(None, 9600)
    assert lines.feed(b"1\r2\r", 0) == b"2\n"
    assert lines.feed(b"3\r", 0) == b"3\n"


@pytest.mark.parametrize(
    ("lines", "said", "advice"),
    [
        (LineEnds(None, 9600), b"+00012.5", 'such as "+00012.5+00012.5'),
        (LineEnds(None, 9600), b"+00012.5", "try record_bytes = N"),
        (LineEnds(None, 9600), b"1.5\0", 'try line_end = "nul"'),
        (LineEnds(None, 9600), b"\x021.5\x03", "is baud = 9600 right?"),
        (LineEnds(None, 9600), b"1.5\x03", r'try line_end = "\u0003"'),
        (LineEnds(None, 57_600), b"\xfe\x80x\x01", "is baud = 57600 right?"),
        (LineEnds(b"\0", 9600), b"1.5 ", "try record_bytes = N"),
        (LineEnds(b"\n", 9600), b"1.5\r", "leave line_end out, and it is found"),
        (FixedRecords(8, 9600), b"+00012.5", "nobody knows where a record of 8 begins"),
    ],
)
def test_bytes_that_end_no_line_are_told_after_some_seconds_and_then_lost(
    lines: Lines, said: bytes, advice: str
) -> None:
    handed_on = b""
    for second in range(5):
        assert (lines.trouble, lines.is_lost) == ("", False)
        handed_on += lines.feed(said, second * S)
    assert handed_on == b""
    lines.feed(said, 5 * S)
    assert advice in lines.trouble
    assert lines.trouble.isprintable()
    assert not lines.is_lost
    told = lines.trouble
    for second in range(6, 20):
        handed_on += lines.feed(said, second * S)
    assert (lines.take_loss(), lines.take_loss()) == ("no_line", "")
    assert lines.is_lost
    assert handed_on  # for the decoder to count, once
    assert b"\n" not in handed_on
    assert lines.trouble == told  # not told again and again
    assert lines.feed(said, 21 * S) == b""


@pytest.mark.parametrize("lines", [LineEnds(None, 9600), LineEnds(b"\0", 9600), FixedRecords(8, 9600)])
def test_many_bytes_that_end_no_line_are_told_at_once(lines: Lines) -> None:
    for _ in range(NO_LINE_BYTES // 1000 + 1):
        assert (lines.trouble, lines.is_lost) == ("", False)
        lines.feed(b"1" * 1000, 0)
    assert lines.is_lost
    assert lines.trouble
    held = lines.feed(b"1" * 100_000, 0)
    assert not held
    lines.pause()
    lines.feed(b"2\n\0" + b"3" * 8, 0)
    assert (lines.trouble, lines.is_lost) == ("", False)


def test_a_line_that_goes_on_too_long_is_told_and_lost_but_not_where_its_decoder_takes_it() -> None:
    lines, json = LineEnds(None, 9600), LineEnds(None, 9600, longest=1_000_000)
    for one in (lines, json):
        one.feed(b"0\n1\n", 0)
        for _ in range(NO_LINE_BYTES + 1):
            assert one.feed(b"1", 0) == b"1"
    assert (lines.is_lost, json.is_lost) == (True, False)
    json.feed(b"1", 9 * S)
    assert (bool(lines.trouble), json.trouble) == (True, "")
    json.feed(b"1", 61 * S)
    assert json.trouble
    assert lines.feed(b"\n", 0) == b"\n"
    assert (lines.trouble, lines.is_lost) == ("", False)


def test_what_is_kept_of_a_beginning_without_an_end_is_bounded() -> None:
    lines = LineEnds(None, 9600)
    for _ in range(1000):
        lines.feed(b"1" * 1000, 0)
    assert len(lines._held) <= NO_LINE_BYTES
