"""The agent on parts of a bus of the kernel's `i2c-stub`, whose chips are memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.records import Chunk, Gap
from ingest.times import sample_times
from tests.kernel import guest_i2c as guest
from tests.kernel.marks import DEVICES
from tests.support.logs import read_log

pytestmark = DEVICES
GUEST = "i2c"
AXIS_NS = 1_000_000_000
"""By how much the recording's axis, which is fixed once, may be off in a machine that is often set aside."""


@pytest.fixture(scope="module")
def ran(guests: Callable[[str], Path]) -> dict[str, Any]:
    folder = guests(GUEST)
    found: dict[str, Any] = json.loads((folder / "book.json").read_text())
    return found | {"records": read_log(f"segments:{folder / 'log'}")}


def chunks(ran: dict[str, Any], stream: str) -> list[Chunk]:
    found = {chunk.seq: chunk for chunk in ran["records"] if isinstance(chunk, Chunk) and chunk.stream == stream}
    return [chunk for _, chunk in sorted(found.items())]


def test_the_agent_came_to_a_good_end(ran: dict[str, Any]) -> None:
    assert ran["code"] == 0


def test_the_parts_are_set_up_as_the_table_says(ran: dict[str, Any]) -> None:
    acc = {str(0x2C): 9, str(0x31): 0x09, str(0x38): 0x80}
    assert ran["set_up"] == acc | {str(0x19): 9, str(0x1A): 3, str(0x23): 0x78}


def test_samples_are_what_the_registers_show_and_when(ran: dict[str, Any]) -> None:
    found = chunks(ran, "acc")
    values = np.concatenate([np.frombuffer(chunk.values, "<i2").reshape(-1, 3) for chunk in found])
    times = np.concatenate([sample_times(chunk) for chunk in found])
    assert (np.diff(times) > 0).all()
    rows = [tuple(row) for row in values.tolist()]
    steps = [row for at, row in enumerate(rows) if at == 0 or row != rows[at - 1]]
    assert steps == guest.PHASES
    firsts = [rows.index(phase) for phase in guest.PHASES]
    for at, (before_ns, _) in zip(firsts, ran["book"], strict=True):
        assert times[at] > before_ns + ran["offset_ns"] - AXIS_NS


def test_of_a_part_that_measures_two_things_those_that_are_wanted(ran: dict[str, Any]) -> None:
    found = chunks(ran, "imu")
    values = np.concatenate([np.frombuffer(chunk.values, "<i2").reshape(-1, 3) for chunk in found])
    assert {tuple(row) for row in values.tolist()} == {(guest.TURNING[0], guest.TURNING[3], guest.TURNING[4])}


def test_what_ran_over_and_what_was_lost_with_the_part_is_announced(ran: dict[str, Any]) -> None:
    gaps = [record for record in ran["records"] if isinstance(record, Gap) and record.stream == "acc"]
    assert {"overrun", "part_lost"} <= {gap.reason for gap in gaps}
    assert ran["state"]["acc"]["lost"]["part_lost"] > 0
    assert not ran["state"]["acc"]["waiting_for"]


def test_what_is_wrong_is_named_with_what_to_do(ran: dict[str, Any]) -> None:
    path = f"/dev/i2c-{ran['bus']}"
    said = {name: ran["early"][name]["waiting_for"] for name in ("no_bus", "absent", "other", "driven")}
    assert said["no_bus"] == f"ADXL345 on /dev/i2c-77: no such bus; there are i2c-{ran['bus']}"
    assert said["absent"] == (
        f"LIS3DH on {path}: nothing answers at 0x18 or 0x19; on this bus 0x48, 0x53, 0x68 do: see address, and the "
        "part's address pin"
    )
    wrong = f"on {path}: 0x53 answers, but not as this part: register 0x"
    assert said["other"] == f"LIS3DH {wrong}0F is 0x00, not 0x33; it answers as ADXL345 does"
    assert said["driven"].startswith(f"LIS3DH on {path}: 0x48 is a kernel driver's already")
    assert ran["away"]["acc"]["waiting_for"].startswith(f"ADXL345 {wrong}00 is 0x00, not 0xE5")
