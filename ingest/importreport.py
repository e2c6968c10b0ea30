"""What `sensorloom import readings` says of many files, and of what would become of them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from ingest.commandline import complaint
from ingest.commands import print_table, report, to_json
from ingest.errors import UsageError
from ingest.showing import printable
from ingest.units import format_time

if TYPE_CHECKING:
    from ingest.importers.batch import BatchSummary

_NOTES_MAX: Final = 20


def print_look(seen: dict[str, Any]) -> None:
    """Print what `ingest.importers.looking.look` saw."""
    print(
        printable(
            f"{seen['file']}: stream {seen['stream']},"
            + (f" separator {seen['separator']}," if seen["separator"] else "")
        ),
        end=" ",
    )
    rate = "-" if seen["rate_hz"] is None else f"{seen['rate_hz']:g} Hz"
    print(printable(f"rate {rate}, {', '.join(f'{name} in {unit}' for name, unit in seen['channels'].items())}"))
    rows = [
        {name: f"{value:g}" if isinstance(value, float) else value for name, value in row.items() if name != "labels"}
        | {"labels": ", ".join(row["labels"]) or "-"}
        for row in seen["rows"]
    ]
    print_table(rows)
    for doubt in seen["doubts"]:
        print(printable(f"doubt: {doubt}"))
    print()


def tell(args: argparse.Namespace, summary: BatchSummary, more: dict[str, Any]) -> int:
    """Report; 1 where a file did not come in, and an error where none did."""
    if summary.failed and len(summary.failed) == summary.files:
        raise UsageError(summary.failed[0]["reason"])
    for failed in summary.failed:
        print(complaint(f"not imported: {_of(failed['file'], failed['reason'])}"), file=sys.stderr)
    for note in summary.notes[:_NOTES_MAX]:
        print(complaint(note), file=sys.stderr)
    if len(summary.notes) > _NOTES_MAX:
        print(f"and {len(summary.notes) - _NOTES_MAX} notes more: --json has all", file=sys.stderr)
    told = summary.as_dict() | more
    if args.json:
        print(to_json(told))
    else:
        short = {name: value for name, value in told.items() if name not in ("notes", "first", "signals")}
        report(short | {"failed": len(summary.failed), "recordings": _few(told["recordings"])}, as_json=False)
    return 1 if summary.failed else 0


def _of(path: str, reason: str) -> str:
    return reason if path in reason else f"{path}: {reason}"


def _few(recordings: list[dict[str, Any]]) -> str:
    """The first and the last recording, and how many there are."""
    names = {(it["device"], it["recording"]): it["start_ns"] for it in recordings}
    shown = [f"{name} of {device} from {format_time(start)}" for (device, name), start in names.items()]
    return f"{len(shown):,}" + (f": {shown[0]}" if shown else "") + (f" … {shown[-1]}" if len(shown) > 1 else "")
