"""The source `gpsd`: its cases cut at every place, and a real gpsd with a receiver on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import json
import socket
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge.sources.gpsd
from edge.config import load_config
from edge.protocol import Arrival, Interruption
from edge.sources.gpsd.reports import MAX_REPORT, Reports
from edge.sources.gpsd.source import GPSD_LOST, Daemon, GpsdSource
from ingest.errors import UsageError
from simulators.doubles.suite import check_source
from tests.edge.configs import source_config
from tests.edge.decoders.fuzzing import sentence
from tests.edge.sources.collecting import Taker, until
from tests.support.gpsd import Gpsd
from tests.support.pty import SerialPort

FOLDER = Path(edge.sources.gpsd.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_handed_on(case: dict[str, Any]) -> None:
    said = "".join(case["pieces"]).encode()
    for cut in range(len(said) + 1):
        reports = Reports(case.get("report", "TPV"))
        found = reports.feed(said[:cut], 0) + reports.feed(said[cut:], 0)
        assert found.decode().splitlines() == case["lines"]
        assert reports.trouble.startswith(case.get("trouble", ""))
        assert bool(reports.trouble) == ("trouble" in case)


def test_what_never_ends_is_not_kept() -> None:
    reports = Reports("TPV")
    assert len(reports.feed(b"1" * (MAX_REPORT + 1), 0)) == MAX_REPORT + 2


def fix(second: int) -> bytes:
    """What a receiver says in a second from noon on, of 2026-11-24, a little further north each time."""
    at = f"12{second // 60:02}{second % 60:02}.00"
    place = f"5203.{second:04},N,00436.0000,E"
    said = f"GPGGA,{at},{place},1,08,0.9,12.5,M,40.0,M,,", f"GPRMC,{at},A,{place},10.0,90.0,241126,,,A"
    return b"".join(sentence(text.encode()) + b"\r\n" for text in said)


def test_fixes_of_a_real_daemon(tmp_path: Path) -> None:
    async def scenario() -> None:
        with SerialPort(tmp_path / "gps") as port, Gpsd(port.path) as daemon:
            source = GpsdSource(Daemon("127.0.0.1", daemon.port), Reports("TPV"))
            taker, second = Taker(source), 0

            async def speak() -> None:
                nonlocal second
                while True:
                    port.write(fix(second % 3600))
                    second += 1
                    await asyncio.sleep(0.05)

            speaking = asyncio.create_task(speak())
            try:
                async with asyncio.timeout(100):
                    await taker.until(lambda taker: taker.data.count(b"\n") >= 5)
                    daemon.kill()
                    await until(lambda: source.missing == GPSD_LOST)
                    assert (
                        "nobody listens there" in source.waiting_for
                        or "is it gpsd that listens there" in source.waiting_for
                    )
                    daemon.restart()
                    await taker.until(lambda taker: isinstance(taker.items[-1], Interruption))
                    count = len(taker.items)
                    await taker.until(lambda taker: len(taker.items) > count)
            finally:
                speaking.cancel()
                await source.close()
        for line in b"".join(item.data for item in taker.items if isinstance(item, Arrival)).splitlines():
            report = json.loads(line)
            assert report["time"].startswith("2026-11-24T12:")
            number = 60 * int(report["time"][14:16]) + int(report["time"][17:19])
            np.testing.assert_allclose(report["lat"], 52 + (3 + number / 1e4) / 60, atol=2e-6)
        assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [GPSD_LOST]

    asyncio.run(scenario())


def test_it_keeps_its_promises_as_a_source() -> None:
    report = b'{"class":"TPV","mode":3,"time":"2026-01-01T00:00:00.000Z"}\n'

    def say(writers: list[asyncio.StreamWriter]) -> None:
        for writer in writers:
            writer.write(report)

    async def scenario() -> None:
        writers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        await check_source(
            lambda: GpsdSource(Daemon("127.0.0.1", number), Reports("TPV")),
            lambda: say(writers),
        )
        for writer in writers:
            writer.close()
        server.close()

    asyncio.run(scenario())


def test_nobody_listens_there() -> None:
    async def scenario() -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            source = GpsdSource(Daemon("127.0.0.1", unheard.getsockname()[1]), Reports("TPV"))
            opening = asyncio.ensure_future(source.open())
            await until(lambda: "is gpsd running" in source.waiting_for)
            opening.cancel()
            await source.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"report": "tpv"}, 'unknown report "tpv"'),
        ({"tcp_port": 0}, "not in 1..65535"),
        ({"decoder": "nmea"}, 'say decoder = "json"'),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        GpsdSource.from_config(source_config(**({"decoder": "json", "kind": "gpsd"} | options)))


def test_what_lies_beside_it(tmp_path: Path) -> None:
    sample = (FOLDER / "sample.toml").read_text().replace("# receiver", "receiver")
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + sample)
    assert load_config(path).sources[0].options.keys() >= GpsdSource.keys.keys()
    page = (FOLDER / "README.md").read_text()
    for name, key in GpsdSource.keys.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
