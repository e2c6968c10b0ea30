"""`agent init` as a user types it: on ports that are terminals, on a real broker, with and without somebody to ask."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import sensorloom
from edge.agent.probe.baud import AtBaud
from edge.agent.probe.scoring import Heard
from edge.agent.probe.session import of_port
from edge.agent.probe.topics import TOPICS_MOST, Topics, alike
from edge.config import load_config
from ingest.errors import TransientError
from tests.edge.agent.probe.hearing import again_and_again, offer
from tests.support.data import data_dir
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import publish
from tests.support.pty import SerialPort

ROOT = Path(__file__).resolve().parents[4]
PATIENCE_S = 60.0
LONG = ("--for", "60s")
"""Listening ends when enough was heard."""


def test_two_ports_are_found_out_written_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = (data_dir() / "gpsd_nmea/neo-m8n.log").read_bytes().splitlines(keepends=True)
    fixes = [number for number, line in enumerate(log) if line.startswith(b"$GNRMC")]
    sentences = [line for line in log[fixes[0] : fixes[-1]] if line.startswith(b"$")]  # whole ones, again and again
    with SerialPort(tmp_path / "imu") as imu, SerialPort(tmp_path / "gps") as gps:

        def say(number: int) -> None:
            offer(imu, b"0.25,-1.5,%d\r\n" % (number % 3))
            offer(gps, sentences[number % len(sentences)])

        words = ["imu", "gps", "--yes", "--device", "truck", "--channels", "x,y,z", "--unit", "g", "--unit", "z=1"]
        with again_and_again(say):
            assert sensorloom.main(["agent", "init", *words, *LONG]) == 0
        said = capsys.readouterr().out
    assert f"sensor: {tmp_path}/imu at 115200 baud: csv, reads 100 % of it" in said
    assert f"gps: {tmp_path}/gps at 115200 baud: nmea, reads 100 % of it" in said
    assert "agent.toml: written, 2 sources" in said
    assert said.count("\n  good\n") == 2
    assert "next: sensorloom agent run -c agent.toml" in said
    sensor, receiver = load_config("agent.toml").sources
    assert (sensor.device, sensor.channels) == ("truck", {"x": "g", "y": "g", "z": "1"})
    assert sensor.options == {"port": f"{tmp_path}/imu", "baud": 115_200}
    assert {"lat": "deg", "lon": "deg", "alt": "m"}.items() <= receiver.channels.items()
    assert not (tmp_path / "spool").exists()


def test_topics_of_a_broker_are_found_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Mosquitto() as broker:
        publish(broker.host, broker.port, "plant/words", [b"hello there"])

        def say(number: int) -> None:
            publish(broker.host, broker.port, "plant/p7/acc", [b'{"x": 0.5, "y": %d}' % number])
            publish(broker.host, broker.port, "plant/p7/temp", [b"21.5"])
            publish(broker.host, broker.port, "plant/words", [b"hello there"])
            publish(broker.host, broker.port, "office/temp", [b"19"])

        with again_and_again(say):
            words = [f"{broker.url}/plant/#", "--yes", "--device", "p7", "--unit", "value=degC", "--json", *LONG]
            assert sensorloom.main(["agent", "init", *words]) == 0
        said = capsys.readouterr()
    found = json.loads(said.out)
    assert (found["good"], found["failures"]) == (True, [])
    assert found["unknown_units"].startswith("units of acc.x, acc.y are not known")
    assert "plant/words: " in said.err
    assert 'no decoder reads by itself, as in "hello there"' in said.err
    acc, temp = load_config("agent.toml").sources
    assert (acc.stream, acc.channels, acc.options["topic"]) == (
        "acc",
        {"x": "{unknown}", "y": "{unknown}"},
        "plant/p7/acc",
    )
    assert (temp.decoder, temp.channels) == ("csv", {"value": "degC"})


def test_topics_that_are_alike_and_those_too_many_are_told() -> None:
    found = Topics()
    for number in range(TOPICS_MOST + 2):
        found.note(f"site/p{number}/acc", b"1", number)
    assert found.advice() == (
        "2 messages of more than 200 topics were left out; 200 topics are alike: one source reads such, each as a "
        'device: topic = "site/{device}/acc"'
    )
    assert alike(["a/1", "a/2"]) == alike(["a/1", "b/2", "a/3"]) == alike(["a/1", "a/2", "a/3/4"]) == ""


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agent.toml").write_text("mine")
    assert sensorloom.main(["agent", "init", "imu", "--yes"]) == 2
    assert "is there already; write another one (-c FILE), or replace it with --force" in capsys.readouterr().err
    with SerialPort(tmp_path / "imu") as imu, again_and_again(lambda number: offer(imu, b"a=1\n" * 20)):
        assert sensorloom.main(["agent", "init", "imu", "--yes", "--force", *LONG]) == 0
    assert load_config("agent.toml").sources[0].decoder == "keyvalue"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["imu"], 2, "nobody can be asked here, as this is no terminal; say --yes, and --device NAME"),
        (["none", "--yes"], 1, "no such port; is it plugged in?"),
        (["mqtt://127.0.0.1:9", "--yes"], 1, "mqtt://127.0.0.1:9: Connection refused"),
        (["mqtt://u:secret@h", "--yes"], 2, "holds a user's name; say it in username"),
        (["imu", "--yes", "--unit", "x=lightyears"], 2, '--unit: x: unknown unit "lightyears"'),
    ],
)
def test_what_cannot_be_is_said(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sensorloom.main(["agent", "init", *words]) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "secret" not in shown.err + shown.out
    assert not Path("agent.toml").exists()


def test_what_cannot_be_read_is_said_with_what_to_do() -> None:
    noise = AtBaud(9600, (Heard(bytes(range(128, 256)), 1),))
    text = AtBaud(115_200, (Heard(b"Hello there, this is me\r\n" * 4, 1),))
    for heard, said in (
        ([AtBaud(9600, ())], "nothing came; is the sensor on"),
        ([noise, AtBaud(4800, noise.pieces)], "what comes is no text at 9600, 4800 baud, as in"),
        ([noise, text], 'what comes at 115200 baud is text that no decoder reads by itself, as in "Hello there'),
    ):
        with pytest.raises(TransientError, match=said):
            of_port("/dev/x", heard)


def test_who_sits_at_a_terminal_is_asked(tmp_path: Path) -> None:
    """Names and units are asked for, wrong answers again; what a terminal is, a pseudo-terminal is."""
    near, far = pty.openpty()
    soon = (
        "import sys, sensorloom, edge.agent.probe.listening as one; one.BYTES_MOST = 500; sensorloom.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", soon, "agent", "init", "imu", *LONG]
    with SerialPort(tmp_path / "imu") as imu, again_and_again(lambda number: offer(imu, b"1.5;2.5\n")):
        process = subprocess.Popen(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=far, stdout=far, stderr=far
        )
        os.close(far)
        shown, answers = b"", iter([b"x", b"x,t", b"yards", b"g", b"degC", b"a/boat", b"boat", b""])
        questions = 0
        while data := read(near):
            shown += data
            if shown.count(b"]: ") > questions:
                questions += 1
                os.write(near, next(answers) + b"\n")
        assert process.wait(PATIENCE_S) in (0, 1), shown  # 1: what it reads at last is not as steady as before
    os.close(near)
    assert b"2 names are wanted, each once, as in c1,c2" in shown
    assert b'unknown unit "yards"' in shown
    assert b'device: "a/boat" has a slash' in shown
    (source,) = load_config(tmp_path / "agent.toml").sources
    assert (source.device, source.channels) == ("boat", {"x": "g", "t": "degC"})


def read(terminal: int) -> bytes:
    """What the other end says; nothing at its end."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
