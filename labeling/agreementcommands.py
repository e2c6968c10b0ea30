"""`sensorloom marks agreement`. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from ingest.commands import add_command, add_log, to_json, with_log
from ingest.errors import UsageError
from ingest.showing import printable
from labeling.logbook import read_book

if TYPE_CHECKING:
    from ingest.log.protocol import Log
    from labeling.agreement import Ratings
    from labeling.dawidskene import Consensus
    from labeling.marks import ResolvedMark

_EXAMPLE: Final = """\
example:
  sensorloom marks agreement --device pump-7 --log segments:log

Time decides, not the number of marks: between two edges of anybody's marks each
annotator has one label, or none. kappa (Cohen) and alpha (Krippendorff) are 1
where all agree and 0 where they agree as often as by chance; the overlap of a
label is what both marked of what either did. With three annotators or more, how
often each is likely right is estimated from what all of them said (Dawid and
Skene). Somebody is taken to have looked from their first mark at a device to
the end of their last one.
"""
_ENOUGH: Final = 3
"""So many annotators are needed to tell who is right."""


def register_agreement(actions: Any) -> None:
    """Add the command to those of `marks`."""
    parser = add_command(actions, "agreement", "how far those who mark agree", _EXAMPLE)
    parser.add_argument("--device", help="only of this device's marks")
    parser.add_argument("--rules", action="store_true", help="rules are annotators, too")
    parser.add_argument("--background", action="store_true", help="what one looked at and did not mark is a label, too")
    add_log(parser, "look into", creates=False)
    parser.set_defaults(run=run_agreement)


def run_agreement(args: argparse.Namespace) -> int:
    """`sensorloom marks agreement`; 1 where nobody has marked what another one did."""
    from labeling.agreement import krippendorff_alpha, overlaps, pairs, ratings_of
    from labeling.dawidskene import dawid_skene

    async def work(log: Log) -> list[ResolvedMark]:
        return list((await read_book(log)).standing().values())

    marks = [
        mark
        for mark in with_log(args, work)
        if (args.rules or mark.by_person) and (args.device is None or mark.device == args.device)
    ]
    ratings = ratings_of(marks, background=args.background)
    if len(ratings.annotators) < 2:
        raise UsageError(
            f"found ranges marked by {', '.join(ratings.annotators) or 'nobody'}: two who mark the same are needed"
            + ("" if args.rules else "; --rules counts rules as annotators")
        )
    met = [pair for pair in pairs(ratings) if pair.seconds]
    alpha = krippendorff_alpha(ratings.table, ratings.weights)
    consensus = None
    if len(ratings.annotators) >= _ENOUGH:
        consensus = dawid_skene(ratings.table, len(ratings.labels), ratings.weights)
    if args.json:
        right = {} if consensus is None else dict(zip(ratings.annotators, consensus.accuracy.tolist(), strict=True))
        shown = {
            "alpha": _number(alpha),
            "pairs": [pair._asdict() | {"kappa": _number(pair.kappa)} for pair in met],
            "labels": [overlap._asdict() for overlap in overlaps(ratings)],
            "likely_right": right,
        }
        print(to_json(shown))
    else:
        for line in _lines(ratings, consensus, alpha):
            print(line)
    return int(not met)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _lines(ratings: Ratings, consensus: Consensus | None, alpha: float) -> Iterator[str]:
    from labeling.agreement import overlaps, pairs

    names = {name: printable(name) for name in ratings.annotators}
    met = [pair for pair in pairs(ratings) if pair.seconds]
    if not met:
        yield "nobody has marked what another one did"
        return
    rows = [
        (f"{names[pair.one]}, {names[pair.other]}", _span(pair.seconds), f"{pair.share:.1%}", _shown(pair.kappa))
        for pair in met
    ]
    yield from _table(("annotators", "both marked", "agree", "kappa"), rows)
    yield f"alpha of all {_shown(alpha)}"
    yield ""
    worst = sorted(overlaps(ratings), key=lambda overlap: overlap.share)
    yield from _table(
        ("label", "annotators", "overlap"),
        [
            (printable(each.label) or "(no mark)", f"{names[each.one]}, {names[each.other]}", f"{each.share:.1%}")
            for each in worst
        ],
    )
    if consensus is not None:
        yield ""
        right = zip(ratings.annotators, consensus.accuracy.tolist(), strict=True)
        yield from _table(("annotator", "likely right"), [(names[name], f"{share:.1%}") for name, share in right])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
