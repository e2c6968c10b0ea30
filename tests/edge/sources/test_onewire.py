"""The source `onewire` on a made-up tree: no kernel simulates such a bus."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.sources.onewire
from edge.config import load_config
from edge.decoders.w1.decoder import W1Decoder
from edge.protocol import Arrival, Fault, Frame, Interruption
from edge.sources.onewire.source import OnewireSource, Thermometers, UnfitError
from ingest.errors import UsageError
from simulators.doubles.suite import check_decoder, check_source
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker, until

FOLDER = Path(edge.sources.onewire.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
SENSORS = {"x": "28-0316a2799bff", "y": "28-0416a1b2c3ff"}
GOOD = CASES[0]["said"]


def config(**options: Any) -> Any:
    units = {"x": "degC", "y": "degF"}
    return source_config("w1", ("x", "y"), units=units, kind="onewire", sensors=SENSORS, **options)


def found(decoder: W1Decoder, *cells: str) -> tuple[list[list[float]], list[tuple[str, int]]]:
    items = list(decoder.feed("\t".join(cells).encode() + b"\n"))
    rows = [row for item in items if isinstance(item, Frame) for row in item.values.tolist()]
    return rows, [(item.reason, item.samples) for item in items if isinstance(item, Fault)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_a_sensors_file_says(case: dict[str, Any]) -> None:
    one = W1Decoder([(1.0, 0.0)])
    beside = W1Decoder([(1.0, 0.0), (1.0, 0.0)])
    if "reason" in case:
        assert found(one, case["said"]) == ([], [(case["reason"], 1)] if case["said"] else [])
        rows, faults = found(beside, case["said"], GOOD)
        assert (str(rows), faults) == ("[[nan, 23.125]]", [(case["reason"], 0)])
    else:
        assert found(one, case["said"]) == ([[case["value"]]], [])


def test_both_that_fail_are_one_sample_and_two_reasons() -> None:
    beside = W1Decoder([(1.0, 0.0), (1.0, 0.0)])
    assert found(beside, CASES[2]["said"], "") == ([], [("checksum", 1), ("missing", 0)])
    assert found(beside, GOOD) == ([], [("columns", 1)])


def test_units_are_the_channels() -> None:
    assert found(W1Decoder.from_config(config()), GOOD, GOOD) == ([[23.125, pytest.approx(73.625)]], [])
    with pytest.raises(UsageError, match='y: "g" is no temperature'):
        W1Decoder.from_config(source_config("w1", ("y",), kind="onewire"))


def test_it_keeps_a_decoders_promises() -> None:
    lines = "".join(f"{case['said']}\t{GOOD}\n" for case in CASES)
    check_decoder(lambda: W1Decoder([(1.0, 0.0), (1.0, 0.0)]), lines.encode(), 2, mutations=30)


@given(st.binary(max_size=100))
def test_any_bytes_are_taken(data: bytes) -> None:
    list(W1Decoder([(1.0, 0.0)]).feed(data + b"\n"))


def plug(root: Path, sensor: str, said: str = GOOD) -> None:
    (root / sensor).mkdir(parents=True, exist_ok=True)
    text = said.replace(" YES ", " YES\n").replace(" NO ", " NO\n")
    (root / sensor / "w1_slave").write_text(text + "\n")


def test_it_keeps_its_promises_as_a_source(tmp_path: Path) -> None:
    plug(tmp_path, SENSORS["x"])
    asyncio.run(check_source(lambda: OnewireSource.from_config(config(root=str(tmp_path), poll="1ms")), lambda: None))


def test_a_sensor_that_is_not_there_leaves_the_others_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        source = OnewireSource.from_config(config(root=str(tmp_path), poll="1ms"))
        opening = asyncio.create_task(source.open())
        await until(lambda: "there is no 1-Wire bus; sudo dtoverlay w1-gpio" in source.waiting_for)
        plug(tmp_path, SENSORS["y"])
        await opening
        taker = Taker(source)
        await taker.until(lambda taker: len(taker.items) == 2)
        assert isinstance(taker.items[0], Interruption)
        assert taker.items[1] == Arrival(b"\t" + GOOD.encode() + b"\n", *stamps(taker.items[1]), is_message=True)
        assert SENSORS["x"] in source.trouble
        plug(tmp_path, SENSORS["x"])
        await taker.until(lambda taker: taker.items[-1].data.count(b"YES") == 2)  # type: ignore[union-attr]
        assert not source.trouble
        await source.close()

    def stamps(item: Arrival | Interruption) -> tuple[int, int]:
        return item.monotonic_ns, item.wall_ns

    asyncio.run(scenario())


def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path) -> None:
    sensors = Thermometers(("28-000000000001",), tmp_path)
    (tmp_path / "w1_bus_master1").mkdir()
    with pytest.raises(UnfitError, match=r"4\.7 kohm"):
        sensors.find()
    plug(tmp_path, SENSORS["x"])
    with pytest.raises(UnfitError, match=f"no such sensor; there are {SENSORS['x']}: say one of these"):
        sensors.find()
    (tmp_path / "28-000000000001").mkdir()
    with pytest.raises(UnfitError, match="28-000000000001 has no driver; sudo modprobe w1_therm loads it"):
        sensors.find()


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + (FOLDER / "sample.toml").read_text())
    (source,) = load_config(path).sources
    assert source.options.keys() == OnewireSource.keys.keys()
    assert (source.decoder, source.clock) == ("w1", "arrival")
    page = (FOLDER / "README.md").read_text()
    for name, key in OnewireSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
    assert all(f"`{case['reason']}`" in page for case in CASES if "reason" in case)
