"""Who is forgotten is in no file any more, in no version, and does not come back; whoever stays is as before."""

from __future__ import annotations

import asyncio
import io
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import sensorloom
from curation.forgetting.erasure import Proof, forget
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.engine.disk import DiskFiles
from ingest.engine.plan import Op
from ingest.errors import CorruptError, UsageError
from ingest.log.protocol import MARKS, READINGS
from ingest.opening import open_log
from ingest.records import MarkAdd, RecordingEnd, RecordingStart, schema_id
from tests.curation.crashing import Killed
from tests.service.test_run import RATE, STREAM, Site, append, at
from windowing.dataset.reader import open_dataset
from windowing.dataset.verify import Verification
from windowing.dataset.versions import read_versions

SECOND = 10**9


def samples(device: str, recording: str) -> NDArray[np.float32]:
    rng = np.random.default_rng([*device.encode(), *recording.encode()])
    return rng.normal(size=(6 * RATE, 2)).astype(np.float32)


def brought(
    site: Site, device: str, recording: str, subject: str, start_s: int, *, ends: bool = True, first: int = 0
) -> None:
    """A recording of six seconds, of somebody; its first chunk has the number `first`."""
    boot = f"{device}{recording}".encode()[-16:].rjust(16, b"-")
    origin = Origin(device, recording, "acc", boot, schema_id(STREAM))
    start_ns = at(start_s)
    chunks = periodic_chunks(origin, start_ns, (SECOND // RATE, 1), samples(device, recording), Limits(), first)
    began = RecordingStart(device, recording, boot, start_ns, "start", attributes={"subject": subject})
    end = [RecordingEnd(device, recording, boot, start_ns + 6 * SECOND, "end")] if ends else []
    append(site.log, READINGS, began, *chunks, *end)
    span = start_ns + SECOND, start_ns + 3 * SECOND
    append(site.log, MARKS, MarkAdd(device, f"m-{recording}", *span, "run", "ann", "import"))


@dataclass
class Made:
    site: Site
    folder: Path
    archive: Path

    def copied(self, folder: Path) -> Made:
        shutil.copytree(self.folder, folder)
        return Made(Site(folder), folder, folder / "archive")

    def forget(self, whom: str, disk: type[DiskFiles] = DiskFiles) -> Proof:
        async def run() -> Proof:
            log = open_log(self.site.log)
            try:
                return await forget(
                    self.site.out, whom, log, [self.archive], reason="asked", time_ns=1, author="ann", disk=disk
                )
            finally:
                await log.close()

        return asyncio.run(run())

    def window_bytes(self, version: str | None, **which: str) -> list[bytes]:
        dataset = open_dataset(self.site.out, version=version).select(**which)
        return [window.tobytes() for window in dataset.arrays(unlabelled="keep").X]

    def whole(self) -> None:
        assert not Verification(self.site.out).run(lambda _: None).problems
        assert sensorloom.main(["archive", "verify", str(self.archive)]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("forget")
    site = Site(folder)
    brought(site, "pump-planted", "first-rec", "anna-planted", 0)
    brought(site, "pump-shared", "annas-rec", "anna-planted", 0)
    assert site.drain() == 0
    brought(site, "pump-shared", "berts-rec", "bert-stays", 100)
    brought(site, "pump-stays", "last-rec", "bert-stays", 0)
    assert site.drain() == 0
    archive = folder / "archive"
    assert sensorloom.main(["archive", "run", "--log", site.log, "--out", str(archive), "--until-idle"]) == 0
    words = ["--split", "train=0.5,test=0.5", "--by", "subject"]
    assert sensorloom.main(["dataset", "version", str(site.out), *words]) == 0
    reason = ["--recording", "first-rec", "--reason", "loose"]
    assert sensorloom.main(["dataset", "exclude", str(site.out), "pump-planted", *reason]) == 0
    assert sensorloom.main(["dataset", "exclude", str(site.out), "--undo", "0", "--reason", "no"]) == 0
    return Made(site, folder, archive)


def texts_in(path: Path) -> Iterator[bytes]:
    """All that a file holds, as bytes: as they lie there, and of a table each cell."""
    data = path.read_bytes()
    yield data
    if data[:4] == b"PAR1":
        table = pl.read_parquet(io.BytesIO(data))
        for column in table:
            if column.dtype.is_numeric():
                yield column.to_numpy().tobytes()
            elif column.dtype == pl.Binary:
                yield from column.drop_nulls().to_list()
            elif not column.dtype.is_nested():
                yield from (text.encode() for text in column.cast(pl.String).drop_nulls().to_list())


def left_of(folder: Path, *needles: bytes) -> set[str]:
    """The files that hold one of the needles anywhere."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(needle in text for text in texts_in(path) for needle in needles)
    }


def values_of(device: str, recording: str) -> list[bytes]:
    """What is in no file: samples as windows and as columns have them."""
    signal = samples(device, recording)
    return [signal[100:104].tobytes(), signal[100:104, 0].tobytes(), signal[200:204, 1].tobytes()]


def test_a_device_is_in_no_file_any_more(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    folders = (here.site.out, here.archive)
    planted = values_of("pump-planted", "first-rec")
    assert all(left_of(folder, *planted) for folder in folders), "it can be found"
    stays = here.window_bytes("1.0.0", device="pump-stays") + here.window_bytes("1.0.0", device="pump-shared")
    proof = here.forget("pump-planted")
    assert proof.clean
    for folder in folders:
        assert left_of(folder, *planted, b"pump-planted", b"first-rec") <= {
            path for path in left_of(folder, b"pump-planted") if path.startswith("readings/records/")
        }, "but for the archive's records that say so"
        assert left_of(folder, *planted, b"first-rec") == set()
    here.whole()
    again = here.window_bytes("1.0.0", device="pump-stays") + here.window_bytes("1.0.0", device="pump-shared")
    assert again == stays
    assert here.window_bytes("1.0.0", device="pump-planted") == []
    (version,) = read_versions(here.site.out)
    assert version.erased == 11
    assert here.forget("pump-planted").clean, "again: nothing is left to do"
    assert here.site.drain() == 0
    assert set(open_dataset(here.site.out).windows()["device"]) == {"pump-shared", "pump-stays"}
    assert sensorloom.main(["dataset", "version", str(here.site.out)]) == 0
    assert [str(each.number) for each in read_versions(here.site.out)] == ["1.0.0", "2.0.0"], "an erasure is MAJOR"
    here.whole()


def test_it_does_not_come_back(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = made.copied(tmp_path / "s")
    assert here.forget("pump-planted").clean
    brought(here.site, "pump-planted", "new-rec", "anna-planted", 500)
    assert here.site.drain() == 0
    assert here.window_bytes(None, device="pump-planted") == []
    run = ["archive", "run", "--log", here.site.log, "--out", str(here.archive), "--until-idle"]
    assert sensorloom.main(run) == 0
    assert left_of(here.site.out, *values_of("pump-planted", "new-rec")) == set()
    assert left_of(here.archive, *values_of("pump-planted", "new-rec"), b"new-rec") == set()
    append(here.site.log, MARKS, MarkAdd("pump-planted", "late-mark", at(1), at(2), "late-label", "ann", "operator"))
    assert here.site.drain() == 0
    assert sensorloom.main(run) == 0
    assert left_of(here.archive, b"late-mark", b"late-label") == set()
    assert left_of(here.site.out, b"late-mark") == set()
    batch = ["window", "batch", "-c", str(here.site.config), "--archive", str(here.archive), "--out"]
    assert sensorloom.main([*batch, str(tmp_path / "batch")]) == 0
    assert open_dataset(tmp_path / "batch").windows()["window"].to_list() == (
        open_dataset(here.site.out).windows()["window"].to_list()
    )
    (tmp_path / "x.csv").write_text("x,y\n" + "1,2\n" * 100)
    words = [
        "import",
        "readings",
        str(tmp_path / "x.csv"),
        "--device",
        "pump-planted",
        "--stream",
        "acc",
        "--rate",
        "50Hz",
    ]
    words += ["--start", "2026-01-01T00:00:00Z", "--columns", "x,y", "--unit", "g", "--log", here.site.log]
    capsys.readouterr()
    assert sensorloom.main(words) == 2
    assert "pump-planted was to be forgotten" in capsys.readouterr().err


def test_a_recording_does_not_come_back_and_the_device_goes_on(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    brought(here.site, "pump-stays", "open-rec", "bert-stays", 300, ends=False)
    assert here.site.drain() == 0
    run = ["archive", "run", "--log", here.site.log, "--out", str(here.archive), "--until-idle"]
    proof = here.forget("pump-stays/open-rec")
    assert not proof.clean, "the archive has still to read it"
    assert [place.place for place in proof.places if place.ours and not place.clean] == [str(here.archive / "readings")]
    assert sensorloom.main(run) == 0
    assert here.forget("pump-stays/open-rec").clean
    brought(here.site, "pump-stays", "open-rec", "bert-stays", 300, first=6)
    brought(here.site, "pump-stays", "next-rec", "bert-stays", 400)
    assert here.site.drain() == 0
    assert sensorloom.main(run) == 0
    for folder in (here.site.out, here.archive):
        assert left_of(folder, *values_of("pump-stays", "open-rec")) == set()
        assert left_of(folder, *values_of("pump-stays", "next-rec"))
    found = open_dataset(here.site.out).windows().filter(device="pump-stays")["recording"].unique().sort()
    assert found.to_list() == ["last-rec", "next-rec"]
    here.whole()
    here.site.out = tmp_path / "another"
    assert here.site.drain() == 0
    recordings = {"annas-rec", "berts-rec", "first-rec", "last-rec", "next-rec"}
    assert set(open_dataset(here.site.out).windows()["recording"]) == recordings


def test_a_new_dataset_of_the_log_does_not_bring_it_back(made: Made, tmp_path: Path) -> None:
    """Windows that it seals before it reads of the forgetting are left out at opening."""
    here = made.copied(tmp_path / "s")
    assert here.forget("pump-planted").clean
    here.site.out = tmp_path / "another"
    assert here.site.drain("--seal-bytes", "1B") == 0
    found = open_dataset(here.site.out)
    assert set(found.windows()["device"]) == {"pump-shared", "pump-stays"}
    assert "pump-planted" not in found.contents.streams["device"].to_list()


def test_a_person_goes_and_others_of_the_device_stay(made: Made, tmp_path: Path) -> None:
    here = made.copied(tmp_path / "s")
    stays = here.window_bytes("1.0.0", subject="bert-stays")
    tiles = pl.concat([pl.read_parquet(path) for path in here.archive.glob("readings/tiles/*")])
    reading = open_dataset(here.site.out)
    reading.arrays(unlabelled="keep")
    assert here.forget("subject=anna-planted").clean
    with pytest.raises(CorruptError, match="somebody was forgotten since this handle was opened"):
        reading.arrays(unlabelled="keep")
    planted = values_of("pump-planted", "first-rec") + values_of("pump-shared", "annas-rec")
    for folder in (here.site.out, here.archive):
        assert left_of(folder, *planted, b"anna-planted", b"m-annas-rec", b"m-first-rec") == set()
    here.whole()
    assert here.window_bytes("1.0.0", subject="bert-stays") == stays
    assert len(open_dataset(here.site.out, version="1.0.0")) == len(stays)
    after = pl.concat([pl.read_parquet(path) for path in here.archive.glob("readings/tiles/*")])
    for name in ("pump-stays", "pump-shared"):
        own = [table.filter(pl.col("device") == name, pl.col("bucket") * 0 == 0) for table in (tiles, after)]
        finest = [table.filter(pl.col("level") == table["level"].min()) for table in own]
        late = [table.filter(pl.col("first_ns") >= at(0 if name == "pump-stays" else 100)) for table in finest]
        columns = ["channel", "bucket", "samples", "low", "high", "first", "last"]
        assert late[0].select(columns).sort(columns).equals(late[1].select(columns).sort(columns)), name
        assert len(late[1]), name


def test_wrong_asking_is_told(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match='no recording has the attribute "subjct".*Did you mean "subject"'):
        made.forget("subjct=anna")
    with pytest.raises(UsageError, match='no recording has subject "anna".*'):
        made.forget("subject=anna")
    words = ["dataset", "forget", str(made.site.out), "pump-stays", "--log", made.site.log, "--reason", " "]
    assert sensorloom.main(words) == 2
    assert "say why" in capsys.readouterr().err


def killed_at(made: Made, folder: Path, operation: int) -> bool:
    """Die before an operation of forgetting somebody, look, do it again; did it die?"""
    here = made.copied(folder)
    stays = made.window_bytes("1.0.0", device="pump-stays")
    done = [0]

    class Doomed(DiskFiles):
        def _do(self, op: Op, written: dict[str, int]) -> None:
            if done[0] == operation:
                raise Killed
            done[0] += 1
            super()._do(op, written)

    try:
        here.forget("pump-planted", Doomed)
        died = False
    except Killed:
        died = True
    problems = Verification(here.site.out).run(lambda _: None).problems
    told = ("an erasure is not finished", "writes it again")  # the second: of a version's readable copy
    assert all(any(text in problem.problem for text in told) for problem in problems), problems
    assert here.window_bytes("1.0.0", device="pump-stays") == stays
    assert len(here.window_bytes("1.0.0", device="pump-planted")) in (0, 11)
    assert here.forget("pump-planted").clean
    here.whole()
    for each in (here.site.out, here.archive):
        assert left_of(each, *values_of("pump-planted", "first-rec")) == set()
    assert here.window_bytes("1.0.0", device="pump-stays") == stays
    shutil.rmtree(folder)
    return died


def test_a_kill_at_some_operations(made: Made, tmp_path: Path) -> None:
    for operation in (9, 183):
        assert killed_at(made, tmp_path / str(operation), operation)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_kill_at_every_operation(made: Made, tmp_path: Path) -> None:
    operation = 0
    while killed_at(made, tmp_path / str(operation), operation):
        operation += 1
    assert operation > 100


def flips(made: Made, folder: Path, count: int, seed: int) -> None:
    """Single bits of what an erasure wrote are named where they flip."""
    here, rng = made.copied(folder), random.Random(seed)
    assert here.forget("pump-planted").clean
    out = here.site.out
    files = [*out.glob("replacements/*"), *out.glob("windows/*/erased/*"), *out.glob("labels/erased/*")]
    files += [
        *out.glob("exclusions/*"),
        *out.glob("splits/*"),
        *out.glob("versions/*"),
        out / "belongs/replacements.json",
    ]
    assert len(files) >= 8
    for _ in range(count):
        path = rng.choice(files)
        good = path.read_bytes()
        bad = bytearray(good)
        bit = rng.randrange(8 * len(bad))
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        named = json.dumps([[it.file, it.problem] for it in Verification(out).run(lambda _: None).problems])
        assert path.name in named, (path, bit)
        path.write_bytes(good)


def test_a_flipped_bit_is_named(made: Made, tmp_path: Path) -> None:
    flips(made, tmp_path / "s", 3, 1)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_thousand_flipped_bits_are_named(made: Made, tmp_path: Path) -> None:
    flips(made, tmp_path / "s", 1000, 2)
