"""Idle sensors: partitions whose shards are equal bytes, sealed at once by one worker."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import sensorloom
from ingest.log.protocol import partition_of

PARTITIONS = 8
SECONDS = 60


def one_device_a_partition() -> list[str]:
    found: dict[int, str] = {}
    for number in count():
        found.setdefault(partition_of(b"pump-%d" % number, PARTITIONS), f"pump-{number}")
        if len(found) == PARTITIONS:
            return [*found.values()]
    raise AssertionError


def test_eight_idle_devices_in_eight_partitions(tmp_path: Path) -> None:
    csv, config, log = (
        tmp_path / "idle.csv",
        tmp_path / "dataset.toml",
        f"segments:{tmp_path}/log?partitions={PARTITIONS}",
    )
    csv.write_text("t,x\n" + "".join(f"{1_700_000_000 + i / 100:.2f},0\n" for i in range(100 * SECONDS)))
    config.write_text('name = "idle"\n[window]\nlength = "1s"\nhop = "1s"\nrate = "100Hz"\nchannels = ["acc.x"]\n')
    devices = one_device_a_partition()
    for device in devices:
        words = ["--device", device, "--stream", "acc", "--time-column", "t", "--time-unit", "s", "--columns", "x"]
        assert sensorloom.main(["import", "readings", str(csv), *words, "--unit", "g", "--log", log]) == 0
    out = tmp_path / "dataset"
    assert sensorloom.main(["window", "run", "-c", str(config), "--log", log, "--out", str(out), "--until-idle"]) == 0
    dataset = sensorloom.open(out)
    assert dataset.contents.again == 0
    windows = dataset.windows()
    assert dict(windows["device"].value_counts().iter_rows()) == dict.fromkeys(devices, SECONDS)
    assert sensorloom.main(["dataset", "verify", str(out)]) == 0
    assert not list(out.rglob("*.tmp"))
