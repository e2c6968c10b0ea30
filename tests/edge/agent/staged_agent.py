"""The command `sensorloom` on a machine that a test sets up: the kernel says that its clock is synchronised once there
is a file `synchronised` in the folder STAGE, and a Kafka that was never reached is given up for now after a second.

`python -m tests.edge.agent.staged_agent STAGE agent run -c agent.toml`
"""

from __future__ import annotations

import sys
from pathlib import Path

import edge.agent.clock
import ingest.log.kafka.cluster
import sensorloom

if __name__ == "__main__":
    flag = Path(sys.argv[1]) / "synchronised"
    edge.agent.clock._is_synchronised = flag.exists
    ingest.log.kafka.cluster.FIRST_CONTACT_S = 1.0  # type: ignore[misc]
    sys.exit(sensorloom.main(sys.argv[2:]))
