"""The start page's rows are made once for many who ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from timeline.protocol import Gallery
from timeline.server import gallery
from timeline.server.gallery import REST, Overlook


def test_rows_are_kept_for_as_long_as_their_making_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, made = 100.0, 0

    async def make(timeline: Any, now_ns: int) -> Gallery:
        nonlocal now_s, made
        now_s, made = now_s + 0.5, made + 1
        await asyncio.sleep(0)
        return Gallery((), made % 2 == 0)

    async def ask() -> None:
        nonlocal now_s
        timeline: Any = None
        overlook = Overlook(timeline, lambda: now_s)
        assert {it.truncated for it in await asyncio.gather(*(overlook.rows(0) for _ in range(50)))} == {False}
        assert made == 1
        now_s += 0.5 * REST - 0.01
        assert not (await overlook.rows(0)).truncated
        now_s += 0.01
        assert (await overlook.rows(0)).truncated
        assert made == 2

    monkeypatch.setattr(gallery, "gallery", make)
    asyncio.run(ask())
