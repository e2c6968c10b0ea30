"""A file of marks as rows of cells: with the usual header, or with columns of one's own and what they mean. Pure.

The usual header is `device,start,end,label`, and optionally `recording`, `author` and `confidence`; any other name is
an error. Where fields are made of columns (`label={event}`, `device=user{user:02}`), it may be any delimited text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ingest.errors import UsageError
from ingest.importers.header import separator_of
from ingest.importers.paths import fill
from ingest.settings import check_keys, suggest

REQUIRED: Final = ("device", "start", "end", "label")
OPTIONAL: Final = ("author", "confidence", "recording")
FIELDS: Final = (*REQUIRED, *OPTIONAL)
_WHOSE: Final = "; of one device say --field device=NAME"
_CODE: Final = re.compile(r"\s*([^\s,;=]+)[\s,;=]+(.*?)\s*")


@dataclass(frozen=True, slots=True)
class Fields:
    """What the columns of a file mean."""

    templates: Mapping[str, str] = field(default_factory=dict)
    """By field of a mark, a text with columns in braces; a field that is not here is the column of its name."""
    columns: tuple[str, ...] = ()
    """Of a file without a header."""
    label_names: Mapping[str, str] = field(default_factory=dict)
    """By code, where labels are codes."""

    @property
    def is_usual(self) -> bool:
        """Whether the file has the usual header."""
        return not self.templates and not self.columns


USUAL: Final = Fields()
"""The usual header."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file: the fields of a mark as text, stripped; what the file does not have is empty."""

    line: int
    """Of its end."""
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file."""

    path: str
    rows: tuple[Row, ...]
    lines: int
    blank: int
    torn: bool
    """Its last line has no line feed."""
    headers: int = 1


def parse_fields(words: Sequence[str], columns: tuple[str, ...], label_names: Mapping[str, str]) -> Fields:
    """The fields of words such as `label={event}`. Raises `UsageError`."""
    templates: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not text:
            raise UsageError(f'--field: found "{word}"; use FIELD=TEXT, as in label={{event}} or device=car')
        check_keys({name: text}, FIELDS, "--field")
        if name in templates:
            raise UsageError(f"--field: {name} is given twice")
        templates[name] = text
    return Fields(templates, columns, label_names)


def parse_label_names(text: str, where: str) -> dict[str, str]:
    """The names by code of lines, or of words with commas between them: `1 WALKING`, `1=walk`. Raises `UsageError`."""
    found: dict[str, str] = {}
    for part in text.split("\n") if "\n" in text.strip() else text.split(","):
        if not part.strip():
            continue
        match = _CODE.fullmatch(part)
        if match is None or not match[2] or match[1] in found:
            raise UsageError(
                f'{where}: found "{part.strip()}"; use CODE=NAME, each code once, or lines of CODE and NAME'
            )
        found[match[1]] = match[2]
    return found


def read_rows(path: str, text: str, fields: Fields) -> Rows:
    """The rows of a text.

    Raises:
        UsageError: with the line of what is wrong.
    """
    rows = _split(text, fields)
    try:
        header = list(fields.columns) if fields.columns else [name.strip() for name in next(rows, (0, []))[1]]
        if fields.is_usual:
            _check_header(path, header)
        elif len(set(header)) < len(header):
            raise UsageError(f"{path}: two columns have one name; name them by --columns")
        found = list(_rows(path, header, rows, fields))
    except _LineError as error:
        raise UsageError(f"{path}: line {error.line}: {error}") from None
    kept = tuple(row for row in found if row is not None)
    lines = len(io.StringIO(text, newline=None).readlines())
    torn = bool(text) and not text.endswith(("\n", "\r"))
    return Rows(path, kept, lines, len(found) - len(kept), torn, 0 if fields.columns else 1)


class _LineError(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def _split(text: str, fields: Fields) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, and its last line."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = separator_of(first)
    if separator == " ":
        for number, line in enumerate(text.splitlines(), 1):
            yield number, line.split()
        return
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise _LineError(max(rows.line_num, 1), str(error)) from None


def _check_header(path: str, header: list[str]) -> None:
    for name in header:
        if name not in FIELDS:
            advice = "; say what your own columns mean by --field, as in label={event}"
            raise UsageError(f'{path}: line 1: unknown column "{name}"{suggest(name, FIELDS)}{advice}')
        if header.count(name) > 1:
            raise UsageError(f'{path}: line 1: column "{name}" occurs twice')
    for name in REQUIRED:
        if name not in header and not (name == "device" and "recording" in header):
            advice = _WHOSE if name == "device" else ""
            raise UsageError(f'{path}: line 1: column "{name}" is missing; the header is {",".join(REQUIRED)}{advice}')


def _rows(path: str, header: list[str], rows: Any, fields: Fields) -> Iterator[Row | None]:
    """Each row's fields, None for a blank line."""
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            yield None
            continue
        where = f"{path}: line {line}"
        if len(row) != len(header):
            raise UsageError(f"{where}: found {len(row)} columns, expected {len(header)}")
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        if not fields.is_usual:
            cells = _filled(cells, fields, where)
        if fields.label_names:
            code = cells.get("label", "")
            if code not in fields.label_names:
                raise UsageError(f'{where}: --label-names has no "{code}"{suggest(code, fields.label_names)}')
            cells["label"] = fields.label_names[code]
        yield Row(line, {name: cells.get(name, "") for name in FIELDS})


def _filled(cells: Mapping[str, str], fields: Fields, where: str) -> dict[str, str]:
    """The fields of a mark that a row's columns make."""
    filled = {name: cells[name] for name in FIELDS if name in cells}
    for name, text in fields.templates.items():
        filled[name] = fill(text, cells, f"{where}: --field {name}")
    for name in ("start", "label"):
        if name not in filled:
            raise UsageError(
                f"{where}: what is the {name}? Say --field {name}=TEXT with columns in braces{suggest(name, cells)}"
            )
    return filled
