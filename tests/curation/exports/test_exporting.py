"""What goes out has every bit of what is here, whoever reads it again, or it is not given out."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sensorloom
from curation.exports import parquet
from curation.exports.exporting import FORMATS, Asked, export
from ingest.errors import CorruptError
from tests.support.data import data_dir
from tests.support.peers import peer_python
from tests.support.server import PROJECT
from tests.windowing.sample_dataset import CONFIG, Window, build, mark, sample

HF = ("datasets==5.2.0", "webdataset==1.0.2")
TENSORFLOW = ("tensorflow-cpu==2.21.0",)
KEY = "0123456789abcdef-a-key"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("exports") / "d")


def run(*words: str | Path) -> int:
    return sensorloom.main(["dataset", "export", *map(str, words)])


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read_again(root: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    split = ("--split", "train=0.5,test=0.5", "--by", "device", "--unlabelled")
    assert run(root, "--format", form, "--out", out, *split, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["windows"], told["left_out"]) == ({"train": 7, "test": 7}, {})
    described = json.loads((out / "sensorloom.json").read_text())
    assert described["shape"] == [4, 2]
    assert described["classes"] == ["run", "stop"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_numpy_gives_the_arrays_of_the_handle(root: Path, tmp_path: Path) -> None:
    assert run(root, "--format", "numpy", "--out", tmp_path / "out") == 0
    X, y, groups = sensorloom.open(root).arrays()
    found = [np.load(tmp_path / "out/data" / f"{name}.npy") for name in ("X", "y", "device")]
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1], y)
    assert found[2].tolist() == groups.tolist()


def test_a_wrong_bit_is_found_and_nothing_given_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = parquet.write

    def wrong(content: object, folder: Path) -> None:
        whole(content, folder)  # type: ignore[arg-type]
        file = next(folder.rglob("*.parquet"))
        table = pq.read_table(file)
        place = table.schema.get_field_index("y")
        other = pa.array([1 - each for each in table["y"].to_pylist()], pa.int64())
        pq.write_table(table.set_column(place, table.schema.field("y"), other), file)

    monkeypatch.setattr(parquet, "write", wrong)
    with pytest.raises(CorruptError, match=r"read again by .*window 0 is .* of class 1, expected"):
        export(sensorloom.open(root), None, Asked("parquet", tmp_path / "out"))
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--format", "npz", "--out", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_killed_export_leaves_nothing_half(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = (
        "import os, signal, sys, sensorloom\nfrom curation.exports import exporting\n"
        "exporting.check = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nsensorloom.main(sys.argv[1:])\n"
    )
    words = ["dataset", "export", str(root), "--format", "csv", "--out", str(out)]
    killed = subprocess.run([sys.executable, "-c", script, *words], check=False, cwd=PROJECT)
    assert killed.returncode == -9
    assert not out.exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".out.")
    assert run(root, "--format", "csv", "--out", out) == 0
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("form", ["numpy", "csv", "hf", "tfrecord", "webdataset", "edge-impulse"])
def test_pseudonyms_leave_no_name_behind(tmp_path: Path, form: str) -> None:
    build(
        tmp_path / "d",
        [[Window("anna-phone", "walk-home", k) for k in range(3)]],
        [mark("run", 0, 12, device="anna-phone")],
    )
    (tmp_path / "key").write_text(KEY)
    assert run(tmp_path / "d", "--format", form, "--out", tmp_path / "out", "--pseudonyms", tmp_path / "key") == 0
    for path in (tmp_path / "out").rglob("*"):
        held = str(path.relative_to(tmp_path)).encode() + (path.read_bytes() if path.is_file() else b"")
        for name in ("anna", "walk-home"):
            assert name.encode() not in held, path
            assert name.encode("utf-32-le") not in held, path


def test_a_version_brings_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = sample(tmp_path / "d")
    words = ("dataset", "version", str(root), "--split", "train=0.5,test=0.5", "--by", "device")
    assert sensorloom.main([*words]) == 0
    capsys.readouterr()
    assert run(root, "--format", "npz", "--out", tmp_path / "out", "--version", "latest", "--json") == 0
    assert sorted(json.loads(capsys.readouterr().out)["windows"].values()) == [1, 4]
    assert sorted(path.stem for path in (tmp_path / "out").glob("*.npz")) == ["test", "train"]


def test_consent_is_wanted_where_people_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    personal = '\n[privacy]\npersonal = true\nconsent = "form 3"\naccess = ["the gait group"]\n'
    windows, marks = [[Window("a", "r", 0)]], [mark("run", 0, 4)]
    build(tmp_path / "without", windows, marks, CONFIG + personal)
    assert run(tmp_path / "without", "--format", "csv", "--out", tmp_path / "out") == 2
    assert "does not say [privacy] retention, [plan] purpose" in capsys.readouterr().err
    assert sensorloom.main(["dataset", "version", str(tmp_path / "without")]) == 2
    assert "version: dataset.toml says personal" in capsys.readouterr().err
    said = personal + 'retention = "8760h"\n[plan]\npurpose = "gait"\n'
    build(tmp_path / "with", windows, marks, CONFIG + said)
    assert run(tmp_path / "with", "--format", "csv", "--out", tmp_path / "out") == 0
    assert "names go out as they are" in capsys.readouterr().err


def test_edge_impulse_signs_as_its_own_example_does(root: Path, tmp_path: Path) -> None:
    folder = data_dir() / "edge_impulse_format"
    example, key = (folder / "example_signed.json").read_bytes(), (folder / "hmac_key.txt").read_bytes().strip()
    assert signed(example, key)
    (tmp_path / "key").write_text(KEY)
    for form in ((), ("--cbor",)):
        out = tmp_path / f"out{len(form)}"
        assert run(root, "--format", "edge-impulse", "--out", out, "--hmac-key", tmp_path / "key", *form) == 0
        files = list(out.glob("training/*"))
        assert len(files) == 5
        assert all(signed(path.read_bytes(), KEY.encode()) for path in files)
        assert {each["label"]["label"] for each in json.loads((out / "info.labels").read_text())["files"]} == {
            "run",
            "stop",
        }


def signed(data: bytes, key: bytes) -> bool:
    """By the format's text alone: 64 hex digits behind the word, and the rest with zeros there."""
    place = data.index(b"signature") + len("signature")
    begin = next(at for at in range(place, len(data)) if data[at : at + 64].isalnum() and len(data[at : at + 64]) == 64)
    plain = data[:begin] + b"0" * 64 + data[begin + 64 :]
    return hmac.new(key, plain, hashlib.sha256).hexdigest().encode() == data[begin : begin + 64]


