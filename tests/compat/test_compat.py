"""What earlier releases wrote is read and gone on from; what later ones will write is refused with words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.errors import SpoolFormatError
from edge.spool.spool import FORMAT, Spool, SpoolLimits
from ingest.engine.manifest import open_document, sha256_of
from tests.compat.making import EXPECTED, FOLDER, SPOOLED, found_in, make, pack, unpack
from tests.edge.spool.spooling import chunk, read_all
from tests.integration.site import Site

RELEASES = sorted(FOLDER.glob("*.tar.xz"))
ARCHIVE_BYTES_MAX = 100_000


@pytest.fixture(params=RELEASES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """What a release left on a disk."""
    unpack(request.param, tmp_path / "site")
    return Site(tmp_path / "site")


def expected(site: Site) -> Any:
    return json.loads((site.folder / EXPECTED).read_text())


def test_each_release_is_kept_and_small() -> None:
    assert RELEASES
    assert sum(path.stat().st_size for path in RELEASES) <= ARCHIVE_BYTES_MAX * len(RELEASES)


def test_what_is_kept_now_is_what_this_version_writes(tmp_path: Path) -> None:
    """The maker works, for the day on which a release is made."""
    made = tmp_path / "made"
    made.mkdir()
    make(made)
    pack(made, tmp_path / "made.tar.xz")
    unpack(tmp_path / "made.tar.xz", tmp_path / "site")
    assert (tmp_path / "made.tar.xz").stat().st_size <= ARCHIVE_BYTES_MAX
    assert found_in(Site(tmp_path / "site")) == expected(Site(tmp_path / "site"))


def test_a_log_is_read_record_for_record(site: Site) -> None:
    wanted = expected(site)["records"]
    for topic, records in found_in(site)["records"].items():
        assert len(records) == len(wanted[topic])
        for found, told in zip(records, wanted[topic], strict=True):
            assert found.items() >= told.items()  # newer versions may tell more


def test_a_dataset_is_opened_verified_and_the_same(site: Site) -> None:
    found, wanted = found_in(site), expected(site)
    assert (found["digest"], found["labels"]) == (wanted["digest"], wanted["labels"])
    verified = site("dataset", "verify", site.out)
    assert verified.code == 0, verified.err
    assert site("status", site.folder, "--json").code == 0


def test_a_dataset_is_gone_on_from_or_says_how(site: Site) -> None:
    device = "pump-0"
    words = [word if word != "r0" else "r9" for word in site.import_words(device, 0)]
    assert site(*words).code == 0
    done = site.drain()
    if done.code:
        assert re.search(r"written by code version \d+, this is version \d+; .*--out", done.err), done
        return
    fresh = Site(site.folder)
    fresh.out = site.folder / "fresh"
    assert fresh.drain().code == 0
    assert fresh.digest() == site.digest()


def test_a_spool_is_emptied_to_the_last_sample(site: Site) -> None:
    spool = Spool(site.folder / "spool", SpoolLimits(max_bytes=1_000_000))
    assert read_all(spool.readings) == [chunk(seq) for seq in range(SPOOLED)]
    spool.close()


# --- the other way round


def newer(document: dict[str, Any]) -> dict[str, Any]:
    """As a later version may write it: a format that nobody knows here (entries have three), and fields."""
    return {**document, "format": document["format"] + 3, "unheard_of": [1, {"of": "it"}]}


def plainly(path: Path) -> None:
    path.write_text(json.dumps(newer(json.loads(path.read_text()))))


def sealed(path: Path) -> None:
    body = msgspec.json.encode(newer(msgspec.json.decode(open_document(path.read_bytes(), str(path)))))
    path.write_bytes(b'{"sha256":"%s","body":%s}\n' % (sha256_of(body).encode(), body))


@pytest.mark.parametrize(
    ("pattern", "rewrite", "words"),
    [
        ("log/topics/readings/meta.json", plainly, ("log", "stats")),
        ("dataset/windows/*/genesis.json", sealed, ("dataset", "verify")),
        ("dataset/windows/*/manifest/*/000000000000.json", sealed, ("dataset", "status")),
        ("dataset/windows/*/heads/*.json", sealed, ("dataset", "status")),
    ],
)
def test_documents_of_a_later_format_are_refused(
    site: Site, pattern: str, rewrite: Callable[[Path], None], words: tuple[str, str]
) -> None:
    for path in site.folder.glob(pattern):
        rewrite(path)
    done = site(*words, *(("--log", site.log) if words[0] == "log" else (site.out,)))
    assert done.code != 0
    assert re.search(r"found format \d, expected \d; upgrade sensorloom", done.err), done
    if "heads" in pattern:  # a bound from below, which a run writes anew
        return
    run = site.drain()
    assert run.code != 0
    assert "upgrade sensorloom" in run.err, run


def test_a_spool_of_a_later_format_is_refused(site: Site) -> None:
    path = site.folder / "spool" / "format"
    words, _ = path.read_text().rsplit(maxsplit=1)
    path.write_text(f"{words} {FORMAT + 1}\n")
    with pytest.raises(SpoolFormatError, match=f"found format {FORMAT + 1}.* a newer sensorloom wrote it"):
        Spool(site.folder / "spool", SpoolLimits(max_bytes=1_000_000))
