"""A small site and a spool as this version writes them, to be kept for the versions to come.

`python -m tests.compat` writes `VERSION.tar.xz` beside this file. It is made once for each release, and the tests read
every one that was ever made; until 0.1.0 is released, its own may be made anew where a format has changed.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np

import sensorloom
from edge.spool.spool import Spool, SpoolLimits
from tests.edge.spool.spooling import entry
from tests.integration.site import FILES, Site

FOLDER: Final = Path(__file__).parent
EXPECTED: Final = "expected.json"
SPOOLED: Final = 20
"""Chunks that wait in the spool."""
TOPICS: Final = ("readings", "marks", "streams")
RULES: Final = """version: 1
rules:
  - label: high
    when: acc.x > 1.5g
"""


def make(folder: Path) -> None:
    """Write the site, the spool, and what a reader must find in them."""
    site = Site(folder)
    site.prepare().create_topics()
    (folder / "rules.yaml").write_text(RULES)
    site.config.write_text(site.config.read_text().replace('name = "site"\n', 'name = "site"\nrules = "rules.yaml"\n'))
    for device, part in FILES:  # plain numbers, which pack well
        path = site.file(device, part)
        np.save(path, np.round(np.load(path)))
    site.fill()
    done = site.drain()
    assert done.code == 0, done
    for path in folder.glob("*.npy"):
        if path.name not in (site.file("pump-0", 0).name,):
            path.unlink()
    spool = Spool(folder / "spool", SpoolLimits(max_bytes=1_000_000))
    for seq in range(SPOOLED):
        spool.readings.commit([entry(seq)])
    spool.close()
    (folder / EXPECTED).write_text(json.dumps(found_in(site), indent=1) + "\n")


def found_in(site: Site) -> dict[str, Any]:
    """What a reader finds in a site."""
    dataset = sensorloom.open(site.out)
    return {
        "digest": site.digest().split()[0],
        "labels": dataset.windows()["label"].value_counts(sort=True).to_dict(as_series=False),
        "records": {topic: [_shortened(record) for record in site.records(topic)] for topic in TOPICS},
    }


def _shortened(record: dict[str, Any]) -> dict[str, Any]:
    """A record's own fields, without what fills pages."""
    return {
        name: value
        for name, value in record.items()
        if name not in ("values", "times", "times_ns") and not isinstance(value, dict | list)
    }


def pack(folder: Path, to: Path) -> None:
    """The files of a folder as an archive that depends on nothing else."""
    with tarfile.open(to, "w:xz", preset=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.endswith(".lock"):
                data = path.read_bytes()
                told = tarfile.TarInfo(str(path.relative_to(folder)))
                told.size = len(data)
                archive.addfile(told, io.BytesIO(data))


def unpack(archive: Path, folder: Path) -> None:
    """A release's archive in a folder of one's own."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
