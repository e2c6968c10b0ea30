"""The first run's configuration is the dataset's; what decides on windows stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from ingest.errors import UsageError
from service.configuration import Source
from tests.windowing.sample_dataset import CONFIG
from windowing.config import DatasetConfig
from windowing.dataset.configs import claim_config, read_config


def source(folder: Path, text: str) -> Source:
    (folder / "asked.toml").write_text(text)
    return Source.read(folder / "asked.toml")


def claim(out: Path, asked: Source, token: str = "t") -> None:
    store = FileStore(DiskFiles(out), token)
    asyncio.run(claim_config(store, out, asked.page, "asked.toml", time_ns=7, author="ann@lab"))


def test_the_first_configuration_is_kept_byte_for_byte(tmp_path: Path) -> None:
    claim(tmp_path / "d", source(tmp_path, CONFIG + "# why\n"))
    assert (tmp_path / "d" / "dataset.toml").read_text() == CONFIG + "# why\n"
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["belongs", "configs", "dataset.toml"]
    current = read_config(tmp_path / "d")
    assert (current.since_ns, current.author, current.problem) == (7, "ann@lab", None)


def test_labels_are_updated_and_windows_are_not(tmp_path: Path) -> None:
    out = tmp_path / "d"
    claim(out, source(tmp_path, CONFIG))
    claim(out, source(tmp_path, CONFIG.replace("majority", "end")))
    assert DatasetConfig.load(out / "dataset.toml").labels.policy == "end"
    with pytest.raises(UsageError, match="use another --out"):
        claim(out, source(tmp_path, CONFIG.replace("length = 4", "length = 5")))
    assert DatasetConfig.load(out / "dataset.toml").window.length == 4


def test_a_copy_that_is_no_toml_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "d"
    out.mkdir()
    (out / "dataset.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not TOML"):
        claim(out, source(tmp_path, CONFIG))
    assert (out / "dataset.toml").read_bytes() == b"\xff\xfe"


def test_a_folder_of_other_files_does_not_become_a_dataset(tmp_path: Path) -> None:
    out = tmp_path / "d"
    out.mkdir()
    (out / ".hidden").touch()
    (out / "dataset.toml.w1.tmp").touch()
    (out / "run.csv").touch()
    with pytest.raises(UsageError, match=r"holds other files \(run\.csv\), and no dataset"):
        claim(out, source(tmp_path, CONFIG))
    (out / "run.csv").unlink()
    claim(out, source(tmp_path, CONFIG))
    (out / "run.csv").touch()
    claim(out, source(tmp_path, CONFIG))
