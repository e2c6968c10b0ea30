"""Whatever cuts an export off, and whatever bit flips in it or in what it reads: whole, or told."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import shutil
import signal
from pathlib import Path

import pytest

import sensorloom
from curation.exports.checksums import DESCRIPTION, check_files
from curation.exports.exporting import FORMATS
from curation.versions.making import Asked, make_version
from curation.versions.splitting import AskedSplit
from ingest.errors import SensorloomError, UsageError
from ingest.log.protocol import MARKS
from tests.curation.exports.dying import die, exported
from tests.service.test_run import Site, append, mark, record
from tests.windowing.sample_dataset import copied, sample

LAST = 80
"""So many of the last calls, among them the renaming, are looked at closely."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = sample(tmp_path_factory.mktemp("crashes") / "d")
    split = AskedSplit({"train": 0.5, "test": 0.5}, by="device")
    asyncio.run(make_version(root, Asked(split=split), time_ns=10**18, author="ann"))
    return root


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that services made: of everything in it, its configuration too, there is a second word somewhere."""
    site = Site(tmp_path_factory.mktemp("site"))
    for device in ("a", "b"):
        record(site.log, device, 6)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("b", 2, 3, "stop"))
    assert site.drain() == 0
    words = ["dataset", "version", str(site.out), "--split", "train=0.5,test=0.5", "--by", "device"]
    assert sensorloom.main(words) == 0
    return site.out


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed(root: Path, out: Path, form: str, at: int, calls: Path | None = None) -> bool:
    """Is it killed at this call? Processes are forked from one that has read all modules and runs no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.curation.exports.dying"])
    process = context.Process(target=die, args=(root, out, form, at, calls))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def crash(root: Path, folder: Path, form: str, at: int, wanted: dict[str, bytes]) -> bool:
    """Kill an export at a call, look at what is there, and do it again."""
    folder.mkdir()
    out = folder / "out"
    died = killed(root, out, form, at)
    if out.exists():
        assert tree(out) == wanted, "it has its name: it is whole"
    else:
        assert died
        exported(root, out, form)
        assert tree(out) == wanted
    assert [path.name for path in folder.iterdir()] == ["out"], "what a killed one left is gone"
    shutil.rmtree(folder)
    return died


def length(root: Path, folder: Path, form: str) -> int:
    """How many calls an export makes."""
    folder.mkdir()
    assert not killed(root, folder / "out", form, -1, folder / "calls")
    return int((folder / "calls").read_text())


def crashes(root: Path, folder: Path, form: str, count: int) -> int:
    """Kill so many exports: a quarter among the last calls; how many died."""
    calls, rng = length(root, folder / "length", form), random.Random(form)
    wanted = tree(folder / "length" / "out")
    died = 0
    for number in range(count):
        at = calls - 1 - rng.randrange(LAST) if number % 4 == 0 else rng.randrange(calls)
        died += crash(root, folder / str(number), form, at, wanted)
    return died


def test_a_kill_at_some_calls_leaves_an_export_whole_or_absent(root: Path, tmp_path: Path) -> None:
    assert crashes(root, tmp_path, "numpy", 2) > 0


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("form", FORMATS)
def test_a_thousand_kills(root: Path, tmp_path: Path, form: str) -> None:
    """A thousand over all formats."""
    assert crashes(root, tmp_path, form, 125) > 100


def flipped(path: Path, rng: random.Random) -> bytes:
    """Flip a bit of a file; its bytes before."""
    good = path.read_bytes()
    bad = bytearray(good)
    bit = rng.randrange(8 * len(bad))
    bad[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bad)
    return good


def flips_of_exports(root: Path, folder: Path, form: str, count: int) -> None:
    rng, out = random.Random(form), folder / form
    exported(root, out, form)
    assert check_files(out).problems == []
    files = sorted(path for path in out.rglob("*") if path.is_file())
    for _ in range(count):
        path = rng.choice(files)
        good = flipped(path, rng)
        assert [name for name, _ in check_files(out).problems] == [path.relative_to(out).as_posix()]
        path.write_bytes(good)


def flips_of_sources(root: Path, folder: Path, count: int, seed: int) -> int:
    """Flip bits of a dataset's files, and export it: that is refused, or what goes out is right; how often refused."""
    rng, here = random.Random(seed), copied(root, folder / "d")
    exported(here, folder / "wanted", "numpy")
    wanted, refused = tree(folder / "wanted"), 0
    files = sorted(path for path in here.rglob("*") if path.is_file() and path.stat().st_size)
    for _ in range(count):
        path = rng.choice(files)
        good = flipped(path, rng)
        try:
            exported(here, folder / "out", "numpy")
        except SensorloomError:
            refused += 1
        else:
            assert tree(folder / "out") == wanted, path
            shutil.rmtree(folder / "out")
        assert sorted(each.name for each in folder.iterdir()) == ["d", "wanted"]
        path.write_bytes(good)
    return refused


def test_a_flipped_bit_is_told(root: Path, site: Path, tmp_path: Path) -> None:
    flips_of_exports(root, tmp_path, "parquet", 6)
    assert flips_of_sources(site, tmp_path / "sources", 8, 1) > 2


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_flipped_bits_are_told(root: Path, site: Path, tmp_path: Path) -> None:
    for form in FORMATS:
        flips_of_exports(root, tmp_path / "exports", form, 125)
    assert flips_of_sources(site, tmp_path / "sources", 1000, 2) > 300


def test_what_is_missing_or_of_others_is_told_by_the_command(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    exported(root, out, "npz")
    verify = ["dataset", "verify", str(out)]
    assert sensorloom.main(verify) == 0
    assert "an export of 2 files" in capsys.readouterr().out
    (out / "train.npz").unlink()
    (out / "more.npz").write_bytes(b"x")
    (out / ".git").mkdir()
    (out / ".git" / "config").write_text("theirs")
    assert sensorloom.main(verify) == 1
    told = capsys.readouterr().err
    assert "train.npz: is missing" in told
    assert "more.npz: is not of this export" in told
    assert "config" not in told
    (out / DESCRIPTION).write_text('{"name": "pumps"}')
    with pytest.raises(UsageError, match="has no checksums"):
        check_files(out)
    assert sensorloom.main(["dataset", "verify", str(tmp_path)]) == 2
