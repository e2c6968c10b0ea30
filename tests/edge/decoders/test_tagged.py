"""Lines of several streams on one port, each told by what it begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decoders import decoder_of
from edge.decoders.tagged import TaggedDecoder, without
from edge.protocol import Decoder, Fault, Frame, SourceConfig
from simulators.doubles.suite import check_decoder, run
from tests.edge.configs import source_config

SAID = b"A,1,2\nT:21.4\n$IMU,3,4\nA,5\nzero\nB,7,8\n# boot\n\nA , 9,10\r\nAB,1,2\nA\nT: 22\n"

SHORT = b"A,1,2\nT:2\nA;3\nB,7\n"


def config(tag: str, *tags: str, channels: tuple[str, ...] = ("x", "y"), decoder: str = "csv") -> SourceConfig:
    return replace(source_config(decoder, channels), tag=tag, tags=tags)


def items(decoder: Decoder, data: bytes) -> tuple[list[list[float]], list[tuple[str, int, int, bytes]]]:
    """Samples, and faults."""
    found = [*decoder.feed(data), *decoder.reset()]
    rows = [row for one in found if isinstance(one, Frame) for row in one.values.tolist()]
    faults = [(one.reason, one.byte_offset, one.samples, one.raw) for one in found if isinstance(one, Fault)]
    return rows, faults


def test_each_stream_has_its_own_lines_and_the_first_counts_those_of_nobody() -> None:
    first = decoder_of(config("A", "A", "T", "$IMU"))
    rows, faults = items(first, SAID)
    assert rows == [[1.0, 2.0], [9.0, 10.0]]
    nobodys = [(b"zero", 0), (b"B,7,8", 0), (b"AB,1,2", 0)]
    assert [(raw, samples) for reason, _, samples, raw in faults if reason == "tag"] == nobodys
    others = [(reason, offset) for reason, offset, _, _ in faults if reason != "tag"]
    assert others == [("columns", SAID.index(b"A,5"))]
    assert items(decoder_of(config("$IMU")), SAID) == ([[3.0, 4.0]], [])
    assert items(decoder_of(config("T", channels=("x",))), SAID) == ([[21.4], [22.0]], [])


def test_offsets_are_those_of_the_ports_bytes() -> None:
    decoder = decoder_of(config("A"))
    ends = [item.offset for item in decoder.feed(SAID) if isinstance(item, Frame)]
    assert ends == [SAID.index(b"T:21"), SAID.index(b"AB,1")]


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        (b"A,1", b"1"),
        (b" A;1\r", b"1\r"),
        (b"A\t 1", b"1"),
        (b"A=1", b"1"),
        (b"A|1", b"1"),
        (b"A", b""),
        (b"A\r", b"\r"),
        (b"A,", b""),
        (b"AB,1", None),
        (b"A1", None),
        (b"B,A,1", None),
        (b"", None),
        (b"a,1", None),
    ],
)
def test_a_tag_ends_where_a_separator_stands(line: bytes, rest: bytes | None) -> None:
    assert without(line, b"A") == rest


@pytest.mark.parametrize("tags", [(), ("A", "T")])
def test_it_keeps_its_promises_as_a_decoder(tags: tuple[str, ...]) -> None:
    check_decoder(lambda: decoder_of(config("A", *tags)), SHORT, 2, mutations=3)


LINES = st.sampled_from([b"A,1,2", b"A,x,2", b"T,5,6", b"B,1,1", b"A,3", b"A", b"", b"#A,1,2", b"A,nan,"])


@settings(max_examples=25)
@given(st.lists(LINES, max_size=12), st.integers(1, 9))
def test_a_stream_is_what_its_decoder_makes_of_its_lines_alone(lines: list[bytes], size: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    own = [rest + b"\n" for line in lines if (rest := without(line, b"A")) is not None]
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    told = run(decoder_of(config("A")), pieces)
    alone = run(decoder_of(source_config("csv", ("x", "y"))), own)
    assert [item for item in told if not isinstance(item, Fault)] == [i for i in alone if not isinstance(i, Fault)]
    assert [i.reason for i in told if isinstance(i, Fault)] == [i.reason for i in alone if isinstance(i, Fault)]


def test_what_is_torn_is_its_streams() -> None:
    for tag, faults in (("A", ["torn"]), ("T", [])):
        decoder = decoder_of(config(tag))
        assert isinstance(decoder, TaggedDecoder)
        decoder.feed(b"A,1,2\nA,3")
        assert [item.reason for item in decoder.reset() if isinstance(item, Fault)] == faults


def test_a_line_that_never_ends_is_told_once() -> None:
    decoder = decoder_of(config("A", "A"))
    found = [item for _ in range(30) for item in decoder.feed(b"A," + b"1" * 100_000)]
    assert [(item.reason, item.samples) for item in found if isinstance(item, Fault)] == [("too_long", 0)]
    assert np.array([item.values for item in decoder.feed(b"\nA,1,2\n") if isinstance(item, Frame)]).tolist() == [
        [[1.0, 2.0]]
    ]
