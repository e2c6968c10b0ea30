"""`sensorloom marks list|trim|edit|retract|undo|agreement`. What a command needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ingest.commands import add_command, add_log, time_of_option, to_json, with_log
from ingest.errors import UsageError
from ingest.names import normal
from ingest.showing import counted, printable
from ingest.units import exact_time, format_time
from labeling.agreementcommands import register_agreement
from labeling.importing import register_import
from labeling.logbook import read_book
from labeling.words import in_words

if TYPE_CHECKING:
    from ingest.log.protocol import Log
    from ingest.records import Mark
    from labeling.changing import Book, Who
    from labeling.marks import ResolvedMark

_LIST_EXAMPLE: Final = """\
examples:
  sensorloom marks list --device pump-7 --from 2026-01-05T08:00Z \\
      --log segments:log
  sensorloom marks list --marked-by anna --json --log segments:log

A mark holds from its start up to its end, which is exclusive; an instant has equal ends.
"""
_TRIM_EXAMPLE: Final = """\
example:
  sensorloom marks trim pump-7 --from 2026-01-05T08:00Z --to 2026-01-05T08:05Z \\
      --author anna --reason "the belt was off" --log segments:log

Windows that touch the range leave every dataset of the log at its next opening, and are counted as `trim`. `marks edit`
moves its bounds, `marks retract` and `marks undo` bring the windows back. The end is exclusive.
"""
_EDIT_EXAMPLE: Final = """\
examples:
  sensorloom marks edit 5f3a91 --label run --author anna --reason mistaken \\
      --log segments:log
  sensorloom marks edit 5f3a91 --end 2026-01-05T08:02:00Z --author anna \\
      --log segments:log

An id may be shortened as long as it names one mark. The end is exclusive. The mark is its editor's from then on: a
rule's mark that a person has edited stands whatever becomes of the rule.
"""
_RETRACT_EXAMPLE: Final = """\
examples:
  sensorloom marks retract 5f3a91 --author anna --reason "the pump was off" \\
      --log segments:log
  sensorloom marks retract --device dev-O --marked-by anna --author anna \\
      --dry-run --log segments:log

A retract is of these marks: a rule that is corrected makes new ones. To overrule rules for good, mark the range: a
person's mark hides theirs.
"""
_UNDO_EXAMPLE: Final = """\
example:
  sensorloom marks undo --author anna --log segments:log

