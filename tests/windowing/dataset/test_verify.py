"""`verify` sees every flipped bit and every cut file, and says which windows it affects."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

import sensorloom
from ingest.engine.manifest import decode_entry, encode_document
from ingest.errors import UsageError
from tests.windowing.dataset.test_reader import flip, shards
from tests.windowing.sample_dataset import CONFIG, Window, build, copied, files_of, sample
from windowing.dataset.verify import Report, Verification


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("verify") / "d")


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return copied(whole, tmp_path / "d")


def verify(root: Path) -> Report:
    return Verification(root).run(lambda count: None)


def problems(root: Path) -> list[tuple[str, tuple[str, ...]]]:
    return [(Path(problem.file).name, problem.windows) for problem in verify(root).problems]


def test_a_whole_dataset_has_no_problem(whole: Path) -> None:
    read: list[int] = []
    verification = Verification(whole)
    report = verification.run(read.append)
    assert report.problems == []
    assert (report.windows, report.entries, report.unreferenced) == (14, 7, 0)
    assert sum(read) == verification.bytes == report.bytes


def test_any_flipped_bit_of_any_file_is_seen(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path / "d")
    rng = np.random.default_rng(7)
    for path in files_of(root):
        size = path.stat().st_size
        places = {0, size - 1, *rng.integers(0, size, 8).tolist()}
        for place in sorted(places):
            bit = int(rng.integers(0, 8))
            flip(path, place, bit)
            found = [Path(problem.file).name for problem in verify(root).problems]
            assert path.name in found, f"{path.name}: byte {place} bit {bit}"
            flip(path, place, bit)
    assert verify(root).problems == []


def test_a_cut_or_missing_file_is_seen(whole: Path, tmp_path: Path) -> None:
    root = copied(whole, tmp_path / "d")
    for path in files_of(root):
        data = path.read_bytes()
        for size in (0, len(data) // 2, len(data) - 1):
            os.truncate(path, size)
            assert any(Path(p.file).name == path.name for p in verify(root).problems), f"{path.name} cut to {size}"
            path.write_bytes(data)
        newest = path.parent.parent.name == "manifest" and path == max(path.parent.iterdir())
        path.unlink()
        assert newest or verify(root).problems, f"{path.name} missing"
        path.write_bytes(data)


def test_only_the_windows_with_flipped_bytes_are_named(root: Path) -> None:
    bad = shards(root)[0]
    whole_windows = sensorloom.open(root).windows().filter(shard=bad.name).sort("row")["window"].to_list()
    flip(bad, -1)
    assert problems(root) == [(bad.name, (whole_windows[-1],))]


def test_a_cut_shard_names_the_windows_behind_the_cut(root: Path) -> None:
    bad = max(shards(root), key=lambda path: path.stat().st_size)
    named = sensorloom.open(root).windows().filter(shard=bad.name).sort("row")["window"].to_list()
    os.truncate(bad, bad.stat().st_size - 33)
    assert problems(root) == [(bad.name, tuple(named[-2:]))]


def test_every_problem_is_reported(root: Path) -> None:
    entries = [decode_entry(path.read_bytes(), "") for path in sorted(root.glob("windows/*/manifest/readings-0/*"))]
    folder = shards(root)[0].parents[1]
    first, second = [folder / entry.files[0].name for entry in entries[:2]]
    flip(first, 3)
    second.unlink()
    (entry,) = root.glob("windows/*/manifest/readings-1/000000000002.json")
    flip(entry, 9)
    assert {name for name, _ in problems(root)} >= {first.name, second.name, entry.name}


def test_a_hole_in_a_chain_is_seen(root: Path) -> None:
    (entry,) = root.glob("windows/*/manifest/readings-0/000000000001.json")
    entry.unlink()
    assert [name for name, _ in problems(root)] == [entry.name]


def test_a_forged_entry_breaks_the_chain(root: Path) -> None:
    (entry,) = root.glob("windows/*/manifest/readings-0/000000000000.json")
    forged = msgspec.structs.replace(decode_entry(entry.read_bytes(), ""), lost=((0, 1),))
    entry.write_bytes(encode_document(forged))
    assert [name for name, _ in problems(root)] == ["000000000001.json"]


def test_a_window_that_is_not_the_indexs_is_named(tmp_path: Path) -> None:
    root = build(tmp_path / "d", [[Window("a", "r", k, forged=k == 1) for k in range(3)]], [])
    assert [windows for _, windows in problems(root)] == [("a-r-1",)]


def test_one_window_in_two_entries_is_seen(tmp_path: Path) -> None:
    again = [Window("a", "r", k) for k in (0, 1, 2, 1)]
    root = build(tmp_path / "d", [again], [])
    assert problems(root) == [("index", ("a-r-1",))]


def test_a_window_of_samples_that_came_again_is_counted_but_no_problem(tmp_path: Path) -> None:
    again = [*(Window("a", "r", k) for k in range(4)), Window("a", "r", 1, seed=1, offset=9)]
    report = verify(build(tmp_path / "d", [again, [Window("b", "r", 1, offset=9)]], []))
    assert (report.problems, report.again, report.windows) == ([], 1, 6)


def test_leftovers_of_a_crash_are_counted_but_no_problem(root: Path) -> None:
    folder = shards(root)[0].parent
    (folder / "s-0123456789abcdef.npy").write_bytes(b"never sealed")
    (folder / "s-0123456789abcdef.npy.w1.tmp").write_bytes(b"torn")
    report = verify(root)
    assert (report.problems, report.unreferenced) == ([], 2)


def test_a_state_that_a_service_outdates_meanwhile_is_no_problem(root: Path) -> None:
    verification = Verification(root)
    (newest,) = root.glob("windows/*/manifest/readings-0/000000000002.json")
    data = newest.read_bytes()
    for state in root.glob("windows/*/state/readings-0/*"):
        state.unlink()
    assert len(verify(root).problems) == 2
    for seq in (3, 4):  # what a service would have created before it deleted
        newest.with_name(f"{seq:012d}.json").write_bytes(data)
    assert verification.run(lambda count: None).problems == []


def test_a_window_table_changed_by_hand_is_a_problem(root: Path) -> None:
    (root / "dataset.toml").write_text(CONFIG.replace("length = 4", "length = 8"))
    assert [name for name, _ in problems(root)] == ["dataset.toml"]
    (root / "dataset.toml").write_text("name = ")
    assert [name for name, _ in problems(root)] == ["dataset.toml"]


def test_no_dataset_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset"):
        Verification(tmp_path)
