"""Instants stand as text beside their numbers."""

from __future__ import annotations

import json

import msgspec

from ingest.exact import with_exact_times

T = 1_795_714_797_931_114_633


def test_each_instant_has_nine_decimals_beside_it() -> None:
    told = with_exact_times({"end_ns": T, "rows": [{"times_ns": [T, 10**18], "t0_ns": 10**9}], "count": 3})
    text = "2026-11-26T17:39:57.931114633Z"
    assert told["end"] == text
    assert told["rows"][0] == {
        "times_ns": [T, 10**18],
        "times": [text, "2001-09-09T01:46:40.000000000Z"],
        "t0_ns": 10**9,
        "t0": "1970-01-01T00:00:01.000000000Z",
    }
    assert told["end_ns"] == T
    assert json.loads(json.dumps(told), parse_int=float)["end_ns"] != T  # what JavaScript makes of it
    assert msgspec.json.decode(msgspec.json.encode(told)) == told


def test_stretches_of_time_and_what_has_its_name_stay() -> None:
    told = with_exact_times({"back_ns": 5, "uncertainty_ns": 7, "end_ns": 1, "end": "mine", "client_ns": 0})
    assert told == {"back_ns": 5, "uncertainty_ns": 7, "end_ns": 1, "end": "mine", "client_ns": 0, "client": None}
