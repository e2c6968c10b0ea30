"""The demo's world, as the files a user would have: recordings of pumps as CSV, marks.csv, dataset.toml.

The same seed and length give the same bytes, so that files may be written again at any time. Each file appears whole
or not at all.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ingest.errors import UsageError
from ingest.records import StreamDescription
from ingest.times import NS
from ingest.units import format_time
from simulators.accelerometer import Sensor, simulate
from simulators.recording import Episode, Recording

PUMPS: Final = 3
RECORDINGS_PER_PUMP: Final = 2
STREAM: Final = "acc"
BACKGROUND: Final = "normal"
TIME_COLUMN: Final = "t"
SECONDS_MIN, SECONDS_MAX = 5.0, 86_400.0
_FIRST_NS: Final = 1_736_150_400 * NS
_HOUR_NS: Final = 3600 * NS
_DATASET = """# What `wavemark window run -c dataset.toml` cuts, and how windows get their labels.
name = "pump-states"

[window]
length = "2.56s"
hop = "1.28s"
rate = "50Hz"                 # the sensor gives 100 Hz; windows are on this grid
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
max_gap = "500ms"             # shorter gaps are bridged, a window with a longer one is dropped and counted
min_coverage = 0.8

[labels]
policy = "majority"           # of the window's time
min_share = 0.5
background = "normal"         # what a window is that no mark touches; near-misses are such
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated: `seconds` per recording. All else follows from it."""

    seed: int
    seconds: float

    @classmethod
    def checked(cls, seed: int, seconds: float) -> Scenario:
        """A scenario from what a user typed. Raises `UsageError` for what cannot be simulated."""
        if seed < 0:
            raise UsageError(f"--seed: {seed} is negative; use 0, 1, 2 …")
        if not SECONDS_MIN <= seconds <= SECONDS_MAX:
            raise UsageError(f"--seconds: {seconds:g} is not in {SECONDS_MIN:g}..{SECONDS_MAX:g}")
        return cls(seed, seconds)

    def devices(self) -> list[str]:
        """The pumps' ids; another scenario has others, so that demos in one log stay apart."""
        tag = hashlib.sha256(f"{self.seed} {self.seconds!r}".encode()).hexdigest()[:4]
        return [f"pump-{tag}-{number}" for number in range(1, PUMPS + 1)]

    def takes(self) -> Iterator[Take]:
        """Every recording to be made; those of a pump do not overlap."""
        spacing_ns = -(-int(self.seconds + 600) * NS // _HOUR_NS) * _HOUR_NS
        for pump, device in enumerate(self.devices()):
            for number in range(RECORDINGS_PER_PUMP):
                yield Take(
                    device, f"{device}-r{number + 1}", (self.seed, pump, number), _FIRST_NS + number * spacing_ns
                )


@dataclass(frozen=True, slots=True)
class Take:
    """One recording to be made."""

    device: str
    recording: str
    entropy: tuple[int, int, int]
    earliest_ns: int

    def make(self, seconds: float) -> Recording:
        """Simulate it; it starts at some millisecond of the minute from `earliest_ns` on."""
        rng = np.random.default_rng(self.entropy)
        return simulate(rng, Sensor(), self.earliest_ns + int(rng.integers(60_000)) * 1_000_000, seconds)


@dataclass(frozen=True, slots=True)
class RecordingFile:
    """A recording as it lies on disk, and how many samples are in it."""

    path: Path
    device: str
    recording: str
    description: StreamDescription
    samples: int


@dataclass(frozen=True, slots=True)
class World:
    """Everything that was written."""

    recordings: tuple[RecordingFile, ...]
    marks: Path
    config: Path
    events: Counter[str]
    near_misses: Counter[str]

    @property
    def samples(self) -> int:
        """Of all recordings."""
        return sum(file.samples for file in self.recordings)


def claim(folder: Path, scenario: Scenario) -> None:
    """Make `folder` this scenario's, or see that it already is.

    Raises:
        UsageError: something else is in there.
    """
    note = folder / "demo.json"
    mine = {"seed": scenario.seed, "seconds": scenario.seconds}
    if note.exists():
        try:
            found = json.loads(note.read_bytes())
        except ValueError as error:
            raise UsageError(f"{note}: not JSON: {error}; choose another --out") from None
        if found != mine:
            raise UsageError(
                f"{folder}: holds the demo {json.dumps(found)}, not {json.dumps(mine)}; choose another --out"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists and is no demo; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    _write(note, json.dumps(mine).encode() + b"\n")


def write_world(folder: Path, scenario: Scenario, advance: Callable[[int], None] = lambda count: None) -> World:
    """Simulate and write everything; `advance` is told of each recording."""
    files: list[RecordingFile] = []
    events: list[tuple[str, Episode]] = []
    near_misses: Counter[str] = Counter()
    for take in scenario.takes():
        made = take.make(scenario.seconds)
        files.append(write_recording(folder, take, made))
        events += [(take.device, event) for event in made.events]
        near_misses.update(episode.kind for episode in made.near_misses)
        advance(1)
    marks, config = write_marks(folder, events), write_config(folder)
    return World(tuple(files), marks, config, Counter(event.kind for _, event in events), near_misses)


def write_recording(folder: Path, take: Take, made: Recording) -> RecordingFile:
    """`<recording>.csv`: a line a sample, its time and the sensor's own counts."""
    import polars as pl

    time = pl.Series(made.times).cast(pl.Datetime("ns"))
    frame = pl.DataFrame({TIME_COLUMN: time, **{axis: made.counts[:, i] for i, axis in enumerate("xyz")}})
    path = folder / f"{take.recording}.csv"
    _write(path, frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ").encode())
    return RecordingFile(path, take.device, take.recording, made.description, len(made.times))


def write_marks(folder: Path, events: Iterable[tuple[str, Episode]]) -> Path:
    """`marks.csv`: the true events of devices, as an operator would have marked them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["device", "start", "end", "label"])
    for device, event in events:
        writer.writerow([device, format_time(event.start_ns), format_time(event.end_ns), event.kind])
    path = folder / "marks.csv"
    _write(path, text.getvalue().encode())
    return path


def write_config(folder: Path) -> Path:
    """`dataset.toml`."""
    path = folder / "dataset.toml"
    _write(path, _DATASET.encode())
    return path


def _write(path: Path, data: bytes) -> None:
    """The whole file under its name, or nothing."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
