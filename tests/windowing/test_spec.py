"""The `[window]` table: strict, exact, and hashed by what it means."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from ingest.errors import UsageError
from windowing.spec import StreamRule, WindowSpec

TABLE: dict[str, Any] = {
    "length": "2.56s",
    "hop": "1.28s",
    "rate": "50Hz",
    "anchor": "epoch",
    "channels": ["acc.x", "acc.y", "acc.z"],
    "max_gap": "500ms",
    "min_coverage": 0.8,
}


def test_the_table_of_the_handbook() -> None:
    spec = WindowSpec.from_table(TABLE)
    assert (spec.length, spec.hop, spec.rate) == (128, 64, Fraction(50))
    assert spec.rule == StreamRule("linear", 500_000_000)
    assert spec.min_coverage == Fraction(4, 5)
    assert spec.min_steps == 103
    assert spec.tolerance_ns == 0


def test_defaults() -> None:
    spec = WindowSpec.from_table({"length": 128, "rate": "50Hz", "channels": ["acc.x"]})
    assert (spec.hop, spec.anchor, spec.min_coverage) == (128, "epoch", Fraction(1))
    assert spec.rule == StreamRule("linear", None)


def test_samples_and_durations_are_the_same_specification() -> None:
    assert WindowSpec.from_table(TABLE).id == WindowSpec.from_table({**TABLE, "length": 128, "hop": 64}).id


def test_streams_and_their_rules() -> None:
    streams = {"temp": {"interpolation": "hold", "max_gap": "10s"}}
    channels = ["acc.x", "temp.c", "acc.y", "a.b.c"]
    spec = WindowSpec.from_table(
        {**TABLE, "channels": channels, "streams": streams, "units": {"acc": "g", "acc.y": "m/s2"}}
    )
    acc, temp, dotted = spec.streams
    assert (acc.name, acc.channels, acc.columns, acc.units) == ("acc", ("x", "y"), (0, 2), ("g", "m/s2"))
    assert (temp.rule, temp.units) == (StreamRule("hold", 10 * 10**9), (None,))
    assert (dotted.name, dotted.channels) == ("a", ("b.c",))
    assert dotted.rule == spec.rule


def test_a_channel_with_a_dot_is_named_as_it_is_or_in_backquotes() -> None:
    table = {**TABLE, "channels": ["air.PM2.5", "`air.PM10`", "air.`x y`"], "units": {"`air.PM2.5`": "ug/m3"}}
    (air,) = WindowSpec.from_table(table).streams
    assert (air.name, air.channels, air.units) == ("air", ("PM2.5", "PM10", "x y"), ("ug/m3", None, None))


@pytest.mark.parametrize(
    ("value", "steps"), [("100 samples", 100), ("1 sample", 1), (2, 2), (128, 128), (1, 128), (0.5, 64)]
)
def test_coverage_is_a_share_or_a_number_of_samples(value: object, steps: int) -> None:
    assert WindowSpec.from_table({**TABLE, "min_coverage": value}).min_steps == steps


def test_a_dataset_goes_on_under_the_semantics_that_it_was_founded_with() -> None:
    spec = WindowSpec.from_table(TABLE)
    assert spec.former.id == "905651d4157e2957"
    assert spec.among({"another"}) is spec
    assert spec.among({spec.id, spec.former.id}) is spec
    assert spec.among({spec.former.id}) == spec.former
    assert spec.former.among({spec.id}) == spec.former


def test_what_the_semantics_of_before_were() -> None:
    table = {"length": 5, "rate": "50Hz", "channels": ["a.b.c", "acc.x"], "streams": {"acc": {"interpolation": "hold"}}}
    former = WindowSpec.from_table(table).former
    dotted, acc = former.streams
    assert (dotted.name, dotted.channels) == ("a.b", ("c",))
    assert (dotted.rule, acc.rule) == (StreamRule("linear", 500_000_000), StreamRule("hold", 500_000_000))
    only_now = WindowSpec.from_table({**TABLE, "channels": ["a.b.c", "d.x"], "units": {"a": "g"}})
    assert only_now.among({"former"}) is only_now


CHANGES: list[dict[str, Any]] = [
    {"length": 127},
    {"hop": 63},
    {"rate": "100Hz"},
    {"anchor": "recording"},
    {"channels": ["acc.y", "acc.x", "acc.z"]},
    {"max_gap": "501ms"},
    {"interpolation": "hold"},
    {"min_coverage": 0.5},
    {"streams": {"acc": {"interpolation": "nearest"}}},
    {"units": {"acc": "g"}},
]


def test_the_hash_tells_every_specification_apart() -> None:
    ids = {WindowSpec.from_table({**TABLE, **change}).id for change in [{}, *CHANGES]}
    assert len(ids) == len(CHANGES) + 1
    assert all(len(spec_id) == 16 for spec_id in ids)


def test_the_hash_stays_for_life() -> None:
    assert WindowSpec.from_table(TABLE).id == "16ae2e1269ebd312"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lenght": 3}, 'window: unknown key "lenght".*Did you mean "length"'),
        ({"length": "2.5s1"}, r"window\.length: duration"),
        ({"length": "1.01s"}, r'length: "1.01s" is 50.5 steps at 50 Hz; the nearest whole number is 50 samples'),
        ({"hop": "1ms"}, r"hop: .*nearest whole number is 1 samples \(0.02 s\)"),
        ({"length": 0}, r"length: found 0"),
        ({"length": True}, r"length: found True"),
        ({"length": "-2.56s"}, r"length"),
        ({"hop": 1.5}, r"hop: found 1.5"),
        ({"rate": 50}, r'rate: found 50, expected text such as "50Hz"'),
        ({"rate": "0Hz"}, r"rate"),
        ({"rate": "1GHz"}, r"rate"),
        ({"rate": "200MHz"}, r"rate: 200000000 Hz"),
        ({"rate": "51.12345678901Hz", "length": 1, "hop": 1}, r"simple fraction"),
        ({"anchor": "epoc"}, r'anchor: unknown value "epoc".*Did you mean "epoch"'),
        ({"channels": []}, r"channels: found \[\]"),
        ({"channels": ["x"]}, r'"x" is not stream.channel'),
        ({"channels": ["acc.x", "acc.x"]}, r"each once"),
        ({"channels": "acc.x"}, r"expected a list"),
        ({"interpolation": "cubic"}, r"interpolation: unknown value"),
        ({"max_gap": 5}, r"max_gap: found 5"),
        ({"max_gap": "-1s"}, r"max_gap"),
        ({"min_coverage": 0}, r"min_coverage: found 0"),
        ({"min_coverage": 1.1}, r"min_coverage"),
        ({"min_coverage": True}, r"min_coverage: found True"),
        ({"min_coverage": 129}, r"min_coverage: found 129, a window has 1 to 128 samples"),
        ({"min_coverage": "0 samples"}, r"min_coverage: found '0 samples', a window has"),
        ({"min_coverage": "80 %"}, r'min_coverage: found .80 %., expected .* as in "100 samples"'),
        ({"streams": {"ac": {}}}, r'streams: "ac" is no stream.*Did you mean "acc"'),
        ({"streams": {"acc": {"gap": 1}}}, r'streams.acc: unknown key "gap"'),
        ({"streams": 5}, r"streams: found 5, expected a table"),
        ({"units": {"acc.w": "g"}}, r'units: "acc.w" is no stream or channel'),
        ({"units": {"acc": 5}}, r"units.acc: found 5"),
        ({"length": 10**12}, r"length"),
        ({"length": 10**9}, r"length: a window of 1000000000 × 3 values"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        WindowSpec.from_table({**TABLE, **change})
    assert str(caught.value).startswith("dataset.toml: window")


@pytest.mark.parametrize("key", ["length", "rate", "channels"])
def test_what_must_be_there(key: str) -> None:
    with pytest.raises(UsageError, match=f"{key} is missing"):
        WindowSpec.from_table({k: v for k, v in TABLE.items() if k != key})
