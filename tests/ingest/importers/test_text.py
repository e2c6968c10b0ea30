"""What every line of a text became is counted, and none is lost because of another one's quote."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.tables import Lines, Source, Table, read_table
from tests.ingest.importers.reading_back import want

NAN = float("nan")


def text(content: str | bytes, columns: str = "t,x", time: str | None = None, *, comma: bool = False) -> Table:
    data = content if isinstance(content, bytes) else content.encode()
    return read_table(Source("f.csv", data), want(columns, time, decimal_comma=comma))


def refused(content: str | bytes, columns: str = "t,x", *, comma: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        text(content, columns, comma=comma)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def adds_up(table: Table) -> bool:
    lines = table.lines
    assert lines is not None
    others = lines.header + lines.comments + lines.blank + lines.continued + lines.torn
    return lines.total == others + len(table.values)


@pytest.mark.parametrize(
    ("content", "rows", "lines", "at"),
    [
        ("t,x\n1,2\n\n3,4\n \n5,6\n\n\n", [[1, 2], [3, 4], [5, 6]], Lines(8, 1, blank=4), [2, 4, 6]),
        ("t,x\r\n1,2\r\n\r\n3,4\r\n", [[1, 2], [3, 4]], Lines(4, 1, blank=1), [2, 4]),
        ("t,x\r1,2\r3,4\r", [[1, 2], [3, 4]], Lines(3, 1), [2, 3]),
        ("t,x\n1,2\r3,4\n5,6\r\n", [[1, 2], [3, 4], [5, 6]], Lines(4, 1), [2, 3, 4]),
        ("# a, b\n\nt,x\n1,2\n#3,4\n5,6\n", [[1, 2], [5, 6]], Lines(6, 1, 2, 1), [4, 6]),
        ("% made by\n// an old logger\nt,x\n1,2\n", [[1, 2]], Lines(4, 1, 2), [4]),
        ("# t x\n1 2\n3 4\n", [[1, 2], [3, 4]], Lines(3, 1), [2, 3]),
        ("#t,x\n1,2\n3,4\n", [[1, 2], [3, 4]], Lines(3, 1), [2, 3]),
        ("t,x\n1\n3,4\n", [[1, NAN], [3, 4]], Lines(3, 1, short=1), [2, 3]),
        ("t,x\n1,2,\n3,4,\n", [[1, 2], [3, 4]], Lines(3, 1), [2, 3]),
        ('"t","x"\n"1","2"\n"3",""\n', [[1, 2], [3, NAN]], Lines(3, 1), [2, 3]),
        ('t,"x\n[g]"\n1,2\n', None, Lines(3, 2), [3]),
        ("t x\n  1   2 \n\n\t3\t4\n", [[1, 2], [3, 4]], Lines(4, 1, blank=1), [2, 4]),
        ("1 2\n3 4\n", [[1, 2], [3, 4]], Lines(2), [1, 2]),
    ],
)
def test_lines_that_are_no_rows_are_left_out_and_counted(content: str, rows: Any, lines: Lines, at: list[int]) -> None:
    table = text(content, "t,x" if rows is not None else "t")
    assert table.lines == lines
    assert adds_up(table)
    assert table.row_lines is not None
    assert table.row_lines.tolist() == at
    if rows is not None:
        assert np.array_equal(table.values, rows, equal_nan=True)


def test_an_empty_cell_of_a_single_column_is_missing_where_quotes_say_so() -> None:
    table = text('x\n1\n""\n\n3\n', "x")
    assert np.array_equal(table.values, np.array([[1], [NAN], [3]]), equal_nan=True)
    assert table.lines == Lines(5, 1, blank=1)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ('1,2,3" pipe\n3,4,4\n5,6,5" pipe\n7,8,6\n', 4),
        ('1,2,"a, b"\n3,4,"say ""x"""\n', 2),
        ('1,2,"two\nlines"\n3,4,\n', 2),
        ('1,2,"#no comment"\n# one\n3,4,"#"\n', 2),
        ('1,2,"a ""quoted"", cell"\n\n3,4,"x\ny"\n', 2),
    ],
)
def test_a_quote_takes_no_rows_away(rows: str, found: int) -> None:
    table = text("t,x,note\n" + rows)
    assert len(table.values) == found
    assert table.values[-1].tolist()[0] == 2 * found - 1
    assert adds_up(table)
    assert table.lines is not None
    assert bool(table.lines.continued) == any("go on over" in note for note in table.notes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('1,2,"open\n3,4,b\n5,6,c"\n', "line 2: a quote opens a cell that would go on over line 3, which is a row"),
        ('1,2,"open\n3,4,b\n5,6,c\n', "line 2: a quote"),
        ('1,2,"3" pipe\n3,4,b\n', "line 2: a quoted cell is not closed"),
        ('1,2,a\n3,4,"b\n', "line 3: a quoted cell is not closed"),
        ('1,2,"a, b",5\n', "line 2: found 4 columns, expected 3"),
        ("1,2,a\n3,4,5,6\n", "line 3: found 4 columns, expected 3"),
        ('1,2,"' + "a" * 200_000 + ', b"\n', "line 2: a quoted cell is not closed as it should be: field larger"),
    ],
)
def test_a_quote_that_nothing_closes_is_named(rows: str, message: str) -> None:
    assert message in refused("t,x,note\n" + rows)


