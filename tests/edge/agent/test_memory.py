from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from edge.agent import memory
from edge.agent.memory import give_back, use_one_heap

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


RESIDENT = """
import asyncio, ctypes, sys
from edge.agent import memory
memory.GIVE_BACK_S = 0.01
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
def resident_kb():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
blocks = [libc.malloc(60_000) for _ in range(500)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for block in blocks[:-1]:  # the last one keeps the heap's end where it is
    libc.free(block)
before = resident_kb()
async def main():
    giving = asyncio.create_task(memory.give_back())
    await asyncio.sleep(1 if sys.argv[1] == "give" else 0)
    giving.cancel()
asyncio.run(main())
print(before - resident_kb())
"""


def given_back_kb(word: str) -> int:
    done = subprocess.run([sys.executable, "-c", RESIDENT, word], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_what_is_free_in_the_heap_is_given_back() -> None:
    assert given_back_kb("give") > 20_000
    assert given_back_kb("keep") < 5_000


def test_a_c_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(give_back(), 0.1)

    monkeypatch.setattr(memory, "GIVE_BACK_S", 0.001)
    monkeypatch.setattr("edge.agent.memory.ctypes.CDLL", lambda name: object())
    asyncio.run(main())
