"""The quick ways take what the long way would count, and nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.archive.collected import Collected, Samples
from ingest.archive.rows import follows
from ingest.archive.steady import Alike, Steady
from ingest.archive.tables import record_values
from ingest.intake import OpenRecording
from ingest.intervals import IntervalSet
from ingest.log.protocol import LogBatch
from ingest.records import Chunk, Clock, Record
from ingest.wire import MAX_SPAN_NS, check_chunk, encode, parse
from tests.ingest.archive.test_operator import ACC, T0, TEMP, acc, begun, temp, written

FAR_NS = 1 << 63
REPLACE = msgspec.structs.replace


def knowing(chunk: Chunk) -> tuple[Alike, Steady, Collected]:
    """After `chunk`, which was the newest one of its stream."""
    samples = Samples(chunk.stream, chunk.schema, ACC)
    known, seen, collected = OpenRecording("pump", "r", 0), IntervalSet([(0, chunk.seq + 1)]), Collected()
    collected.add(chunk)
    steady = Steady(chunk, known, seen, samples)
    return Alike(chunk, steady, collected), steady, collected


EVEN = st.builds(
    lambda seq, count, den, phase, clock, t0_ns: acc(
        seq, count=count, period_num=10**7, period_den=den, phase=phase % den, clock=clock, t0_ns=t0_ns, signature=b"s"
    ),
    st.one_of(*(st.integers(most - 90, most) for most in (0x80, 0xFF, 0xFFFF, 1 << 31))),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 300),
    st.sampled_from([None, Clock("ntp", -5, 1.25, 1000)]),
    st.integers(1 << 32, MAX_SPAN_NS >> 1),
)


@settings(max_examples=40)
@given(EVEN, st.integers(1 << 32, MAX_SPAN_NS >> 1))
def test_what_differs_in_number_start_and_samples_is_taken(chunk: Chunk, t0_ns: int) -> None:
    alike, steady, collected = knowing(chunk)
    following = REPLACE(chunk, seq=chunk.seq + 1, t0_ns=t0_ns, values=chunk.values[::-1])
    value = encode(following)
    if len(value) != len(encode(chunk)):
        assert not alike.takes(value, FAR_NS, 7), "its number has more digits"
        return
    assert value.startswith(alike.head)
    assert alike.takes(value, FAR_NS, 7)
    form = collected.form[1]
    raw = collected.raw[1][collected.cuts[form]]
    assert REPLACE(collected.forms[form], seq=following.seq, t0_ns=t0_ns, values=raw) == following
    assert (collected.seq[1], collected.t0_ns[1], [*steady.samples.places]) == (following.seq, t0_ns, [1])
    assert (steady.seen.next, steady.known.touched_ns) == (following.seq + 1, 7)
    assert not alike.takes(value, FAR_NS, 7), "it came twice"


def test_a_record_with_a_wrong_bit_is_taken_where_it_says_the_same_but_for_number_start_and_samples() -> None:
    chunk = acc(300, clock=Clock("ntp", -5, 1.25, 1000))
    following = REPLACE(chunk, seq=301, t0_ns=T0 + 5)
    value = encode(following)
    taken = 0
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        alike, _, _ = knowing(chunk)
        if flipped.startswith(alike.head) and alike.takes(bytes(flipped), FAR_NS, 0):
            taken += 1
            found = parse(bytes(flipped))
            assert isinstance(found, Chunk)
            check_chunk(found)
            assert follows(found, bytes(flipped))
            assert REPLACE(found, t0_ns=following.t0_ns, values=following.values) == following
    assert taken >= 8 * len(chunk.values), "bits of samples make another sample"


@pytest.mark.parametrize("t0_ns", [0, (1 << 32) - 1, MAX_SPAN_NS])
def test_a_start_that_is_written_otherwise_or_cannot_be_is_looked_at(t0_ns: int) -> None:
    chunk, wrong = acc(300), t0_ns.to_bytes(8, "big")
    value = encode(REPLACE(chunk, seq=301)).replace(chunk.t0_ns.to_bytes(8, "big"), wrong)
    alike, _, _ = knowing(chunk)
    assert value.startswith(alike.head)
    assert wrong in value
    assert not alike.takes(value, FAR_NS, 0)


def test_what_has_to_be_looked_at_is_not_taken() -> None:
    chunk = acc(300)
    value = encode(REPLACE(chunk, seq=301))
    last_ns = chunk.t0_ns + 2 * 10**7
    alike, steady, _ = knowing(chunk)
    assert not alike.takes(value, last_ns - 1, 0), "too far ahead"
    assert not alike.takes(encode(REPLACE(chunk, seq=302)), FAR_NS, 0), "one is missing before it"
    assert not alike.takes(encode(REPLACE(chunk, seq=301, clock=Clock("ntp"))), FAR_NS, 0)
    steady.known.closed = True
    assert not alike.takes(value, FAR_NS, 0), "abandoned"
    steady.known.closed = False
    steady.seen.next = 302
    assert not alike.takes(value, FAR_NS, 0), "it came meanwhile, otherwise written"
    steady.seen.next = 301
    assert alike.takes(value, last_ns, 0)


@settings(max_examples=40)
@given(
    st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=9),
    st.integers(1, 1 << 30),
    st.integers(-3, 3),
    st.sampled_from([4, 8]),
)
def test_a_stamped_chunk_is_taken_up_to_its_newest_sample(ticks: list[int], tick_ns: int, off: int, width: int) -> None:
    chunk = temp(1, ticks, width, tick_ns=tick_ns)
    newest_ns = chunk.t0_ns + max(ticks) * tick_ns
    steady = Steady(chunk, OpenRecording("pump", "r", 0), IntervalSet([(0, 1)]), Samples("temp", b"", TEMP))
    assert steady.takes(chunk, newest_ns + off, 0) == (off >= 0)


def test_an_even_stream_is_decoded_at_its_beginning_and_where_its_numbers_get_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded = list[bytes]()

    def counted(value: bytes) -> Record:
        decoded.append(value)
        return parse(value)

    monkeypatch.setattr("ingest.archive.operator.parse", counted)
    devices = ["fan", "pump"]
    chunks = [acc(seq, device) for seq in range(400) for device in devices]
    keys, values = [chunk.device.encode() for chunk in chunks], [encode(chunk) for chunk in chunks]
    running, places = begun(), range(len(chunks))
    for run in (slice(0, 111), slice(111, None)):
        own = places[run]
        running.feed(LogBatch("readings", 0, own, [T0 + 10**10] * len(own), keys[run], values[run], len(chunks)))
    assert len(decoded) == 2 * (3 + 2)
    rows, files = written(running.take())
    assert [(row.seq, row.t0_ns, row.verdict) for row in rows] == [
        (chunk.seq, chunk.t0_ns, "counts") for chunk in chunks
    ]
    assert record_values(rows, files.__getitem__) == values
    decoded.clear()
    running.feed(LogBatch("readings", 0, [0], [T0 + 10**10], [b"pump"], [encode(acc(400))], 1))
    assert len(decoded) == 1, "an output begins with nothing"
