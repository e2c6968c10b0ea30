"""Scenarios played to real listeners: what is said arrives, and the truth is written beside it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.protocol import Arrival, SourceConfig
from edge.sources.mqtt.source import MqttSource
from edge.sources.serial.port import Line
from edge.sources.serial.source import SerialSource
from ingest.errors import TransientError, UsageError
from ingest.importers.marks import read_marks
from ingest.records import Chunk, Gap, RecordingEnd
from simulators.broker import EmbeddedBroker
from simulators.playing import Report, play
from simulators.scenario import Scenario, load_scenario
from simulators.speech import speak
from tests.support.logs import read_log
from tests.support.mosquitto import Mosquitto
from tests.support.server import PROJECT, free_ports

START = "2026-01-05T08:00:00Z"
START_NS = 1_767_600_000_000_000_000


def scenario(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.toml"
    path.write_text(text)
    return load_scenario(path)


def quiet(line: str) -> None:
    pass


def everything(made: Scenario) -> bytes:
    """What the first sensor has to say."""
    sensor = made.sensors[0]
    recording = sensor.make(made.seed, START_NS, made.seconds)
    return b"".join(utterance.data for utterance in speak(recording, sensor.style))


async def heard(source: MqttSource | SerialSource, size: int) -> bytes:
    """The first `size` bytes that come."""
    data = b""
    async with asyncio.timeout(200):
        async for item in source.arrivals():
            if not isinstance(item, Arrival):  # before it was there, it was not heard
                assert not data
                continue
            data += item.data + b"\n" * item.is_message
            source.ack(item.token)
            if len(data) >= size:
                return data
    return data


def mqtt_source(url: str, protocol: str) -> MqttSource:
    options = {"broker": url, "topic": "motor", "protocol": protocol}
    config = SourceConfig(
        where="test",
        base=".",
        name="m",
        type="mqtt",
        decoder="json",
        device="d",
        stream="s",
        channels={},
        options=options,
    )
    return MqttSource.from_config(config)


def test_a_serial_sensor_waits_for_its_reader_and_says_everything(tmp_path: Path) -> None:
    text = f'''
        seconds = 30
        speed = 100
        start = "{START}"
        truth = "deep/truth.csv"
        [[sensor]]
        device = "pump-7"
        kind = "accelerometer"
        via = "serial"
        port = "ports/ttyPUMP"
        values = "raw"
    '''
    made = scenario(tmp_path, text)
    said = everything(made)

    async def listen() -> Report:
        playing = asyncio.create_task(play(made, quiet))
        source = SerialSource(Line(str(tmp_path / "ports" / "ttyPUMP")))
        try:
            assert await heard(source, len(said)) == said
            return await playing
        finally:
            await source.close()

    report = asyncio.run(listen())
    sensor = report.sensors[0]
    assert sensor.samples + sensor.gap_samples == 3000
    assert (sensor.unheard, sensor.damage.torn) == (0, 0)
    truth = read_marks(tmp_path / "deep" / "truth.csv")
    assert len(truth) == sensor.events > 0
    assert all(START_NS < mark.start_ns < mark.end_ns <= report.end_ns for mark in truth)
    assert not (tmp_path / "ports" / "ttyPUMP").is_symlink()


@pytest.mark.parametrize("embedded", [False, True])
def test_an_mqtt_sensor_publishes_to_a_real_broker_and_to_the_embedded_one(
    tmp_path: Path, mosquitto: Mosquitto, embedded: bool
) -> None:
    port = free_ports(1)[0]
    url = f"mqtt://127.0.0.1:{port}" if embedded else mosquitto.url
    text = f'''
        seconds = 300
        speed = 1000
        start = "{START}"
        [[sensor]]
        device = "motor-3"
        kind = "temperature"
        via = "mqtt"
        broker = "{url}"
        topic = "motor"
        time = true
    '''
    made = scenario(tmp_path, text)
    said = everything(made)

    async def listen() -> Report:
        broker = EmbeddedBroker("127.0.0.1", port)
        if embedded:
            await broker.start()
        source = mqtt_source(url, "3.1.1" if embedded else "5")
        try:
            await asyncio.wait_for(source.open(), 60)
            playing = asyncio.create_task(play(made, quiet))
            assert await heard(source, len(said)) == said
            return await playing
        finally:
            await source.close()
            if embedded:
                await broker.stop()

    report = asyncio.run(listen())
    assert report.sensors[0].unheard == 0
    assert json.loads(said.splitlines()[0])["t"] == START_NS


def test_a_log_sensor_is_an_agent_of_its_own(tmp_path: Path) -> None:
    text = f'''
        seconds = 300
        speed = 10000
        start = "{START}"
        [[sensor]]
        device = "truck-1"
        kind = "gps"
        rate = "5Hz"
        via = "log"
        log = "segments:log"
        [sensor.faults]
        duplicates = 0.2
    '''
    report = asyncio.run(play(scenario(tmp_path, text), quiet))
    sensor = report.sensors[0]
    told = read_log(f"segments:{tmp_path / 'log'}")
    chunks = [record for record in told if isinstance(record, Chunk)]
    distinct = {chunk.seq: chunk for chunk in chunks}
    assert sensor.damage.duplicates > 0
    assert len(told) == sensor.utterances
    assert sum(chunk.count for chunk in distinct.values()) == sensor.samples
    announced = {(gap.start_ns, gap.samples) for gap in told if isinstance(gap, Gap)}
    assert sensor.samples + sum(samples for _, samples in announced) == 1500


def test_what_cannot_be_reached_ends_all_of_it(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    text = f"""
        seconds = 10
        [broker]
        listen = "127.0.0.1:{port}"
        [[sensor]]
        device = "a"
        kind = "gps"
        via = "serial"
        port = "tty"
        [[sensor]]
        device = "b"
        kind = "gps"
        via = "mqtt"
        broker = "mqtt://127.0.0.1:{free_ports(1)[0]}"
        topic = "b"
    """
    made = scenario(tmp_path, text)
    with pytest.raises(TransientError, match=r"mqtt://127.0.0.1:\d+: Connection refused; start a broker there"):
        asyncio.run(asyncio.wait_for(play(made, quiet), 60))
    assert not (tmp_path / "tty").is_symlink()

    async def occupied() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", port)
        async with server:
            await play(made, quiet)

    with pytest.raises(UsageError, match=rf"mqtt://127.0.0.1:{port}: cannot listen there: .*; choose another port"):
        asyncio.run(asyncio.wait_for(occupied(), 60))


def test_ended_early_it_ends_in_good_order(tmp_path: Path) -> None:
    text = """
        seconds = 3600
        speed = 60
        truth = "truth.csv"
        [[sensor]]
        device = "pump-7"
        kind = "accelerometer"
        via = "log"
        log = "segments:log"
    """
    scenario(tmp_path, text)
    command = [sys.executable, "-W", "error", "-m", "sensorloom", "simulate", str(tmp_path / "scenario.toml"), "--json"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (tmp_path / "log/topics/readings").exists() or len(read_log(f"segments:{tmp_path / 'log'}")) < 5:
                assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=200)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    report = json.loads(out)
    told = read_log(f"segments:{tmp_path / 'log'}")
    assert isinstance(told[-1], RecordingEnd)
    assert told[-1].reason == "interrupted"
    assert sum(record.count for record in told if isinstance(record, Chunk)) == report["sensors"][0]["samples"]
    assert len(read_marks(tmp_path / "truth.csv")) == report["sensors"][0]["events"]
