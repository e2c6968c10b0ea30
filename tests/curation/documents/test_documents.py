"""Documents say what is counted and what was said, list what nobody said, and are what others' validators want."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import yaml

import sensorloom
from ingest.log.protocol import STATUS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Birth, Change, Correction, Heartbeat, StreamDescription, schema_id
from ingest.units import exact_time
from ingest.wire import encode
from tests.service.test_run import STREAM, Site, append, at, record
from tests.support.peers import peer_python
from tests.windowing.sample_dataset import CONFIG, Window, build, mark

SAID = """
[plan]
purpose = "Tell running pumps from stopped ones"
sources = ["pumps of hall 2"]
[plan.classes.run]
definition = "the impeller turns"
[plan.classes.stop]
definition = "it does not"
[privacy]
consent = "no person is in it"
retention = "8760h"
access = ["maintenance"]
[about]
description = "Vibration of two pumps"
license = "CC-BY-4.0"
creators = ["Hall 2"]
contact = "hall2@example.org"
url = "https://example.org/pumps"
cite = "Hall 2: Pumps, 2026"
version = "1.0.0"
ethics = "Two pumps of one make"
"""
WINDOWS = [[Window(device, "r", k) for k in range(4)] for device in ("secret-a", "secret-b")]
MARKS = [mark("run", 0, 8, device="secret-a"), mark("stop", 8, 16, device="secret-b")]
SCRIPT = """
import json, sys, mlcroissant
found = {}
for path in sys.argv[1:]:
    data = mlcroissant.Dataset(jsonld=path)
    issues = data.metadata.ctx.issues
    sets = {each.uuid: each for each in data.metadata.record_sets}
    signal = next((field for field in sets["train"].fields if field.name.endswith("signal")), None)
    found[path] = [sorted(issues.errors), sorted(issues.warnings), sorted(sets), len(sets["train"].annotations),
                   signal and str(signal.array_shape)]
    text = lambda value: value.decode() if isinstance(value, bytes) else value
    records = data.records("train")
    found[path].append([{key.split("/")[1]: text(value) for key, value in record.items()} for record in records])
print(json.dumps(found, default=lambda value: value.tolist()))
"""


def run(*words: str | Path) -> int:
    return sensorloom.main(["dataset", *map(str, words)])


def exported(folder: Path, said: str) -> Path:
    build(folder / "d", WINDOWS, MARKS, CONFIG + said)
    words = ("--format", "hf", "--out", folder / "hf", "--split", "train=0.5,test=0.5", "--by", "device")
    assert run("export", folder / "d", *words) == 0
    return folder / "hf"


def test_an_export_says_what_it_is(tmp_path: Path) -> None:
    hf = exported(tmp_path, SAID)
    head, body = (hf / "README.md").read_text().removeprefix("---\n").split("\n---\n")
    card = yaml.safe_load(head)
    assert card["license"] == "cc-by-4.0"
    assert card["configs"][0]["data_files"][0] == {"split": "train", "path": "data/train-*.parquet"}
    assert card["dataset_info"]["features"][1]["dtype"]["class_label"]["names"] == {"0": "run", "1": "stop"}
    assert sum(each["num_examples"] for each in card["dataset_info"]["splits"]) == 4
    assert "the impeller turns" in body
    sheet = (hf / "datasheet.md").read_text()
    assert [line[3:5] for line in sheet.splitlines() if line.startswith("## ")][:7] == [f"{n}." for n in range(1, 8)]
    assert "annotator 1 (import): 2 marks" in sheet
    for name in ("README.md", "datasheet.md", "collection.md", "croissant.json", "croissant-1.0.json"):
        text = (hf / name).read_text()
        assert "secret" not in text, name
        assert "ann," not in text, name
    document = json.loads((hf / "croissant.json").read_text())
    assert document["recordSet"][1]["field"][-1]["arrayShape"] == "4,2"
    assert {each["name"] for each in document["recordSet"][1]["annotation"]} == {"label", "y", "share"}


def in_place(folder: Path) -> Path:
    """The documents of a version of the dataset that was exported."""
    words = ("--split", "train=0.5,test=0.5", "--by", "device", "--allow-leaks", "made so")
    assert run("version", folder / "d", *words) == 0
    assert run("documents", folder / "d", "--version", "latest", "--out", folder / "docs") == 0
    return folder / "docs"


def assert_are_train(dataset: Path, docs: Path, records: list[dict[str, Any]]) -> None:
    """Records that say shard and row are the windows of train, with their labels, to the bit."""
    train = sensorloom.open(dataset, version="latest", split="train")
    X, y, _ = train.arrays(unlabelled="keep")
    assert len(records) == len(train) > 0
    read = [np.load(docs / it["shard"], mmap_mode="r")[it["row"]] for it in records]
    np.testing.assert_array_equal(np.stack(read), X)
    assert [it["y"] for it in records] == y.tolist()
    assert [it["t0_ns"] for it in records] == train.windows()["t0_ns"].to_list()
    assert [it["label"] for it in records] == train.windows()["label"].to_list()


def test_a_version_is_described_where_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a record says leads to the window's own bytes, and each file is the one that is named."""
    build(tmp_path / "d", WINDOWS, MARKS, CONFIG + SAID)
    docs = in_place(tmp_path)
    assert "the version's windows in 4 shards, where they lie" in capsys.readouterr().out
    for name in ("croissant.json", "croissant-1.0.json"):
        document = json.loads((docs / name).read_text())
        assert "secret" not in (docs / name).read_text()
        assert document["version"] == "1.0.0"
        files = {each["@id"]: each for each in document["distribution"] if each["@type"] == "cr:FileObject"}
        assert len(files) == 6
        for file in files.values():
            data = (docs / file["contentUrl"]).read_bytes()
            assert (hashlib.sha256(data).hexdigest(), f"{len(data)} B") == (file["sha256"], file["contentSize"])
        train = document["recordSet"][1]
        types = {each["name"]: each["dataType"] for each in [*train["field"], *train["annotation"]]}
        table = pl.read_parquet(docs / "windows-train.parquet")
        assert types.keys() == set(table.columns)
        assert (types["coverage"], types["share"], types["row"]) == ("cr:Float32", "cr:Float64", "cr:Int64")
        assert set(table["shard"]) <= files.keys()
        assert_are_train(tmp_path / "d", docs, table.to_dicts())
    assert run("documents", tmp_path / "d", "--out", tmp_path / "now") == 0
    assert "no croissant.json" in capsys.readouterr().out
    assert not (tmp_path / "now/croissant.json").exists()


