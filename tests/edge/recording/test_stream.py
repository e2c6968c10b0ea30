"""When the bytes of a stream came, of what several reads brought."""

from __future__ import annotations

from fractions import Fraction

from edge.protocol import Read, SourceConfig
from edge.recording.stamps import Stamp
from edge.recording.stream import Stream
from edge.recording.timebase import Axis
from ingest.chunker import Limits

CONFIG = SourceConfig(
    where="agent.toml: source[0]",
    base=".",
    name="imu",
    type="serial",
    decoder="csv",
    device="pump-7",
    stream="acc",
    channels={"x": "g"},
    rate=Fraction(100),
)


def test_bytes_came_when_they_were_read_and_evenly_where_that_was_late() -> None:
    stream = Stream(CONFIG, Limits())
    stream.axis = Axis(5000)
    stream.hear(10, [], Stamp(5100))
    reads = [Read(40, 300, 0, began_ns=100), Read(50, 310, 0), Read(70, 390, 0, began_ns=310)]
    now = Stamp(5400, waited_ns=7)
    stream.hear(80, reads, now)
    found = {offset: stream.stamp_of(offset, now).time_ns for offset in (5, 10, 20, 30, 50, 51, 60, 70, 80, 90)}
    assert found == {
        5: 5100,
        10: 5100,
        20: 5150,
        30: 5200,
        50: 5300,
        51: 5310,
        60: 5310,
        70: 5350,
        80: 5390,
        90: 5400,
    }
    assert stream.stamp_of(20, now).waited_ns == 7


def test_where_it_is_not_known_which_bytes_a_late_read_began_with_it_counts_itself() -> None:
    stream = Stream(CONFIG, Limits())
    stream.axis = Axis(0)
    stream.hear(20, [Read(10, 300, 0, began_ns=100)], Stamp(310))
    assert stream.stamp_of(5, Stamp(310)).time_ns == 300
