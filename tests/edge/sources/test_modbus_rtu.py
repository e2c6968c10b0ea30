"""The answer on a serial line that says more than answers, as RS-485 adapters and long cables do."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer.rtu import FramerRTU

from edge.protocol import Arrival, Interruption
from edge.sources.modbus import rtu
from edge.sources.modbus.settings import Settings
from edge.sources.modbus.source import ModbusSource
from edge.sources.polled import NO_ANSWER, TROUBLES_LEAST
from tests.edge.sources.collecting import Taker, until

ASKED = rtu.question(1, 3, 0x0400, 2)
"""The high byte of its address may be taken for an answer's length."""


def framed(*body: int) -> bytes:
    """With the checksum of another implementation."""
    return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")


ANSWER = framed(1, 3, 4, 65, 192, 0, 0)
REFUSAL = framed(1, 0x83, 2)


def test_a_question_is_as_the_specification_says() -> None:
    assert rtu.question(17, 3, 107, 3) == bytes.fromhex("11 03 00 6B 00 03 76 87")  # as in public examples of it
    assert framed(1, 3, 4, 0, 0, 2) == ASKED


@given(before=st.binary(max_size=40), echoes=st.integers(0, 2), after=st.binary(max_size=9))
@pytest.mark.parametrize("answer", [ANSWER, REFUSAL])
def test_an_answer_is_found_whatever_lies_around_it(answer: bytes, before: bytes, echoes: int, after: bytes) -> None:
    assert rtu.answer_in(before + ASKED * echoes + answer + after, ASKED) == answer


@given(st.binary(max_size=60), st.integers(0, len(ANSWER) - 1))
def test_what_is_no_whole_answer_is_none(noise: bytes, cut: int) -> None:
    assert rtu.answer_in(ASKED + ANSWER[:cut], ASKED) == b""
    assert rtu.what_came(noise, ASKED)  # whatever it is, there are words for it
    damaged = bytearray(ANSWER)
    damaged[cut] ^= 1
    assert rtu.answer_in(bytes(damaged), ASKED) == b""


def test_whoever_answers_is_taken_where_nobody_was_named() -> None:
    asked, other = rtu.question(0, 3, 0, 2), framed(9, 3, 4, 0, 0, 0, 1)
    assert rtu.answer_in(other, asked) == other
    assert rtu.answer_in(other + ANSWER, ASKED) == ANSWER


@pytest.mark.parametrize(
    ("came", "told"),
    [
        (b"", "does not answer; see its wiring and power"),
        (ASKED, "what comes is the question itself, which the adapter repeats"),
        (framed(9, 3, 4, 0, 0, 0, 1), "does not answer, but unit 9 does"),
        (ASKED + ANSWER[:4], "an answer is cut: 4 of 9 bytes came"),
        (b"\x7e\x00\xfe", "answers what is no Modbus, 3 bytes as 7e 00 fe"),
        (ANSWER[:-1] + b"\0", "answers what is no Modbus, 9 bytes as 01 03 04"),
    ],
)
def test_what_came_in_place_of_an_answer_is_told(came: bytes, told: str) -> None:
    assert told in rtu.what_came(came, ASKED)


@contextmanager
def unit(answer: Callable[[bytes, int], bytes]) -> Iterator[str]:
    """A port whose unit gives each question what `answer` makes of it and of how many there were before."""
    (there, here), (stop, stopped) = os.openpty(), os.pipe()

    def serve() -> None:
        asked, number = b"", 0
        while stop not in select.select([there, stop], [], [])[0]:
            asked += os.read(there, 256)
            while len(asked) >= 8:
                os.write(there, answer(asked[:8], number))
                asked, number = asked[8:], number + 1

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(here)
    finally:
        os.write(stopped, b".")
        thread.join()
        for file in (there, here, stop, stopped):
            os.close(file)


def polled(port: str, **more: int) -> ModbusSource:
    quick = {"poll_ns": 10_000_000, "answer_ns": 10_000_000_000} | more
    return ModbusSource(Settings(port=port, framing="8N1", count=2, address=0x0400, **quick))  # type: ignore[arg-type]


def test_an_adapter_that_repeats_questions_and_leaves_a_byte_before_answers() -> None:
    async def scenario() -> None:
        with unit(lambda asked, _: asked + b"\0" + ANSWER) as port:
            source = polled(port)
            taker = Taker(source)
            async with asyncio.timeout(100):
                await source.open()
                (item,) = await taker.until(lambda taker: len(taker.items) == 1)
            await source.close()
        assert isinstance(item, Arrival)
        assert item.data == ANSWER[3:7]

    asyncio.run(scenario())


def test_each_answer_between_questions_without_one_is_handed_on() -> None:
    """Every second question unanswered: each answer that came went into finding out that the unit was there again."""

    async def scenario() -> None:
        with unit(lambda asked, number: asked if number % 2 else ANSWER) as port:
            source = polled(port, answer_ns=100_000_000)
            taker = Taker(source)
            async with asyncio.timeout(100):
                await source.open()
                await taker.until(lambda taker: sum(isinstance(one, Arrival) for one in taker.items) >= 3)
                await until(lambda: f"{TROUBLES_LEAST} times in the last minute" in source.trouble)
            assert "the question itself" in source.trouble
            await source.close()
        assert {one.reason for one in taker.items if isinstance(one, Interruption)} == {NO_ANSWER}

    asyncio.run(scenario())


def test_why_a_port_does_not_open_is_told() -> None:
    async def told(source: ModbusSource) -> str:
        opening = asyncio.create_task(source.open())
        await until(lambda: bool(source.waiting_for))
        await source.close()
        await opening
        return source.waiting_for

    assert asyncio.run(told(polled("/dev/tty-none"))).endswith("no such port; is it plugged in?")
    with unit(lambda asked, _: asked) as port:
        odd = ModbusSource(Settings(port=port, framing="7O2"))  # a terminal that is none of hardware takes no parity
        assert asyncio.run(told(odd)).endswith('its driver does not take baud = 19200 with framing = "7O2"')
