"""The demo's site, as the files a user would have: what there is, who reads it, what is looked for, what is collected.

Two pumps, a motor and a valve. The agent reads the first pump on a serial port, motor and valve from an MQTT
broker; the second pump is a device that speaks into the log itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingest.errors import UsageError
from ingest.units import format_time

SPEED: Final = 30
"""Of event time against the clock on the wall: 20 s hold ten minutes."""
LIVE_SPEED: Final = 1
LIVE_SECONDS: Final = 7_200.0
"""All that sensors will say is made before the first says it: 20 h took 23 s on a desk's machine."""
SECONDS_MIN, SECONDS_MAX = 2.0, 2400.0
BACKGROUND: Final = "normal"
FILES: Final = ("scenario.toml", "agent.toml", "rules.yaml", "dataset.toml", "truth.csv")

_SCENARIO: Final = """\
# Virtual sensors with known truth: noise, drift, near-misses, a bad line. `sensorloom simulate` plays them.
seed = {seed}                          # another seed, another truth
start = "{start}"
seconds = {seconds}                     # of event time
speed = {speed}                         # of event time against the clock on the wall
truth = "truth.csv"                # where the true events go, as a marks file

[broker]                           # an MQTT broker of its own, where no other runs
listen = "{broker}"

[[sensor]]
device = "{pump}"
kind = "accelerometer"
via = "serial"
port = "ttyPUMP"                   # a pseudo-terminal; it appears beside this file
values = "raw"                     # the sensor's own counts
time = true                        # each line says its own time
faults = {{ garbage = 0.002 }}       # the share of lines before which a line of garbage comes

[[sensor]]
device = "{motor}"
kind = "temperature"
via = "mqtt"
broker = "mqtt://{broker}"
topic = "site/motor"
time = true
faults = {{ duplicates = 0.02, pause = "5s", pause_every = "60s" }}

[[sensor]]
device = "{other_pump}"
kind = "accelerometer"
via = "log"                        # straight into the log, as an agent of its own
log = {log}
faults = {{ duplicates = 0.01 }}

[[sensor]]
device = "{valve}"
kind = "valve"                     # shut, open or moving: a stream of named states
via = "mqtt"
broker = "mqtt://{broker}"
topic = "site/valve"
time = true
"""
_AGENT: Final = """\
# What the edge agent reads. `sensorloom agent check -c agent.toml` says what it makes of it.
agent = "demo"
log = {log}

[spool]
dir = "spool"                      # what is not yet in the log waits here

[[source]]
name = "imu"
device = "{pump}"
type = "serial"
port = "ttyPUMP"                   # a pseudo-terminal; on a device it would be /dev/ttyUSB0
decoder = "csv"
time_column = "t"                  # each line says its own time
time_unit = "ns"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "100Hz"
dtype = "int16"                    # the sensor's own counts …
scale = 0.000244140625             # … of so many g

[[source]]
name = "probe"
device = "{motor}"
type = "mqtt"
broker = "mqtt://{broker}"
topic = "site/motor"
protocol = "3.1.1"                 # of the embedded broker; Mosquitto speaks 5, which is the default
decoder = "json"
time_field = "t"
time_unit = "ns"
stream = "motor"
channels = {{ temp = "degC" }}
rate = "1Hz"

[[source]]
name = "valve"
device = "{valve}"
type = "mqtt"
broker = "mqtt://{broker}"
topic = "site/valve"
protocol = "3.1.1"
decoder = "json"
time_field = "t"
time_unit = "ns"
stream = "valve"
channels = {{ position = "1" }}
values = {{ 0 = "shut", 1 = "open", 2 = "moving" }}   # states: drawn by name, never interpolated
rate = "1Hz"
"""
_RULES: Final = """\
# What is looked for, by thresholds that one reads off a few plots. labeling/rules/README.md says what a rule can be.
version: 1
defaults: {max_gap: 500ms, coverage: 0.8}
let:
  mag: norm(acc.x, acc.y, acc.z)
  rough: std(mag, 500ms)
  peak: max(mag, 500ms) - mean(mag, 500ms)
rules:
  - label: knocking                     # blow after blow: a loose bearing
    when: rough > 0.1g and peak > 3.5 * rough
    hold: 1s                            # bridges the pauses between blows
    for: 2s                             # one blow is somebody's toolbox
  - label: cavitation                   # a roar without blows: bubbles that collapse
    when: rough > 0.15g and peak < 3.5 * rough
    hold: 500ms
    for: 1500ms                         # a valve that opens roars, too
  - label: tilt
    when: mean(acc.z, 1s) < 0.8g
    until: mean(acc.z, 1s) > 0.85g      # hysteresis
    for: 2s
  - label: overheating
    when: motor.temp > 80degC
    until: motor.temp < 75degC
    for: 20s                            # a probe that was reset says 85 degC for a moment
    max_gap: 10s
"""
_DATASET: Final = f"""\
# What is cut, and how windows get their labels. `sensorloom window run -c dataset.toml --log … --out …`
name = "pump-states"
rules = "rules.yaml"               # runs beside the windowing; its marks are the labels

[window]
length = "2.56s"
hop = "1.28s"
rate = "50Hz"                      # the sensor gives 100 Hz; windows are on this grid
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
max_gap = "500ms"                  # shorter gaps are bridged, a window with a longer one is dropped and counted
min_coverage = 0.8

[labels]
policy = "majority"                # of the window's time
min_share = 0.5
background = "{BACKGROUND}"            # what a window is that no mark touches
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A demo's folder, its log, and what all else follows from; `seconds` are those of the clock on the wall."""

    folder: Path
    log: str
    seed: int
    seconds: float
    start_ns: int
    """Of event time; so long before now that no sample is ahead of the clock."""
    broker: str
    """`host:port` of the MQTT broker."""
    speed: int = SPEED

    @property
    def pace(self) -> str:
        """The speed, in words."""
        return "as fast as life" if self.speed == LIVE_SPEED else f"{self.speed} times as fast as life"

    @property
    def tag(self) -> str:
        """Keeps the devices of demos that share a log apart."""
        return hashlib.sha256(f"{self.seed} {self.start_ns} {self.folder}".encode()).hexdigest()[:6]

    @property
    def pump(self) -> str:
        """The device on the serial port."""
        return f"pump-{self.tag}-1"

    @property
    def motor(self) -> str:
        """The device behind the MQTT broker."""
        return f"motor-{self.tag}"

    @property
    def other_pump(self) -> str:
        """The device that speaks into the log."""
        return f"pump-{self.tag}-2"

    @property
    def valve(self) -> str:
        """The device that says named states, behind the MQTT broker too."""
        return f"valve-{self.tag}"

    @property
    def devices(self) -> tuple[str, ...]:
        """All of them."""
        return self.pump, self.motor, self.other_pump, self.valve

    @property
    def scenario(self) -> Path:
        """scenario.toml."""
        return self.folder / "scenario.toml"

    @property
    def agent(self) -> Path:
        """agent.toml."""
        return self.folder / "agent.toml"

    @property
    def config(self) -> Path:
        """dataset.toml."""
        return self.folder / "dataset.toml"

    @property
    def rules(self) -> Path:
        """rules.yaml."""
        return self.folder / "rules.yaml"

    @property
    def dataset(self) -> Path:
        """The dataset's folder."""
        return self.folder / "dataset"

    def write(self) -> None:
        """Write the files. Call `claim` before."""
        names = {
            "seed": self.seed,
            "start": format_time(self.start_ns),
            "seconds": f"{self.seconds * self.speed:.10g}",
            "speed": self.speed,
            "broker": self.broker,
            "log": json.dumps(self.log, ensure_ascii=False),  # TOML writes text as JSON does
            "pump": self.pump,
            "motor": self.motor,
            "other_pump": self.other_pump,
            "valve": self.valve,
        }
        self.scenario.write_text(_SCENARIO.format(**names), encoding="utf-8")
        self.agent.write_text(_AGENT.format(**names), encoding="utf-8")
        self.rules.write_text(_RULES, encoding="utf-8")
        self.config.write_text(_DATASET, encoding="utf-8")


