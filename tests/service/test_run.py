"""The windowing service over a real embedded log: founding a dataset, going on with it, and refusing to."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.engine.genesis import Genesis, decode_genesis, encode_genesis
from ingest.engine.rhythm import Limits as ServiceLimits
from ingest.engine.telling import Notice
from ingest.log.protocol import DEADLETTER, MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import (
    Channel,
    MarkAdd,
    MarkRetract,
    Record,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from service.crew import Ahead, Minute
from service.run import RunOptions, RunResult, run_service
from tests.windowing.dataset.test_reader import flip, shards
from windowing.dataset.digest import dataset_digest
from windowing.dataset.verify import Verification
from windowing.spec import WindowSpec

PROJECT = Path(__file__).resolve().parents[2]
RATE, START_NS = 50, 1_700_000_000 * 10**9
STREAM = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32", RATE)
CONFIG = """name = "run"

[window]
length = 50
hop = 25
rate = "50Hz"
anchor = "ANCHOR"
channels = ["acc.x", "acc.y"]
"""


def at(seconds: float) -> int:
    return START_NS + round(seconds * 10**9)


def append(log: str, topic: str, *records: Record) -> None:
    async def run() -> None:
        opened = open_log(log, partitions=2)
        await opened.ensure(topic)
        keys = [getattr(record, "device", "").encode() for record in records]
        await opened.append(topic, [Entry(key, encode(record)) for key, record in zip(keys, records, strict=True)])
        await opened.close()

    asyncio.run(run())


def describe(log: str) -> None:
    async def run() -> None:
        opened = open_log(log, partitions=2)
        await opened.ensure(STREAMS)
        await opened.append(STREAMS, [Entry(schema_id(STREAM), encode(STREAM))])
        await opened.close()

    asyncio.run(run())


def signal_of(device: str, seconds: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng = np.random.default_rng([*device.encode()])
    return rng.normal(size=(1000 * RATE, 2)).astype(np.float32)[: seconds * RATE]


def record(log: str, device: str, seconds: int, first: int = 0, *, end: bool = True) -> None:
    """Seconds `[first, seconds)` of a device's one recording."""
    boot = device.encode().ljust(16, b"-")
    origin = Origin(device, "r", "acc", boot, schema_id(STREAM))
    chunks = periodic_chunks(origin, START_NS, (20_000_000, 1), signal_of(device, seconds), Limits())
    start: list[Record] = [RecordingStart(device, "r", boot, START_NS, "test")] if first == 0 else []
    stop: list[Record] = [RecordingEnd(device, "r", boot, at(seconds), "test")] if end else []
    append(log, READINGS, *start, *list(chunks)[first:], *stop)


def mark(device: str, start_s: float, end_s: float, label: str) -> MarkAdd:
    return MarkAdd(device, f"{device}-{label}-{start_s}", at(start_s), at(end_s), label, "ann", "operator")


class Site:
    """A folder with a log, a configuration and a dataset."""

    def __init__(self, folder: Path) -> None:
        self.log = f"segments:{folder}/log"
        self.config = folder / "dataset.toml"
        self.out = folder / "dataset"
        self.write("epoch")
        describe(self.log)

    def write(self, anchor: str, more: str = "") -> None:
        self.config.write_text(CONFIG.replace("ANCHOR", anchor) + more)

    def words(self, *more: str) -> list[str]:
        return ["window", "run", "-c", str(self.config), "--log", self.log, "--out", str(self.out), *more]

    def drain(self, *more: str) -> int:
        return sensorloom.main(self.words("--until-idle", *more))

    def genesis(self, folder: str = "windows/*") -> tuple[Path, Genesis]:
        (path,) = self.out.glob(f"{folder}/genesis.json")
        return path, decode_genesis(path.read_bytes(), "")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    record(site.log, "a", 10)
    record(site.log, "b", 8)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("b", 2, 3, "stop"))
    return site


