"""The source `gpio`: what is made of the kernel's events, and of its table. In tests/kernel it has a chip."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.sources.gpio
from edge.config import load_config
from edge.decoders.scans.decoder import row_type
from edge.protocol import SourceConfig
from edge.sources.gpio import chip as gpio
from edge.sources.gpio.chip import Chip, UnfitError
from edge.sources.gpio.edges import EVENT, RISING, Counts, Edges, Events, Levels
from edge.sources.gpio.quadrature import Quadrature
from edge.sources.gpio.settings import Settings, read_settings
from edge.sources.gpio.source import GpioSource
from edge.sources.kernel import SuspendedError
from ingest.errors import UsageError
from tests.edge.configs import source_config

FOLDER = Path(edge.sources.gpio.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
LINES = [4, 7]
Sample = list[float]


def events_of(table: list[list[Any]]) -> Events:
    rows = [
        (time_ns, RISING if edge == "rising" else 2, line, number, own, (0,) * 6)
        for time_ns, line, edge, number, own in table
    ]
    return np.array(rows, dtype=EVENT)


def samples(rows: bytes) -> list[Sample]:
    found = np.frombuffer(rows, row_type(len(LINES)))
    return [
        [time_ns, missed, *values]
        for time_ns, missed, values in zip(
            found["time_ns"].tolist(), found["missed"].tolist(), found["values"].tolist(), strict=True
        )
    ]


def edges_of(case: dict[str, Any]) -> Edges:
    if "quadrature" in case:
        return Quadrature(LINES, case.get("every", 0), case["quadrature"])
    if "every" in case:
        return Counts(LINES, case["every"])
    return Levels(LINES, both=case.get("edge", "both") == "both")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_events_give_in_whatever_pieces_they_are_read(case: dict[str, Any]) -> None:
    events = events_of(case["events"])
    for cut in range(len(events) + 1):
        made = edges_of(case)
        made.begin(0)
        found = made.stand(case["levels"], 0) if "levels" in case else b""
        found += b"".join(made.take(part, 0) for part in (events[:cut], events[cut:]) if len(part))
        found += made.quiet(case.get("until", 0))
        np.testing.assert_array_equal(samples(found), case["samples"])


@given(st.lists(st.tuples(st.sampled_from(LINES), st.booleans(), st.integers(0, 3)), min_size=1), st.integers(1, 20))
def test_no_edge_goes_uncounted(edges: list[tuple[int, bool, int]], step: int) -> None:
    """Whatever is missed, samples and missed ones are all edges; counts are those of each line."""
    table, number, own = [], 0, dict.fromkeys(LINES, 0)
    for at, (line, is_rising, missed) in enumerate(edges):
        number, own[line] = number + missed + 1, own[line] + missed + 1
        table.append([10 * at, line, "rising" if is_rising else "falling", number, own[line]])
    events = events_of(table)
    for both in (True, False):
        levels = Levels(LINES, both=both)
        found = [row for at in range(0, len(events), step) for row in samples(levels.take(events[at : at + step], 0))]
        assert sum(1 + row[1] for row in found) == number
        assert [row[0] for row in found] == [row[0] for row in table]
    counts = Counts(LINES, 25)
    rows = b"".join(counts.take(events[at : at + step], 0) for at in range(0, len(events), step))
    found = samples(rows + counts.quiet(10 * len(events) + 25))
    assert [sum(row[2 + column] for row in found) for column in range(2)] == [own[line] for line in LINES]
    assert all(row[0] == 25 * (number + 1) for number, row in enumerate(found))


def test_counts_go_on_where_the_kernels_numbers_begin_anew() -> None:
    counts = Counts([4], 1000)
    counts.begin(0)
    counts.take(events_of([[10, 4, "rising", 1, 2**32 - 1]]), 0)
    counts.quiet(1000)
    counts.take(events_of([[1010, 4, "rising", 2, 1]]), 0)
    assert np.frombuffer(counts.quiet(2000), row_type(1))["values"].tolist() == [[2.0]]


def test_times_are_put_on_the_clock_that_goes_on_in_suspend() -> None:
    levels = Levels([4], both=False)
    rows = np.frombuffer(levels.take(events_of([[10, 4, "rising", 1, 1]]), 5_000), row_type(1))
    assert rows["time_ns"].tolist() == [5_010]


def test_levels_that_nobody_knows_are_asked_for() -> None:
    levels = Levels(LINES, both=True)
    assert levels.wants_levels
    levels.stand([0.0, 1.0], 0)
    assert not levels.wants_levels
    levels.take(events_of([[10, 4, "rising", 3, 3]]), 0)
    assert levels.wants_levels
    assert not Levels(LINES, both=False).wants_levels


def table(**changed: Any) -> SourceConfig:
    given = {"chip": "gpiochip0", "lines": {"x": 4, "y": "lid"}, "edge": "rising"} | changed
    options = {key: value for key, value in given.items() if value is not None}
    return source_config("scans", ("x", "y"), kind="gpio", clock="kernel", **options)


def test_what_a_table_says() -> None:
    assert read_settings(table(debounce="10ms", bias="pull-up", active_low=True)) == Settings(
        "gpiochip0", (4, "lid"), "rising", 0, "pull-up", True, 10_000_000
    )
    assert read_settings(table(edge=None, every="2s")).edge == "rising"
    encoder = read_settings(table(quadrature=[4, "b"], lines=None, edge=None, every="1s"))
    assert encoder == Settings("gpiochip0", (4, "b"), "both", 1_000_000_000, encoder_channels=2)
    assert read_settings(table(chip=None, lines={"x": "a", "y": "b"})).chip == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edge": "both"}, "values is missing"),
        ({"edge": "up"}, 'edge: found "up"'),
        ({"bias": "up"}, 'bias: found "up"'),
        ({"every": "0s"}, "every: found"),
        ({"debounce": "2s"}, "debounce: found"),
        ({"debounce": "long"}, "debounce"),
        ({"chip": None}, "chip is missing"),
        ({"lines": None}, '"lines" is missing'),
        ({"lines": {"x": 4}}, "lines: y has none"),
        ({"lines": {"x": 4, "z": 5}}, '"z" is no channel'),
        ({"lines": {"x": 4, "y": 4}}, "the same line"),
        ({"lines": {"x": 4, "y": -1}}, "found -1"),
        ({"lines": {"x": True, "y": 4}}, "found True"),
        ({"quadrature": [4, 5]}, "each edge of an encoder counts"),
        ({"quadrature": [4, 5], "edge": None}, "quadrature has the lines"),
        ({"quadrature": [4, 4], "edge": None, "lines": None}, "expected lines A and B"),
        ({"quadrature": [4], "edge": None, "lines": None}, "expected lines A and B"),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GpioSource.from_config(table(**options))


def test_too_many_lines_are_refused() -> None:
    names = tuple(f"c{number}" for number in range(65))
    lines = {name: number for number, name in enumerate(names)}
    with pytest.raises(UsageError, match="has 64 at most"):
        read_settings(source_config("scans", names, kind="gpio", chip="gpiochip0", lines=lines, edge="rising"))


@given(st.lists(st.sampled_from([1, -1]), min_size=1, max_size=60), st.integers(1, 20))
def test_an_encoder_is_where_it_was_turned_to(turns: list[int], step: int) -> None:
    """Any turning, in whatever pieces it is read; each edge that is lost is told."""
    gray, place, own, table = [(0, 0), (1, 0), (1, 1), (0, 1)], 0, [0, 0], []
    for number, turn in enumerate(turns, 1):
        before, place = gray[place % 4], place + turn
        line = 0 if gray[place % 4][0] != before[0] else 1
        own[line] += 1
        edge = "rising" if gray[place % 4][line] else "falling"
        table.append([10 * number, LINES[line], edge, number, own[line]])
    events = events_of(table)
    each = Quadrature(LINES, 0, 1)
    each.stand([0.0, 0.0], 0)
    rows = b"".join(each.take(events[at : at + step], 0) for at in range(0, len(events), step))
    found = np.frombuffer(rows, row_type(1))
    assert found["values"][:, 0].tolist() == np.cumsum(turns).tolist()
    assert not found["missed"].any()
    now_and_then = Quadrature(LINES, 35, 1)
    now_and_then.stand([0.0, 0.0], 0)
    rows = b"".join(now_and_then.take(events[at : at + step], 0) for at in range(0, len(events), step))
    found = np.frombuffer(rows + now_and_then.quiet(10 * len(turns) + 35), row_type(1))
    places = np.concatenate([[0], np.cumsum(turns)])
    assert found["values"][:, 0].tolist() == [
        places[min(len(turns), (end - 1) // 10)] for end in found["time_ns"].tolist()
    ]


TOP = 'log = "segments:log"\n[spool]\ndir = "spool"\n'
TABLE = """[[source]]
name = "s"
type = "{type}"
stream = "s"
channels = {{ x = "1" }}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.format(type="gpio") + 'decoder = "csv"\n', "needs none; leave it out"),
        (TABLE.format(type="exec") + 'command = ["a"]\ndecoder = "scans"\n', "belongs to other types of sources"),
        (TABLE.format(type="exec") + 'command = ["a"]\ndecoder = "csv"\nclock = "kernel"\n', "the kernel stamps"),
        (TABLE.format(type="gpio") + 'clock = "arrival"\n', "the kernel stamps"),
    ],
)
def test_its_decoder_and_its_clock_are_its_own(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "agent.toml").write_text(TOP + text)
    with pytest.raises(UsageError, match=message):
        load_config(tmp_path / "agent.toml")


