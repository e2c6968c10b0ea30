"""The command `wavemark demo`."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULT_OUT: Final = Path("out/demo")
DEFAULT_SECONDS: Final = 1200.0


def register(subparsers: Subparsers) -> None:
    """Add the command to the front door's parser."""
    demo = subparsers.add_parser(
        "demo",
        help="simulated sensors to labelled shards, on the embedded log",
        description="Simulate accelerometers on pumps, with noise, near-misses and true events; import what they "
        "recorded, cut windows, label them, and say what came of it.",
        epilog="example: wavemark demo --out out/demo --seconds 120",
    )
    demo.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help=f"where everything goes; an interrupted demo goes on there (default: {DEFAULT_OUT}, or the next free "
        f"{DEFAULT_OUT}-2, -3 …)",
    )
    demo.add_argument(
        "--seconds", metavar="N", type=float, default=DEFAULT_SECONDS, help="length of each recording (default: 1200)"
    )
    demo.add_argument("--seed", metavar="N", type=int, default=1, help="other seed, other recordings (default: 1)")
    demo.add_argument("--log", metavar="URL", help="segments:DIR or kafka://host:9092 (default: segments:DIR/log)")
    demo.add_argument("--json", action="store_true", help="print the summary as JSON")
    demo.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when everything agrees, 1 when the dataset does not hold what was simulated."""
    from simulators.demo import run_demo
    from simulators.pumps import Scenario
    from simulators.report import show

    folder = args.out or _free(DEFAULT_OUT)
    scenario = Scenario.checked(args.seed, args.seconds)
    try:
        with _ended_by_signals():
            report = run_demo(folder, scenario, args.log or f"segments:{folder / 'log'}")
    except KeyboardInterrupt:
        words = ["--out", str(folder), "--seed", str(args.seed), "--seconds", f"{args.seconds:g}"]
        words += ["--log", args.log] if args.log else []
        print(f"wavemark: ended early, nothing is lost; go on with: wavemark demo {shlex.join(words)}", file=sys.stderr)
        raise
    if args.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report)
    return 1 if report.disagreements else 0


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Within the block, SIGTERM ends the work as Ctrl-C does, and both do so also where a shell had SIGINT ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free(wanted: Path) -> Path:
    """`wanted`, or the first of `wanted-2`, `wanted-3` … that does not exist: no earlier demo is touched."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder
