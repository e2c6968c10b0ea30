"""`python -m tests.sim SEED`: one run again, with all that happened in it."""

from __future__ import annotations

import sys

from tests.sim.storm import storm


def main(seed: int) -> int:
    try:
        world = storm(seed)
    except BaseException as error:
        print("\n".join(getattr(error, "journal", [])))
        raise
    print("\n".join(world.journal))
    print(f"seed {seed}: right; {world.seals} seals, {world.disk.power_cuts} power cuts, {world.started} processes")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
