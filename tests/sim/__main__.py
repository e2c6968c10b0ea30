"""`python -m tests.sim SEED [WORKLOAD]`: one run again, with all that happened in it."""

from __future__ import annotations

import sys

from tests.sim.storm import TRUE, storm
from tests.sim.workloads import (
    ArchiveWork,
    IdleWork,
    KeptArchiveWork,
    MarksWork,
    RuleLikeWork,
    RulesWork,
    WindowsWork,
    Workload,
)

WORKLOADS: dict[str, type[Workload]] = {
    work.__name__: work
    for work in (RuleLikeWork, IdleWork, WindowsWork, RulesWork, MarksWork, ArchiveWork, KeptArchiveWork)
}


def main(seed: int, work: str = "RuleLikeWork") -> int:
    try:
        world = storm(seed, TRUE, WORKLOADS[work])
    except BaseException as error:
        print("\n".join(getattr(error, "journal", [])))
        raise
    print("\n".join(world.journal))
    print(f"seed {seed}: right; {world.seals} seals, {world.disk.power_cuts} power cuts, {world.started} processes")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