def test_statistics_are_those_of_train(tmp_path: Path) -> None:
    hf = exported(tmp_path, SAID)
    part = sensorloom.open(tmp_path / "d").split({"train": 0.5, "test": 0.5}, by="device")["train"]
    X, _, _ = part.arrays()
    text = (hf / "croissant.json").read_text()
    assert f"acc.x: mean {X[..., 0].astype(float).mean():.6g}, std {X[..., 0].astype(float).std():.6g}" in text
    assert "Over the windows of train" in text


def test_what_nobody_said_is_listed_and_not_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(tmp_path / "d", WINDOWS, MARKS)
    assert run("documents", tmp_path / "d", "--out", tmp_path / "docs") == 0
    out = capsys.readouterr().out
    for key in ("[about] license", "[plan] purpose", "[plan.classes.run] definition", "the unit of acc.x"):
        assert f"nobody said {key}" in out
    card = (tmp_path / "docs/README.md").read_text()
    assert "license:" not in card
    assert "- [about] license" in card
    document = json.loads((exported(tmp_path / "other", "") / "croissant.json").read_text())
    assert not {"license", "creator", "url", "citeAs", "version", "description"} & document.keys()


def described(url: str, *descriptions: StreamDescription) -> None:
    async def write() -> None:
        log = open_log(url)
        await log.append(STREAMS, [Entry(schema_id(each), encode(each)) for each in descriptions])
        await log.close()

    asyncio.run(write())


def test_a_version_has_documents_and_the_log_says_who_collected_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path)
    record(site.log, "secret-a", 10)
    was = Correction((), (0.1, 0.2), (), "2026-02-01", "a level table")
    turned = msgspec.structs.replace(STREAM, sensor="ADXL345", mounting="on the bearing", correction=was)
    births = [Birth(device, "agent", b"b" * 16, at(s), "0.1.0") for device, s in (("secret-a", 0), ("secret-b", 9))]
    alive = Heartbeat("secret-a", "agent", b"b" * 16, at(60), {}, "0.1.0")
    change = Change("secret-a", "agent", b"b" * 16, at(70), "release", "0.1.0", "0.2.0", "rolled_back", "no sample")
    described(site.log, turned, msgspec.structs.replace(turned, stream="unused", sensor="other"))
    append(site.log, STATUS, *births, alive, change)
    assert site.drain() == 0
    assert run("version", site.out) == 0
    words = ("documents", site.out, "--version", "latest", "--out", tmp_path / "docs", "--log", site.log)
    assert run(*words) == 0
    assert "Version 1.0.0." in (tmp_path / "docs/datasheet.md").read_text()
    text = (tmp_path / "docs/collection.md").read_text()
    assert f"| 0.1.0 | 1 | {exact_time(at(0))} | {exact_time(at(60))} |" in text
    assert "| acc | ADXL345 | on the bearing | 2026-02-01 | a level table | not said |" in text
    assert f"- {exact_time(at(70))}: an agent's release 0.1.0 → 0.2.0: rolled_back" in text
    assert "secret" not in text
    assert "unused" not in text
    (tmp_path / "another").mkdir()
    another = Site(tmp_path / "another")
    record(another.log, "b", 2)
    assert run(*words[:4], "--out", tmp_path / "docs2", "--log", another.log) == 2
    assert "the dataset was cut from" in capsys.readouterr().err


@pytest.mark.soak
def test_mlcroissant_finds_nothing_to_say(tmp_path: Path) -> None:
    hf, docs = exported(tmp_path, SAID), in_place(tmp_path)
    names = ("croissant.json", "croissant-1.0.json")
    files, placed = [str(hf / name) for name in names], [str(docs / name) for name in names]
    (tmp_path / "check.py").write_text(SCRIPT)
    python = peer_python("mlcroissant[parquet]==1.1.1")
    run = subprocess.run(
        [python, tmp_path / "check.py", *files, *placed],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ""},
    )
    found = json.loads(run.stdout)
    for path, shape in zip(files, ("4,2", "None"), strict=True):
        *said, records = found[path]
        assert said == [[], [], ["splits", "test", "train"], 3, shape]
        assert [np.shape(it["signal"]) for it in records] == [(4, 2), (4, 2)]
    for path in placed:
        *said, records = found[path]
        assert said == [[], [], ["splits", "test", "train"], 3, None]
        table = {(it["shard"], it["row"]): it for it in pl.read_parquet(docs / "windows-train.parquet").to_dicts()}
        # mlcroissant gives no annotations out: labels are those of the records' own rows.
        assert_are_train(tmp_path / "d", docs, [table[it["shard"], it["row"]] | it for it in records])
