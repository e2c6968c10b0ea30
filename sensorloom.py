"""sensorloom's front door: the `sensorloom` command, and what an ML engineer imports.

>>> import sensorloom
>>> dataset = sensorloom.open("pump-states")
>>> X, y, groups = dataset.arrays()
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ingest.errors import MissingLibraryError, SensorloomError, UsageError
from ingest.settings import suggest

if TYPE_CHECKING:
    from windowing.dataset import Dataset

__version__: Final = "0.1.0"
__all__ = ["main", "open"]


class _Command(NamedTuple):
    module: str
    help: str


_COMMANDS: Final = {
    "demo": _Command("simulators.commands", "the whole live line for a while: virtual sensors to labelled shards"),
    "simulate": _Command("simulators.commands", "virtual sensors with known truth and chosen faults"),
    "agent": _Command("edge.commands", "read sensors and publish them: the edge agent"),
    "import": _Command("ingest.commands", "bring recordings or marks into a log"),
    "log": _Command("ingest.commands", "look into a log"),
    "rules": _Command("labeling.commands", "check and test event rules"),
    "window": _Command("windowing.commands", "cut a log's streams into windows: the windowing service"),
    "dataset": _Command("windowing.commands", "see and check a dataset"),
}


def open(path: str | Path, *, damaged: Literal["raise", "skip"] = "raise") -> Dataset:
    """Open a dataset folder at its newest cut.

    `damaged="skip"` leaves out shards that are damaged, counted, where "raise" refuses to open.

    Raises:
        UsageError: there is no dataset.
        CorruptError: a file of it is damaged.
    """
    from windowing.dataset import open_dataset

    return open_dataset(path, damaged=damaged)


def _parser(module: str | None) -> argparse.ArgumentParser:
    """The command line's parser. A package is imported only when one of its commands is asked for."""
    parser = argparse.ArgumentParser(
        prog="sensorloom",
        description="Live sensor streams in, labelled training windows out, exactly once.",
        epilog="example: sensorloom demo",
    )
    parser.add_argument("--version", action="version", version=f"sensorloom {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    if module is not None:
        import_module(module).register(subparsers)
        return parser
    for name, command in _COMMANDS.items():
        subparsers.add_parser(name, help=command.help)
    return parser


def _run(argv: Sequence[str]) -> int:
    name = next((word for word in argv if not word.startswith("-")), "")
    if name and name not in _COMMANDS:
        raise UsageError(f'unknown command "{name}"{suggest(name, _COMMANDS)}')
    module = _COMMANDS[name].module if name and argv[0] == name else None
    try:
        args = _parser(module).parse_args(argv)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f'the command "{name}"', error.name, "server") from None
    result: int = args.run(args)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 done, 1 failed, 2 wrong usage or configuration."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _run(words)
    except UsageError as error:
        print(f"sensorloom: {error}", file=sys.stderr)
        return 2
    except SensorloomError as error:
        print(f"sensorloom: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"sensorloom: {MissingLibraryError('this', error.name, 'server')}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away: `sensorloom log cat readings | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"sensorloom: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
