"""Spreadsheets, MATLAB and HDF5: the values of the file to the last bit, by row, or a reason why not."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from ingest.errors import UsageError
from ingest.importers.readings import ReadingsOptions, prepare
from ingest.importers.tables import Source, Table, read_source, read_table
from ingest.units import parse_time
from tests.ingest.importers.reading_back import at_rate, want

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def sheet(rows: list[list[object]]) -> str:
    """A worksheet (ECMA-376, part 1, 18.3): numbers, texts, and times as days since 1899-12-30."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = []
        for place, value in enumerate(row):
            at = f'r="{chr(65 + place)}{number}"'
            if isinstance(value, datetime):
                days = (value - datetime(1899, 12, 30)) / timedelta(days=1)
                cells.append(f'<c {at} s="1"><v>{days!r}</v></c>')
            elif isinstance(value, int | float):
                cells.append(f"<c {at}><v>{value!r}</v></c>")
            elif value:
                cells.append(f'<c {at} t="inlineStr"><is><t>{value}</t></is></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def workbook(**sheets: list[list[object]]) -> bytes:
    file = io.BytesIO()
    numbers = range(1, len(sheets) + 1)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{_TYPES}"/>')
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_RELATION}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        named = "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in zip(numbers, sheets, strict=True)
        )
        archive.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATION}"><sheets>{named}</sheets></workbook>'
        )
        targets = "".join(
            f'<Relationship Id="r{n}" Type="{_RELATION}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
        )
        styles = f'<Relationship Id="r0" Type="{_RELATION}/styles" Target="styles.xml"/>'
        archive.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{_RELATIONS}">{targets}{styles}</Relationships>'
        )
        archive.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{_MAIN}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/></cellXfs></styleSheet>',
        )
        for n, rows in zip(numbers, sheets.values(), strict=True):
            archive.writestr(f"xl/worksheets/sheet{n}.xml", sheet(rows))
    return file.getvalue()


def read(data: bytes, columns: str, time: str | None = None, **more: object) -> Table:
    return read_table(Source("f", data), want(columns, time, **more))  # type: ignore[arg-type]


def test_a_sheet_is_read_as_text_is_with_its_rows_numbers() -> None:
    start = datetime(2026, 3, 29, 1, 55)
    values = [(0.1 + i / 3, i) for i in range(50)]
    rows: list[list[object]] = [["Boiler 7"], ["time", "a, b", "n", "state"], ["", "°C", "", ""]]
    rows += [[start + timedelta(seconds=i), a, n, "on" if i % 2 else ""] for i, (a, n) in enumerate(values)]
    rows.insert(5, [])
    data = workbook(Sheet=rows)
    options = ReadingsOptions(
        device="d", stream="s", columns=("*",), time_column="time", timezone="+01:00", skip_rows=1, units_row=True
    )
    prepared = prepare(Source("f.xlsx", data), options)
    (run,) = prepared.runs
    np.testing.assert_array_equal(run.values, values)
    first = parse_time("2026-03-29T00:55:00Z")
    assert run.times.tolist() == [first + i * 10**9 for i in range(50)]
    assert [(channel.name, channel.unit) for channel in prepared.description.channels] == [("a, b", "°C"), ("n", "1")]
    summary = prepared.summary
    assert (summary.lines, summary.skipped_lines, summary.header_lines, summary.blank_lines) == (54, 1, 2, 1)
    rows[20][1] = "broken"
    with pytest.raises(UsageError, match=r'f.xlsx: line 21: "broken" is no number'):
        prepare(Source("f.xlsx", workbook(Sheet=rows)), options)


def test_one_of_several_sheets_is_chosen_by_name() -> None:
    data = workbook(left=[["x"], [1]], right=[["x"], [2]])
    assert read(data, "x", array="right").values.tolist() == [[2]]
    with pytest.raises(UsageError, match="holds left, right; choose one with --array"):
        read(data, "x")
    with pytest.raises(UsageError, match='there is no "rigth".*Did you mean "right"'):
        read(data, "x", array="rigth")


def test_a_sheet_that_cannot_be_read_says_so() -> None:
    whole = workbook(Sheet=[["x"], [1]])
    for data in (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), whole[:200] + bytes(100) + whole[300:]):
        with pytest.raises(UsageError, match="f: "):
            read(data, "x")
    with pytest.raises(UsageError, match="unpacks to .* the limit is 100"):
        read_table(Source("f", whole, 100), want("x"))


