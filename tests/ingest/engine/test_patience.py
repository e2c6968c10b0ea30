"""A step is tried again until it succeeds, and what it waits for is said once."""

from __future__ import annotations

import asyncio

import pytest

from ingest.engine.patience import Patience
from ingest.errors import StoreFullError, StoreUnavailableError


def outlasted(errors: list[str], *, stop_after: int | None = None) -> list[str]:
    told: list[str] = []

    async def main() -> None:
        stop, left = asyncio.Event(), list(errors)

        async def step() -> str:
            if stop_after is not None and len(errors) - len(left) == stop_after:
                stop.set()
            if left:
                raise StoreFullError(left.pop(0))
            return "done"

        assert await Patience(stop, 0.001).outlast(step, (StoreUnavailableError,), told.append) == "done"

    asyncio.run(main())
    return told


def test_each_trouble_is_told_once() -> None:
    assert outlasted(["full", "full", "read-only", "read-only", "full"]) == ["full", "read-only", "full"]


def test_a_trouble_whose_numbers_alone_have_changed_is_not_told_again() -> None:
    told = outlasted([f"d/f: no inode left, though {free:,} bytes" for free in (208_752_640, 9_000, 12)])
    assert told == ["d/f: no inode left, though 208,752,640 bytes"]


def test_who_is_asked_to_stop_waits_no_longer() -> None:
    with pytest.raises(StoreFullError, match="second"):
        outlasted(["first", "second", "third"], stop_after=1)
