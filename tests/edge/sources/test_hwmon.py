"""The source `hwmon`, on made-up folders; in tests/kernel it has chips."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge.sources.hwmon
from edge.config import load_config
from edge.decoders.scans.decoder import row_type
from edge.protocol import Arrival, Interruption
from edge.sources.hwmon.inputs import Inputs, UnfitError
from edge.sources.hwmon.source import HwmonSource
from edge.sources.polled import NO_ANSWER
from ingest.errors import UsageError
from simulators.doubles.suite import check_source
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker, until

FOLDER = Path(edge.sources.hwmon.__file__).parent
FILE = tomllib.loads((FOLDER / "cases.toml").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILE["files"].items():
        path = tmp_path / "class" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return tmp_path / "class"


def values(arrival: Arrival | Interruption, channels: int = 1) -> list[float]:
    assert isinstance(arrival, Arrival)
    found: list[float] = np.frombuffer(arrival.data, row_type(channels))["values"][0].tolist()
    return found


@pytest.mark.parametrize("case", FILE["case"], ids=lambda case: f"{case['input']} in {case['unit']}")
def test_what_an_input_gives(root: Path, case: dict[str, Any]) -> None:
    inputs = Inputs({"x": case["input"]}, {"x": case["unit"]}, root)
    if "refused" in case:
        with pytest.raises(UnfitError) as raised:
            inputs.find()
        assert str(raised.value) == case["refused"]
    else:
        texts = [path.read_bytes() for path in inputs.find()]
        (found,) = np.frombuffer(inputs.message(texts), row_type(1))["values"][0]
        assert found == pytest.approx(case["value"], rel=1e-12)


def test_a_machine_without_any_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="no hardware monitor at all; load its driver: sudo modprobe drivetemp"):
        Inputs({"x": "a.b"}, {"x": "degC"}, tmp_path).find()


def test_it_keeps_its_promises_as_a_source(root: Path) -> None:
    inputs = Inputs({"x": "cpu_thermal.temp1"}, {"x": "degC"}, root)
    asyncio.run(check_source(lambda: HwmonSource(inputs, 1_000_000), lambda: None))


def test_one_that_fails_is_missing_and_all_that_fail_are_looked_for_again(root: Path) -> None:
    """A chip goes, and comes back under another number."""
    wanted = {"x": "cpu_thermal.temp1", "y": "thermal.cpu-thermal"}
    source = HwmonSource(Inputs(wanted, dict.fromkeys(wanted, "degC"), root), 1_000_000)

    async def scenario() -> None:
        taker = Taker(source)
        await taker.until(lambda taker: len(taker.items) == 2)
        assert [values(item, 2) for item in taker.items] == 2 * [[48.312, 48.5]]
        zone, chip = root / "thermal/thermal_zone0", root / "hwmon/hwmon0"
        (zone / "temp").write_text("many")
        (chip / "temp1_input").write_text("many")
        asking = asyncio.create_task(taker.until(lambda taker: isinstance(taker.items[-1], Interruption)))
        await until(lambda: bool(source.waiting_for))
        assert (source.missing, source.trouble) == (NO_ANSWER, "")
        (zone / "temp").write_text("1000")
        (chip / "temp1_input").write_text("2000")
        chip.rename(chip.with_name("hwmon9"))
        await asking
        await taker.until(lambda taker: isinstance(taker.items[-1], Arrival))
        assert values(taker.items[-1], 2) == [2.0, 1.0]
        assert not source.waiting_for
        (zone / "temp").unlink()
        (zone / "temp").mkdir()  # a file that cannot be read, also not by root
        await taker.until(lambda taker: values(taker.items[-1], 2)[1] != 1.0)
        assert np.isnan(values(taker.items[-1], 2)[1])
        assert "thermal_zone0/temp: Is a directory" in source.trouble
        await source.close()

    asyncio.run(scenario())


def test_one_that_may_not_be_read_is_told_with_a_command(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # for root nothing is forbidden
    source = HwmonSource(Inputs({"x": "cpu_thermal.temp1"}, {"x": "degC"}, root), 1_000_000)

    async def scenario() -> None:
        opening = asyncio.create_task(source.open())
        await until(lambda: bool(source.waiting_for))
        await source.close()
        await opening

    asyncio.run(scenario())
    path = root / "hwmon/hwmon0/temp1_input"
    assert f"{path} may not be read by this user; " in source.waiting_for
    assert "sudo chown " in source.waiting_for or "sudo usermod -aG " in source.waiting_for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, '"inputs" is missing'),
        ({"inputs": {"x": "a.b", "y": "a.b"}}, '"y" is no channel'),
        ({"inputs": {}}, "x: found None, expected text"),
        ({"inputs": {"x": "temp1"}}, "expected a chip and its input"),
        ({"inputs": {"x": "a.b"}, "poll": "0s"}, "expected 1ms to 24h"),
        ({"inputs": {"x": "a.b"}, "poll": "often"}, "poll: "),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HwmonSource.from_config(source_config("scans", ("x",), kind="hwmon", **options))


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + (FOLDER / "sample.toml").read_text())
    (source,) = load_config(path).sources
    assert source.options.keys() == HwmonSource.keys.keys()
    assert (source.decoder, source.clock) == ("scans", "arrival")
    page = (FOLDER / "README.md").read_text()
    for name, key in HwmonSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
