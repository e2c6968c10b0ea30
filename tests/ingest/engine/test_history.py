"""A chain's past: found by the times of its files, by few reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingest.engine import history
from ingest.engine.history import Growth, entry, growth, last_before, newest_entry
from ingest.engine.manifest import FORMAT, FileRef, Manifest, encode_document, entry_name

CHAIN = "manifest/readings-0"
S = 1_000_000_000


def chain(folder: Path, count: int) -> None:
    """Entries that were sealed 10 s apart from second 1,000 on, each with two files of 100 bytes."""
    (folder / CHAIN).mkdir(parents=True)
    for seq in range(count):
        ref = FileRef(f"state/{seq}", "", 50)
        files = (FileRef(f"signal/{seq}", "", 100), FileRef(f"index/{seq}", "", 100))
        made = Manifest(
            FORMAT, "windows", "readings", 0, seq, seq, seq + 1, ref, files, {}, {"windows": seq}, (), 1, "s", ""
        )
        path = folder / entry_name(CHAIN, seq)
        path.write_bytes(encode_document(made))
        os.utime(path, (1_000 + 10 * seq, 1_000 + 10 * seq))


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    assert newest_entry(tmp_path, CHAIN) == -1
    assert last_before(tmp_path, CHAIN, -1, 10**18) == -1
    assert growth(tmp_path, CHAIN, -1, 5) == Growth(0, 0, 0, 5)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_the_newest_entry_before_a_time(tmp_path: Path, count: int) -> None:
    chain(tmp_path, count)
    newest = newest_entry(tmp_path, CHAIN)
    assert newest == count - 1
    for seq in range(count):
        at_ns = (1_000 + 10 * seq) * S
        assert last_before(tmp_path, CHAIN, newest, at_ns) == seq - 1
        assert last_before(tmp_path, CHAIN, newest, at_ns + 1) == seq
    assert entry(tmp_path, CHAIN, newest).totals == {"windows": newest}


def test_growth_is_counted_and_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SAMPLED", 5)
    chain(tmp_path, 40)
    size = 200 + (tmp_path / entry_name(CHAIN, 39)).stat().st_size
    assert growth(tmp_path, CHAIN, 39, 1_300 * S) == Growth(10, 30, 10 * size, 1_300 * S)
    assert growth(tmp_path, CHAIN, 39, 0).since_ns == 1_000 * S
    assert growth(tmp_path, CHAIN, 39, 0).entries == 40
