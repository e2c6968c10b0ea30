"""What an archive says of its records as a table: the same as of one record after the other."""

from __future__ import annotations

from random import Random
from typing import Any

import pyarrow as pa
import pytest

from ingest.records import Gap, RecordingEnd, RecordingStart
from ingest.wire import encode
from timeline.history.catalog import Catalog
from timeline.history.past import take_table

COUNT = 3_000
S = 10**9


def row(number: int, chance: Random) -> dict[str, Any]:
    """A chunk mostly; now and then one from an unsure clock, one that does not count, or another record."""
    device, recording = f"pump-{chance.randrange(3)}", f"r{number // 1_000}"
    start_ns = number * S - chance.randrange(3) * S
    kind = chance.choices(["chunk", "unsure", "quarantine", "gap", "start", "end"], [400, 1, 2, 1, 1, 1])[0]
    about: dict[str, Any] = {"device": device, "recording": recording, "stream": chance.choice(["acc", "gyro"])}
    if kind in ("chunk", "unsure", "quarantine"):
        times = {"start_ns": start_ns, "end_ns": start_ns + S - 1, "count": chance.randrange(1, 200)}
        about |= {"schema": bytes([number // 1_500]), "uncertainty_ns": chance.choice([None, 0, 999_999]), **times}
        about["uncertainty_ns"] = 5_000_000 if kind == "unsure" else about["uncertainty_ns"]
        return {"kind": "chunk", "verdict": "counts" if kind != "quarantine" else "quarantine", "value": b"", **about}
    other: Any = RecordingStart(device, recording, b"boot", start_ns, "began")
    if kind == "gap":
        other = Gap(device, recording, about["stream"], b"boot", start_ns, start_ns + S, 7, "lost")
    elif kind == "end":
        other = RecordingEnd(device, recording, b"boot", start_ns, "ended")
    nothing = dict.fromkeys(("schema", "uncertainty_ns", "start_ns", "end_ns", "count"))
    return {"kind": kind, "verdict": "", "value": encode(other), **about, **nothing}


@pytest.mark.parametrize("seed", range(2))
def test_a_table_is_taken_as_its_rows_are(seed: int) -> None:
    chance = Random(seed)
    words = pa.dictionary(pa.int32(), pa.string())
    names = {"kind": words, "verdict": words, "device": words, "recording": words, "stream": words}
    fields = [*names.items(), ("value", pa.binary()), ("schema", pa.dictionary(pa.int32(), pa.binary()))]
    fields += [(name, pa.int64()) for name in ("offset", "count", "start_ns", "end_ns", "uncertainty_ns")]
    rows = [{"offset": number} | row(number, chance) for number in range(COUNT)]
    table = pa.Table.from_pylist(rows, pa.schema(fields))
    whole, single = Catalog(), Catalog()
    take_table(whole, table)
    for number in range(COUNT):
        take_table(single, table.slice(number, 1))
    assert whole.streams == single.streams
    assert whole.recordings == single.recordings
