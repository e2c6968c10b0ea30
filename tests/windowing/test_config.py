"""dataset.toml: strict, and every error says where, what was found and what to do."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from ingest.errors import UsageError
from labeling.resolve import LabelPolicy
from windowing.config import DatasetConfig

SAMPLE = """name = "pump-states"

[window]
length = "2.56s"
hop = "1.28s"
rate = "50Hz"
anchor = "epoch"
channels = ["acc.x", "acc.y", "acc.z"]
max_gap = "500ms"
min_coverage = 0.8

[labels]
policy = "majority"
min_share = 0.5
"""


def parse(text: str) -> DatasetConfig:
    return DatasetConfig.parse(tomllib.loads(text), "dataset.toml")


def test_the_sample_means_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text(SAMPLE)
    config = DatasetConfig.load(tmp_path / "dataset.toml")
    assert (config.name, config.window.length, config.window.hop) == ("pump-states", 128, 64)
    assert config.labels == LabelPolicy("majority", 0.5, None)


def test_labels_may_be_left_out() -> None:
    assert parse(SAMPLE[: SAMPLE.index("[labels]")]).labels == LabelPolicy()


def test_classes_are_in_the_order_that_is_named() -> None:
    assert parse(SAMPLE + 'classes = ["walk", "run"]\n').labels.classes == ("walk", "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('classes = "run"', "labels.classes: found 'run'; list labels"),
        ("classes = []", "labels.classes: found .*; list labels"),
        ('classes = ["a", 1]', "labels.classes: found .*; list labels"),
        ('classes = ["a", ""]', "labels.classes: found .*; list labels"),
        ('classes = ["a", "b", "a"]', 'labels.classes: "a" is there twice'),
        ('classes = ["calm"]\nbackground = "clam"', 'labels.background: "clam" is not in classes.*Did you mean "calm"'),
    ],
)
def test_what_is_no_list_of_classes_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(f"{SAMPLE}{text}\n")


def test_every_label_key() -> None:
    labels = parse(SAMPLE.replace("majority", "centre").replace("0.5", "1") + 'background = "none"\n').labels
    assert labels == LabelPolicy("centre", 1.0, "none")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "pump-states"', "", r"dataset\.toml: name: found None; give"),
        ('"pump-states"', "7", r"dataset\.toml: name: found 7"),
        ("name =", 'colour = "red"\nname =', r'dataset\.toml: unknown key "colour"; known: about, labels, name, p'),
        ("name =", "rules = 7\nname =", r"dataset\.toml: rules: found 7; name a rule file"),
        ("[window]", "[windows]", r'unknown key "windows".*Did you mean "window"'),
        ("hop =", "hopp =", r'dataset\.toml: window: unknown key "hopp".*Did you mean "hop"'),
        ("policy =", "polisy =", r'dataset\.toml: labels: unknown key "polisy".*Did you mean "policy"'),
        ('"majority"', '"mayority"', r"""labels\.policy: found 'mayority'; known: any, centre, end, majority\. Did"""),
        ('"majority"', "[1]", r"labels\.policy: found \[1\]; known"),
        ("min_share = 0.5", "min_share = 50", r"labels\.min_share: found 50; use a share .* from 0 to 1"),
        ("min_share = 0.5", "min_share = true", r"labels\.min_share: found True"),
        ("min_share = 0.5", 'background = ""', r"labels\.background: found ''"),
        ("[labels]\n", "[[labels]]\n", r"dataset\.toml: labels: found .* it is a table, \[labels\]"),
    ],
)
def test_errors_say_where_and_what(old: str, new: str, message: str) -> None:
    assert old in SAMPLE
    with pytest.raises(UsageError, match=message):
        parse(SAMPLE.replace(old, new, 1))


def test_a_missing_window_table() -> None:
    with pytest.raises(UsageError, match="window: the table is missing"):
        parse('name = "x"')
