"""Runs in the guest, as root: its scripts, one after the other, in a Python that has imported what they need.

Everything starts slowly there: an agent of a script's is a fork of this process, and begins at its command line.
"""

from __future__ import annotations

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
MODULES: Final = (
    *("edge.commands", "edge.agent.agent", "edge.agent.service", "edge.agent.terminal", "edge.agent.remote.kept"),
    *(f"edge.sources.{name}.source" for name in ("exec", "gpio", "hwmon", "i2c", "iio", "serial")),
    *("edge.sources.i2c.reader", "edge.decoders.csv.decoder", "ingest.log.segments"),
    *("service.commands", "service.run", "service.checking", "service.report", "service.site", "polars"),
    *(
        "email.parser",
        "encodings.ascii",
        "encodings.unicode_escape",
        "sysconfig",
        "zoneinfo",
        "numpy.ma",
        "polars._utils.parquet",
    ),
    *(f"tests.kernel.{path.stem}" for path in sorted(Path(__file__).parent.glob("guest_*.py"))),
)
"""What the scripts, their agents and a windowing worker import, some of it as they run."""


def prepare() -> None:
    """Import it all, in the guest that is kept."""
    for module in MODULES:
        import_module(module)


def main(out: Path, names: list[str]) -> None:
    """Run the scripts of these names, each with a folder of its own. One that fails leaves the others alone."""
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
