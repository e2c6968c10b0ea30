"""`agent report`: all that helps, and no secret, wherever it was planted."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest

import sensorloom
from edge.agent.doctor.report import cleaned, report_files
from tests.edge.agent.doctor.test_remedies import WELL
from tests.edge.agent.views import source_view, view

PLANTED = """device = "pump"   # the old password was S3CRET-comment
log = "kafka://anna:S3CRET-log@127.0.0.1:9"
[spool]
dir = "spool"
[[source]]
name = "temp"
type = "mqtt"
broker = "mqtt://127.0.0.1:9"
topic = "t/${SITE_TOKEN}"
username = "${SITE_USER}"
password_file = "password"
decoder = "csv"
stream = "temp"
channels = { c = "degC" }
[[source]]
name = "told"
type = "exec"
command = ["sh", "-c", "echo 'http://bob:S3CRET-url@h S3CRET-argument'; sleep 60", "--token=S3CRET-option"]
decoder = "csv"
stream = "told"
channels = { x = "g" }
"""


def test_no_secret_is_in_it_and_all_that_helps_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("S3CRET-password\n")
    monkeypatch.setenv("SITE_USER", "S3CRET-user")
    monkeypatch.setenv("SITE_TOKEN", "S3CRET-token")
    config, path = tmp_path / "agent.toml", tmp_path / "report.tar.gz"
    config.write_text(PLANTED)
    words = ["agent", "report", "-c", str(config), "-o", str(path), "--for", "1s"]
    assert sensorloom.main(words) == 0
    assert f"{path}: " in capsys.readouterr().out
    files = unpacked(path)
    assert set(files) == {"agent.json", "doctor.json", "doctor.txt", "machine.json", "ports.json", "status.json"}
    assert all(b"S3CRET" not in data for data in files.values())
    said = json.loads(files["agent.json"])
    assert said["log"] == "kafka://***@127.0.0.1:9"
    assert said["source"][1]["command"] == ["sh", "***", "***", "***"]
    assert said["source"][0]["topic"] == "t/***"
    assert "no agent runs on the spool" in files["doctor.txt"].decode()
    assert json.loads(files["machine.json"])["versions"]["numpy"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sensorloom.main(words) == 2
    assert "is there already; name another one" in capsys.readouterr().err


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        return {name.rpartition("/")[2]: file.read() for name, file in found.items() if file is not None}


def test_what_others_said_again_is_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("opensesame\n")
    said = 'anna-maria may not, said "hidden wo", "many"; see mqtt://u:secret@host and mqtt://u:secr'
    source = {"username": "anna-maria", "command": ["x", "--key", "hidden words, many"], "password": "anna"}
    view_of_it = source_view(findings=[said, "it says opensesame", "from-outside"], waiting_for="anna")
    facts = msgspec.structs.replace(WELL, agent=view(sources=[view_of_it]))
    files = report_files(
        facts, {"source": [source | {"password_file": str(tmp_path / "password")}]}, [], {"MQTT_TOKEN": "from-outside"}
    )
    for data in files.values():
        for secret in (b"anna", b"hidden", b"many", b"u:secr", b"opensesame", b"from-outside"):
            assert secret not in data
    assert b"*** may not, said" in files["doctor.txt"]


def test_what_is_no_secret_stays() -> None:
    source = {"channels": {"x": "g"}, "baud": 9600, "columns": ["t", "x"]}
    kept = {"device": "pump", "spool": {"dir": "/var/spool"}, "recording": {"set": {"subject": "u07"}}}
    tables = kept | {"source": [source | {"broker": "mqtt://a:b@h", "token": {"a": 1}}]}
    assert cleaned(tables) == kept | {"source": [source | {"broker": "mqtt://***@h", "token": "***"}]}