@pytest.mark.parametrize("kind", ["mat", "h5", "mat73"])
def test_arrays_of_matlab_and_hdf5_come_back(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    one = np.arange(40, dtype=np.int16)
    path = tmp_path / f"f.{kind}"
    if kind == "mat":
        from scipy.io import savemat  # here: each worker that collects would wait for it

        savemat(path, {"acc": values, "n": one, "name": "pump"})
    else:
        turned = kind == "mat73"
        with h5py.File(path, "w", userblock_size=512 if turned else 0) as file:
            file["acc"] = values.T if turned else values
            file["n"] = one[:, None] if turned else one
            file["name"] = "pump"
        if turned:
            with path.open("r+b") as raw:
                raw.write(b"MATLAB 7.3 MAT-file".ljust(512))
    source = read_source(path)
    table = read_table(source, want("x,y,z", array="acc"))
    np.testing.assert_array_equal(table.values, values)
    assert table.names == ("x", "y", "z")
    assert read_table(source, want("n", array="n")).values[:, 0].tolist() == one.tolist()
    (run,) = prepare(source, at_rate("x,y,z", array="acc")).runs
    np.testing.assert_array_equal(run.values, values)
    with pytest.raises(UsageError, match="holds acc, n; choose one with --array"):
        read_table(source, want("x"))
    with pytest.raises(UsageError, match="unpacks to 960 bytes, the limit is 100"):
        read_table(Source("f", source.data, 100), want("x,y,z", array="acc"))


@pytest.mark.parametrize("data", [b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_damaged_file_says_so(data: bytes) -> None:
    with pytest.raises(UsageError, match="f: "):
        read(data, "x")


def times_of(table: Table) -> list[str]:
    assert table.time is not None
    return list(map(str, table.time))


def test_a_midnight_among_times_is_a_time_and_a_date_stays_a_date() -> None:
    noon = datetime(2026, 1, 1, 12)
    times = [noon + timedelta(hours=6 * i) for i in range(6)]
    rows: list[list[object]] = [[time, i] for i, time in enumerate(times)]
    data = workbook(Sheet=[["t", "x"], *rows])
    assert times_of(read(data, "x", "t")) == [str(time) for time in times]
    rows = [[datetime(2026, 1, day), day] for day in (1, 2)]
    days = workbook(Sheet=[["t", "x"], *rows])
    assert times_of(read(days, "x", "t")) == ["2026-01-01", "2026-01-02"]


def test_text_with_a_decimal_comma_is_read_beside_numbers() -> None:
    data = workbook(Sheet=[["x", "y"], ["0,5", 0.25], ["-1,25e1", 1]])
    assert read(data, "x,y", decimal_comma=True).values.tolist() == [[0.5, 0.25], [-12.5, 1]]


def test_what_lies_in_structs_and_cells_is_chosen_by_its_path(tmp_path: Path) -> None:
    acc = np.arange(30.0).reshape(10, 3)
    runs = np.array([(acc, 1.0), (acc + 1, 2.0)], dtype=[("acc", "O"), ("fs", "O")])
    cells = np.empty(2, dtype=object)
    cells[:] = [acc + 2, "a text"]
    path = tmp_path / "f.mat"
    scipy.io.savemat(path, {"data": {"acc": acc + 3, "fs": 50.0}, "runs": runs, "c": cells}, do_compression=True)
    for plus, name in ((3, "data/acc"), (0, "runs(1)/acc"), (1, "runs(2)/acc"), (2, "c{1}")):
        assert (read(path.read_bytes(), "x,y,z", array=name).values == acc + plus).all()
    with pytest.raises(UsageError, match=r"holds c\{1\}, data/acc, runs\(1\)/acc, runs\(2\)/acc; choose one"):
        read(path.read_bytes(), "x,y,z")
    with pytest.raises(UsageError, match="unpacks to more than 500 bytes"):
        read_table(Source("f", path.read_bytes(), 500), want("x,y,z", array="data/acc"))


def test_a_table_of_hdf5_has_its_columns_by_name_also_behind_a_link(tmp_path: Path) -> None:
    table = np.zeros(4, dtype=[("t", "f8"), ("acc", ">f4", (2,)), ("state", "S4")])
    table["t"], table["acc"], table["state"] = range(4), np.arange(8).reshape(4, 2), b"run"
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file["deep/table"] = table
        file["link"] = h5py.SoftLink("/deep/table")
    for name in ("deep/table", "link"):
        found = read(path.read_bytes(), "acc", "t", array=name, keys=("state",))
        assert found.names == ("acc[0]", "acc[1]")
        assert found.values.tolist() == table["acc"].tolist()
        assert set(found.keys["state"]) == {"run"}