def timeline_words(folder: Path, log: str) -> list[str]:
    """The command that serves a demo's timeline."""
    where = (
        [str(folder)]
        if log == f"segments:{folder / 'log'}"
        else ["--log", log, "--config", f"{folder / 'dataset.toml'}"]
    )
    return ["sensorloom", "label", "serve", *where]


def claim(folder: Path) -> None:
    """Make the folder, or see that it is empty.

    Raises:
        UsageError: something is in there: no run of a live line can be continued, and none is overwritten.
    """
    if (folder / "scenario.toml").exists():
        raise UsageError(f"--out: {folder} holds an earlier demo, which stays as it is; choose another folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out: {folder} exists and is no empty folder; choose another one")
    folder.mkdir(parents=True, exist_ok=True)


def check_words(seconds: float, seed: int, speed: int = SPEED) -> None:
    """Raise `UsageError` for what cannot be simulated."""
    if seed < 0:
        raise UsageError(f"--seed: {seed} is negative; use 0, 1, 2 …")
    most = longest(speed)
    if not SECONDS_MIN <= seconds <= most:
        raise UsageError(f"--seconds: {seconds:g} is not in {SECONDS_MIN:g}..{most:g}")


def longest(speed: int) -> float:
    """How many seconds a demo may take at a speed: twenty hours of event time."""
    return SECONDS_MAX * SPEED / speed
