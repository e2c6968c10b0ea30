from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import simulators.scenario
from ingest.errors import UsageError
from ingest.tomlfile import read_toml
from simulators.disturbance import Disturbance
from simulators.scenario import Scenario, ViaLog, ViaMqtt, ViaSerial, load_scenario
from simulators.speech import Style

LOG = '[[sensor]]\ndevice = "a"\nkind = "gps"\nvia = "log"\nlog = "segments:log"\n'
SERIAL = '[[sensor]]\ndevice = "b"\nkind = "accelerometer"\nvia = "serial"\nport = "tty"\n'
MQTT = '[[sensor]]\ndevice = "c"\nkind = "temperature"\nvia = "mqtt"\nbroker = "mqtt://h"\ntopic = "a/b"\n'


def load(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.toml"
    path.write_text(text)
    return load_scenario(path)


def test_the_documented_example_is_one(tmp_path: Path) -> None:
    text = "\n".join(
        line[4:] for line in str(simulators.scenario.__doc__).split("\n") if line.startswith("    ") or not line
    )
    scenario = load(tmp_path, text)
    sensor = scenario.sensors[0]
    assert (scenario.seed, scenario.seconds, scenario.speed) == (1, 60.0, 1.0)
    assert scenario.start_ns == 1_767_600_000_000_000_000
    assert scenario.truth == tmp_path / "truth.csv"
    assert scenario.broker == ("127.0.0.1", 18830)
    assert (sensor.device, sensor.stream, sensor.kind, sensor.rate) == ("pump-7", "acc", "accelerometer", Fraction(100))
    assert sensor.via == ViaSerial(tmp_path / "ttyPUMP")
    assert sensor.style == Style("csv", raw=True, stamped=False)
    assert sensor.faults == Disturbance(0.0001, 0.01, 0.001, 2 * 10**9, 30 * 10**9)
    assert read_toml(scenario.path)["seed"] == 1


def test_what_is_not_said_is_the_usual(tmp_path: Path) -> None:
    scenario = load(tmp_path, f"seconds = 10\n{LOG}{SERIAL}{MQTT}")
    gps, accelerometer, temperature = scenario.sensors
    assert (scenario.start_ns, scenario.truth, scenario.broker) == (None, None, None)
    assert gps.via == ViaLog(f"segments:{tmp_path / 'log'}")
    assert (gps.stream, gps.rate) == ("gps", Fraction(1))
    assert (accelerometer.style, accelerometer.faults) == (Style("csv"), Disturbance())
    assert temperature.via == ViaMqtt("h", 1883, "a/b", 1)
    assert temperature.style == Style("json")
    made = temperature.make(1, 0, 100.0)
    again = load(tmp_path, f"seconds = 10\n{LOG}{SERIAL}{MQTT}").sensors[2].make(1, 0, 100.0)
    assert np.array_equal(made.counts, again.counts)
    assert made.description.stream == "motor"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seconds = 10", r"scenario.toml: no \[\[sensor\]\] table"),
        (LOG, r'scenario.toml: "seconds" is missing'),
        (f"seconds = 0\n{LOG}", r"seconds: 0 is not in 1..86400"),
        (f'seconds = "10"\n{LOG}', r"seconds: found '10', expected a number"),
        (f"seconds = 10\nspeed = 0\n{LOG}", r"speed: found 0, expected a number above 0"),
        (f"seconds = 10\nspeed = inf\n{LOG}", r"speed: found inf"),
        (f"seconds = 10\nseed = -1\n{LOG}", r"seed: -1 is negative"),
        (f"seconds = 10\nsped = 2\n{LOG}", r'unknown key "sped".* Did you mean "speed"'),
        (f'seconds = 10\nstart = "today"\n{LOG}', r'scenario.toml: start: time: "today" is no ISO 8601'),
        (f'seconds = 10\n{LOG}[broker]\nlisten = "1883"\n', r'broker: listen: found "1883"; write host:port'),
        (f"seconds = 10\n{LOG}[broker]\n", r'broker: "listen" is missing'),
        (f"seconds = 10\n{LOG}{LOG}", r"sensor\[1\]: a/gps is taken by sensor\[0\]"),
        (f'seconds = 10\n{LOG}{LOG}stream = "other"\n', r"sensor\[1\]: a in segments:.* is taken by sensor\[0\]"),
        (f'seconds = 10\n{SERIAL}{SERIAL}stream = "other"\n', r"sensor\[1\]: .*tty is taken by sensor\[0\]"),
        (f'seconds = 10\n{LOG}format = "csv"\n', r'sensor\[0\]: unknown key "format"'),
        (f'seconds = 10\n{SERIAL}topic = "a"\n', r'sensor\[0\]: unknown key "topic"'),
        (f'seconds = 10\n{SERIAL}format = "nmea"\n', r'format: "nmea" is what a gps says'),
        (f'seconds = 10\n{SERIAL}rate = "fast"\n', r'sensor\[0\]: rate: rate: found "fast"'),
        (f'seconds = 10\n{SERIAL}values = "cooked"\n', r'values: unknown "cooked"; known: physical, raw'),
        (f'seconds = 10\n{SERIAL}stream = "a.b"\n', r'stream: "a.b" is no name'),
        (f"seconds = 10\n{SERIAL.replace('serial', 'usb')}", r'via: unknown "usb"; known: log, mqtt, serial'),
        (f"seconds = 10\n{MQTT.replace('a/b', 'a/#')}", r'topic: "a/#" is no topic that one can publish to'),
        (f"seconds = 10\n{MQTT.replace('mqtt://h', 'h:1883')}", r'broker: found "h:1883"; write mqtt://host:1883'),
        (f"seconds = 10\n{MQTT}qos = 2\n", r"qos: found 2, expected 0 or 1"),
        (f"seconds = 10\n{MQTT}[sensor.faults]\ngarbage = 2\n", r"faults: garbage: 2 is no share"),
        (f'seconds = 10\n{MQTT}[sensor.faults]\npause = "1s"\n', r'faults: say both "pause", how long'),
        (f"seconds = 10\n{LOG}[sensor.faults]\ndrop_bytes = 0.1\n", r'faults: unknown key "drop_bytes"'),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, text)
