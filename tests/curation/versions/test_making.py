"""Versions made, opened again, compared; what cuts them off, and what damages them."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
import shutil
from pathlib import Path

import polars as pl
import pytest

import sensorloom
from curation.versions.deciding import Level
from curation.versions.making import Asked, Made, compare, make_version
from curation.versions.splitting import AskedSplit
from ingest.copying import Copier
from ingest.engine import copying
from ingest.engine.copying import Copied
from ingest.engine.store import FileStore
from ingest.errors import CorruptError, UsageError
from ingest.records import MarkRetract
from service import backup as backups
from tests.curation.crashing import DoomedFiles, Killed
from tests.windowing.sample_dataset import Window, build, copied, grow, mark, merge, sample
from windowing.dataset.reader import open_dataset
from windowing.dataset.verify import Verification
from windowing.dataset.versions import read_versions

HALVES = AskedSplit({"train": 0.5, "test": 0.5})


def version(root: Path, asked: Asked | None = None, store: FileStore | None = None) -> Made:
    return asyncio.run(make_version(root, asked or Asked(), time_ns=10**18, author="ann", store=store))


def ids(root: Path, number: str, split: str | None = None) -> list[str]:
    return open_dataset(root, version=number, split=split).windows()["window"].to_list()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = sample(tmp_path_factory.mktemp("versions") / "d")
    assert version(root, Asked(split=HALVES)).number == "1.0.0"
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "d")


def test_numbers_say_what_changed(root: Path) -> None:
    assert version(root).number is None, "nothing has changed"
    grow(root, [[Window("a", "r", 7)], [Window("b", "r", 7)]])
    assert (found := version(root)).number == "1.1.0"
    assert found.because == ("2 new windows",)
    grow(root, [[], []], [mark("stop", 0, 28, device="b", name="late")])
    assert (found := version(root)).number == "2.0.0", "a window of b was run"
    assert found.because == ("1 window with another label", "6 windows got a label")
    grow(root, [[], []], [mark("run", 28, 32)])
    assert version(root).number == "2.1.0"
    grow(root, [[], []], [MarkRetract("a", "a-run-28", "ann", "import")])
    assert version(root).because == ("1 window with another label",)
    assert [str(each.number) for each in read_versions(root)] == ["1.0.0", "1.1.0", "2.0.0", "2.1.0", "3.0.0"]
    with pytest.raises(UsageError, match=r"--minor: this is MAJOR: 16 windows in another part"):
        version(root, Asked(Level.MINOR, split=AskedSplit({"test": 0.5, "train": 0.5}, by="device", seed=3, anew=True)))
    grow(root, [[Window("a", "r", 8)], []])
    assert version(root, Asked(Level.MAJOR, note="for the fair")).number == "4.0.0"


def test_a_version_stays_what_it_was_however_the_dataset_grows_and_merges(root: Path) -> None:
    before = open_dataset(root, version="1.0.0")
    windows, (X, y, _) = before.windows(), before.arrays(unlabelled="keep")
    signals = {path: path.read_bytes() for path in root.glob("windows/*/signal/*")}
    grow(root, [[], []], [mark("stop", 0, 100, name="late"), mark("new", 0, 100, device="b", name="late")])
    assert version(root).number == "2.0.0"
    assert {path: path.read_bytes() for path in root.glob("windows/*/signal/*")} == signals, "no signal byte is written"
    grow(root, [[Window("a", "r", 7)], [Window("b", "r", 7)]], [mark("new", 28, 32)])
    merge(root, grace_ns=0)
    for more in (8, 9):
        again = pickle.loads(pickle.dumps(open_dataset(root, version="1.0.0")))
        assert again.windows().drop("shard", "row").equals(windows.drop("shard", "row"))
        X2, y2, _ = again.arrays(unlabelled="keep")
        assert (X2.tobytes(), y2.tolist()) == (X.tobytes(), y.tolist())
        assert again.version == "1.0.0"
        grow(root, [[Window("a", "r", more)], []])
    assert open_dataset(root, version="latest").counts == {"stop": 7, "new": 7}
    assert not Verification(root).run(lambda _: None).problems


def test_parts_are_kept_and_new_groups_find_theirs(root: Path) -> None:
    first = {part: ids(root, "1.0.0", part) for part in ("train", "test")}
    assert sorted(map(len, first.values())) == [7, 7]
    grow(root, [[Window(f"c{n}", "r", k) for n in range(6) for k in range(3)], [Window("a", "r", 7)]])
    assert version(root, Asked(near=False)).number == "1.1.0"
    later = {part: ids(root, "1.1.0", part) for part in ("train", "test")}
    for part, windows in first.items():
        assert set(windows) < set(later[part])
    assert sum(map(len, later.values())) == 14 + 19
    dataset = open_dataset(root, version="1.1.0")
    assert list(dataset.parts) == ["train", "test"]
    assert len(dataset.parts["train"]) + len(dataset.parts["test"]) == len(dataset)
    with pytest.raises(UsageError, match='split: found "trian".*Did you mean "train"'):
        open_dataset(root, version="1.1.0", split="trian")
    with pytest.raises(UsageError, match="say of which version"):
        open_dataset(root, split="train")


def test_folds_are_kept(tmp_path: Path) -> None:
    chains = [[Window(f"d{n}", "r", k) for k in range(3)] for n in range(6)]
    root = build(tmp_path / "d", chains, [mark("run", 0, 100, device=f"d{n}") for n in range(6)])
    asked = AskedSplit({"train": 0.5, "test": 0.5}, folds=3)
    assert version(root, Asked(split=asked, near=False)).number == "1.0.0"
    dataset = open_dataset(root, version="1.0.0")
    before = [set(dataset.windows()["device"].gather(test)) for _, test in dataset.folds()]
    assert sorted(map(len, before)) == [2, 2, 2]
    grow(root, [[Window("d6", "r", 0)], *([[]] * 5)], [mark("run", 0, 100, device="d6")])
    version(root, Asked(near=False))
    dataset = open_dataset(root, version="latest")
    after = [set(dataset.windows()["device"].gather(test)) for _, test in dataset.folds()]
    assert all(some <= more for some, more in zip(before, after, strict=True))
    assert [len(train) + len(test) for train, test in dataset.folds()] == [19] * 3


def test_a_split_that_is_asked_for_otherwise_is_a_version_though_no_window_moves(root: Path) -> None:
    assert version(root, Asked(split=HALVES)).number is None
    thirds = version(root, Asked(split=AskedSplit({"train": 0.7, "test": 0.3}), near=False))
    assert (thirds.number, thirds.parts) == ("1.0.1", {"test": 7, "train": 7})
    assert "--resplit" in thirds.because[0]
    folded = version(root, Asked(split=AskedSplit(folds=2), near=False))
    assert (folded.number, folded.because) == ("1.1.0", ("folds came",))
    assert len(open_dataset(root, version="latest").folds()) == 2
    assert version(root, Asked(split=AskedSplit(folds=2))).number is None


def test_time_is_cut_where_it_was(root: Path, tmp_path: Path) -> None:
    chains = [[Window("a", "r", k) for k in range(20)]]
    root = build(tmp_path / "t", chains, [])
    assert version(root, Asked(split=AskedSplit({"train": 0.5, "test": 0.5}, by="time"))).parts == {
        "": 1,
        "test": 9,
        "train": 10,
    }
    train = ids(root, "1.0.0", "train")
    grow(root, [[Window("a", "r", k) for k in range(20, 30)]])
    assert version(root).parts == {"": 1, "test": 19, "train": 10}
    assert ids(root, "1.1.0", "train") == train


def test_leaks_forbid_a_version_unless_somebody_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chains = [[Window("a", "br", k) for k in range(4)], [Window("ab", "r", k) for k in range(4)]]
    root = build(tmp_path / "d", chains, [])
    words = ["dataset", "version", str(root), "--split", "train=0.5,test=0.5"]
    assert sensorloom.main(words) == 1
    out = capsys.readouterr().out
    assert "leak: equal: a/br and ab/r lies in two parts (4 pairs of windows" in out
    assert "no version was made" in out
    assert read_versions(root) == []
    assert sensorloom.main([*words, "--allow-leaks", "the same pump under two names"]) == 0
    assert sensorloom.main(["dataset", "versions", str(root), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert listed[0]["leaks_allowed"] == "the same pump under two names"


def test_what_differs_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grow(root, [[Window("a", "r", 7)], []], [mark("stop", 4, 8, device="b", name="late"), mark("new", 28, 32)])
    version(root)
    found = compare(root, "1.0.0", "latest")
    assert (found.windows, found.added, found.removed) == ((14, 15), 1, 0)
    assert found.labels == {"new": (0, 1), "run": (4, 3), "stop": (1, 2), "": (9, 9)}
    assert [(move.before, move.now, move.windows) for move in found.relabelled] == [("run", "stop", 1)]
    assert sensorloom.main(["dataset", "diff", str(root), "1.0.0", "2.0.0"]) == 0
    out = capsys.readouterr().out
    assert "1.0.0 → 2.0.0: 14 → 15 windows (1 new, 0 gone, 0 with other samples)" in out
    assert "relabelled: run → stop: 1 window" in out
    assert sensorloom.main(["dataset", "diff", str(root), "1.0.0", "1.2.0"]) == 2


def test_writers_at_once_make_one_version_after_the_other(root: Path) -> None:
    grow(root, [[Window("a", "r", 7)], []])

    async def both() -> list[Made]:
        tasks = (make_version(root, Asked(note=str(n)), time_ns=10**18, author=str(n)) for n in range(4))
        return list(await asyncio.gather(*tasks))

    numbers = [made.number for made in asyncio.run(both())]
    assert sorted(numbers, key=str) == ["1.1.0", None, None, None], "who lost looked again, and found nothing new"
    assert [str(each.number) for each in read_versions(root)] == ["1.0.0", "1.1.0"]
    assert not Verification(root).run(lambda _: None).problems


def crash(source: Path, folder: Path, at: int, seed: int, *, power: bool) -> bool:
    """Die before an operation of making a version, look, make it again; did it die?"""
    root = copied(source, folder / "d")
    grow(root, [[Window("a", "r", 7)], []], [mark("late", 4, 8, device="b", name="late")])
    files = DoomedFiles(root, at, random.Random(seed))
    try:
        version(root, store=FileStore(files, f"t{seed}"))
        died = False
    except Killed:
        died = True
    if power:
        files.cut(folder / "cut")
        root = folder / "cut"
    versions = [str(each.number) for each in read_versions(root)]
    assert versions in (["1.0.0"], ["1.0.0", "2.0.0"]) if died else versions == ["1.0.0", "2.0.0"]
    assert ids(root, "1.0.0") == ids(source, "1.0.0")
    if "2.0.0" in versions:
        assert open_dataset(root, version="2.0.0").counts["late"] == 1
    version(root)
    assert [str(each.number) for each in read_versions(root)] == ["1.0.0", "2.0.0"]
    assert not Verification(root).run(lambda _: None).problems
    shutil.rmtree(folder)
    return died


def test_a_kill_or_a_power_cut_at_some_operations(made: Path, tmp_path: Path) -> None:
    at = 0
    while crash(made, tmp_path / str(at), at, at, power=at % 8 == 0):
        at += 4
    assert at > 15


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills_and_power_cuts(made: Path, tmp_path: Path) -> None:
    died = sum(crash(made, tmp_path / str(n), n % 20, n, power=n % 3 > 0) for n in range(1000))
    assert died > 700


def flips(made: Path, folder: Path, count: int, seed: int) -> None:
    """Flip single bits of what versions rest on; each is named, and none opens as something else."""
    rng = random.Random(seed)
    root = copied(made, folder)
    grow(root, [[Window("a", "r", 7)], []])
    version(root)
    wanted = {number: ids(root, number) for number in ("1.0.0", "1.1.0")}
    files = [*root.glob("versions/*"), *root.glob("splits/*"), root / "belongs" / "versions.json"]
    assert len(files) == 6
    for _ in range(count):
        path = rng.choice(files)
        good = path.read_bytes()
        bad = bytearray(good)
        bit = rng.randrange(8 * len(bad))
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        named = [problem.file + problem.problem for problem in Verification(root).run(lambda _: None).problems]
        assert any(str(path) in text or path.name in text for text in named), (path, bit, named)
        for number, windows in wanted.items():
            try:
                assert ids(root, number) == windows
            except CorruptError:
                continue
        path.write_bytes(good)


def test_a_flipped_bit_is_named(made: Path, tmp_path: Path) -> None:
    flips(made, tmp_path / "d", 6, 1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_flipped_bits_are_named(made: Path, tmp_path: Path) -> None:
    flips(made, tmp_path / "d", 1000, 2)


def test_a_version_that_was_removed_is_missed(root: Path) -> None:
    grow(root, [[Window("a", "r", 7)], []])
    version(root)
    (root / "versions" / "000001.json").unlink()
    with pytest.raises(CorruptError, match="000001.json: is missing"):
        open_dataset(root, version="1.0.0")
    shutil.rmtree(root / "versions")
    with pytest.raises(CorruptError, match="is missing"):
        read_versions(root)


def test_wrong_asking_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='version: found "1.0.1".*Did you mean "1.0.0"'):
        open_dataset(root, version="1.0.1")
    with pytest.raises(UsageError, match="it is of one folder"):
        open_dataset([root], version="1.0.0")
    bare = sample(tmp_path / "bare")
    with pytest.raises(UsageError, match="it has no versions"):
        open_dataset(bare, version="latest")
    with pytest.raises(UsageError, match="--split: say the parts"):
        version(bare, Asked(split=AskedSplit(by="device")))
    assert sensorloom.main(["dataset", "version", str(bare), "--split", "train"]) == 2
    with pytest.raises(UsageError, match="--embargo: .* this one is by device; say --by time"):
        version(bare, Asked(split=AskedSplit({"train": 0.5, "test": 0.5}, embargo_ns=1)))
    with pytest.raises(UsageError, match="together they are 1"):
        version(root, Asked(split=AskedSplit({"train": 0.6, "test": 0.3})))
    version(bare, Asked(dry=True))
    assert read_versions(bare) == []


def test_selections_of_a_version_are_of_its_windows(root: Path) -> None:
    grow(root, [[Window("a", "r", 7)], []])
    train = open_dataset(root, version="1.0.0", split="train")
    assert len(train.select(pl.col("k") >= 5)) == 2
    assert dict(train.cut) == dict(open_dataset(root, version="1.0.0").cut)


def test_a_version_that_is_made_during_a_backup_is_in_it_whole_or_not_at_all(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It rested on windows that came too late for the copy."""
    done: list[str | None] = []

    def copy_chains(folder: Path, to: Path, copier: Copier) -> Copied:
        copied_chains = copying.copy_chains(folder, to, copier)
        if not done:
            grow(root, [[Window("a", "r", 9)], [Window("b", "r", 9)]])
            done.append(version(root).number)
        return copied_chains

    monkeypatch.setattr(backups, "copy_chains", copy_chains)
    backups.backup(tmp_path, tmp_path.parent / f"{tmp_path.name}-copy")
    copy = tmp_path.parent / f"{tmp_path.name}-copy" / "d"
    assert done == ["1.1.0"]
    for one in read_versions(copy):
        assert ids(copy, str(one.number)) == ids(root, str(one.number))
    assert not Verification(copy).run(lambda _: None).problems
