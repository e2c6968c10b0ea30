"""`agent ports --listen`: what speaks at each port that can be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sensorloom
from tests.edge.agent.probe.hearing import again_and_again, offer
from tests.support.pty import SerialPort


def test_what_speaks_at_a_port_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sources.serial.listing.comports", list)  # of this machine's own ports nobody knows
    source = '[[source]]\nname = "{0}"\ntype = "serial"\nport = "{0}"\ndecoder = "csv"\nstream = "{0}"\n'
    source += 'channels = {{ x = "g" }}\n'
    config = tmp_path / "agent.toml"
    config.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + source.format("imu") + source.format("gone"))
    words = ["agent", "ports", "-c", str(config), "--listen", "60s"]
    with SerialPort(tmp_path / "imu") as imu, again_and_again(lambda number: offer(imu, b"0.25,-1.5\n" * 5)):
        assert sensorloom.main(words) == 0
        shown = capsys.readouterr().out
        assert sensorloom.main([*words, "--json"]) == 0
        gone, speaking = json.loads(capsys.readouterr().out)
    assert "speaks          csv of 2 channels at 115200 baud, reads 100 % of it" in shown
    assert 'as in "0.25,-1.5"' in shown
    assert speaking["speaks"].startswith("csv of 2 channels at 115200 baud")
    assert (gone["readable"], gone["speaks"]) == (False, None)
    assert sensorloom.main([*words[:-1], "0s"]) == 2
