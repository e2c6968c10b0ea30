"""Runs in the guest, as root: its scripts, one after the other, in a Python that has imported an agent's modules once.

Everything starts slowly there: an agent of a script's is a fork of this process, and begins at its command line.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.kernel.inside import spent

OUT: Final = "/run/out"
"""Where the host finds what is written."""
DONE: Final = "done"
SAID: Final = "said"
AGENT: Final = (
    "edge.commands",
    "edge.agent.agent",
    "edge.agent.service",
    "edge.agent.terminal",
    "edge.agent.remote.kept",
)
"""What every agent imports, beside its sources and its log."""


def main(out: Path, names: list[str]) -> None:
    """Run the scripts of these names, each with a folder of its own. One that fails leaves the others alone."""
    for module in AGENT:
        import_module(module)
    gc.freeze()
    for name in names:
        own = out / name
        with (own / SAID).open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            import_module(f"tests.kernel.guest_{name}").main(own)
            (own / DONE).touch()
        except SystemExit as exit:
            print(exit, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        print(f"{spent()}: {name} has ended")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