Takes back the author's last add, edit or retract that still holds: a mark that was added is retracted, one that was
edited or retracted is as it was before. Again, and the one before that is taken back.
"""
_SHOWN: Final = 10


def register(subparsers: Any) -> None:
    """Add the commands `marks` and `import`."""
    register_import(subparsers)
    marks = subparsers.add_parser(
        "marks", help="see and correct marks", epilog="example: sensorloom marks list --log segments:site/log"
    )
    actions = marks.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "show the marks that stand", _LIST_EXAMPLE)
    _add_selection(listing)
    listing.add_argument("--retracted", action="store_true", help="show those that were retracted instead")
    add_log(listing, "look into", creates=False)
    listing.set_defaults(run=run_list)
    trim = add_command(actions, "trim", "take a range of a device out of every dataset", _TRIM_EXAMPLE)
    trim.add_argument("device", metavar="DEVICE", help="whose windows")
    trim.add_argument("--from", dest="since", required=True, metavar="TIME", help="the range's first instant")
    trim.add_argument("--to", dest="until", required=True, metavar="TIME", help="where it ends, itself no longer in it")
    _add_who(trim)
    trim.set_defaults(run=run_trim)
    edit = add_command(actions, "edit", "change a mark", _EDIT_EXAMPLE)
    edit.add_argument("id", metavar="ID", help="the mark's id, or the beginning of it")
    edit.add_argument("--device", help="whose mark it is, where an id is of several")
    edit.add_argument("--start", metavar="TIME", help="its new start")
    edit.add_argument("--end", metavar="TIME", help="its new end, which is exclusive")
    edit.add_argument("--label", help="its new label")
    edit.add_argument("--confidence", metavar="SHARE", help="its new confidence, from 0 to 1")
    _add_who(edit)
    edit.set_defaults(run=run_edit)
    retract = add_command(actions, "retract", "take marks back", _RETRACT_EXAMPLE)
    retract.add_argument("ids", metavar="ID", nargs="*", help="a mark's id, or the beginning of it")
    _add_selection(retract)
    _add_who(retract)
    retract.set_defaults(run=run_retract)
    undo = add_command(actions, "undo", "take an author's last event back", _UNDO_EXAMPLE)
    undo.add_argument("--device", help="only of this device's marks")
    undo.add_argument("--count", type=int, default=1, metavar="N", help="so many of the last ones (1)")
    _add_who(undo)
    undo.set_defaults(run=run_undo)
    register_agreement(actions)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--device", help="of this device")
    add("--label", help="with this label")
    add("--marked-by", metavar="AUTHOR", help="whose they are: a person, or a rule file")
    add("--from", dest="since", metavar="TIME", help="that reach past this time")
    add("--to", dest="until", metavar="TIME", help="that start before this time")


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--author", required=True, metavar="NAME", help="who says so")
    parser.add_argument("--tool", default="operator", help="what it is said with: operator (default), button or import")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    add_log(parser, "write to", creates=False)


# What commands share.


def _who(args: argparse.Namespace) -> Who:
    from labeling.changing import TOOLS, Who

    if not args.author.strip():
        raise UsageError("--author: is empty; say who does it")
    if args.tool not in TOOLS:
        raise UsageError(f'--tool: found "{args.tool}"; people use {", ".join(TOOLS)}')
    return Who(args.author, args.tool, args.reason)


def _selected(marks: Iterable[ResolvedMark], args: argparse.Namespace) -> list[ResolvedMark]:
    since = None if args.since is None else time_of_option("--from", args.since)
    until = None if args.until is None else time_of_option("--to", args.until)
    return [
        mark
        for mark in marks
        if (args.device is None or mark.device == args.device)
        and (args.label is None or mark.shown == normal(args.label))
        and (args.marked_by is None or mark.author == args.marked_by)
        and (since is None or max(mark.end_ns, mark.start_ns + 1) > since)
        and (until is None or mark.start_ns < until)
    ]


def find_mark(marks: Sequence[ResolvedMark], name: str, device: str | None = None) -> ResolvedMark:
    """The one mark whose id is `name` or begins so. Raises `UsageError` where there is none, or several."""
    mine = [mark for mark in marks if device is None or mark.device == device]
    found = [mark for mark in mine if mark.id == name] or [mark for mark in mine if mark.id.startswith(name)]
    if not found:
        raise UsageError(f'no mark "{name}" stands; `sensorloom marks list` shows those that do')
    if len(found) > 1:
        shown = ", ".join(f"{mark.id} of {mark.device}" for mark in found[:_SHOWN])
        raise UsageError(f'"{name}" names {len(found)} marks: {shown}; write more of the id, or --device')
    return found[0]


def _row(mark: ResolvedMark) -> dict[str, Any]:
    return {
        "id": mark.id,
        "device": mark.device,
        "start_ns": mark.start_ns,
        "end_ns": mark.end_ns,
        "label": mark.shown,
        "author": mark.author,
        "tool": mark.tool,
        "revision": mark.revision,
        "confidence": mark.confidence,
        "marked_ns": mark.marked_ns,
        "trim": mark.trim,
        "reason": mark.reason,
        "reviewed_by": mark.reviewed_by,
    }


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row for `--json`: with each time as ISO text beside the number."""
    return row | {name.removesuffix("_ns"): exact_time(t_ns) for name, t_ns in row.items() if name.endswith("_ns")}


# marks


def run_list(args: argparse.Namespace) -> int:
    """`sensorloom marks list`."""
    from collections import Counter

    from ingest.records import MarkRetract
    from labeling.listing import lines_of
    from labeling.marks import History, standing_of

    def retracted(history: History) -> ResolvedMark | None:
        """The mark as it was when it was retracted; None where it stands, or never did."""
        edits = [told for told in history.changes if not isinstance(told.event, MarkRetract)]
        return None if standing_of(history, Counter()) else standing_of(History(history.add, edits), Counter())

    async def work(log: Log) -> tuple[list[ResolvedMark], list[str]]:
        book = await read_book(log)
        ids = [name for _, name in book.histories]
        if not args.retracted:
            return list(book.standing().values()), ids
        return [mark for history in book.histories.values() if (mark := retracted(history)) is not None], ids

    found, ids = with_log(args, work)
    marks = _selected(found, args)
    if args.json:
        print(to_json({"marks": [_told(_row(mark)) for mark in marks]}))
        return 0
    for line in lines_of(marks, ids):
        print(line)
    be = "was" if len(marks) == 1 else "were"
    verb = f"{be} retracted" if args.retracted else "stands" if len(marks) == 1 else "stand"
    print(f"{counted(len(marks), 'mark')} {verb}", file=sys.stderr)
    return 0


