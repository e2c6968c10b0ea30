"""What reads brought becomes few arrivals; the event loop is woken a few times a second."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge.protocol import Arrival, Interruption, Read
from edge.sources.serial import handover
from edge.sources.serial.handover import Handover, Piece, join

S = 1_000_000_000


def taken(*items: Piece | Interruption) -> list[Arrival | Interruption]:
    async def main() -> list[Arrival | Interruption]:
        queue = Handover(asyncio.get_running_loop())
        for item in items:
            queue.put(item)
        queue.end()
        return queue.left()

    return asyncio.run(main())


def test_reads_are_joined_with_the_stamps_of_each() -> None:
    assert join([Piece(b"1\n2", 10, 110), Piece(b"\n", 20, 120), Piece(b"3\n", 30, 130)]) == Arrival(
        b"1\n2\n3\n", 30, 130, reads=(Read(3, 10, 110), Read(4, 20, 120))
    )
    assert join([Piece(b"1\n", 10, 110)]) == Arrival(b"1\n", 10, 110)


def test_what_waited_is_no_arrival_with_what_is_fresh() -> None:
    found = taken(
        Piece(b"1\n", 1 * S, 0),
        Piece(b"2\n", 11 * S, 10 * S, since_ns=1 * S),
        Piece(b"3\n", 12 * S, 11 * S, since_ns=1 * S),
        Piece(b"4\n", 13 * S, 12 * S),
    )
    assert found == [
        Arrival(b"1\n", 1 * S, 0),
        Arrival(b"2\n3\n", 12 * S, 11 * S, reads=(Read(2, 11 * S, 10 * S),), waited_ns=11 * S),
        Arrival(b"4\n", 13 * S, 12 * S),
    ]


def test_nothing_is_joined_over_an_interruption_or_a_step_of_the_wall_clock() -> None:
    lost = Interruption("port_lost", 2, 2)
    found = taken(Piece(b"1", 1, 1), lost, Piece(b"2", 3, 3), Piece(b"3", 4, 4 + S), Piece(b"4", 5, 5 + S))
    assert [item.data if isinstance(item, Arrival) else item for item in found] == [b"1", lost, b"2", b"34"]


def test_an_arrival_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "READ_BYTES", 10)
    found = taken(*(Piece(b"1234", at, at) for at in range(5)))
    assert [len(item.data) for item in found if isinstance(item, Arrival)] == [8, 8, 4]


def test_the_loop_is_woken_a_few_times_a_second_however_many_reads_there_are() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue, calls = Handover(loop), 0
        call = loop.call_soon_threadsafe

        def counted(*args: object) -> asyncio.Handle:
            nonlocal calls
            calls += 1
            return call(*args)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[assignment, method-assign]
        ended = threading.Event()

        def put() -> None:
            for number in range(2000):
                queue.put(Piece(b"%d\n" % number, number, number))
                ended.wait(0.0002)
            queue.put(Piece(b"end\n", 2000, 2000))

        thread = threading.Thread(target=put)
        began_s = loop.time()
        thread.start()
        data, arrivals = b"", 0
        while not data.endswith(b"end\n"):
            item = await queue.get()
            assert isinstance(item, Arrival)
            data += item.data
            arrivals += 1
        took_s = loop.time() - began_s
        thread.join()
        assert data.count(b"\n") == 2001
        assert arrivals <= took_s / handover.REST_S + 2
        assert calls <= arrivals
        assert queue.heard_ns == 2000

    asyncio.run(main())


def test_it_was_heard_up_to_what_was_taken_or_to_where_nothing_was_left() -> None:
    async def main() -> None:
        queue = Handover(asyncio.get_running_loop())
        assert queue.heard_ns == 0
        queue.seen_empty(5)
        assert queue.heard_ns == 5
        queue.put(Piece(b"1", 10, 10))
        queue.put(Interruption("port_lost", 12, 12))
        queue.seen_empty(20)
        assert queue.heard_ns == 0  # two things wait
        await queue.get()
        assert queue.heard_ns == 10
        await queue.get()
        assert queue.heard_ns == 20

    asyncio.run(main())


def test_a_read_that_was_made_late_says_since_when_its_bytes_came() -> None:
    assert taken(Piece(b"1\n", 10, 110, began_ns=5), Piece(b"2\n", 20, 120)) == [
        Arrival(b"1\n2\n", 20, 120, reads=(Read(2, 10, 110, 5),))
    ]
