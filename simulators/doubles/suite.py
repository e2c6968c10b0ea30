"""The check suites: what every decoder and every source must do, whatever it is for.

`check_decoder` and `check_source` raise an `AssertionError` that says what is wrong; any test runner will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np

from edge.protocol import RAW_BYTES, Arrival, Decoder, Fault, Frame, Key, Source

Sample: TypeAlias = tuple[tuple[float, ...], int | None]
"""A row of values (NaN as -inf, so that it equals itself) and the device's time, ns."""
BOUND_BYTES: Final = 2_000_000
"""What a decoder may hold of input that never ends a line."""
PATIENCE_S: Final = 60.0


# --- decoders


def check_decoder(new: Callable[[], Decoder], data: bytes, channels: int, mutations: int = 100, seed: int = 0) -> None:
    """Every promise of `edge.protocol.Decoder`.

    Args:
        new: makes a decoder in its first state.
        data: some of what a real sensor says.
        channels: how many values a sample has.
        mutations: how many damaged copies of `data` are tried.
        seed: of cuts and damage; another one tries others.
    """
    chance = random.Random(seed)
    check_splits(new, data, range(1, len(data)))
    check_splits(new, data, [chance.randrange(len(data) + 1) for _ in range(5)])
    check_items(new(), [data], channels)
    decoder = new()
    list(decoder.feed(data[: len(data) // 2]))
    list(decoder.reset())
    assert run(decoder, [data]) == run(new(), [data]), "after reset() something is left of what came before"
    for _ in range(mutations):
        damaged = mutated(data, chance)
        check_items(new(), [damaged], channels)
        check_splits(new, damaged, [chance.randrange(len(damaged) + 1) for _ in range(3)])
        check_items(new(), [damaged], channels, messages=True)
    check_bounded(new)


def run(decoder: Decoder, pieces: Iterable[bytes], *, reset: bool = True) -> list[Sample | Fault]:
    """All samples and faults, in order."""
    items: list[Frame | Fault] = []
    for piece in pieces:
        items += decoder.feed(piece)
    if reset:
        items += decoder.reset()
    return shown(items)


def shown(items: Iterable[Frame | Fault]) -> list[Sample | Fault]:
    """The samples of frames one by one, and faults as they are."""
    found: list[Sample | Fault] = []
    for item in items:
        if isinstance(item, Fault):
            found.append(item)
            continue
        times = [None] * len(item.values) if item.times_ns is None else item.times_ns.tolist()
        rows = np.where(np.isnan(item.values), -np.inf, item.values).tolist()
        found += [(tuple(row), at) for row, at in zip(rows, times, strict=True)]
    return found


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces; places beyond its end count from its beginning again."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def check_splits(new: Callable[[], Decoder], data: bytes, places: Sequence[int]) -> None:
    """The pieces in which bytes come never matter."""
    whole, pieces = run(new(), [data]), run(new(), cut(data, places))
    assert pieces == whole, f"cut at {list(places)[:9]}: {pieces[-3:]}; whole: {whole[-3:]}; of {data[:200]!r}"


def check_items(decoder: Decoder, pieces: Sequence[bytes], channels: int, *, messages: bool = False) -> None:
    """Shapes, types, offsets; and that nothing is raised for what bytes say."""
    reached, fed = 0, 0
    for piece in pieces:
        found = [*decoder.message(piece)] if messages else [*decoder.feed(piece), *decoder.reset()]
        fed += len(piece) + 1
        reached = check_found(found, channels, fed, reached)


def check_found(found: Iterable[Frame | Fault], channels: int, fed: int, reached: int = 0) -> int:
    """Shapes, types and offsets of what was found in `fed` bytes, a line's end among them; how far it reached."""
    for item in found:
        if isinstance(item, Fault):
            assert item.reason.isidentifier(), f"a reason is one word to count by: {item}"
            assert item.samples >= -1, item
            assert len(item.raw) <= RAW_BYTES, item
            assert 0 <= item.byte_offset <= fed, f"{item} of {fed} bytes"
            continue
        assert item.values.dtype == np.float64, item.values.dtype
        assert item.values.ndim == 2, item.values.shape
        assert item.values.shape[1] == channels, item.values.shape
        assert reached <= item.offset <= fed, f"offset {item.offset} behind {reached}, of {fed} bytes"
        reached = item.offset
        if item.times_ns is not None:
            assert item.times_ns.dtype == np.int64, item.times_ns.dtype
            assert item.times_ns.shape == item.values.shape[:1], item.times_ns.shape
    return reached


def check_bounded(new: Callable[[], Decoder]) -> None:
    """Input without a line's end is not kept for ever."""
    for byte in b"1{$":
        decoder, piece = new(), bytes([byte]) * 65_536
        tracemalloc.start()
        try:
            for _ in range(4 * BOUND_BYTES // len(piece)):
                list(decoder.feed(piece))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held <= BOUND_BYTES, f"{held} bytes are held of input without a line's end"


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A damaged copy: bytes changed, lost, doubled, or two places joined."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not found:
            break
        at, size = chance.randrange(len(found)), chance.randint(1, 12)
        kind = chance.randrange(4)
        if kind == 0:
            found[at] = chance.randrange(256)
        elif kind == 1:
            del found[at : at + size]
        elif kind == 2:
            found[at:at] = found[at : at + size]
        else:
            found[at:at] = chance.choice([b",", b"\n", b"\r", b"\0", b"-", b"1e999", b"nan", b"\xff", b"*", b'"', b"{"])
    return bytes(found)


# --- sources


async def check_source(new: Callable[[], Source], say: Callable[[], object]) -> list[Arrival]:
    """Every promise of `edge.protocol.Source` that can be seen without knowing what it is for; what arrived.

    Args:
        new: makes the source; where it listens, something can be said.
        say: lets the sensor say something, in whole lines; called until something arrives.
    """
    source = new()
    await source.close()
    await source.close()
    assert all(isinstance(key, Key) for key in type(source).keys.values())
    first = await _take_one(source, say)
    assert source.waiting_for == "", f"it is open, and says that it waits for {source.waiting_for}"
    source.ack(first.token)
    source.again()
    await source.close()
    await source.close()
    second = await _take_one(new(), say, close=True)
    for arrival in (first, second):
        assert arrival.data, "an arrival without a byte"
        ends = [read.end for read in arrival.reads]
        assert ends == sorted(ends), "reads out of order"
        assert all(0 < end < len(arrival.data) for end in ends), "reads beyond the data"
        assert arrival.waited_ns >= 0
    assert second.monotonic_ns >= first.monotonic_ns, "the monotonic clock ran back"
    return [first, second]


async def _take_one(source: Source, say: Callable[[], object], *, close: bool = False) -> Arrival:
    await source.open()
    arrivals = source.arrivals()
    asked = asyncio.ensure_future(anext(arrivals))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                say()
                await asyncio.wait([asked], timeout=0.1)
                if not asked.done():
                    continue
                item = asked.result()
                if isinstance(item, Arrival):
                    return item
                asked = asyncio.ensure_future(anext(arrivals))
    except TimeoutError:
        raise AssertionError(f"nothing arrived in {PATIENCE_S:g} s; it waits for {source.waiting_for!r}") from None
    finally:
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await asked
        if close:
            await source.close()
