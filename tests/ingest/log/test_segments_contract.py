"""The contract suite on `segments`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from ingest.log.protocol import Log
from ingest.log.segments import SegmentLog
from ingest.log.segments.group import SegmentMember
from tests.ingest.log.contract import LogContract
from tests.ingest.log.world import T, World


class SegmentWorld:
    """A log in a folder; small segments, so that most tests cross several."""

    patience_s = 60.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(main)

    def open(self, partitions: int | None = None) -> Log:
        return SegmentLog(self.folder, partitions=partitions, segment_bytes=64 << 10)

    def topic(self, name: str) -> str:
        return name

    async def trim(self, log: Log, topic: str, partition: int, before: int) -> None:
        assert isinstance(log, SegmentLog)
        await log.trim(topic, {partition: before})

    async def crash(self, log: Log) -> None:
        """Close the locks' files, as the kernel does; test_segments_processes.py has real kills."""
        assert isinstance(log, SegmentLog)
        for member in log._opened:
            assert isinstance(member, SegmentMember)
            assert member._life is not None
            for fd in (*member._owned.values(), *member._revoked, *member._given_up, member._life):
                os.close(fd)
        log._opened.clear()
        await log.close()


class TestSegments(LogContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return SegmentWorld(tmp_path / "log")
