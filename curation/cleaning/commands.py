"""`sensorloom dataset flags` and `label-errors`. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curation.cleaning.flags import Flags


def register(actions: Any) -> None:
    """Add the action."""
    action = actions.add_parser(
        "flags",
        help="which windows have values that no sensor should say, by rule",
        description="Look at every window by rules: duplicate, flat, stuck, out_of_range, outlier, clipped, spike, "
        "clock_unsure. Nothing is taken out. Ends with 1 where a rule found something.",
        epilog="example: sensorloom dataset flags site/dataset --range motor.temp=-20..150 --max-clock 10ms",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("--range", dest="ranges", action="append", default=[], metavar="CHANNEL=LOW..HIGH",
        help="what a channel's values can be, in its unit; may be given again")  # fmt: skip
    add("--max-clock", metavar="DURATION", help="the largest uncertainty of a sample's time, as in 10ms")
    add("--source", metavar="LOG", help="where clocks are read: the log's URL or folder, where it is not beside")
    add("--rule", metavar="RULE", help="list the windows of this rule, a line each")
    add("--out", metavar="FILE", help="write every flag to a Parquet file")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_flags)
    action = actions.add_parser(
        "label-errors",
        help="windows whose label is likely wrong, the likeliest first",
        description="Rank labels by confident learning: a small model says of each window, which it was not trained "
        "on, how likely each label is. Nothing is changed: correct the marks in the timeline. Ends with 1 where some "
        "are suspected.",
        epilog="example: sensorloom dataset label-errors site/dataset --out errors.parquet",
    )
    add = action.add_argument
    add("path", metavar="DATASET", help="the dataset's folder")
    add("--seed", type=int, default=0, metavar="N", help="of the folds and the model (0)")
    add("--show", type=int, default=20, metavar="N", help="so many are listed (20)")
    add("--out", metavar="FILE", help="write the whole ranking to a Parquet file")
    add("--json", action="store_true", help="print one JSON object")
    action.set_defaults(run=run_label_errors)


def run_flags(args: argparse.Namespace) -> int:
    """`sensorloom dataset flags`; 1 where a window is flagged."""
    import msgspec

    from curation.cleaning.flags import flags_of
    from ingest.units import parse_duration
    from preparing.cleaning import Bounds
    from windowing.dataset.reader import open_dataset

    dataset = open_dataset(args.path)
    max_clock = None if args.max_clock is None else parse_duration(args.max_clock)
    found = flags_of(dataset, Bounds(ranges=dict(map(_range, args.ranges))), max_clock=max_clock, source=args.source)
    if args.rule is not None:
        found.places(args.rule)
    if args.out is not None:
        found.table.write_parquet(args.out)
    if args.json:
        shown = {
            "windows": len(dataset),
            "flagged": len(found.places()),
            "by_rule": found.windows_by_rule(),
            "not_asked": found.skipped,
        }
        print(msgspec.json.encode(shown).decode())
    else:
        print("\n".join(_of_rule(found, args.rule) if args.rule else _by_rule(found)))
    return 1 if len(found.table) else 0


def run_label_errors(args: argparse.Namespace) -> int:
    """`sensorloom dataset label-errors`; 1 where a label is suspected."""
    import msgspec
    import polars as pl

    from curation.cleaning.suspects import label_errors
    from ingest.units import exact_time
    from windowing.dataset.reader import open_dataset

    found = label_errors(open_dataset(args.path), seed=args.seed).table
    suspected = found.filter(pl.col("suspected"))
    if args.out is not None:
        found.write_parquet(args.out)
    shown = suspected.head(args.show).to_dicts()
    if args.json:
        counts = {"windows": len(found), "suspected": len(suspected), "likeliest": shown}
        print(msgspec.json.encode(counts).decode())
    else:
        for row in shown:
            when = f"{row['device']}  {row['recording']}  {exact_time(row['t0_ns'])}"
            print(f"{row['window']}  {when}  {row['label']}, likely {row['likely']}  {row['score']:.2f}")
        print(f"{len(suspected):,} of {len(found):,} labels are suspected; none was changed")
    return 1 if len(suspected) else 0


def _range(text: str) -> tuple[str, tuple[float, float]]:
    from ingest.errors import UsageError

    channel, _, span = text.partition("=")
    low, _, high = span.partition("..")
    try:
        return channel, (float(low), float(high))
    except ValueError:
        raise UsageError(f'--range: found "{text}", expected CHANNEL=LOW..HIGH, as in motor.temp=-20..150') from None


def _by_rule(found: Flags) -> list[str]:
    """A line a rule: its windows, in which channels, and what it finds."""
    import polars as pl

    from preparing.cleaning import RULES

    by_channel = found.table.group_by("rule", "channel").agg(pl.col("place").n_unique()).sort("rule", "channel")
    channels: dict[str, list[str]] = {}
    for rule, channel, count in by_channel.iter_rows():
        channels.setdefault(rule, []).append(f"{channel} {count:,}" if channel else "whole windows")
    lines = [f"{'rule':<13} {'windows':>9}  {'channels':<30}  what it finds"]
    for rule, count in found.windows_by_rule().items():
        lines.append(f"{rule:<13} {count:>9,}  {', '.join(channels.get(rule, ())):<30}  {RULES[rule]}")
    lines += [f"{rule:<13} {'-':>9}  not asked: {why}" for rule, why in found.skipped.items()]
    lines.append(f"{len(found.places()):,} of {len(found.dataset):,} windows are flagged; none was taken out")
    return lines


def _of_rule(found: Flags, rule: str) -> list[str]:
    import polars as pl

    from ingest.units import exact_time

    rows = found.table.filter(pl.col("rule") == rule).select(
        "window", "device", "recording", "t0_ns", "channel", "steps"
    )
    return [
        f"{window}  {device}  {recording}  {exact_time(t0_ns)}  {channel or 'all'}  {steps} steps"
        for window, device, recording, t0_ns, channel, steps in rows.iter_rows()
    ]
