"""CRC-32C against RFC 3720's examples and Kafka's own in C; protobuf against its reader."""

from __future__ import annotations

import numpy as np
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from curation.exports.crc32c import crc32c
from curation.exports.tfrecord import example, parse_example


def test_the_examples_of_the_rfc() -> None:
    strings = [bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(31, -1, -1))]
    assert crc32c(strings).tolist() == [0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_it_is_that_of_kafka(strings: list[bytes]) -> None:
    assert crc32c(strings).tolist() == [calc_crc32c(each) for each in strings]


def test_an_example_is_read_as_it_was_written() -> None:
    signal = np.array([[1.5, np.nan], [-0.0, 3e38]], np.float32)
    found = parse_example(example({"signal": signal, "y": -1, "label": None, "window": "wé" * 100}))
    assert found["signal"] == signal.tobytes()
    assert found["y"] == b"\xff" * 9 + b"\x01"
    assert (found["label"], found["window"].decode()) == (b"", "wé" * 100)
