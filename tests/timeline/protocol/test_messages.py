"""What page and server say to one another: instants stay exact, bad messages are refused."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest

from timeline import protocol
from timeline.protocol import Act, Changed, Event, Mark, UnfitError, decode, encode

ACT = "0b9d7ac4-2a4f-4d54-9f3c-0c8e2b1f4a55"
EXACT = 1_767_225_600_123_456_789  # a JavaScript number would make it ...,800


def test_an_act_keeps_its_nanoseconds() -> None:
    text = f'{{"type":"act","act":"{ACT}","kind":"add","device":"pump-7","mark":"{ACT}","client_ns":"{EXACT}"'
    act = decode(f'{text},"start_ns":"{EXACT}","end_ns":"{EXACT + 1}","label":"run"}}')
    assert isinstance(act, Act)
    assert (int(act.client_ns), int(act.start_ns or 0), int(act.end_ns or 0)) == (EXACT, EXACT, EXACT + 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"type":"ping"}',
        '{"type":"dance"}',
        '{"type":"ping","ping":-1}',
        '{"type":"hello","protocol":1,"tab":"../../etc"}',
        '{"type":"marks","request":1,"device":"","from_ns":"0","to_ns":"1"}',
        '{"type":"marks","request":1,"device":"a","from_ns":0,"to_ns":"1"}',
        '{"type":"marks","request":1,"device":"a","from_ns":"1e9","to_ns":"1"}',
        '{"type":"view","view":1,"device":"a","streams":["acc"],"from_ns":"0","to_ns":"1","columns":0}',
        f'{{"type":"view","view":1,"device":"a","streams":{["s"] * 65},"from_ns":"0","to_ns":"1","columns":9}}',
    ],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(text.replace("'", '"'))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("reason", "é" * 2_001, "reason: found 2,001 characters, expected no more than 2,000"),
        ("label", "r" * 201, "label: found 201 characters, expected no more than 200"),
        ("device", "d" * 256, "device: found 256 characters, expected no more than 255"),
        ("mark", "", "mark: Expected `str` of length >= 1"),
        ("mark", "m" * 256, "mark: found 256 characters, expected no more than 255"),
        ("kind", "dance", "kind: Invalid enum value 'dance'"),
        ("client_ns", 17, "client_ns: Expected `str`, got `int`"),
        ("start_ns", "1e9", "start_ns: Expected `str` matching regex"),
        ("end_ns", "9" * 20, "end_ns: Expected `str` matching regex"),
        ("offset_ns", "", "offset_ns: Expected `str` matching regex"),
        ("round_trip_ns", None, "round_trip_ns: Expected `str`, got `null`"),
        ("undoes_ns", "x", "undoes_ns: Expected `str` matching regex"),
        ("confidence", 1.5, "confidence: Expected `float` <= 1.0"),
        ("trim", "yes", "trim: Expected `bool`, got `str`"),
        ("reason", "\ud83d", "the act is none: "),  # half a character, as a script may cut one
    ],
)
def test_an_act_that_is_none_is_answered_by_its_name(field: str, value: object, words: str) -> None:
    """A socket that were closed would be opened again, and the same act sent again, for ever."""
    plain = {"type": "act", "act": ACT, "kind": "edit", "device": "pump-7", "mark": ACT, "client_ns": "17"}
    with pytest.raises(UnfitError) as told:
        decode(json.dumps(plain | {field: value}))
    assert (told.value.answer.act, told.value.answer.code, told.value.answer.again) == (ACT, "act", False)
    assert told.value.answer.words.startswith(words)


@pytest.mark.parametrize("text", ['{"type":"act","act":"a"}', '{"type":"act"}', '{"type":"act","act":[]}'])
def test_an_act_without_a_name_is_no_message(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(text)


def test_no_instant_of_a_message_is_a_json_number() -> None:
    """Every field named `_ns` is a string on the wire: in the types, and so in all that is encoded."""
    _, components = msgspec.json.schema_components([protocol.FromPage, protocol.ToPage, protocol.Gallery])
    for name, schema in components.items():
        for field, found in schema.get("properties", {}).items():
            if field.endswith("_ns"):
                kinds = {part.get("type") for part in found.get("anyOf", [found])}
                assert kinds <= {"string", "null"}, f"{name}.{field}"


def test_each_message_says_its_type() -> None:
    for kinds in (protocol.FromPage, protocol.ToPage):
        tags = [kind.__struct_config__.tag for kind in get_args(kinds)]
        assert len(set(tags)) == len(tags)
    mark = Mark("m", "pump-7", str(EXACT), str(EXACT), "run", "anna", "operator")
    text = encode(Changed(mark, Event("add", "anna", "operator", str(EXACT))))
    assert text.startswith('{"type":"changed"')
    assert f'"start_ns":"{EXACT}"' in text


def test_a_mark_is_sent_without_what_is_as_usual() -> None:
    mark = Mark("m", "pump-7", str(EXACT), str(EXACT), "run", "anna", "operator", stands=False, reviewed_by="otto")
    told = msgspec.json.decode(encode(Changed(mark, Event("add", "anna", "operator", str(EXACT)))))["mark"]
    required = {"id", "device", "start_ns", "end_ns", "label", "author", "tool"}
    assert set(told) == required | {"stands", "reviewed_by"}
    assert msgspec.convert(told, Mark) == mark
