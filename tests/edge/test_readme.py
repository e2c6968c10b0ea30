"""The sample configuration that people copy."""

from __future__ import annotations

from pathlib import Path

from edge.config import load_config
from edge.keydocs import renewed


def test_the_readmes_configuration_is_good(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "edge/README.md").read_text()
    sample = text.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "agent.toml").write_text(sample)
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - label: high\n    when: acc.x > 5g\n")
    (tmp_path / "walk.csv.gz").touch()
    config = load_config(tmp_path / "agent.toml")
    assert [source.type for source in config.sources] == ["serial", "serial", "mqtt", "serial", "replay"]


def test_the_readme_has_every_key() -> None:
    page = (Path(__file__).parents[2] / "edge/README.md").read_text()
    assert page == renewed(page), "write its tables anew: python -m edge.keydocs edge/README.md"