def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(Settings(str(tmp_path / "chip"), (4,)))
    monkeypatch.setattr(gpio, "DEVICES", tmp_path)
    with pytest.raises(UnfitError, match="no such chip: there is no GPIO chip at all; load its driver .sudo modprobe"):
        chip.open()
    (tmp_path / "chip").touch()
    with pytest.raises(UnfitError, match="is no GPIO chip"):
        chip.open()
    monkeypatch.setattr("gpiod.is_gpiochip_device", lambda path: True)
    monkeypatch.setattr("gpiod.Chip", refuse)
    with pytest.raises(
        UnfitError, match="/chip may not be opened by this user; sudo chown .*rules to the group gpio for"
    ):
        chip.open()
    assert "suspended" in chip.why_lost(SuspendedError())
    assert "waiting for it to come back" in chip.why_lost(OSError(19, "No such device"))


def refuse(path: str) -> None:
    raise PermissionError(13, "Permission denied")


class Found:
    """A chip that was opened; its device file has its label."""

    def __init__(self, path: str) -> None:
        self.name = Path(path).name
        self.label = Path(path).read_text()
        self.num_lines = 8

    def get_info(self) -> Found:
        return self

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Found:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def test_a_chip_that_comes_back_under_another_number_is_found_and_another_one_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpio, "DEVICES", tmp_path)
    monkeypatch.setattr("gpiod.Chip", Found)
    monkeypatch.setattr("gpiod.is_gpiochip_device", lambda path: True)
    monkeypatch.setattr(Chip, "_request", lambda chip, found: found.name)
    chip = Chip(Settings("gpiochip0", (4,)))
    (tmp_path / "gpiochip0").write_text("panel")
    (tmp_path / "gpiochip3").write_text("board")
    assert str(chip.open()) == "gpiochip0"
    (tmp_path / "gpiochip0").rename(tmp_path / "gpiochip4")
    assert str(chip.open()) == "gpiochip4"
    (tmp_path / "gpiochip0").write_text("relays")
    assert str(chip.open()) == "gpiochip4"
    (tmp_path / "gpiochip5").write_text("panel")  # which of them is it?
    with pytest.raises(UnfitError, match=r"no such chip \(panel\) any more: there are gpiochip0 \(relays, 8 lines\), "):
        chip.open()
    assert str(Chip(Settings("gpiochip0", (4,))).open()) == "gpiochip0"


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOP + (FOLDER / "sample.toml").read_text())
    first, second, third = load_config(path).sources
    assert {*first.options, *second.options, *third.options} == GpioSource.keys.keys()
    assert (first.decoder, first.clock, first.states["door"][0]) == ("scans", "kernel", (0, "open"))
    page = (FOLDER / "README.md").read_text()
    for name, key in GpioSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
