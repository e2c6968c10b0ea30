"""Exports of InfluxDB into a log; what InfluxDB itself reads in them is what is there."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sensorloom
from ingest.errors import UsageError
from ingest.importers.influx import InfluxOptions, prepare_influx, publish_influx
from ingest.importers.points import Naming
from ingest.importers.source import Source
from ingest.log.protocol import READINGS, STREAMS
from ingest.opening import open_log
from ingest.records import Chunk, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.times import sample_times
from tests.support.influx import Influx
from tests.support.logs import read_log

T_NS = 1_700_000_000 * 10**9
EXPORT = f"""# DML
# CONTEXT-DATABASE:sensors
acc,device=pump-7,site=B x=0.1,y=2i {T_NS + 1}
acc,device=pump-7,site=B x=0.25 {T_NS + 20_000_000}
acc,device=pump-7,site=B y=3i {T_NS + 20_000_000}
acc,device=b,site=B x=-1e300 {T_NS}
temp,device=pump-7 v=21.5,note="warm, \\"dry\\"" {T_NS + 5}
acc,device=pump-7,site=B x=0.5 {T_NS + 1}
sensorloom_marks,device=pump-7,label=run active=1i {T_NS}
"""


def source(text: str) -> Source:
    return Source("f", text.encode())


def bring_in(url: str, text: str, **options: Any) -> dict[str, Any]:
    export = prepare_influx(source(text), InfluxOptions(**({"unit": "1"} | options)))

    async def run() -> None:
        log = open_log(url, partitions=2)
        await publish_influx(log, export)
        await log.close()

    asyncio.run(run())
    return export.as_dict()


def samples(records: list[Record], streams: list[Record]) -> dict[tuple[str, str], dict[str, list[tuple[int, float]]]]:
    """Times and values by device and stream, and by field; what is missing is not there."""
    schemas = {schema_id(it): it for it in streams if isinstance(it, StreamDescription)}
    found: dict[tuple[str, str], dict[str, list[tuple[int, float]]]] = {}
    for chunk in records:
        if isinstance(chunk, Chunk):
            schema = schemas[chunk.schema]
            values = np.frombuffer(chunk.values, np.dtype(schema.dtype)).reshape(chunk.count, -1).T
            for channel, column in zip(schema.channels, values.tolist(), strict=True):
                pairs = zip(sample_times(chunk).tolist(), column, strict=True)
                mine = found.setdefault((chunk.device, chunk.stream), {}).setdefault(channel.name, [])
                mine += [(t_ns, value) for t_ns, value in pairs if value == value]
    return found


def logged(url: str) -> dict[tuple[str, str], dict[str, list[tuple[int, float]]]]:
    return samples(read_log(url, READINGS), read_log(url, STREAMS))


def test_an_export_is_what_the_database_has_of_it(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    bring_in(url, EXPORT)
    found = logged(url)
    with Influx() as influx:
        influx.create()
        influx.write(EXPORT)
        for (device, stream), fields in found.items():
            for name, pairs in fields.items():
                rows = influx.rows(f"SELECT \"{name}\" FROM {stream} WHERE device = '{device}'")
                assert [tuple(row) for row in rows] == pairs
    assert {key: sorted(fields) for key, fields in found.items()} == {
        ("b", "acc"): ["x"],
        ("pump-7", "acc"): ["x", "y"],
        ("pump-7", "temp"): ["v"],
    }


def test_a_devices_streams_are_one_recording(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    summary = bring_in(url, EXPORT)
    mine = [it for it in read_log(url, READINGS) if it.device == "pump-7"]  # type: ignore[union-attr]
    assert [type(it) for it in mine] == [RecordingStart, Chunk, RecordingStart, Chunk, RecordingEnd]
    assert {it.recording for it in mine} == {summary["recording"]}  # type: ignore[union-attr]
    counted = {"lines": 9, "comment_lines": 2, "points": 6, "values": 7, "texts": 1, "own_measurements": 1}
    assert {name: summary[name] for name in counted} == counted
    assert summary["overwritten"] == 1
    assert (summary["samples"], [it["missing_cells"] for it in summary["streams"]]) == (4, [0, 0, 0])


def test_importing_again_brings_no_new_chunk(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    first, again = bring_in(url, EXPORT), bring_in(url, EXPORT)
    assert first == again
    chunks = [it for it in read_log(url, READINGS) if isinstance(it, Chunk)]
    assert len({(it.device, it.stream, it.boot, it.seq) for it in chunks}) == len(chunks) // 2 == 3


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("m v=1 1", {}, 'line 1: has no tag "device"'),
        ("m,host=h v=1 1", {}, "its tags: host; say --device-tag TAG"),
        ("m,device=d,cpu=0 v=1 1\nm,device=d,cpu=1 v=1 1", {}, "line 2: m of d has several values of the tags cpu"),
        ("a.b,device=d v=1 1\na_b,device=d v=1 1", {}, '"a.b" and "a_b" would both be the stream a_b'),
        ("m,device=d v=9007199254740993i 1", {}, "does not fit float64"),
        ('m,device=d v="a" 1', {}, "no numbers to import; texts: 1"),
        ("", {}, "no numbers to import"),
        (f"m,device=d v=1 {T_NS}", {"unit": "", "units": {"w": "g"}}, "m.v has none; say --unit v=U"),
        (f"m,device=d v=1 {T_NS}", {"unit": "gee"}, "unknown unit"),
        ("m,device=d v=1 1700000000", {}, "--time-unit"),
        ("m,device=d v=1 1", {"time_unit": "min"}, '--time-unit: unknown unit "min"'),
    ],
)
def test_what_cannot_be_imported_is_named(text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(sensorloom.UsageError) as caught:
        prepare_influx(source(text), InfluxOptions(**({"unit": "1"} | options)))
    assert said in str(caught.value)


def test_tags_make_streams_where_that_is_said(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    text = f"cpu,host=h,cpu=0 v=1 {T_NS}\ncpu,host=h,cpu=1 v=2 {T_NS}\nmem,host=h v=3 {T_NS}\n"
    bring_in(url, text, naming=Naming(device_tag="host", stream_tags=("cpu",), measurements=("cpu",)))
    assert {key: fields["v"] for key, fields in logged(url).items()} == {
        ("h", "cpu-0"): [(T_NS, 1.0)],
        ("h", "cpu-1"): [(T_NS, 2.0)],
    }


def test_the_command_reads_both_kinds_also_gzipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = tmp_path / "export.lp.gz"
    lines.write_bytes(gzip.compress(EXPORT.encode()))
    words = ["import", "influx", str(lines), "--unit", "v=degC", "--unit", "g", "--log", f"segments:{tmp_path}/log"]
    assert sensorloom.main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"]
    assert not (tmp_path / "log").exists()
    assert sensorloom.main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["samples"] == 4
    assert "1 values are texts" in captured.err
    units = {channel.unit for it in read_log(words[-1], STREAMS) for channel in it.channels}  # type: ignore[union-attr]
    assert units == {"degC", "g"}
    table = tmp_path / "query.csv"
    table.write_text(
        "#datatype,string,long,dateTime:RFC3339,double,string,string\n#group,false,false,false,false,true,true\n"
        "#default,_result,,,,,\n,result,table,_time,_value,_field,_measurement\n"
        ",,0,2023-11-14T22:13:20.000000007Z,0.1,x,acc\n"
    )
    words[2] = str(table)
    assert sensorloom.main([*words, "--device", "c"]) == 0
    assert logged(words[-1])["c", "acc"] == {"x": [(T_NS + 7, 0.1)]}
    assert sensorloom.main([*words[:3], "--unit", "g", "--unit", "1", *words[-2:]]) == 2


def test_a_text_that_names_a_state_is_a_named_state(tmp_path: Path) -> None:
    url = f"segments:{tmp_path}/log"
    text = "".join(
        f'valve,device=v state="{name}",p=1.5 {T_NS + k}\n' for k, name in enumerate(["shut", "open", "open"])
    )
    states = ((0, "shut"), (1, "open"))
    told = bring_in(url, text, unit="bar", states={"valve.state": states})
    (described,) = [it for it in read_log(url, STREAMS) if isinstance(it, StreamDescription)]
    assert [(it.name, it.unit, it.states) for it in described.channels] == [("p", "bar", ()), ("state", "1", states)]
    assert logged(url)["v", "valve"]["state"] == [(T_NS, 0), (T_NS + 1, 1), (T_NS + 2, 1)]
    assert "texts" not in told
    with pytest.raises(UsageError, match='line 1: valve.state is "shut", which --values does not name'):
        prepare_influx(source(text), InfluxOptions(unit="1", states={"state": ((0, "closed"), (1, "open"))}))
    with pytest.raises(UsageError, match='there is no field "stat"; known: p, valve.p'):
        prepare_influx(source(text), InfluxOptions(unit="1", states={"stat": states}))
    numbers = text.replace('"shut"', "0i").replace('"open"', "7i")
    with pytest.raises(UsageError, match="state is 7, which --values does not name"):
        prepare_influx(source(numbers), InfluxOptions(unit="1", states={"state": states}))


def test_states_are_said_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f.lp").write_text(f'valve,device=v state="open" {T_NS}\n')
    words = ["import", "influx", str(tmp_path / "f.lp"), "--log", f"segments:{tmp_path}/log"]
    assert sensorloom.main([*words, "--values", "state:0=shut,1=open"]) == 0
    assert logged(f"segments:{tmp_path}/log")["v", "valve"]["state"] == [(T_NS, 1)]
    assert sensorloom.main([*words, "--values", "state"]) == 2
    assert "use FIELD:CODE=NAME" in capsys.readouterr().err