def test_missing_values_are_no_edge_impulse(tmp_path: Path) -> None:
    root = sample(tmp_path / "d")
    dataset = sensorloom.open(root)
    holes = dataset.signals(np.arange(len(dataset))).copy()
    holes[0, 1, 1] = np.nan
    dataset.signals = lambda places: holes[places]  # type: ignore[method-assign]
    told = export(dataset, None, Asked("edge-impulse", tmp_path / "out", unlabelled=True))
    assert told.left_out == {"missing values": 1}
    assert export(dataset, None, Asked("csv", tmp_path / "csv", unlabelled=True)).windows == {"data": 14}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--format", "hfs"), 'Did you mean "hf"'),
        (("--format", "csv", "--cbor"), "are for edge-impulse"),
        (("--format", "csv", "--split", "train=x"), "expected shares"),
        (("--format", "csv", "--split", "a/b=1"), "a name of its own"),
        (("--format", "csv", "--by", "device"), "--split divides"),
        (("--format", "csv", "--attributes", "sex"), "--attributes"),
        (("--format", "csv", "--pseudonyms", "nowhere"), "nowhere"),
        (("--format", "csv", "--k", "3"), "fewer than 3 devices: all: 2"),
        (("--format", "edge-impulse", "--split", "a=0.5,b=0.5", "--by", "device"), 'has the parts "train" and "test"'),
    ],
)
def test_what_cannot_be_is_said(
    root: Path, tmp_path: Path, words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--out", tmp_path / "out", *words) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.soak
@pytest.mark.parametrize(
    ("peers", "form", "by"),
    [
        (HF, "hf", "datasets"),
        (HF, "webdataset", "webdataset"),
        (HF, "csv", "pandas"),
        (TENSORFLOW, "tfrecord", "tensorflow"),
    ],
)
def test_real_libraries_read_it(root: Path, tmp_path: Path, peers: tuple[str, ...], form: str, by: str) -> None:
    ours = str(Path(np.__file__).parents[1])
    python, paths = peer_python(*peers), {"PYTHONPATH": f"{PROJECT}:{ours}"}
    words = ("dataset", "export", root, "--format", form, "--out", tmp_path / "out", "--unlabelled")
    done = subprocess.run(
        [python, "-m", "sensorloom", *words], check=True, stdout=subprocess.PIPE, env={**os.environ, **paths}, text=True
    )
    assert f"read again by {by}" in done.stdout