def test_a_row_of_another_width_is_found_though_its_column_is_not_wanted() -> None:
    assert "line 3: found 4 columns, expected 3" in refused("t,x,y\n1,2\n3,4,5,6\n", "t")
    assert "line 3: found 4 columns, expected 3" in refused("t,x,y\n1,2,3\n3,4,5,6\n7,8,9\n", "x")


@pytest.mark.parametrize(
    ("content", "columns"),
    [("0,1,2\n0.1,0.2,0.3\n", "0,1,2"), ("7,8\n1,2\n", "8"), ("1,2\n5,6\n", "2,1")],
)
def test_numbers_that_are_the_wanted_names_are_the_header(content: str, columns: str) -> None:
    table = text(content, columns)
    assert len(table.values) == 1
    assert table.lines == Lines(2, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("logger 7, site A\nt,x\n1,2\n", 'no column "t"; known: logger 7, site A. Line 2 has them: say --skip-rows 1'),
        ("0,12;0,98\n0,13;0,97\n", "have a decimal comma: say --decimal comma"),
        ("0,12\t0,98\n", "have a decimal comma: say --decimal comma"),
        ("t;x\n[s];[°C]\n1;2\n", 'line 2: "[s]" is no number: is this line one of units? Say --units-row'),
        ("t;x\n1;0,12\n", 'line 2: "0,12" is no number: it has a decimal comma; say --decimal comma'),
        (b"t,Temp\xe9rature\n1,2\n", "Line 1 is not UTF-8: say --encoding cp1252"),
        (b"\xff\xfet\0,\0x\0\n", "line 1: is not utf-16"),
        ("# only\n\n# comments\n", "no rows, only comments"),
        ("t,x\n\n#\n", "no rows"),
        ('"' + "a" * 200_000 + '",x\n1,2\n', "line 1: field larger than field limit"),
        ("a" * 2_000_000, "line 1 has 2,000,000 bytes; is this a file of rows?"),
    ],
)
def test_what_is_wrong_with_a_head_is_said_with_what_to_do(content: str | bytes, message: str) -> None:
    assert message in refused(content)


def test_bars_separate_and_what_spreadsheets_call_missing_is() -> None:
    table = text("t|x|y\n1|#N/A|n/a\n2|3|<NA>\n", "x,y")
    np.testing.assert_array_equal(table.values, [[NAN, NAN], [3, NAN]])
    assert text("0,5|1,5\n0,25|2\n", comma=True).values.tolist() == [[0.5, 1.5], [0.25, 2.0]]


