from __future__ import annotations

from collections import Counter

import pytest

from ingest.errors import UsageError
from ingest.importers.lineprotocol import read_lines
from ingest.importers.points import Point


def read(text: str, unit: str = "ns") -> list[Point]:
    return list(read_lines("f", text, unit, Counter()))


def test_lines_are_points() -> None:
    tags = r"my\ acc\,1,host=a\ b,dev\=ice=p\,7"
    text = tags + r""" x=1.5,y=-2e-3,n=3i,u=4u,on=t,off=FALSE,s="a \"b\", c=\\d 1" 1700000000000000001"""
    assert read(text) == [
        Point(
            1,
            "my acc,1",
            (("dev=ice", "p,7"), ("host", "a b")),
            1_700_000_000_000_000_001,
            [("x", 1.5), ("y", -0.002), ("n", 3), ("u", 4), ("on", True), ("off", False), ("s", 'a "b", c=\\d 1')],
        )
    ]


def test_what_exports_have_besides_points_is_counted() -> None:
    counts: Counter[str] = Counter()
    text = "# DDL\r\nCREATE DATABASE d WITH NAME autogen\r\n# DML\r\n\r\nm v=1 1\r\n  m v=2  2 \r\n"
    assert [point.t_ns for point in read_lines("f", text, "ns", counts)] == [1, 2]
    assert counts == {"lines": 6, "comment_lines": 3, "blank_lines": 1}


def test_times_have_their_unit() -> None:
    assert [read("m v=1 -7", unit)[0].t_ns for unit in ("ns", "us", "ms", "s")] == [-7, -7000, -7_000_000, -7 * 10**9]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("m v=1", "has no time"),
        ("m", "has no fields"),
        ("m v=1 x", "is no time"),
        ("m v=1 99999999999999999999", "out of range"),
        ("m v=1, 5", "is no field"),
        ("m v 5", "is no field"),
        ('m v="a 5', "is no field"),
        ("m v=1.5i 5", "is no value"),
        ("m v=one 5", "is no value"),
        ("m,host v=1 5", "is no tag"),
    ],
)
def test_what_is_none_of_the_protocol_is_named(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"f: line 2: .*{said}"):
        read(f"m v=1 1\n{line}\n")
