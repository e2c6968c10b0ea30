"""The windowing service, killed by SIGKILL right after the n-th `link()` and before its offset commit.

`python -m tests.integration.doomed_worker N window run ...`
"""

from __future__ import annotations

import os
import signal
import sys

import sensorloom
from ingest.engine import partition as work
from ingest.engine.partition import Partition, Seal
from ingest.engine.store import Store


def main() -> int:
    left = int(sys.argv[1])
    commit = work.commit

    async def doomed(store: Store, partition: Partition, seal: Seal) -> None:
        nonlocal left
        await commit(store, partition, seal)
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    work.commit = doomed
    return sensorloom.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
