from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from edge.config import load_config
from ingest.errors import UsageError
from labeling.resolve import LabelPolicy
from labeling.rulefile import read_rules
from simulators.accelerometer import LABELS as PUMP_LABELS
from simulators.scenario import ViaLog, ViaMqtt, ViaSerial, load_scenario
from simulators.site import BACKGROUND, FILES, SPEED, Site, check_words, claim
from simulators.thermometer import LABELS as MOTOR_LABELS
from windowing.config import DatasetConfig

START_NS = 1_767_600_000_123_000_000


def site(folder: Path, **changed: object) -> Site:
    made = Site(folder, f'segments:{folder}/a "log"', seed=3, seconds=20.5, start_ns=START_NS, broker="127.0.0.1:18830")
    return replace(made, **changed)  # type: ignore[arg-type]


def test_every_file_is_what_its_command_reads(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.write()
    assert {path.name for path in tmp_path.iterdir()} == set(FILES) - {"truth.csv"}
    scenario = load_scenario(made.scenario)
    assert (scenario.seed, scenario.start_ns, scenario.seconds, scenario.speed) == (3, START_NS, 20.5 * SPEED, SPEED)
    assert (scenario.truth, scenario.broker) == (tmp_path / "truth.csv", ("127.0.0.1", 18830))
    assert [sensor.device for sensor in scenario.sensors] == list(made.devices)
    agent = load_config(made.agent)
    assert (agent.log, agent.spool_dir) == (made.log, tmp_path / "spool")
    rules = read_rules(made.rules)
    assert {rule.label for rule in rules.rules} == {*PUMP_LABELS, *MOTOR_LABELS}
    config = DatasetConfig.load(made.config)
    assert config.rules == "rules.yaml"
    assert config.labels == LabelPolicy("majority", 0.5, BACKGROUND)
    assert {channel.partition(".")[0] for channel in config.window.channels} <= rules.streams


def test_the_agent_reads_what_the_sensors_say(tmp_path: Path) -> None:
    made = site(tmp_path)
    made.write()
    pump, motor, other, valve = load_scenario(made.scenario).sensors
    imu, probe, gate = load_config(made.agent).sources
    assert (imu.device, imu.stream, imu.rate) == (pump.device, pump.stream, pump.rate)
    assert pump.via == ViaSerial(tmp_path / imu.option("port", str))
    assert (probe.device, probe.stream, probe.rate) == (motor.device, motor.stream, Fraction(1))
    broker, topic = probe.option("broker", str), probe.option("topic", str)
    assert motor.via == ViaMqtt("127.0.0.1", int(broker.rpartition(":")[2]), topic, 1)
    assert other.via == ViaLog(made.log)
    assert valve.via == ViaMqtt("127.0.0.1", int(broker.rpartition(":")[2]), gate.option("topic", str), 1)
    assert (gate.device, gate.stream, gate.rate) == (valve.device, valve.stream, Fraction(1))
    assert gate.states == {it.name: it.states for it in valve.make(1, 0, 9.0).description.channels}
    description = pump.make(1, 0, 1.0).description
    assert imu.dtype == description.dtype
    assert imu.scales == {channel.name: channel.scale for channel in description.channels}
    assert imu.channels == {channel.name: channel.unit for channel in description.channels}


def test_other_demos_have_other_devices(tmp_path: Path) -> None:
    sites = [
        site(tmp_path / name, seed=seed, start_ns=start_ns)
        for name in ("a", "b")
        for seed in (1, 2)
        for start_ns in (START_NS, START_NS + 1)
    ]
    devices = {device for made in sites for device in made.devices}
    assert len(devices) == 4 * len(sites)


def test_an_earlier_demo_and_other_things_stay_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "demo"
    claim(folder)
    claim(folder)
    site(folder).write()
    with pytest.raises(UsageError, match=r"--out: .*/deep/demo holds an earlier demo.*; choose another folder"):
        claim(folder)
    (tmp_path / "thesis.txt").write_text("three years")
    for occupied in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UsageError, match="exists and is no empty folder"):
            claim(occupied)
    assert (tmp_path / "thesis.txt").read_text() == "three years"


@pytest.mark.parametrize(
    ("seconds", "seed", "message"),
    [
        (20.0, -1, "--seed: -1 is negative"),
        (1.9, 1, r"--seconds: 1.9 is not in 2..2400"),
        (1e6, 1, "--seconds"),
        (float("nan"), 1, "--seconds: nan"),
    ],
)
def test_what_cannot_be_simulated_is_refused(seconds: float, seed: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_words(seconds, seed)
    check_words(2.0, 0)