def expected(device: str, seconds: int) -> list[tuple[str, int]]:
    return [(device, at(half / 2)) for half in range(2 * seconds - 1)]


def test_everything_in_the_log_is_windowed_and_labelled(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain() == 0
    out = capsys.readouterr().out
    assert "900 samples in 18 chunks" in out
    assert f"sensorloom.open({str(site.out)!r})" in out
    dataset = sensorloom.open(site.out)
    assert dataset.windows().select("device", "t0_ns").rows() == expected("a", 10) + expected("b", 8)
    for device, seconds in (("a", 10), ("b", 8)):
        kept = (dataset.windows()["device"] == device).to_numpy()
        wanted = np.stack([signal_of(device, 10)[25 * k : 25 * k + 50] for k in range(2 * seconds - 1)])
        np.testing.assert_array_equal(dataset.arrays(unlabelled="keep").X[kept], wanted)
    labels = dataset.windows().filter(device="a")["label"].to_list()
    assert labels == ["run"] * 8 + [None] * 11  # from 3.5 s on, half the window is enough
    assert Verification(site.out).run(lambda count: None).problems == []


def test_json_tells_the_same(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain("--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["finished"], figures["samples"], figures["chunks"]) == (True, 900, 18)
    assert figures["bytes_per_sample"] > 8
    assert figures["dataset"]["windows"] == 34
    assert Path(figures["shards"]).is_dir()


def test_runs_in_parts_give_the_digest_of_one_run(site: Site, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    parts = Site(tmp_path / "parts")
    record(parts.log, "a", 4, end=False)
    assert parts.drain() == 0
    record(parts.log, "b", 8)
    assert parts.drain("--seal-bytes", "1kB") == 0
    record(parts.log, "a", 10, first=4)
    assert parts.drain() == 0
    assert parts.drain() == 0
    assert site.drain() == 0
    assert dataset_digest(parts.out) == dataset_digest(site.out)
    assert max(sensorloom.open(parts.out).cut.values()) > 0


def test_merging_behind_each_seal_or_two_gives_the_digest_of_one_run(site: Site, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    parts = Site(tmp_path / "parts")
    limits = ServiceLimits(poll_seconds=0.01)

    def drain(merge_every: int) -> None:
        options = RunOptions(
            parts.config, parts.log, parts.out, "w", until_idle=True, limits=limits, merge_every=merge_every
        )
        assert asyncio.run(run_service(options, lambda notice, topic: None)).finished

    record(parts.log, "b", 8)
    append(parts.log, MARKS, mark("a", 0, 4, "run"), mark("b", 2, 3, "stop"))
    for second in range(0, 10, 2):
        record(parts.log, "a", second + 2, first=second, end=second == 8)
        append(parts.log, MARKS, mark("a", second, second + 1, "run"))
        append(site.log, MARKS, mark("a", second, second + 1, "run"))
        drain(1 + second // 4)
    assert site.drain() == 0
    assert dataset_digest(parts.out) == dataset_digest(site.out)
    assert len(list(parts.out.glob("windows/*/merged/*"))) >= 2
    assert len(list(parts.out.glob("labels/merged/*"))) >= 2
    assert Verification(parts.out).run(lambda count: None).problems == []
    merged, whole = sensorloom.open(parts.out).windows(), sensorloom.open(site.out).windows()
    assert merged["label"].to_list() == whole["label"].to_list()


def test_late_marks_label_without_a_new_shard(site: Site) -> None:
    assert site.drain() == 0
    before = shards(site.out)
    append(site.log, MARKS, mark("a", 5, 9, "late"), MarkRetract("b", "b-stop-2", "ann", "operator"))
    assert site.drain() == 0
    assert shards(site.out) == before
    assert sensorloom.open(site.out).classes == ("run", "stop", "late"), "in the order of the log, for ever"


def test_mark_windows_are_those_of_the_marks_at_the_first_start(site: Site) -> None:
    site.write("mark")
    assert site.drain() == 0
    first = dataset_digest(site.out)
    assert sensorloom.open(site.out).windows()["anchor"].unique().sort().to_list() == ["a-run-0", "b-stop-2"]
    append(site.log, MARKS, mark("a", 5, 9, "late"))
    record(site.log, "c", 5)
    assert site.drain() == 0
    assert dataset_digest(site.out) == first
    genesis = site.genesis()[1]
    assert sum(end for _, _, end in genesis.pinned) == 2
    assert json.loads(genesis.window)["anchor"] == "mark"


def test_windows_of_overlapping_marks_have_each_their_own_label(site: Site) -> None:
    site.write("mark")
    append(site.log, MARKS, mark("a", 1, 3, "stumble"))
    assert site.drain() == 0
    pairs = sensorloom.open(site.out).windows().filter(device="a").select("anchor", "label").unique().sort("label")
    assert pairs.rows() == [("a-run-0", "run"), ("a-stumble-1", "stumble")]


def test_what_is_no_mark_is_counted_and_goes_to_the_dead_letters(site: Site) -> None:
    append(site.log, MARKS, RecordingEnd("a", "r", b"b", 5, "lost its way"))
    assert site.drain() == 0
    assert sensorloom.open(site.out).contents.labels.totals["undecodable"] == 1

    async def letters() -> int:
        log = open_log(site.log)
        try:
            return sum(end for _, end in (await log.bounds(DEADLETTER)).values())
        finally:
            await log.close()

    assert asyncio.run(letters()) == 1


def test_labels_may_change_and_windows_may_not(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain() == 0
    site.write("epoch", '\n[labels]\nbackground = "none"\n')
    assert site.drain() == 0
    assert sensorloom.open(site.out).classes == ("run", "stop", "none")
    site.write("recording")
    capsys.readouterr()
    assert site.drain() == 2
    assert "use another --out" in capsys.readouterr().err
    assert sensorloom.open(site.out).classes == ("run", "stop", "none")


def test_a_dataset_goes_on_under_the_semantics_that_it_was_founded_with(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(WindowSpec, "among", lambda spec, ids: spec.former)
        assert site.drain() == 0
    found, genesis = site.genesis()
    spec = WindowSpec.from_table(tomllib.loads(site.config.read_text())["window"])
    assert genesis.spec == spec.former.id != spec.id
    record(site.log, "c", 10)
    assert site.drain() == 0
    assert site.genesis()[0] == found
    dataset = sensorloom.open(site.out)
    assert {*dataset.windows()["device"]} == {"a", "b", "c"}
    assert sensorloom.main(["dataset", "verify", str(site.out)]) == 0


def test_another_log_is_refused(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain() == 0
    (tmp_path / "other").mkdir()
    site.log = Site(tmp_path / "other").log
    assert site.drain() == 2
    assert "began with the log" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["windows/*", "labels"])
@pytest.mark.parametrize(
    ("change", "code", "message"),
    [({"partitions": 6}, 2, "had 6 partitions, now it has 2"), ({"code": 99}, 2, "code version 99")],
)
def test_what_no_longer_fits_is_refused(
    site: Site, folder: str, change: dict[str, int], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.drain() == 0
    path, genesis = site.genesis(folder)
    path.write_bytes(encode_genesis(msgspec.structs.replace(genesis, **change)))
    assert site.drain() == code
    assert message in capsys.readouterr().err


def test_a_damaged_state_or_genesis_is_named_and_nothing_is_overwritten(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert site.drain() == 0
    record(site.log, "a2", 3)
    (state, *_) = sorted(site.out.glob("windows/*/state/*/*"))
    for path in (state, site.genesis()[0]):
        flip(path, 5)
        assert site.drain() == 1
        assert path.name in capsys.readouterr().err
        flip(path, 5)
    assert site.drain() == 0
    assert Verification(site.out).run(lambda count: None).problems == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seal-seconds", "soon"], '--seal-seconds: found "soon"'),
        (["--seal-seconds", "nan"], '--seal-seconds: found "nan"'),
        (["--seal-bytes", "0B"], '--seal-bytes: found "0B"'),
        (["--seal-bytes", "many"], 'size: found "many"'),
    ],
)
def test_wrong_usage(site: Site, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain(*words) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_no_dataset_folder(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.out.touch()
    assert site.drain() == 2
    assert "is a file" in capsys.readouterr().err


def start(site: Site, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "sensorloom", *site.words(*more)]
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=PROJECT, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_service_cleanly(site: Site, number: int) -> None:
    service = start(site, "--seal-seconds", "0.2")
    deadline = time.monotonic() + 60
    while not list(site.out.glob("windows/*/manifest/*/0*.json")):
        assert time.monotonic() < deadline, "no seal in a minute"
        assert service.poll() is None
        time.sleep(0.02)
    service.send_signal(number)
    _, err = service.communicate(timeout=200)
    assert (service.returncode, err) == (0, "")
    assert site.drain() == 0
    assert len(sensorloom.open(site.out)) == 34


def test_within_a_program_an_event_ends_the_service_and_signals_are_left_alone(site: Site) -> None:
    async def main() -> RunResult:
        stop, before = asyncio.Event(), signal.getsignal(signal.SIGTERM)

        def observe(event: Ahead | Minute | Notice, topic: str) -> None:
            assert signal.getsignal(signal.SIGTERM) is before
            if isinstance(event, Notice) and event.kind == "sealed":
                stop.set()

        limits = ServiceLimits(seal_seconds=0.01)
        options = RunOptions(site.config, site.log, site.out, "w", limits=limits)
        return await asyncio.wait_for(run_service(options, observe, stop), 60)

    assert not asyncio.run(main()).finished


def test_several_workers_that_start_at_once_found_one_dataset(site: Site) -> None:
    workers = [start(site, "--until-idle", "--instance", f"w{number}", "--json") for number in range(3)]
    for worker in workers:
        out, err = worker.communicate(timeout=90)
        assert worker.returncode == 0, err
        assert json.loads(out)["finished"]
    assert len(sensorloom.open(site.out)) == 34
    assert Verification(site.out).run(lambda count: None).problems == []


def test_a_new_dataset_goes_on_where_an_older_one_ended(site: Site, tmp_path: Path) -> None:
    """Windows across the cut are there once: what the log still has is read again for the state."""
    log = f"segments:{tmp_path}/log2"
    describe(log)
    site.log, whole = log, tmp_path / "whole"
    record(log, "a", 7, end=False)
    record(log, "b", 3, end=False)
    assert site.drain() == 0
    record(log, "a", 12, first=7)
    record(log, "b", 9, first=3)
    old, site.out = site.out, tmp_path / "new"
    assert site.drain("--after", str(old)) == 0
    assert site.drain() == 0
    new, site.out = site.out, whole
    assert site.drain() == 0
    keys = [{(w[1], w[5]) for w in sensorloom.open(out).windows().iter_rows()} for out in (old, new, whole)]
    assert keys[0].isdisjoint(keys[1])
    assert keys[0] | keys[1] == keys[2]
    assert min(len(found) for found in keys) > 10


def test_what_one_cannot_go_on_after_is_named(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.drain("--after", str(site.out)) == 2
    assert "is --out itself" in capsys.readouterr().err
    assert site.drain("--after", str(tmp_path / "nowhere")) == 2
    assert "is missing: there are no windows to go on after" in capsys.readouterr().err
    assert site.drain() == 0
    old, site.out = site.out, tmp_path / "new"
    record(site.log, "c", 5)
    assert site.drain("--after", str(old)) == 0
    new, site.out = site.out, old
    assert site.drain() == 0
    site.out = new
    assert site.drain("--after", str(old)) == 2
    assert "went on after this one began at its end" in capsys.readouterr().err