def test_a_pattern_says_which_columns_it_passes_over_as_they_have_no_name() -> None:
    """Such as the index that pandas writes, or a channel whose name was lost."""
    table = text(",t,x,\n0,1,2,\n1,3,4,\n", "*", "t")
    assert table.names == ("x",)
    assert table.notes == ("without a name, so no channel: 1 column, by number 1",)
    assert text(",t,x\n0,1,2\n", "x", "t").notes == ()


def test_columns_of_one_name_are_told_what_to_do_with() -> None:
    message = refused("t,x,x\n1,2,3\n")
    assert "the header has 2 columns" in message
    assert "--skip-rows" in message


def test_names_in_a_message_are_few_short_and_printable() -> None:
    message = refused(",".join(["\x1b]0;pwned\x07", "b" * 1000, *(f"c{i}" for i in range(1000))]) + "\n")
    assert "\x1b" not in message
    assert len(message) < 2000


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_a_decimal_comma_is_read_where_it_is_said(separator: str) -> None:
    rows = f"t{separator}x\n1767225600,5{separator}0,12\n1767225601,5{separator}-,5\n"
    table = text(rows, "x", "t", comma=True)
    assert table.values.tolist() == [[0.12], [-0.5]]
    assert table.time is not None
    assert table.time.to_list() == ["1767225600.5", "1767225601.5"]
    headless = text(rows.partition("\n")[2], "t,x", "t", comma=True)
    assert headless.values.tolist() == [[0.12], [-0.5]]


@pytest.mark.parametrize(
    ("content", "rows", "torn"),
    [
        ("t,x\n1,9.81\n2,9.82\n3,9", 2, 1),
        ("t,x\n1,9.81\n2,9.82\n3,9.8", 2, 1),
        ("t,x\n1,9.81\n2,9.8\n3,9.8", 3, 0),
        ("t,x\n1,9.81\n2,9.82\n3", 2, 1),
        ("t,x\n1,9.81\n2,9.82\n3,", 2, 1),
        ("t,x\n1,9.81\n2,9.82\n3,9.83", 3, 0),
        ("t,x\n1,9.81\n2,9.82\n3,NaN", 3, 0),
        ("t,x\n1,10\n2,11\n3,9", 3, 0),
        ("x,t\n1,1767225600\n2,1767225601\n3,17672", 2, 1),
        ("t x\n1 9.81\n2 9.82\n3", 2, 1),
        ("t,x\n1,9", 1, 0),
        ("t,x\n1,9.81\n2,9.82\n  ", 2, 0),
    ],
)
def test_a_last_line_that_was_cut_off_is_left_out_where_that_is_certain(content: str, rows: int, torn: int) -> None:
    table = text(content)
    assert table.lines is not None
    assert (len(table.values), table.lines.torn) == (rows, torn)
    assert adds_up(table)
    assert len(table.notes) == (1 if content.strip() == content else 1 if table.lines.blank else 0)


@pytest.mark.parametrize(
    "number", ["9007199254740993", "-9007199254740993", "18446744073709551615", "9007199254740993.0"]
)
def test_an_integer_that_a_float64_would_round_is_refused(number: str) -> None:
    assert f"line 3: {number} does not fit float64 exactly" in refused(f"t,x\n1,0.5\n2,{number}\n")


def test_what_a_float64_holds_is_read_however_large() -> None:
    cells = ["9007199254740992", "-9007199254740994", "1e300", "4611686018427387904", "NaN", "", "9007199254740993.5"]
    values = text("x\n" + "\n".join(f'"{cell}"' for cell in cells) + "\n", "x").values[:, 0]
    assert values[:4].tolist() == [2.0**53, -(2.0**53) - 2, 1e300, 2.0**62]
    assert np.isnan(values[4:6]).all()


CELLS = [
    "",
    "1",
    "-2.5",
    "x",
    '"',
    '""',
    '"a"',
    '"1,2"',
    '"a\nb"',
    "#",
    " ",
    "NA",
    "9007199254740993",
    "1e400",
    "\0",
    "é",
]
JUNK = st.lists(
    st.lists(st.sampled_from(CELLS), max_size=4).map(",".join) | st.sampled_from(["", "# c", "1,2", "3,4", "5,6,7"]),
    max_size=8,
)


