"""What cases beside the decoder do not say of json: refused options, bounds, and that looking again stays cheap."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.json.decoder import JsonDecoder
from edge.protocol import Fault, Frame
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import check_splits, faults, reasons, run, samples


def new(**options: object) -> JsonDecoder:
    return JsonDecoder.from_config(source_config("json", ("x", "y"), **options))  # type: ignore[arg-type]


def test_a_fault_says_where_and_shows_the_text() -> None:
    found = run(new(), [b'\n{"x":1\n[5,6]\n{"x":\n7,'])
    assert found == [Fault("json", 1, -1, b'{"x":1'), ((5, 6), None), Fault("torn", 14, -1, b'{"x":')]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"w": "a"}}, "expected one of x, y"),
        ({"fields": {"x": 1}}, "expected one of x, y"),
        ({"max_message": "1 elephant"}, "max_message"),
        ({"max_message": "10B"}, "1kB to 256MiB"),
        ({"max_message": 10}, "expected text"),
        ({"numbers_as_text": "yes"}, "true or false"),
        ({"time_field": "t", "timezone": "Mars"}, "tzdata"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)


def test_a_large_message_is_taken_and_one_that_is_too_large_is_of_unknown_content() -> None:
    batch = b"[" + b",".join(b'{"x":%d,"y":0}' % number for number in range(20_000)) + b"]"
    assert len(batch) > 300_000
    (frame,) = new().message(batch)
    assert isinstance(frame, Frame)
    assert frame.values[:, 0].tolist() == list(range(20_000))
    (fault,) = new(max_message="300kB").message(batch)
    assert fault == Fault("too_long", 0, -1, batch[:60])


def test_a_large_text_on_a_line_is_the_same() -> None:
    pretty = b"[\n" + b",\n".join(b'{"x":%d,\n"y":0}' % number for number in range(5_000)) + b"\n]\n"
    assert samples(run(new(), [pretty])) == [((number, 0), None) for number in range(5_000)]
    found = run(new(max_message="50kB"), [b"[1,2]\n" + pretty + b"[3,4]\n"])
    assert reasons(found)[0] == "too_long"
    assert samples(found)[-1] == ((3, 4), None)
    assert {fault.samples for fault in faults(found)} == {-1}


@pytest.mark.parametrize(
    "lines",
    [
        b"[\n" * 5_000,
        b"[\n" + b"[1],\n" * 5_000 + b"x\n",
        b'{"a":\n' * 5_000,
        b"[" * 200_000 + b"\n",
        b'{"x":1,"y":2}' * 5_000 + b"x\n",
        b"[" + b"1," * 50_000 + b"\n" + b"]" * 5_000 + b"\n",
    ],
)
def test_nested_and_broken_texts_cost_no_more_than_their_length(lines: bytes) -> None:
    begin = time.process_time()
    found = run(new(), [lines])
    assert time.process_time() - begin < 20  # looked at again and again it would be minutes
    assert "json" in reasons(found)


def test_a_text_in_another_encoding_or_with_endless_digits_is_no_json() -> None:
    for text in ('{"x":1,"y":2}'.encode("utf-16"), b'{"x":"\xe9","y":NaN}', b"[" * 100_000):
        assert [fault.reason for fault in new().message(text) if isinstance(fault, Fault)] == ["json"]
    assert reasons(run(new(), [b"[" + b"9" * 10_000 + b",NaN]\n"])) == ["json"]


LINE = st.sampled_from(
    [b"[1,2]", b'{"x":1}', b"oops", b"", b'[{"x":1},{"y":2}]', b"[[1,2],[3]]", b"7", b"[", b"1,", b"]", b'{"x":', b"}"]
)


@given(st.lists(LINE, max_size=8), st.lists(st.integers(0, 300), max_size=8))
def test_any_split_gives_the_same(lines: list[bytes], places: list[int]) -> None:
    check_splits(new, b"\n".join(lines), places)
