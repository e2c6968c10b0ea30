from __future__ import annotations

import asyncio
import gzip
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import edge.sources.replay
from edge.config import load_config
from edge.protocol import Arrival
from edge.sources.replay.source import ReplaySource
from ingest.errors import PermanentError, UsageError
from tests.edge.configs import source_config

S = 1_000_000_000
START = 1_700_000_000 * S
FOLDER = Path(edge.sources.replay.__file__).parent


def play(**options: object) -> list[Arrival]:
    async def main() -> list[Arrival]:
        source = ReplaySource.from_config(source_config(kind="replay", **options))  # type: ignore[arg-type]
        await source.open()
        found = [item async for item in source.arrivals() if isinstance(item, Arrival)]
        await source.close()
        await source.close()
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ended", [False, True])
def test_every_line_comes_once_and_the_last_one_is_whole(tmp_path: Path, packed: bool, ended: bool) -> None:
    lines = [b"%d,0,0" % number for number in range(10_000)]
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    found = play(file=str(path), speed="max", rate=50, clock="counted", start=str(START))
    assert b"".join(arrival.data for arrival in found) == b"\n".join(lines) + b"\n"
    assert found[0].wall_ns == START
    before = sum(arrival.data.count(b"\n") for arrival in found[:-1])
    assert found[-1].wall_ns == START + before * S // 50


def test_lines_with_times_come_at_these(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("".join(f"{START + at * S // 10},1,2,3\n" for at in (0, 1, 2, 50)))
    options = {"time_column": "t", "time_unit": "ns", "clock": "device", "start": "now"}
    found = play(file=str(path), speed=1000, **options)
    assert b"".join(arrival.data for arrival in found) == path.read_bytes()
    assert [arrival.wall_ns for arrival in found][-1] == START + 5 * S


def test_it_takes_as_long_as_its_speed_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2,3\n" * 51)

    async def main() -> float:
        options = {"file": str(path), "speed": 5, "start": str(START)}
        source = ReplaySource.from_config(source_config(kind="replay", rate=50, clock="counted", **options))  # type: ignore[arg-type]
        await source.open()
        loop = asyncio.get_running_loop()
        began = loop.time()
        async for _ in source.arrivals():
            pass
        await source.close()
        return loop.time() - began

    assert asyncio.run(main()) >= 0.18


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": "nowhere.csv"}, "no such file"),
        ({}, '"file" is missing'),
        ({"file": "pyproject.toml", "speed": 0}, "above 0"),
        ({"file": "pyproject.toml", "speed": "fast"}, "above 0"),
        ({"file": "pyproject.toml", "start": "today"}, r"source\[\d\]: start: .*no ISO 8601 time"),
        ({"file": "pyproject.toml", "lines_per_s": 0}, "lines_per_s: found 0, expected at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        play(**options)


def test_a_torn_file_ends_its_source_and_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % number for number in range(50_000)))[:-2000])
    with pytest.raises(PermanentError, match=r"a\.csv\.gz: cannot be read to its end: .*; is it whole\?"):
        play(file=str(path), speed="max")


CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_cases(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(case["file"])
    options = {key: case[key] for key in ("lines_per_s", "time_column") if key in case}
    timed = {"clock": "device", "time_unit": "s"} if "time_column" in case else {"start": str(START)}
    rate = Fraction(case["rate"].removesuffix("Hz")) if "rate" in case else None
    found = play(file=str(path), rate=rate, channels=("x",), **options, **timed)
    assert b"".join(arrival.data for arrival in found).decode().splitlines() == case["lines"]
    begin = 0 if "time_column" in case else START
    assert [(arrival.wall_ns - begin) / S for arrival in found] == case["at_s"]


def test_the_sample_is_a_configuration_with_every_key(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        'device = "d"\nlog = "segments:log"\n[spool]\ndir = "spool"\n' + (FOLDER / "sample.toml").read_text()
    )
    (tmp_path / "walk.csv.gz").touch()
    assert load_config(path).sources[0].type == "replay"
    sample = (FOLDER / "sample.toml").read_text().replace("# lines_", "lines_")
    assert set(ReplaySource.keys) <= set(tomllib.loads(sample)["source"][0])


def test_the_page_has_each_key_with_its_default() -> None:
    rows = {
        line.split("`")[1]: line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert set(rows) == set(ReplaySource.keys)
    for name, key in ReplaySource.keys.items():
        assert (key.default or "must be given") in rows[name]
