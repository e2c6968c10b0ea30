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
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ingest.commandline import Parser, complaint
from ingest.errors import (
    CorruptError,
    CorruptLogError,
    FencedError,
    LogConfigError,
    LogUnavailableError,
    MissingLibraryError,
    PermanentError,
    RecordTooLargeError,
    ReplacedLogError,
    SensorloomError,
    StateVersionError,
    StoreFullError,
    StoreUnavailableError,
    TransientError,
    TruncatedLogError,
    UsageError,
    WireError,
)
from ingest.settings import suggest

if TYPE_CHECKING:
    from curation.adapters.pytorch import torch_batches as torch_batches
    from curation.adapters.pytorch import torch_windows as torch_windows
    from curation.adapters.source import WindowSource as WindowSource
    from curation.adapters.tensorflow import tf_dataset as tf_dataset
    from curation.cleaning.flags import Flags as Flags
    from curation.cleaning.flags import flags_of as flags_of
    from curation.cleaning.suspects import LabelErrors as LabelErrors
    from curation.cleaning.suspects import label_errors as label_errors
    from edge.errors import SourceFailedError as SourceFailedError
    from edge.errors import SourceUnavailableError as SourceUnavailableError
    from edge.errors import SpoolBusyError as SpoolBusyError
    from edge.errors import SpoolFormatError as SpoolFormatError
    from edge.errors import UnwrittenError as UnwrittenError
    from labeling.rules.errors import RuleError as RuleError
    from preparing.augmenting import Augmentation as Augmentation
    from preparing.balancing import class_weights as class_weights
    from preparing.balancing import over_sampled as over_sampled
    from preparing.balancing import under_sampled as under_sampled
    from preparing.cleaning import Bounds as Bounds
    from preparing.encoding import Encoder as Encoder
    from preparing.encoding import fit_encoder as fit_encoder
    from preparing.features import features as features
    from preparing.imputing import Imputer as Imputer
    from preparing.imputing import imputer as imputer
    from preparing.imputing import mask_of as mask_of
    from preparing.scaling import Scaler as Scaler
    from preparing.scaling import fit_scaler as fit_scaler
    from preparing.transforms import Cropping as Cropping
    from preparing.transforms import Jitter as Jitter
    from preparing.transforms import MagnitudeWarp as MagnitudeWarp
    from preparing.transforms import Mixing as Mixing
    from preparing.transforms import Permutation as Permutation
    from preparing.transforms import Rotation as Rotation
    from preparing.transforms import Scaling as Scaling
    from preparing.transforms import TimeWarp as TimeWarp
    from windowing.dataset.answers import Arrays as Arrays
    from windowing.dataset.answers import Batch as Batch
    from windowing.dataset.answers import Series as Series
    from windowing.dataset.answers import StreamArrays as StreamArrays
    from windowing.dataset.answers import Window as Window
    from windowing.dataset.dividing import Leak as Leak
    from windowing.dataset.dividing import Split as Split
    from windowing.dataset.forecasting import Regression as Regression
    from windowing.dataset.leaks import Nearness as Nearness
    from windowing.dataset.lineage import Explanation as Explanation
    from windowing.dataset.reader import Dataset as Dataset

