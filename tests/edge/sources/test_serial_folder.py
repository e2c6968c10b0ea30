"""What the serial source's folder says: its sample works, its page has each key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import edge.sources.serial
from edge.config import load_config
from edge.sources.serial.source import SerialSource

FOLDER = Path(edge.sources.serial.__file__).parent


def test_the_sample_is_a_configuration_with_every_key(tmp_path: Path) -> None:
    sample = (FOLDER / "sample.toml").read_text()
    path = tmp_path / "agent.toml"
    path.write_text('device = "pump-7"\nlog = "segments:log"\n[spool]\ndir = "spool"\n' + sample)
    assert load_config(path).sources[0].type == "serial"
    keys = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", sample, flags=re.MULTILINE))["source"][0]
    assert set(SerialSource.keys) <= set(keys)


def test_the_page_has_each_key_with_its_default() -> None:
    rows = {
        line.split("`")[1]: line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")
    }
    assert set(rows) == set(SerialSource.keys)
    for name, key in SerialSource.keys.items():
        assert (key.default or "must be given") in rows[name]
