from __future__ import annotations

from collections import Counter

import pytest

from ingest.errors import UsageError
from ingest.importers.annotated import is_annotated, read_annotated
from ingest.importers.points import Point

LONG = """#group,false,false,true,true,false,false,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#default,_result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,host
,,0,2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,2023-11-14T22:13:20.123456789Z,1.5,idle,cpu,"a,b"
,,0,2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,2023-11-14T22:13:21Z,,idle,cpu,"a,b"

#group,false,false,false,false,true,true
#datatype,string,long,dateTime:RFC3339,long,string,string
#default,_result,,,,,
,result,table,_time,_value,_field,_measurement
,,1,2023-11-14T22:13:20Z,7,count,net
"""
WIDE = """#datatype,string,long,dateTime:RFC3339,string,string,double,boolean,string
#group,false,false,false,true,true,false,false,false
#default,_result,,,,,,,
,result,table,_time,_measurement,host,x,on,note
,,0,2023-11-14T22:13:20Z,acc,h,0.25,true,hello
"""
T_NS = 1_700_000_000 * 10**9


def read(text: str) -> list[Point]:
    return list(read_annotated("f", text, Counter()))


def test_a_row_is_a_value_of_its_field() -> None:
    assert read(LONG.replace("\n", "\r\n")) == [
        Point(5, "cpu", (("host", "a,b"),), T_NS + 123_456_789, [("idle", 1.5)]),
        Point(6, "cpu", (("host", "a,b"),), T_NS + 10**9, []),
        Point(12, "net", (), T_NS, [("count", 7)]),
    ]


def test_a_pivoted_row_has_a_value_a_column() -> None:
    assert read(WIDE) == [Point(5, "acc", (("host", "h"),), T_NS, [("x", 0.25), ("on", True), ("note", "hello")])]


def test_it_is_known_by_how_it_begins() -> None:
    assert [is_annotated(text) for text in (LONG, "\ufeff" + LONG, ",result,table,_time\r\n")] == [True] * 3
    assert not any(is_annotated(text) for text in ("# DDL\nm v=1 1\n", "m v=1 1", ""))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LONG.replace("1.5", "fast"), 'line 5: "fast" is no double'),
        (WIDE.replace("true,hello", "yes,hello"), 'line 5: "yes" is no boolean'),
        (LONG.replace("2023-11-14T22:13:21Z", "yesterday"), "line 6: "),
        (LONG.replace(",,1,2023-11-14T22:13:20Z,7,count,net", ",,1,2023"), "line 12: "),
        (LONG.replace("#datatype", "#dat"), "no types"),
        (WIDE.replace("_measurement", "measurement"), 'no column "_measurement"'),
        ("#datatype,string,string\n#group,true,true\n#default,,\n,error,reference\n,failed,897\n", "that failed"),
        (LONG[:-30] + '"', "line 12: "),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="f: line ") as caught:
        read(text)
    assert said in str(caught.value)
