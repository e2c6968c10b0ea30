"""What a file that describes itself has annotated, as a table of marks: `import marks` reads it as any other.

Scorers of sleep and of EEG keep their annotations in files of their own, EDF+ without a signal.
"""

from __future__ import annotations

import csv
import io

from ingest.errors import UsageError
from ingest.importers.signals.contents import Asked, Contents
from ingest.importers.signals.reading import read_contents
from ingest.importers.source import Source
from ingest.units import format_time


def annotations_as_text(source: Source) -> str:
    """CSV of start, end (exclusive; an instant's is empty), label, and the device where the file says it.

    Times are ISO 8601, without a zone where the file names none; seconds of a file that has no clock.

    Raises:
        UsageError: nothing is annotated, or the file cannot be read.
        MissingLibraryError: what reads such files is not installed.
    """
    contents = read_contents(source, Asked())
    if not contents.marks:
        raise UsageError(f"{source.path}: a file of {contents.kind} in which nothing is annotated")
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    whose = [contents.device] if contents.device else []
    lines.writerow(["start", "end", "label", *(["device"] if whose else [])])
    for mark in contents.marks:
        end = _time(contents, mark.end_ns) if mark.end_ns > mark.start_ns else ""
        lines.writerow([_time(contents, mark.start_ns), end, mark.label, *whose])
    return text.getvalue()


def _time(contents: Contents, t_ns: int) -> str:
    if contents.clock == "none":
        seconds, rest = divmod(abs(t_ns), 10**9)
        return f"{'-' * (t_ns < 0)}{seconds}.{rest:09d}"
    return format_time(t_ns).removesuffix("Z" if contents.clock == "local" else "")
