"""A dataset knows what belongs to it: each file and folder of a finished one is taken away, cut and flipped in turn."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import sensorloom
from ingest.errors import CorruptError, UsageError
from tests.service.test_run import Site
from tests.windowing.dataset.finished import finished
from tests.windowing.dataset.test_reader import flip
from tests.windowing.sample_dataset import copied, sample
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.verify import Verification


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return finished(tmp_path_factory.mktemp("finished") / "site")


@pytest.fixture
def root(site: Site, tmp_path: Path) -> Path:
    return copied(site.out, tmp_path / "d")


def problems(root: Path) -> list[str]:
    return [f"{problem.file}: {problem.problem}" for problem in Verification(root).run(lambda count: None).problems]


def everything(root: Path) -> Iterator[Path]:
    """Every file and folder in it, folders after what is in them."""
    for folder, _, files in os.walk(root, topdown=False):
        yield from (Path(folder) / name for name in files)
        if Path(folder) != root:
            yield Path(folder)


def answers(dataset: Dataset) -> dict[str, str | None]:
    table = dataset.windows()
    return dict(zip(table["window"], table["label"], strict=True))


def assert_never_wrong(root: Path, whole: dict[str, str | None]) -> None:
    """What `damaged="skip"` opens has the labels of the whole; else it raises with words."""
    try:
        opened = open_dataset(root, damaged="skip")
    except (CorruptError, UsageError) as error:
        assert str(root) in str(error)
        return
    assert answers(opened).items() <= whole.items()
    assert opened.damaged
    opened.arrays()


def test_a_finished_dataset_is_whole(site: Site) -> None:
    assert problems(site.out) == []
    kinds = {path.relative_to(site.out).parts[0] for path in everything(site.out)}
    assert kinds >= {"belongs", "configs", "dataset.toml", "labels", "rules", "windows"}
    assert open_dataset(site.out).damaged == ()


def test_whatever_is_taken_away_is_named_by_open_and_verify(site: Site, root: Path) -> None:
    whole = answers(open_dataset(site.out))
    for path in everything(site.out):
        lost = root / path.relative_to(site.out)
        kept = root.parent / "kept"
        shutil.move(lost, kept)
        where = str(path.relative_to(site.out))
        assert problems(root), where
        with pytest.raises((CorruptError, UsageError)) as caught:
            open_dataset(root)
        assert str(root) in str(caught.value), where
        assert_never_wrong(root, whole)
        shutil.move(kept, lost)
    assert problems(root) == []


def test_whatever_is_cut_or_flipped_is_named_by_verify_and_open(site: Site, root: Path) -> None:
    whole = answers(open_dataset(site.out))
    for path in everything(site.out):
        if path.is_dir():
            continue
        bad = root / path.relative_to(site.out)
        data = bad.read_bytes()
        for damage in ("empty", "cut", "flip"):
            if damage == "flip":
                flip(bad, len(data) // 2)
            else:
                os.truncate(bad, 0 if damage == "empty" else len(data) // 2)
            where = f"{path.relative_to(site.out)}, {damage}"
            assert any(bad.name in problem or str(bad.parent) in problem for problem in problems(root)), where
            with pytest.raises((CorruptError, UsageError)):
                open_dataset(root).arrays(unlabelled="keep")
            assert_never_wrong(root, whole)
            bad.write_bytes(data)
    assert problems(root) == []


def test_a_chain_that_is_lost_with_its_states_is_missed(site: Site, root: Path) -> None:
    for operator in ("windows/*", "labels", "rules/*"):
        for chain in site.out.glob(f"{operator}/manifest/*"):
            lost = root / chain.relative_to(site.out)
            shutil.rmtree(lost)
            shutil.rmtree(lost.parents[1] / "state" / lost.name, ignore_errors=True)
            assert any(lost.name in problem for problem in problems(root)), lost
            with pytest.raises(CorruptError, match=lost.name):
                open_dataset(root)
            shutil.rmtree(root)
            copied(site.out, root)


@pytest.mark.parametrize("folder", ["labels", "windows", "rules"])
def test_an_operators_folder_of_an_older_copy_is_named_and_a_run_brings_it_up_to_date(
    tmp_path: Path, folder: str
) -> None:
    old: list[Path] = []
    site = finished(tmp_path / "site", lambda site: old.append(copied(site.out, tmp_path / "old")))
    whole = answers(open_dataset(site.out))
    shutil.rmtree(site.out / folder)
    shutil.copytree(old[0] / folder, site.out / folder)
    assert any("it is of an older copy than the rest" in problem for problem in problems(site.out))
    with pytest.raises(CorruptError, match="older copy than the rest; restore all of the dataset from one backup"):
        open_dataset(site.out)
    assert_never_wrong(site.out, whole)
    assert site.drain() == 0
    assert problems(site.out) == []
    assert answers(open_dataset(site.out)) == whole


def test_an_older_copy_of_the_whole_is_whole(tmp_path: Path) -> None:
    finished(tmp_path / "site", lambda site: copied(site.out, tmp_path / "old"))
    assert problems(tmp_path / "old") == []
    assert open_dataset(tmp_path / "old").damaged == ()


def test_copies_of_heads_are_made_where_a_release_of_before_made_none(site: Site, root: Path) -> None:
    for path in (root / "belongs").glob("*.*.json"):
        path.unlink()
    assert problems(root) == []
    again = Site.__new__(Site)
    again.log, again.config, again.out = site.log, site.config, root
    assert again.drain() == 0
    assert {path.name for path in (root / "belongs").iterdir()} == {
        path.name for path in (site.out / "belongs").iterdir()
    }
    assert problems(root) == []


def test_labels_are_never_background_for_want_of_marks(site: Site, root: Path) -> None:
    shutil.rmtree(root / "labels")
    with pytest.raises(CorruptError, match="labels: is missing"):
        open_dataset(root)
    with pytest.raises(CorruptError, match="labels: is missing"):
        open_dataset(root, damaged="skip")


def test_a_run_mends_what_the_log_still_has(site: Site, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = answers(open_dataset(site.out))
    again = Site.__new__(Site)
    again.log, again.config, again.out = site.log, site.config, root
    for lost in ("labels", "windows", "belongs", "configs", "dataset.toml", "rules"):
        path = root / lost
        path.unlink() if path.is_file() else shutil.rmtree(path)
        if lost == "configs":
            assert again.drain() == 1  # who decided what is not made up anew
            shutil.copytree(site.out / lost, path)
            continue
        assert again.drain() == 0, lost
        assert problems(root) == [], lost
        assert answers(open_dataset(root)) == whole, lost
    err = capsys.readouterr().err
    assert "labels/genesis.json: is missing with all that labels had made; it is made again from the log" in err


def test_a_dataset_of_before_knows_nothing_of_this_and_opens(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    assert not (root / "belongs").exists()
    assert len(open_dataset(root)) == 14
    shutil.rmtree(root / "labels")
    with pytest.raises(CorruptError, match="labels: is missing, but there are windows"):
        open_dataset(root)
    assert len(problems(root)) == 1


def test_dataset_toml_is_what_a_run_put_there(root: Path) -> None:
    path = root / "dataset.toml"
    path.write_text(path.read_text().replace("calm", "still"))
    with pytest.raises(CorruptError, match="damaged or edited"):
        sensorloom.open(root)
    opened = sensorloom.open(root, damaged="skip")
    assert "calm" in opened.classes
    assert [damage.file for damage in opened.damaged] == ["dataset.toml"]
