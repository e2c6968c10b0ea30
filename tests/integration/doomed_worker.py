"""The windowing service, killed by SIGKILL right after the n-th `link()` and before its offset commit.

`python -m tests.integration.doomed_worker N window run ...`
"""

from __future__ import annotations

import os
import signal
import sys

import wavemark
from ingest.engine import partition as work
from ingest.engine.partition import Partition, Seal


def main() -> int:
    left = int(sys.argv[1])
    move_on = work.move_on

    def doomed(partition: Partition, seal: Seal) -> tuple[str, ...]:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return move_on(partition, seal)

    work.move_on = doomed
    return wavemark.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
