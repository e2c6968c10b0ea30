"""Windows on their way to a model: augmentation and features on one core, beside libraries that do the same."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from preparing.augmenting import Augmentation
from preparing.features import NAMES, features
from preparing.transforms import Jitter, Rotation, TimeWarp, Transform
from tests.bench.harness import Row, measure_in_turn, row
from tests.support.peers import peer_python, run_peer

WINDOWS: Final = 4096
BATCH: Final = 256
STEPS: Final = 256
CHANNELS: Final = 6
RUNS: Final = 7
MANY: Final = 100_000
_PEAK: Final = """import gc, sys
import numpy as np
from preparing.features import NAMES, features
def held(kind):
    with open("/proc/self/status") as file:
        return 1024 * int(dict(line.split(":", 1) for line in file)[kind].split()[0])
windows, steps, channels, rounds = map(int, sys.argv[1:])
signal = np.random.default_rng(0).normal(size=(windows, steps, channels)).astype(np.float32)
names = [f"c{number}" for number in range(channels)]
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = held("VmRSS")
for _ in range(rounds):
    features(signal, names, 50.0, NAMES[:60])
print(held("VmHWM") - before)
"""
"""In a process of its own, whose highest memory is forgotten first (`clear_refs`, see proc(5)): what came before is no
room that this could hide in."""
PEERS: Final = ("tsaug==0.2.1", "tsfresh==0.21.2", "tsflex==0.4.1")


def bench() -> list[Row]:
    """Windows of 256 steps and 6 channels a second of CPU."""
    script = Path(__file__).with_name("peer_preparing.py")
    peers = run_peer(peer_python(*PEERS), script, BATCH, STEPS, CHANNELS, RUNS)
    signal = np.random.default_rng(0).normal(size=(WINDOWS, STEPS, CHANNELS)).astype(np.float32)
    ids = [f"{number // 64:016x}-{number}" for number in range(WINDOWS)]
    rows = [
        _augmented(signal, ids, Jitter(0.1), 60e3, peers["jitter"]),
        _augmented(signal, ids, Rotation(((0, 1, 2), (3, 4, 5))), 150e3, None),
        _augmented(signal, ids, TimeWarp(), 18e3, peers["time-warp"]),
    ]
    return [*rows, *_features(signal, peers), _memory()]


def _augmented(
    signal: NDArray[np.float32], ids: list[str], step: Transform, bar: float, peer: list[float] | None
) -> Row:
    epoch = Augmentation((step,), share=1.0).epoch(ids, 0)

    def job() -> None:
        for begin in range(0, WINDOWS, BATCH):
            epoch(signal[begin : begin + BATCH], ids[begin : begin + BATCH])

    seconds, _ = measure_in_turn(job, None, RUNS, time.process_time)
    return row(
        f"augmentation, {step.name}",
        [WINDOWS / each for each in seconds],
        "windows/s",
        baseline=None if peer is None else "tsaug",
        baseline_values=None if peer is None else [BATCH / each for each in peer],
        bar=bar,
    )


def _features(signal: NDArray[np.float32], peers: dict[str, list[float]]) -> list[Row]:
    names = [f"c{number}" for number in range(CHANNELS)]
    seconds, _ = measure_in_turn(lambda: features(signal[:1024], names, 50.0), None, RUNS, time.process_time)
    each = [1024 * len(NAMES) / taken for taken in seconds]
    return [
        row(
            f"features, {len(NAMES)} of each channel: windows × features a second, beside {peer}",
            each,
            "1/s",
            baseline=peer,
            baseline_values=[1 / taken for taken in peers[peer]],
        )
        for peer in ("tsfresh", "tsflex")
    ]


def _memory() -> Row:
    """How much more memory than the windows the features of many take, batch by batch."""
    rounds = MANY // WINDOWS
    words = [str(number) for number in (WINDOWS, STEPS, CHANNELS, rounds)]
    done = subprocess.run([sys.executable, "-c", _PEAK, *words], capture_output=True, text=True, check=True)
    name = f"features of {rounds * WINDOWS:,} windows in batches of {WINDOWS:,}: memory beyond the windows"
    return row(name, [1e-6 * int(done.stdout)], "MB", bar=1000.0, lower_is_better=True)
