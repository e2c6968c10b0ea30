from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import get_args

import pytest

from edge.agent.clock import ClockWatch, Trust, load_offsets, offset_ns, save_offset, system_clock
from edge.recording.terms import ClockState


def test_a_plausible_clock_is_believed_unless_ntp_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system_clock("system") == ClockState(True, "system")
    for synchronised in (False, True):
        monkeypatch.setattr("edge.agent.clock._is_synchronised", lambda found=synchronised: found)
        assert system_clock("ntp") == ClockState(synchronised, "ntp")
    monkeypatch.setattr(time, "time_ns", lambda: 86_400 * 10**9)
    assert not system_clock("system").is_set


def test_the_kernel_can_be_asked() -> None:
    assert isinstance(system_clock("ntp").is_set, bool)


def test_a_kernel_that_may_not_be_asked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("edge.agent.clock._ask", lambda: (-1, None))
    for trust in get_args(Trust):
        ClockWatch(trust, tmp_path, b"k", said.append)
    (line,) = said
    assert "ProtectClock" in line


def test_the_offset_is_between_the_clocks() -> None:
    assert abs(time.time_ns() - time.monotonic_ns() - offset_ns()) < 10**9


def test_a_look_that_was_set_aside_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    lead_ns, looks, now_ns = 10**18, itertools.count(), 0

    def boottime_ns() -> int:
        nonlocal now_ns
        now_ns += 60_000_000 if next(looks) == 1 else 2_000
        return now_ns

    monkeypatch.setattr("edge.agent.clock.boottime_ns", boottime_ns)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + lead_ns)
    assert abs(offset_ns() - lead_ns) <= 2_000


def test_offsets_are_remembered_for_the_newest_kernel_boots(tmp_path: Path) -> None:
    assert load_offsets(tmp_path) == {}
    for boot in range(10):
        save_offset(tmp_path, bytes([boot]), boot * 10)
    assert load_offsets(tmp_path) == {bytes([boot]): boot * 10 for boot in range(2, 10)}
    (tmp_path / "clocks").write_bytes(b"\xff damaged")
    assert load_offsets(tmp_path) == {}
