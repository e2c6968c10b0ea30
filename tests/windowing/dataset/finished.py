"""A finished dataset, made by the service: windows, labels and rules, several entries a chain, drops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sensorloom
from ingest.log.protocol import MARKS
from tests.service.test_run import Site, append, mark, record

RULES = "version: 1\nrules:\n  - {label: high, when: acc.x > 2, for: 10ms}\n"


def finished(folder: Path, between: Callable[[Site], object] = lambda site: None) -> Site:
    """Two runs over two devices, marks of people and of a rule; a gap and a late sample. `between` is called with the
    site between the runs."""
    folder.mkdir()
    site = Site(folder)
    site.config.write_text('rules = "rules.yaml"\n' + site.config.read_text() + '\n[labels]\nbackground = "calm"\n')
    (folder / "rules.yaml").write_text(RULES)
    record(site.log, "a", 6, end=False)
    append(site.log, MARKS, mark("a", 0, 4, "run"), mark("b", 2, 3, "stop"))
    assert site.drain() == 0
    between(site)
    record(site.log, "a", 12, first=9)
    record(site.log, "b", 4)
    append(site.log, MARKS, mark("a", 5, 6, "run"))
    assert site.drain() == 0
    assert {"calm", "run"} <= set(sensorloom.open(site.out).classes)
    return site
