"""A partition in a folder of the test's own, and the end of its machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.log.segments import partition as partition_module
from tests.ingest.log.partitions import Disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "0")
    yield found
    found.close()


@pytest.fixture
def power_cut(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ends all, and from there on the kernel is another one than wrote the heads."""

    def cut() -> None:
        disk.close()
        monkeypatch.setattr(partition_module, "boot_id", lambda: b"another boot id.")

    return cut
