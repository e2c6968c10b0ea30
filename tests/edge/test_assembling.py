"""agent.toml out of several parts: the environment, templates, other files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from edge.assembling import assemble, filled
from edge.config import load_config
from ingest.errors import UsageError

TOP = """
include = "more/*.toml"
device = "${DEVICE:-arm}"
log = "segments:log"
[spool]
dir = "spool"
[template.acc]
type = "replay"
decoder = "csv"
channels = { x = "g" }
rate = "50Hz"
file = "acc.csv"
"""
LEFT = '[[source]]\ntemplate = "acc"\nname = "left"\nstream = "left"\n'


def site(folder: Path, top: str = TOP, **files: str) -> Path:
    (folder / "more").mkdir()
    for name, text in files.items():
        (folder / "more" / f"{name}.toml").write_text(text)
    for place in (folder, folder / "more"):
        (place / "acc.csv").touch()
        (place / "other.csv").touch()
    (folder / "agent.toml").write_text(top)
    return folder / "agent.toml"


def test_sources_take_up_a_template_and_lie_in_files_of_their_own(tmp_path: Path) -> None:
    right = '[[source]]\ntemplate = "acc"\nname = "right"\nstream = "right"\nrate = "${RATE}"\nfile = "other.csv"\n'
    path = site(tmp_path, TOP + LEFT, right=right)
    config = load_config(path, {"RATE": "25Hz", "DEVICE": "leg"})
    left, other = config.sources
    assert (left.name, left.rate, left.base) == ("left", Fraction(50), str(tmp_path))
    assert (other.name, other.rate, other.base) == ("right", Fraction(25), str(tmp_path / "more"))
    assert (left.device, other.options["file"]) == ("leg", "other.csv")
    assert other.where == f'{tmp_path / "more" / "right.toml"}: source "right"'


def test_the_digest_is_of_all_that_is_said(tmp_path: Path) -> None:
    path = site(tmp_path, TOP + LEFT)
    digests = {load_config(path, {}).digest, load_config(path, {"DEVICE": "leg"}).digest}
    (tmp_path / "more" / "right.toml").write_text(LEFT.replace("left", "right"))
    digests.add(load_config(path, {}).digest)
    assert len(digests) == 3
    assert load_config(path, {"DEVICE": "arm"}).digest in digests


def test_an_empty_folder_of_sources_is_no_error_but_no_source_is(tmp_path: Path) -> None:
    path = site(tmp_path)
    with pytest.raises(UsageError, match=r"no \[\[source\]\] table"):
        load_config(path, {})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("${A}", "1"),
        ("x${A}y${B:-2}z", "x1y2z"),
        ("$${A}", "${A}"),
        ("${B:-}", ""),
        ("$A", "$A"),
        ("^a$", "^a$"),
        ("${1}", "${1}"),
    ],
)
def test_variables_of_the_environment(text: str, wanted: str) -> None:
    assert filled({"a": [text], "n": 3}, {"A": "1"}, "file") == {"a": [wanted], "n": 3}


def test_a_variable_that_is_not_set_is_named_with_its_place() -> None:
    with pytest.raises(UsageError, match=r'f: a: b: "x\$\{B\}": B is not set in the environment.*\$\{B:-DEFAULT\}'):
        filled({"a": {"b": "x${B}"}}, {}, "f")


def test_a_variable_of_a_source_is_named_with_its_source() -> None:
    tables = {"source": [{"name": "left", "port": "tty"}, {"name": "right", "port": "${PORT}"}, {"port": "${P}"}]}
    with pytest.raises(UsageError, match=r'f: source "right": port: "\$\{PORT\}": PORT is not set'):
        filled(tables, {"P": "1"}, "f")
    with pytest.raises(UsageError, match=r"f: source number 3: port: "):
        filled(tables, {"PORT": "1"}, "f")


@pytest.mark.parametrize("text", ["${PORT", "/dev/${PORT-x}", "${PORT:?x}", "${A}${PORT", "${A.B}"])
def test_what_begins_like_a_variable_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a variable is written \$\{NAME\}"):
        filled(text, {"A": "1", "PORT": "2"}, "f")


def test_an_empty_variable_has_its_default() -> None:
    assert filled("${A:-b}${A}", {"A": ""}, "f") == "b"


@pytest.mark.parametrize(
    ("top", "files", "message"),
    [
        (TOP.replace("more/*.toml", "mroe/*.toml") + LEFT, {}, r"include: .*mroe/\*\.toml: no such folder"),
        (TOP.split("[template.acc]")[0] + LEFT, {}, r"there is no \[template\.acc\], nor any other"),
        (TOP.replace("more/*.toml", "more/none.toml") + LEFT, {}, r"more/none\.toml: no such file"),
        (TOP.replace("more/*.toml", "more") + LEFT, {}, r"agent\.toml: include: .*more: is no file"),
        (TOP.replace("more/*.toml", 300 * "m") + LEFT, {}, r"agent\.toml: include: .*mm: File name too long"),
        (TOP.replace('"more/*.toml"', "3") + LEFT, {}, "include: found 3, expected a file or a list"),
        (TOP.replace("more/*.toml", "*.toml") + LEFT, {}, "takes in the file itself"),
        (TOP + LEFT, {"a": 'device = "x"\n'}, r'a\.toml: included by .*unknown key "device"'),
        (TOP + LEFT, {"a": "[template.acc]\n"}, r'template "acc" is in .*agent\.toml too'),
        (TOP + LEFT, {"a": "this is no TOML"}, r"a\.toml: not TOML"),
        (TOP + LEFT.replace('"acc"', '"ac"'), {}, r'there is no \[template\.ac\].*Did you mean "acc"'),
        (TOP + LEFT.replace('"acc"', "[1]"), {}, "template: there is no"),
        (TOP + '[template.two]\ntemplate = "acc"\n' + LEFT, {}, "takes up another one"),
        (TOP + "[template]\nacc2 = 3\n" + LEFT, {}, "not TOML|with a name each"),
        (TOP.replace("[template.acc]", "[source]"), {}, "with two brackets"),
        (TOP.replace("[template.acc]", "[sauce.acc]"), {}, 'unknown key "sauce"'),
        (TOP + LEFT, {"a": LEFT}, r'a\.toml: source "left": name "left" is taken by \[\[source\]\] number 1'),
        ("source = 3\n" + TOP, {}, r"source: found 3, expected \[\[source\]\] tables"),
        (TOP + LEFT + "rat = 3\n", {}, 'unknown key "rat"'),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, top: str, files: dict[str, str], message: str) -> None:
    path = site(tmp_path, top, **files)
    with pytest.raises(UsageError, match=message):
        load_config(path, {})


def test_it_reads_no_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "leg")
    assert assemble(site(tmp_path), {}).tables["device"] == "arm"
