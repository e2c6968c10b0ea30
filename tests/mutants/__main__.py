"""Run the mutants: `python -m tests.mutants [word …]`, those whose name or file has one of the words.

A line for each: killed, SURVIVED, or STALE (its code is not there any more). Exit code 1 where one is not killed.
"""

from __future__ import annotations

import queue
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.mutants.agent import AGENT
from tests.mutants.engine import ENGINE
from tests.mutants.harness import FAILED, MORE_S, Copy, Mutant, StaleMutantError
from tests.mutants.rules import RULES
from tests.mutants.segments import SEGMENTS
from tests.mutants.sources import SOURCES
from tests.mutants.states import STATES
from tests.mutants.windows import WINDOWS

WORKERS: Final = 2
EVERY: Final = (*SOURCES, *AGENT, *SEGMENTS, *ENGINE, *RULES, *WINDOWS, *STATES)


def verdict(copy: Copy, mutant: Mutant, limit_s: float) -> str:
    """What became of it."""
    try:
        with copy.holding(mutant):
            code, said = copy.test(mutant.tests, limit_s)
    except StaleMutantError as error:
        return f"STALE: {error}"
    if code == FAILED:
        return "killed"
    return "SURVIVED" if code == 0 else f"BROKEN: pytest ended with {code}: {said}"


def main(words: Sequence[str]) -> int:
    """Judge them; 2 where none is named so, or the tests fail without any mutant."""
    chosen = [each for each in EVERY if not words or any(word in each.name + each.file for word in words)]
    if not chosen:
        print(f"no mutant is named like {', '.join(words)}", file=sys.stderr)
        return 2
    left: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in chosen:
        left.put(mutant)
    verdicts: dict[Mutant, str] = {}
    with tempfile.TemporaryDirectory(prefix="sensorloom-mutants-") as name:
        copies = [Copy(Path(name) / str(number)) for number in range(WORKERS)]
        tests = " ".join(dict.fromkeys(word for each in chosen for word in each.tests.split()))
        begin = time.monotonic()
        code, said = copies[0].test(tests)
        limit_s = time.monotonic() - begin + MORE_S
        if code:
            print(f"the tests fail without a mutant:\n{said}", file=sys.stderr)
            return 2
        workers = [threading.Thread(target=_work, args=(copy, left, verdicts, limit_s)) for copy in copies]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    alive = [mutant for mutant in chosen if verdicts.get(mutant) != "killed"]
    print(
        f"{len(chosen)} mutants, {len(chosen) - len(alive)} killed", *(f"not killed: {m.name}" for m in alive), sep="\n"
    )
    return int(bool(alive))


def _work(copy: Copy, left: queue.SimpleQueue[Mutant], verdicts: dict[Mutant, str], limit_s: float) -> None:
    while True:
        try:
            mutant = left.get_nowait()
        except queue.Empty:
            return
        begin = time.monotonic()
        verdicts[mutant] = verdict(copy, mutant, limit_s)
        print(f"{verdicts[mutant]:<9} {time.monotonic() - begin:5.1f} s  {mutant.file}: {mutant.name}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
