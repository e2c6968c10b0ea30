from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from edge.protocol import Arrival
from edge.sources.replay.source import ReplaySource
from ingest.errors import UsageError
from tests.edge.configs import source_config

S = 1_000_000_000
START = 1_700_000_000 * S


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
        ({"file": "pyproject.toml", "start": "today"}, "neither ISO 8601"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        play(**options)
