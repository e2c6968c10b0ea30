from __future__ import annotations

from fractions import Fraction

import pytest

from ingest.records import Channel, StreamDescription, schema_id
from labeling.rules.compile import compile_rules
from windowing.fold.anchors import Layout
from windowing.fold.operator import WindowOperator
from windowing.fold.remarks import notes_on, rules_without_streams
from windowing.spec import WindowSpec


def acc(unit: str, *channels: str) -> StreamDescription:
    return StreamDescription("acc", tuple(Channel(name, unit) for name in channels or ("x", "y")), "float32", 50)


def spec(**units: str) -> WindowSpec:
    return WindowSpec(5, 5, Fraction(50), ("acc.x", "acc.y"), units=units)


def test_streams_that_fit_are_not_worth_a_word() -> None:
    temp = StreamDescription("temp", (Channel("t", "degC"),), "float32", 1)
    assert notes_on(Layout.of(spec()).plans, [acc("g"), acc("g", "x", "y", "z"), temp]) == []


@pytest.mark.parametrize(
    ("wanted", "descriptions", "notes"),
    [
        (
            {},
            [acc("g"), acc("m/s2")],
            ["acc.x: comes in g and in m/s2; ", "acc.y: comes in g and in m/s2; windows hold what each device says"],
        ),
        (
            {"acc": "g"},
            [acc("g"), acc("m/s2")],
            [
                "acc.x: some device says m/s2, [window.units] wants g; its samples are left out, counted as wrong_unit",
                "acc.y: some device says m/s2, ",
            ],
        ),
        ({}, [acc("g"), acc("m/s2", "x")], ["acc.y: some device has no such channel in its stream acc; "]),
    ],
)
def test_what_does_not_fit_is_told(
    wanted: dict[str, str], descriptions: list[StreamDescription], notes: list[str]
) -> None:
    found = notes_on(Layout.of(spec(**wanted)).plans, [*descriptions, *descriptions])
    assert [text[: len(note)] for text, note in zip(found, notes, strict=True)] == notes


def gate(*states: tuple[int, str]) -> StreamDescription:
    return StreamDescription("acc", (Channel("x", "g", states=states), Channel("y", "g")), "int16", 50)


def test_codes_that_devices_name_otherwise_are_told() -> None:
    plans = Layout.of(spec()).plans
    assert notes_on(plans, [gate((0, "up"), (1, "down")), gate((0, "up"), (2, "stuck")), gate()]) == []
    (note,) = notes_on(plans, [gate((0, "up"), (1, "down")), gate((0, "up"), (1, "closed"))])
    assert note == "acc.x: 1 is named closed and down: windows hold codes; name them alike on every device"
    many = notes_on(plans, [gate(*((code, f"{boot} {code}") for code in range(900))) for boot in range(9)])
    assert len(many) == 1
    assert len(many[0]) < 200


def test_an_operator_notes_it_when_it_learns_of_it() -> None:
    operator = WindowOperator(spec())
    running = operator.start(None)
    operator.learn(schema_id(acc("g")), acc("g"))
    assert running.take().notes == ()
    operator.learn(schema_id(acc("m/s2")), acc("m/s2"))
    assert len(running.take().notes) == 2


@pytest.mark.parametrize("wanted", [{}, {"acc": "g"}], ids=["any unit", "one unit"])
def test_a_device_that_says_another_unit_at_every_boot_fills_no_page(wanted: dict[str, str]) -> None:
    operator = WindowOperator(spec(**wanted))
    for number in range(5_000):  # which took minutes when each looked at all that were known
        operator.learn(schema_id(acc(f"u{number}")), acc(f"u{number}"))
    operator.learn(schema_id(acc("v" * 200)), acc("v" * 200))
    notes = operator.start(None).take().notes
    assert len(notes) == 2
    assert all("u0" in note and "others" in note and len(note) < 200 for note in notes)


def test_rules_whose_stream_nobody_has() -> None:
    rules = compile_rules(
        "version: 1\nrules:\n  - {label: a, when: acc.x > 1}\n  - {label: b, when: acc.x > gps.speed and gone.z > 0}\n",
        "rules.yaml",
    )
    assert rules_without_streams(rules, [acc("g")]) == [
        'rules.yaml: rule "b" reads gone, gps, of which no device in the log has a stream'
    ]
