"""What cases beside the decoder do not say of keyvalue: refused options, and offsets."""

from __future__ import annotations

import pytest

from edge.decoders.keyvalue.decoder import KeyValueDecoder
from edge.protocol import Fault, Frame
from ingest.errors import UsageError
from tests.edge.configs import source_config


def new(**options: object) -> KeyValueDecoder:
    return KeyValueDecoder.from_config(source_config("keyvalue", ("x",), **options))  # type: ignore[arg-type]


def test_lines_become_one_frame_and_a_fault_says_where() -> None:
    frame, fault = new().feed(b"x=1\nx=2\nx=\xc3\xa4\nx=3")
    assert isinstance(frame, Frame)
    assert (frame.values.tolist(), frame.times_ns, frame.offset) == ([[1], [2]], None, 8)
    assert fault == Fault("number", 8, 1, b"x=\xc3\xa4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"y": "ay"}}, 'expected one of x = "its name"'),
        ({"fields": {"x": 1}}, 'expected one of x = "its name"'),
        ({"separator": "="}, "neither = nor :"),
        ({"separator": "--"}, "one character"),
        ({"decimal": ","}, "a separator must be said"),
        ({"decimal": ";"}, 'found ";"'),
        ({"time_field": "t", "time_unit": "m"}, "unknown unit"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)
