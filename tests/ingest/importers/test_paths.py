"""What paths say: read by templates, or refused; and filled into other texts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UsageError
from ingest.importers.choosing import choose_files, natural
from ingest.importers.paths import fill, parse_template


def test_the_end_of_a_path_is_read() -> None:
    template = parse_template("{label}/{recording}.csv.gz")
    assert template.match("/data/roads/potholes/a1.csv.gz") == {"label": "potholes", "recording": "a1"}
    assert parse_template("{stream}_{recording}_{device}.txt").match("x/acc_exp01_user01.txt") == {
        "stream": "acc",
        "recording": "exp01",
        "device": "user01",
    }
    assert parse_template("{_}_{n}.csv").match("run_7.csv") == {"n": "7"}


@pytest.mark.parametrize("path", ["potholes/a1.csv", "a1.csv.gz", "potholes/.csv.gz", "potholes/a1.csv.gz.bak"])
def test_another_path_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match=r"its end is not as --path .* says"):
        parse_template("{label}/{recording}.csv.gz").match(path)


def test_what_can_be_read_in_two_ways_is_refused_with_both() -> None:
    with pytest.raises(UsageError, match="can be read as device=a, run=b_c or device=a_b, run=c"):
        parse_template("{device}_{run}.csv").match("a_b_c.csv")


@given(st.lists(st.text("abc_", min_size=1, max_size=4), min_size=2, max_size=3))
def test_what_is_read_makes_the_path_again(values: list[str]) -> None:
    names = ["x", "y", "z"][: len(values)]
    text = "_".join(f"{{{name}}}" for name in names)
    path = "_".join(values)
    try:
        found = parse_template(text).match(path)
    except UsageError:
        return
    assert fill(text, found, "text") == path
    assert found == dict(zip(names, values, strict=True))  # the only way to read it


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run.csv", "expected fields in braces"),
        ("{a}{b}.csv", "nothing stands between two fields"),
        ("{a}/{a}.csv", r"has \{a\} twice"),
        ("{a.csv", "expected fields in braces"),
        ("{a:02}.csv", "expected fields in braces"),
    ],
)
def test_a_template_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_template(text)


def test_fields_are_filled_in() -> None:
    assert fill("user{n:02}-{site}", {"n": "7", "site": "B"}, "--device") == "user07-B"
    with pytest.raises(UsageError, match=r'--device: "\{sit\}" asks for \{sit\}.*Did you mean "site"'):
        fill("{sit}", {"site": "B"}, "--device")
    with pytest.raises(UsageError, match="no whole number"):
        fill("{n:02}", {"n": "B"}, "--device")


def test_files_patterns_and_folders_are_chosen_each_once_in_order(tmp_path: Path) -> None:
    for name in ("a/run10.csv", "a/run2.csv", "a/.hidden.csv", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    template = parse_template("{label}/{recording}.csv")
    words = [str(tmp_path / "a"), str(tmp_path / "a/*.csv"), str(tmp_path / "a/run2.csv")]
    choice = choose_files(words, template)
    assert [it.fields["recording"] for it in choice.files] == ["run2", "run10"]
    (note,) = choice.notes
    assert note.startswith("1 files are not as --path says and were left out: ")
    with pytest.raises(UsageError, match="its end is not as"):
        choose_files([str(tmp_path / "a/*.txt")], template)
    for word, message in ((f"{tmp_path}/b", "no such file"), (f"{tmp_path}/*.gz", "no file is called so")):
        with pytest.raises(UsageError, match=message):
            choose_files([word], None)
    assert sorted(["run10", "run2", "run1b"], key=natural) == ["run1b", "run2", "run10"]
