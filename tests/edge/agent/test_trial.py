"""`agent test`: sources are read as an agent reads them, and nothing is kept of it, here or at a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import sensorloom
from edge.agent.overview import SourceView, trial_page, troubles
from edge.agent.trial import Trial
from edge.config import load_config
from edge.sources.mqtt.settings import settings
from edge.sources.mqtt.source import MqttSource
from tests.edge.sources.collecting import Taker
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import begin_session, has_session, publish
from tests.support.pty import SerialPort

HEAD = 'device = "pump"\nlog = "segments:log"\n[spool]\ndir = "spool"\n'
PATIENCE_S = 60.0
Views = dict[str, SourceView]


def configure(folder: Path, *sources: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(HEAD + "".join(f"[[source]]\n{source}\n" for source in sources))
    return path


def port(name: str, more: str = "", channels: str = '{ x = "g", y = "g" }') -> str:
    base = f'name = "{name}"\ntype = "serial"\nport = "{name}"\ndecoder = "csv"\nstream = "{name}"\n'
    return f"{base}channels = {channels}\n{more}"


def tried(config: Path, done: Callable[[Views], bool], meanwhile: Callable[[], None] = lambda: None) -> Views:
    """What a trial finds that goes on until `done`; `meanwhile` is called again and again."""

    async def main() -> list[SourceView]:
        stop, trial = asyncio.Event(), Trial(load_config(config), "t0")
        running = asyncio.create_task(trial.run(PATIENCE_S, stop))
        while not running.done() and not done({view.name: view for view in trial.views()}):
            meanwhile()
            await asyncio.sleep(0.05)
        stop.set()
        return await running

    return {view.name: view for view in asyncio.run(main())}


async def taken(source: MqttSource, count: int) -> bytes:
    try:
        return await Taker(source).bytes_until(count)
    finally:
        await source.close()


def test_each_source_is_shown_raw_and_decoded_and_what_is_wrong_is_said_as_the_agent_says_it(tmp_path: Path) -> None:
    scaled = 'scale = { x = 0.5 }\nvalues = { y = { 0 = "up", 1 = "down" } }'
    config = configure(tmp_path, port("good", scaled), port("bad"), port("away"), port("mute"))
    with SerialPort(tmp_path / "good") as good, SerialPort(tmp_path / "bad") as bad, SerialPort(tmp_path / "mute"):

        def say() -> None:
            if good.is_read and bad.is_read:
                good.write(b"3,1\n")
                bad.write(b"3;1\n")

        found = tried(
            config,
            lambda now: (
                now["good"].samples >= 5 and now["bad"].lost.get("columns", 0) >= 5 and bool(now["away"].waiting_for)
            ),
            say,
        )
        page = trial_page(found.values(), 5.0)
    assert "good  serial → csv → pump/good: " in page
    assert "  raw      3,1\n  decoded  x = 1.5 g, y = 1 g (down)\n  good\n" in page
    assert "gives a sample: columns, another number of cells than of columns" in page
    assert 'say separator = ";"' in page
    assert f"wrong    waiting for {tmp_path}/away: no such port; is it plugged in?" in page
    assert "is the sensor on, and does its TX go to this port's RX?" in page.partition("mute  ")[2]
    assert [name for name, view in found.items() if not troubles(view)] == ["good"]
    assert not (tmp_path / "spool").exists()
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_a_broker_keeps_for_the_agent_is_left_to_it(tmp_path: Path, protocol: str) -> None:
    with Mosquitto() as broker:
        source = f'name = "temp"\ntype = "mqtt"\nbroker = "{broker.url}"\ntopic = "t"\nprotocol = "{protocol}"\n'
        source += 'decoder = "csv"\nstream = "temp"\nchannels = { c = "degC" }\nclient_id = "the-agent"\n'
        config = configure(tmp_path, source)
        begin_session(broker.host, broker.port, "the-agent", "t")

        def say() -> None:
            publish(broker.host, broker.port, "t", [b"21.5"])

        found = tried(config, lambda now: now["temp"].samples >= 3, say)["temp"]
        assert [(value.channel, value.value, value.unit) for value in found.values] == [("c", 21.5, "degC")]
        assert troubles(found) == []
        agents = replace(settings(load_config(config).sources[0]), version=5)
        assert asyncio.run(taken(MqttSource(agents), found.bytes)) == b"21.5" * found.samples
        assert not has_session(broker.host, broker.port, "sensorloom-t00")
        assert has_session(broker.host, broker.port, "the-agent")


def test_a_good_file_ends_with_0_and_a_bad_one_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay = 'name = "s"\ntype = "replay"\nfile = "a.csv"\nspeed = "max"\ndecoder = "csv"\nstream = "acc"\n'
    config = configure(tmp_path, replay + 'channels = { x = "g", y = "g" }\nrate = "100Hz"')
    words = ["agent", "test", "-c", str(config)]
    (tmp_path / "a.csv").write_text("1,2\n" * 50)
    assert sensorloom.main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["good"], said["sources"][0]["samples"]) == (True, 50)
    assert said["sources"][0]["values"][1] == {"channel": "y", "unit": "g", "value": 2.0, "state": ""}
    config.write_text(
        config.read_text() + '\ncalibration = { bias = [0.1, 0.2], date = 2999-01-01, reference = "level" }'
    )
    assert sensorloom.main(words) == 1
    assert "wrong    calibration: date: 2999-01-01 is yet to come" in capsys.readouterr().out
    (tmp_path / "a.csv").write_text("1\n")
    assert sensorloom.main(words) == 1
    assert "1 cells, but columns are x, y" in capsys.readouterr().out
    assert sensorloom.main([*words, "--for", "0s"]) == 2
    assert "expected above 0 to 1h" in capsys.readouterr().err
    assert sensorloom.main(["agent", "test", "-c", str(tmp_path / "none.toml")]) == 2