@pytest.mark.parametrize("examples", [200, pytest.param(10_000, marks=pytest.mark.soak)])
def test_whatever_a_file_says_its_lines_add_up_or_it_is_refused(examples: int) -> None:
    @settings(max_examples=examples)
    @example([",", '""'], "\n", False, False)
    @given(JUNK, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
    def add_up(rows: list[str], end: str, header: bool, closed: bool) -> None:
        lines = [*(["t,x"] if header else []), *rows]
        content = end.join(lines) + (end if closed else "")
        with contextlib.suppress(UsageError):
            table = text(content)
            assert adds_up(table)
            assert table.lines is not None
            plain = content.encode().replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            assert table.lines.total == plain.count(b"\n") + (not plain.endswith(b"\n"))

    add_up()


@pytest.mark.parametrize("magic", [b"\x1f\x8b", b"x\x9c", b"\x28\xb5\x2f\xfd"])
def test_rows_that_begin_as_a_packed_file_does_are_refused(magic: bytes) -> None:
    with pytest.raises(UsageError, match="line 2: these bytes are no text; unpack the file, or see what damaged it"):
        text(b"t,x\n" + magic + b"1,2.5\n")


@pytest.mark.parametrize("examples", [150, pytest.param(10_000, marks=pytest.mark.soak)])
def test_bytes_in_the_middle_of_a_good_file_are_a_refusal_or_add_up(examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.binary(max_size=60), st.integers(0, 40), st.sampled_from(["1", "0", "9"]))
    def add_up(junk: bytes, at: int, cell: str) -> None:
        good = b"t,x\n" + b"".join(b"%d,%d.5\n" % (i, i) for i in range(6)) + cell.encode() + b",2\n"
        with contextlib.suppress(UsageError):
            assert adds_up(text(good[:at] + junk + good[at:]))

    add_up()


@pytest.mark.parametrize(
    ("cells", "mark", "comma"),
    [
        ("1.234,5 -12.345.678 7 ,5 1.000,25e1", ".", True),
        ("1'234.5 -12’345’678 7 .5 1'000.25e1", "'", False),
        ("1\u202f234,5 -12\u00a0345\u00a0678 7 ,5 1\u2009000,25e1", " ", True),
        ("1,234.5 -12,345,678 7 .5 1,000.25e1", ",", False),
    ],
)
def test_thousands_are_told_apart_where_somebody_says_how(cells: str, mark: str, comma: bool) -> None:
    rows = "".join(f"{number};{cell}\n" for number, cell in enumerate(cells.split(" ")))
    asked = want("t,x", decimal_comma=comma, thousands=mark)
    for head in ("t;x\n", "")[: 1 if mark == "," else 2]:  # which separates columns where no header does
        found = read_table(Source("f", (head + rows).encode()), asked)
        assert found.values[:, 1].tolist() == [1234.5, -12345678, 7, 0.5, 10002.5]
    for bad in ("12" + mark + "5", "1" + mark + "2345"):
        with pytest.raises(UsageError, match="line 2: .* is no number"):
            read_table(Source("f", f"t;x\n0;{bad}\n".encode()), asked)


@pytest.mark.parametrize(
    ("cell", "comma", "mark"),
    [
        ("1.234,56", True, "point"),
        ("1.234", True, "point"),
        ("1,234.5", False, "comma"),
        ("1'234", False, "apostrophe"),
    ],
)
def test_thousands_that_nobody_said_are_refused_not_guessed(cell: str, comma: bool, mark: str) -> None:
    said = refused(f"t;x\n0;{cell}\n", comma=comma)
    assert f'line 2: "{cell}" is no number' in said
    assert f"say --thousands {mark}" in said


def test_points_beside_a_decimal_comma_that_cannot_be_thousands_are_read() -> None:
    assert text("t;x\n0.125;1,5\n12.5;2\n", comma=True).values.tolist() == [[0.125, 1.5], [12.5, 2]]