__version__: Final = "0.1.0"
_NOT_FOR_OTHERS: Final = 0o027
"""What a command takes away, besides what its user's umask does: files are 0640, folders 0750, whoever makes them."""
__all__ = [
    "Arrays",
    "Augmentation",
    "Batch",
    "Bounds",
    "CorruptError",
    "CorruptLogError",
    "Cropping",
    "Dataset",
    "Encoder",
    "Explanation",
    "FencedError",
    "Flags",
    "Imputer",
    "Jitter",
    "LabelErrors",
    "Leak",
    "LogConfigError",
    "LogUnavailableError",
    "MagnitudeWarp",
    "MissingLibraryError",
    "Mixing",
    "Nearness",
    "PermanentError",
    "Permutation",
    "RecordTooLargeError",
    "Regression",
    "ReplacedLogError",
    "Rotation",
    "RuleError",
    "Scaler",
    "Scaling",
    "SensorloomError",
    "Series",
    "SourceFailedError",
    "SourceUnavailableError",
    "Split",
    "SpoolBusyError",
    "SpoolFormatError",
    "StateVersionError",
    "StoreFullError",
    "StoreUnavailableError",
    "StreamArrays",
    "TimeWarp",
    "TransientError",
    "TruncatedLogError",
    "UnwrittenError",
    "UsageError",
    "Window",
    "WindowSource",
    "WireError",
    "__version__",
    "class_weights",
    "features",
    "fit_encoder",
    "fit_scaler",
    "flags_of",
    "imputer",
    "label_errors",
    "main",
    "mask_of",
    "open",
    "over_sampled",
    "tf_dataset",
    "torch_batches",
    "torch_windows",
    "under_sampled",
]
_ELSEWHERE: Final = {
    "Arrays": "windowing.dataset.answers",
    "Augmentation": "preparing.augmenting",
    "Batch": "windowing.dataset.answers",
    "Bounds": "preparing.cleaning",
    "Cropping": "preparing.transforms",
    "Dataset": "windowing.dataset.reader",
    "Encoder": "preparing.encoding",
    "Explanation": "windowing.dataset.lineage",
    "Flags": "curation.cleaning.flags",
    "Imputer": "preparing.imputing",
    "Jitter": "preparing.transforms",
    "LabelErrors": "curation.cleaning.suspects",
    "Leak": "windowing.dataset.dividing",
    "MagnitudeWarp": "preparing.transforms",
    "Mixing": "preparing.transforms",
    "Nearness": "windowing.dataset.leaks",
    "Permutation": "preparing.transforms",
    "Regression": "windowing.dataset.forecasting",
    "Rotation": "preparing.transforms",
    "RuleError": "labeling.rules.errors",
    "Scaler": "preparing.scaling",
    "Scaling": "preparing.transforms",
    "Series": "windowing.dataset.answers",
    "SourceFailedError": "edge.errors",
    "SourceUnavailableError": "edge.errors",
    "Split": "windowing.dataset.dividing",
    "SpoolBusyError": "edge.errors",
    "SpoolFormatError": "edge.errors",
    "StreamArrays": "windowing.dataset.answers",
    "TimeWarp": "preparing.transforms",
    "UnwrittenError": "edge.errors",
    "Window": "windowing.dataset.answers",
    "WindowSource": "curation.adapters.source",
    "class_weights": "preparing.balancing",
    "features": "preparing.features",
    "fit_encoder": "preparing.encoding",
    "fit_scaler": "preparing.scaling",
    "flags_of": "curation.cleaning.flags",
    "imputer": "preparing.imputing",
    "label_errors": "curation.cleaning.suspects",
    "mask_of": "preparing.imputing",
    "over_sampled": "preparing.balancing",
    "tf_dataset": "curation.adapters.tensorflow",
    "torch_batches": "curation.adapters.pytorch",
    "torch_windows": "curation.adapters.pytorch",
    "under_sampled": "preparing.balancing",
}
"""What is imported when somebody asks for it: its module needs more libraries than `import sensorloom` should."""


def __getattr__(name: str) -> Any:
    module = _ELSEWHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Command(NamedTuple):
    module: str
    help: str


_COMMANDS: Final = {
    "demo": _Command("simulators.commands", "the whole live line for a while: virtual sensors to labelled shards"),
    "simulate": _Command("simulators.commands", "virtual sensors with known truth and chosen faults"),
    "agent": _Command("edge.commands", "read sensors and publish them: the edge agent"),
    "import": _Command("labeling.markcommands", "bring recordings or marks into a log"),
    "export": _Command("labeling.exporting.commands", "write recordings out of a log: MCAP, CSV, Parquet"),
    "log": _Command("ingest.commands", "look into a log"),
    "marks": _Command("labeling.markcommands", "see and correct marks: list, edit, retract, undo"),
    "label": _Command("timeline.commands", "the operators' timeline in the browser, and who may use it"),
    "rules": _Command("labeling.commands", "check and test event rules"),
    "window": _Command("service.commands", "cut a log's streams into windows: the windowing service"),
    "archive": _Command("service.archivecommands", "keep a log's records for good: as Parquet, beside the log"),
    "sink": _Command("sinks.commands", "carry a log on to other systems: InfluxDB"),
    "dataset": _Command("curation.commands", "see and check a dataset"),
    "status": _Command("service.sitecommands", "how a site is: silent devices, lag, the last hour, the disk"),
    "backup": _Command(
        "service.sitecommands", "copy a site that may be at work: what was made of its log, then the log"
    ),
    "completion": _Command("", "print what makes a shell complete these commands"),
}
_FOR_WANT_OF_MEMORY: Final = ("can't start new thread", "failed to map segment", "cannot allocate memory")
"""In what threads and libraries raise that do not fit."""
_NO_MEMORY: Final = (
    "out of memory: the system gives this process no more memory, or no more threads; allow it more (ulimit -v, "
    "ulimit -u, MemoryMax= and TasksMax= of a systemd unit), or share the work among several. What was done is kept"
)
_SHELLS: Final = ("bash", "zsh", "tcsh")


