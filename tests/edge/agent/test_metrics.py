"""An agent's figures as Prometheus' own parser reads them, and who asks for them in odd ways."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.agent import metrics
from edge.agent.exposition import exposition
from edge.agent.metrics import ASKING_MOST, answer, serve_metrics
from edge.agent.overview import Overview
from edge.config import load_config
from ingest.errors import UsageError
from tests.edge.agent.views import source_view, view
from tests.edge.feeding import FlakyLog, fed, fed_config, running  # noqa: F401 - a fixture
from tests.support.server import free_ports

ODD = 'a "b"\\c\nd'


def read(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(page):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            key = (sample.name.removeprefix("sensorloom_agent_"), tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def test_each_figure_is_a_metric_with_whose_it_is() -> None:
    imu = source_view(samples=7, bytes=90, lost={"columns": 2, ODD: 1}, silent_s=0.5, rate_hz=99.5, findings=["x"])
    away = source_view(ODD, stream="fan/air", waiting_for="port: no such port")
    found = read(exposition(view(sources=[imu, away], config_hash="ab12", log_waiting_for="an answer")))
    assert found["info", (("agent", "pi"), ("config_hash", "ab12"), ("version", "1.0"))] == 1
    assert (found["spool_backlog_records", ()], found["published_records_total", ()]) == (3, 40)
    assert (found["log_waiting", ()], found["uptime_seconds", ()]) == (1, 61)
    who = (("device", "pump"), ("source", "imu"), ("stream", "acc"))
    names = ("samples_total", "received_bytes_total", "waiting", "findings")
    assert [found[f"source_{name}", who] for name in names] == [7, 90, 0, 1]
    assert (found["source_silent_seconds", who], found["source_rate_hertz", who]) == (0.5, 99.5)
    lost = {labels: value for (name, labels), value in found.items() if name == "source_lost_total"}
    assert {dict(labels)["reason"]: value for labels, value in lost.items()} == {"columns": 2, ODD: 1}
    odd = (("device", "fan"), ("source", ODD), ("stream", "air"))
    assert found["source_waiting", odd] == 1
    assert ("source_silent_seconds", odd) not in found


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: pi\r\n\r\n", b"200 OK"),
        (b"GET /metrics?name[]=up HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"200 OK"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"\x16\x03\x01\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics SIP/2.0\r\n\r\n", b"400 Bad Request"),
    ],
)
def test_requests_are_answered_by_the_book(head: bytes, status: bytes) -> None:
    start, _, body = answer(head, view).partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 " + status + b"\r\n")
    length = int(start.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    assert len(body) == (0 if head.startswith(b"HEAD") else length)
    assert length > 0


@pytest.mark.usefixtures("fed")
def test_a_running_agent_is_read_and_an_address_that_is_taken_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "RETRY_S", 0.01)
    (port,) = free_ports(1)
    config = fed_config(tmp_path, f'[metrics]\nlisten = "127.0.0.1:{port}"\n')

    async def main() -> None:
        lines: asyncio.Queue[str] = asyncio.Queue()
        other = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        second = asyncio.create_task(serve_metrics(("127.0.0.1", port), view, lines.put_nowait))
        taken = f"metrics: waiting for 127.0.0.1:{port}, where they are to be read: Address already in use"
        assert await lines.get() == taken
        other.close()
        await other.wait_closed()
        assert await lines.get() == "metrics: answers"
        second.cancel()
        await asyncio.wait([second])
        async with running(config, FlakyLog()) as agent:
            agent.source.feed(b"1\n2\n", 1)
            await agent.until(lambda: agent.agent.figures().get("acc.samples") == 2)
            found = read((await asked(port, b"GET /metrics HTTP/1.1\r\n\r\n")).partition("\r\n\r\n")[2])
            (samples,) = [value for (name, _), value in found.items() if name == "source_samples_total"]
            assert samples == 2

    asyncio.run(main())


async def asked(port: int, head: bytes) -> str:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    writer.write(head)
    try:
        return (await reader.read()).decode()
    except ConnectionResetError:  # it was closed with something unread
        return ""
    finally:
        writer.close()


def test_who_says_nothing_or_too_much_is_sent_away_and_holds_up_nobody() -> None:
    (port,) = free_ports(1)
    asks = b"GET /metrics HTTP/1.1\r\n\r\n"

    async def main() -> None:
        serving = asyncio.create_task(serve_metrics(("127.0.0.1", port), lambda: found, print))
        assert await asked(port, asks)
        silent = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(ASKING_MOST)]
        assert await asked(port, asks) == ""
        for writer in silent:
            writer.close()
        while not await asked(port, asks):
            pass
        assert await asked(port, b"x" * 20_000) == ""
        serving.cancel()
        await asyncio.wait([serving])

    found: Overview = view()
    asyncio.run(main())


@pytest.mark.parametrize("listen", ["9477", ":9477", "pi:0", "pi:99999", "pi:http"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, listen: str) -> None:
    text = f'log = "segments:log"\n[spool]\ndir = "spool"\n[metrics]\nlisten = "{listen}"\n'
    source = (
        '[[source]]\nname = "a"\ntype = "serial"\nport = "p"\ndecoder = "csv"\nstream = "s"\nchannels = { x = "g" }\n'
    )
    (tmp_path / "agent.toml").write_text(text + source)
    with pytest.raises(UsageError, match=r'metrics.listen: found ".*", expected host and port, as in'):
        load_config(tmp_path / "agent.toml")
    (tmp_path / "agent.toml").write_text(text.replace(listen, "[::1]:9477") + source)
    assert load_config(tmp_path / "agent.toml").metrics == ("::1", 9477)
