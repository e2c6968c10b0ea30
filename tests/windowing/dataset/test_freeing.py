"""Freed memory goes back to the operating system, where the C library knows how."""

from __future__ import annotations

import ctypes
import os

import pytest

from tests.support.processes import resident_mb
from windowing.dataset.freeing import return_freed

_MANY, _BYTES = 1000, 50_000


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
def test_what_was_freed_between_what_is_held_goes_back() -> None:
    blocks = [bytearray(b"x" * _BYTES) for _ in range(_MANY)]
    held = blocks[::50]
    del blocks
    before = resident_mb(os.getpid())
    return_freed()
    assert resident_mb(os.getpid()) < before - 0.5 * _MANY * _BYTES / 1e6
    assert len(held) == _MANY // 50


def test_other_c_libraries_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    return_freed()
