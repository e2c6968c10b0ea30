"""The windowing service, killed by SIGKILL right after the n-th `link()` and before its offset commit."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import sensorloom
from ingest.engine import partition as work
from ingest.engine.partition import Partition, Seal
from ingest.engine.store import Store


def main(words: Sequence[str]) -> int:
    """`N window run ...`, in a process of its own."""
    left = int(words[0])
    commit = work.commit

    async def doomed(store: Store, partition: Partition, seal: Seal) -> None:
        nonlocal left
        await commit(store, partition, seal)
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    work.commit = doomed
    return sensorloom.main(words[1:])
