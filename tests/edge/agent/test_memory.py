from __future__ import annotations

import subprocess
import sys

import pytest

from edge.agent.memory import use_one_heap

HEAPS = """
import ctypes, re, sys, threading
from edge.agent.memory import use_one_heap
if sys.argv[1] == "one":
    use_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fdopen.restype = ctypes.c_void_p, ctypes.c_void_p
libc.fdopen.argtypes, libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_char_p), (ctypes.c_int, ctypes.c_void_p)
over = threading.Barrier(5)
threads = [threading.Thread(target=lambda: (libc.malloc(5000), over.wait())) for _ in range(4)]
for thread in threads:
    thread.start()
over.wait()
sys.stdout.flush()
libc.malloc_info(0, libc.fdopen(1, b"w"))
libc.fflush(None)
"""


def heaps(word: str) -> int:
    done = subprocess.run([sys.executable, "-c", HEAPS, word], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


def test_threads_share_one_heap() -> None:
    assert heaps("one") == 1
    assert heaps("many") > 1, "on this C library there is nothing to do"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Musl:
        def __init__(self, name: object) -> None:
            assert name is None

    monkeypatch.setattr("edge.agent.memory.ctypes.CDLL", Musl)
    use_one_heap()
