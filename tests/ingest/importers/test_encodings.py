"""A file's own encoding is believed, any other one has to be said; what was lost becomes no name or label."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import sensorloom
from ingest.errors import UsageError
from ingest.importers.encodings import as_utf8, check_encoding
from ingest.importers.markrows import parse_fields
from ingest.importers.marks import MarkTimes, read_file
from ingest.importers.tables import Source, Table, read_table
from ingest.records import Chunk, MarkAdd
from tests.ingest.importers.reading_back import want
from tests.support.logs import read_log

TEXT = "t,Größe,Aktivität\n1,2,geht\n3,4,läuft\n"


def read(data: bytes, columns: str, keys: tuple[str, ...] = (), encoding: str | None = None) -> Table:
    return read_table(Source("f.csv", data), replace(want(columns, "t"), keys=keys, encoding=encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_that_says_its_encoding_is_read(encoding: str) -> None:
    table = read(TEXT.encode(encoding), "*", ("Aktivität",))
    assert table.names == ("Größe",)
    assert table.values.tolist() == [[2], [4]]
    assert table.keys["Aktivität"].to_list() == ["geht", "läuft"]


def test_what_says_nothing_is_refused_where_names_or_labels_would_suffer() -> None:
    data = TEXT.encode("latin-1")
    for columns, keys in (("*", ()), ("Gr\ufffd\ufffde", ())):
        with pytest.raises(UsageError, match="is not UTF-8; say --encoding"):
            read(data, columns, keys)
    with pytest.raises(UsageError, match="is not UTF-8; say --encoding"):
        read(TEXT.replace("Größe", "x").encode("latin-1"), "x", ("Aktivit\ufffdt",))
    labels = TEXT.replace("Größe", "x").replace("Aktivität", "label").encode("latin-1")
    with pytest.raises(UsageError, match=r'line 3: "l.uft" is not UTF-8'):
        read(labels, "x", ("label",))
    assert read(labels, "x").values.tolist() == [[2], [4]]
    assert read(data, "*", ("Aktivität",), "latin-1").keys["Aktivität"].to_list() == ["geht", "läuft"]
    assert read(TEXT.replace("ß", "\ufffd").encode(), "*").names == ("Grö\ufffde",)


def test_what_is_not_what_it_says_is_refused() -> None:
    with pytest.raises(UsageError, match=r"f: line 2: is not utf-16"):
        as_utf8("f", "t,x\n1,2".encode("utf-16") + b"\n")
    with pytest.raises(UsageError, match=r"line 2: is not ascii"):
        as_utf8("f", TEXT.replace("Größe", "x").replace("Aktivität", "y").replace("geht", "gäht").encode(), "ascii")
    for name in ("klingon", "\0"):
        with pytest.raises(UsageError, match=r"--encoding: found"):
            check_encoding(name)


def test_a_column_of_any_name_makes_a_mark(tmp_path: Path) -> None:
    """A name with blanks had been taken for the label itself, in every row."""
    path = tmp_path / "m.csv"
    path.write_text("Wer;Was ist es;a:02\nd;läuft;7\n")
    fields = parse_fields(["device={Wer}", "label={Was ist es} {a:02}", "start=2026-01-01T00:00Z"], (), {})
    assert [mark.label for mark in read_file(path, MarkTimes(), fields).marks] == ["läuft 7"]
    for text, message in (("{Was ist}", r'asks for {Was ist}.*Did you mean "Was ist es"'), ("{Wer", "has a brace")):
        fields = parse_fields(["device={Wer}", f"label={text}", "start=2026-01-01T00:00Z"], (), {})
        with pytest.raises(UsageError, match=message):
            read_file(path, MarkTimes(), fields)


def test_files_as_a_spreadsheet_saves_them_come_in_with_their_labels(tmp_path: Path) -> None:
    """Unicode text of Excel (UTF-16, tabs), and a file of marks with names of labels in the ANSI code page."""
    rows = "".join(f"2026-01-01T00:00:{i:02}Z\t{i},5\t{'geht' if i < 5 else 'läuft'}\n" for i in range(10))
    (tmp_path / "a.txt").write_bytes(f"Zeit\tGröße\tAktivität Nr 1\n{rows}".encode("utf-16"))
    (tmp_path / "m.csv").write_bytes(
        "device,start,end,label\nd,2026-01-01T00:00:01Z,2026-01-01T00:00:02Z,7\n".encode("cp1252")
    )
    (tmp_path / "names.txt").write_bytes("7 stößt\n8 ruht\n".encode("utf-16"))
    log = ("--log", f"segments:{tmp_path}/log")
    words = ("--device", "d", "--stream", "s", "--columns", "*", "--unit", "1", "--time-column", "Zeit")
    labels = ("--decimal", "comma", "--label-column", "Aktivität Nr 1")
    assert sensorloom.main(["import", "readings", str(tmp_path / "a.txt"), *words, *labels, *log]) == 0
    marks = ("import", "marks", str(tmp_path / "m.csv"), "--label-names")
    assert sensorloom.main([*marks, str(tmp_path / "names.txt"), *log]) == 0
    assert sum(record.count for record in read_log(log[1]) if isinstance(record, Chunk)) == 10
    found = [mark.label for mark in read_log(log[1], "marks") if isinstance(mark, MarkAdd)]
    assert sorted(found) == ["geht", "läuft", "stößt"]
    shutil.copy(tmp_path / "m.csv", tmp_path / "m2.csv")
    (tmp_path / "names2.txt").write_bytes("7 stößt\n".encode("latin-1"))
    again = [*marks[:2], str(tmp_path / "m2.csv"), "--label-names", str(tmp_path / "names2.txt"), *log]
    assert sensorloom.main(again) == 2
    assert sensorloom.main([*again, "--encoding", "latin-1"]) == 0