def _change(args: argparse.Namespace, plan: Callable[[Book, int], tuple[list[Mark], list[str]]]) -> int:
    """Write the events that `plan` makes of the marks and of the time, and say what they do."""

    async def work(log: Log) -> tuple[list[Mark], list[str]]:
        from ingest.importers.marks import publish_marks

        events, lines = plan(await read_book(log), time.time_ns())
        if events and not args.dry_run:
            await publish_marks(log, events)
        return events, lines

    events, lines = with_log(args, work)
    if args.json:
        print(to_json({"written": 0 if args.dry_run else len(events), "changes": lines}))
    else:
        for line in lines:
            print(printable(f"{'would ' if args.dry_run else ''}{line}"))
    return 0


def run_trim(args: argparse.Namespace) -> int:
    """`sensorloom marks trim`."""
    from ingest.records import MarkAdd

    who = _who(args)
    start_ns, end_ns = time_of_option("--from", args.since), time_of_option("--to", args.until)
    if start_ns >= end_ns:
        raise UsageError("trim: --from does not lie before --to")
    if not who.reason.strip():
        raise UsageError("trim: say why, as in --reason 'the belt was off'")

    def plan(book: Book, now_ns: int) -> tuple[list[Mark], list[str]]:
        said = "", who.author, who.tool
        event = MarkAdd(
            args.device, uuid.uuid4().hex, start_ns, end_ns, *said, client_ns=now_ns, trim=True, reason=who.reason
        )
        return [event], [f"add {in_words(event)}"]

    return _change(args, plan)


def run_edit(args: argparse.Namespace) -> int:
    """`sensorloom marks edit`."""
    from labeling.changing import Fields, edit_of

    who = _who(args)
    to = Fields(
        None if args.start is None else time_of_option("--start", args.start),
        None if args.end is None else time_of_option("--end", args.end),
        None if args.label is None else normal(args.label),
        None if args.confidence is None else _confidence(args.confidence),
    )
    if to == Fields():
        raise UsageError("nothing to change; give --start, --end, --label or --confidence")
    if to.label is not None and (not to.label.strip() or not to.label.isprintable()):
        raise UsageError("--label: is empty, or holds a character that nobody sees")

    def plan(book: Book, now_ns: int) -> tuple[list[Mark], list[str]]:
        mark = find_mark(list(book.standing().values()), args.id, args.device)
        if mark.trim and to.label is not None:
            raise UsageError(f"{mark.id} is a trim, which has no label: retract it, and mark the range")
        start_ns = mark.start_ns if to.start_ns is None else to.start_ns
        end_ns = mark.end_ns if to.end_ns is None else to.end_ns
        if end_ns < start_ns:
            raise UsageError(f"the end {format_time(end_ns)} would lie before the start {format_time(start_ns)}")
        return [edit_of(mark, who, now_ns, to)], [f"edit {in_words(mark)}"]

    return _change(args, plan)


def _confidence(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise UsageError(f'--confidence: found "{text}", expected a number from 0 to 1')
    return value


def run_retract(args: argparse.Namespace) -> int:
    """`sensorloom marks retract`."""
    from labeling.changing import retracts_of

    who = _who(args)
    if not args.ids and all(it is None for it in (args.device, args.label, args.marked_by, args.since, args.until)):
        raise UsageError("name marks by their ids, or by --device, --label, --marked-by, --from and --to")

    def plan(book: Book, now_ns: int) -> tuple[list[Mark], list[str]]:
        standing = list(book.standing().values())
        named = [find_mark(standing, name, args.device) for name in args.ids]
        marks = _selected(named if args.ids else standing, args)
        if not marks:
            raise UsageError("no mark that stands is meant; `sensorloom marks list` with the same options shows which")
        return list(retracts_of(marks, who, now_ns)), [f"retract {in_words(mark)}" for mark in marks]

    return _change(args, plan)


def run_undo(args: argparse.Namespace) -> int:
    """`sensorloom marks undo`."""
    from ingest.records import MarkAdd, MarkEdit
    from labeling.changing import undo_of

    who = _who(args)
    if args.count < 1:
        raise UsageError(f"--count: found {args.count}, expected 1 or more")

    def plan(book: Book, now_ns: int) -> tuple[list[Mark], list[str]]:
        undone = undo_of(book, who, now_ns, args.count, args.device)
        if not undone:
            raise UsageError(f'nothing that "{who.author}" said is left to undo')
        words = {MarkAdd: "add", MarkEdit: "edit"}
        lines = [f"undo the {words.get(type(it.what), 'retract')} of {it.what.device} {it.what.id}" for it in undone]
        return [it.event for it in undone], lines

    return _change(args, plan)