def open(
    path: str | Path | Sequence[str | Path],
    *,
    damaged: Literal["raise", "skip"] = "raise",
    rules: str | None = None,
    version: str | None = None,
    split: str | None = None,
) -> Dataset:
    """Open a dataset folder at its newest cut; several, an old one and those that went on where it ended, as one.

    `version="1.3.0"`, or "latest", opens one as it was at that version, however it has grown since; `split="train"`
    gives one part of it, as the version keeps them.

    `damaged="skip"` leaves out shards that are damaged, counted, where "raise" refuses to open. Labels count the marks
    of people and of the rules that the last run named; `rules` counts those of an earlier revision instead, or "none"
    or "all" of them.

    Raises:
        UsageError: there is no dataset, or several hold other windows; there is no such version, or no such part.
        CorruptError: a file is damaged or missing, or a window is in two datasets.
    """
    from windowing.dataset.reader import open_dataset

    return open_dataset(path, damaged=damaged, rules=rules, version=version, split=split)


def _parser(modules: Sequence[str]) -> argparse.ArgumentParser:
    """The command line's parser. A package is imported only when one of its commands is asked for."""
    parser = Parser(
        prog="sensorloom",
        description="Live sensor streams in, labelled training windows out, exactly once.",
        epilog="Exit codes: 0 done, 1 failed (it may be tried again), 2 wrong usage or configuration. "
        "example: sensorloom demo",
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"sensorloom {__version__}", help="print the version, and end"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in modules:
        import_module(module).register(subparsers)
    for name, command in _COMMANDS.items():
        if name == "completion":
            _register_completion(subparsers)
        elif not modules:
            subparsers.add_parser(name, help=command.help)
    return parser


def _register_completion(subparsers: Any) -> None:
    completion = subparsers.add_parser(
        "completion",
        help=_COMMANDS["completion"].help,
        description="Print what makes a shell complete these commands, their options and files.",
        epilog='example: eval "$(sensorloom completion bash)"',
    )
    completion.add_argument("shell", choices=_SHELLS, metavar="SHELL", help=", ".join(_SHELLS))
    completion.set_defaults(run=_complete)


def _complete(args: argparse.Namespace) -> int:
    """Print the completion of all commands whose libraries are there."""
    import shtab

    usable = []
    for module in dict.fromkeys(command.module for command in _COMMANDS.values() if command.module):
        try:
            import_module(module)
        except ModuleNotFoundError:
            continue
        usable.append(module)
    print(shtab.complete(_parser(usable), args.shell))
    return 0


def _run(argv: Sequence[str]) -> int:
    if not argv:
        _parser(()).print_help()
        return 0
    name = next((word for word in argv if not word.startswith("-")), "")
    if name and name not in _COMMANDS:
        raise UsageError(f'unknown command "{name}"{suggest(name, _COMMANDS)}')
    module = _COMMANDS[name].module if name and argv[0] == name else ""
    try:
        args = _parser((module,) if module else ()).parse_args(argv)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f'the command "{name}"', error.name, "server") from None
    result: int = args.run(args)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code: 0 done, 1 failed (it may be tried again), 2 wrong usage or configuration."""
    words = sys.argv[1:] if argv is None else argv
    before = os.umask(0)
    os.umask(before | _NOT_FOR_OTHERS)
    try:
        return _run(words)
    except (UsageError, LogConfigError, ReplacedLogError, StateVersionError) as error:
        _complain(str(error))
        return 2
    except SensorloomError as error:
        _complain(str(error))
        return 1
    except ModuleNotFoundError as error:
        _complain(str(MissingLibraryError("this", error.name, "server")))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output went away: `sensorloom log cat readings | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _complain(f"{error.filename or 'system'}: {error.strerror or error}")
        return 1
    except MemoryError:
        _complain(_NO_MEMORY)
        return 1
    except (RuntimeError, ImportError) as error:
        if not any(words in str(error) for words in _FOR_WANT_OF_MEMORY):
            raise
        _complain(_NO_MEMORY)
        return 1
    finally:
        os.umask(before)


def _complain(text: str) -> None:
    print(complaint(f"sensorloom: {text}"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
