"""The source `modbus`, with pymodbus' own server as the device: over TCP, and over a serial line of two terminals."""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

import edge.sources.modbus
from edge.config import load_config
from edge.decoders.binary.decoder import BinaryDecoder
from edge.decoders.binary.fields import Field
from edge.decoders.framing.shape import Endian
from edge.protocol import Arrival, Frame, Interruption
from edge.sources.modbus.order import doubt
from edge.sources.modbus.settings import Settings
from edge.sources.modbus.source import REFUSALS, ModbusSource
from edge.sources.polled import NO_ANSWER
from ingest.errors import UsageError
from simulators.doubles.suite import check_source
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker, until
from tests.support.server import free_ports

FOLDER = Path(edge.sources.modbus.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]
QUICK: dict[str, Any] = {"poll_ns": 10_000_000, "answer_ns": 30_000_000_000}


def device(registers: list[int], coils: list[bool] | None = None, inputs: list[bool] | None = None) -> SimDevice:
    """Registers of both kinds, or coils and inputs beside them."""
    words = [SimData(0, values=registers, datatype=DataType.REGISTERS)]
    if coils is None and inputs is None:
        return SimDevice(1, simdata=words)
    bits = [[SimData(0, values=[*some, False], datatype=DataType.BITS)] for some in (coils or [], inputs or [])]
    return SimDevice(1, simdata=(*bits, words, words))  # type: ignore[arg-type]


async def serve(registers: list[int], port: int, **bits: list[bool]) -> ModbusTcpServer:
    server = ModbusTcpServer(device(registers, **bits), address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    return server


async def end(server: ModbusTcpServer | ModbusSerialServer) -> None:
    await server.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_registers_are_handed_on(case: dict[str, Any]) -> None:
    async def scenario() -> None:
        (port,) = free_ports(1)
        names = [field["name"] for field in case["fields"]]
        options = {key: case[key] for key in ("fields", "endian", "address", "table") if key in case}
        config = source_config(
            "binary", tuple(names), kind="modbus", host="127.0.0.1", tcp_port=port, answer_within="30s", **options
        )
        source, decoder = ModbusSource.from_config(config), BinaryDecoder.from_config(config)
        bits = {key: case[key] for key in ("coils", "inputs") if key in case}
        server, taker = await serve(case.get("registers", [0]), port, **bits), Taker(source)
        try:
            await source.open()
            (item,) = await taker.until(lambda taker: len(taker.items) == 1)
        finally:
            await source.close()
            await end(server)
        assert isinstance(item, Arrival)
        assert (item.data.hex(" "), item.is_message) == (case["hex"], True)
        (frame,) = decoder.message(item.data)
        assert isinstance(frame, Frame)
        assert frame.values.tolist() == [case["values"]]

    asyncio.run(scenario())


def test_a_device_that_goes_and_comes_back() -> None:
    async def scenario() -> None:
        (port,) = free_ports(1)
        source = ModbusSource(Settings("127.0.0.1", port, **QUICK))
        opening = asyncio.ensure_future(source.open())
        await until(lambda: "cannot be reached" in source.waiting_for)
        assert source.missing == NO_ANSWER
        server, taker = await serve([5], port), Taker(source)
        try:
            async with asyncio.timeout(100):
                await opening
                await taker.until(lambda taker: len(taker.items) == 3)
                assert [type(item) for item in taker.items] == [Interruption, Arrival, Arrival]
                await end(server)
                asking = asyncio.ensure_future(taker.until(lambda taker: isinstance(taker.items[-1], Interruption)))
                await until(lambda: source.missing == NO_ANSWER)
                server = await serve([6], port)
                await asking
                await taker.until(lambda taker: isinstance(taker.items[-1], Arrival))
        finally:
            await source.close()
            await end(server)
        assert taker.data.endswith(b"\0\6")
        assert {item.reason for item in taker.items if isinstance(item, Interruption)} == {NO_ANSWER}

    asyncio.run(scenario())


def test_a_refusal_is_told_with_what_to_do() -> None:
    assert all(re.search("see|say|try", text) for text in REFUSALS.values())

    async def scenario() -> None:
        (port,) = free_ports(1)
        server = await serve([5], port)
        source = ModbusSource(Settings("127.0.0.1", port, address=100, **QUICK))
        opening = asyncio.ensure_future(source.open())
        try:
            await until(lambda: "has none at such addresses" in source.waiting_for)
        finally:
            opening.cancel()
            await source.close()
            await end(server)

    asyncio.run(scenario())


@contextmanager
def line() -> Iterator[tuple[str, str]]:
    """A serial line: what one end writes the other one reads."""
    (a, end_a), (b, end_b), (stop, stopped) = os.openpty(), os.openpty(), os.pipe()
    to = {a: b, b: a}

    def carry() -> None:
        while stop not in (ready := select.select([a, b, stop], [], [])[0]):
            for file in ready:
                os.write(to[file], os.read(file, 4096))

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    try:
        yield os.ttyname(end_a), os.ttyname(end_b)
    finally:
        os.write(stopped, b".")
        thread.join()
        for file in (a, end_a, b, end_b, stop, stopped):
            os.close(file)


def answering(answer: Callable[[bytes, int, int], bytes]) -> socket.socket:
    """A device that gives each question, of 12 bytes, what `answer` makes of its beginning, function code and count."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    while len(asked := client.recv(12)) == 12:
                        client.sendall(answer(asked[:4], asked[7], asked[11]))

    threading.Thread(target=serve, daemon=True).start()
    return listener


def packed(begin: bytes, body: bytes) -> bytes:
    return begin + (len(body) + 1).to_bytes(2, "big") + b"\x01" + body


def of_registers(begin: bytes, code: int, count: int) -> bytes:
    return packed(begin, bytes([code, 2 * count]) + bytes(2 * count))


@pytest.mark.parametrize(
    ("answer", "address", "told"),
    [
        (lambda begin, _code, count: of_registers(begin, 4, count), 0, "answers another question (function code 4)"),
        (lambda begin, code, count: of_registers(begin, code, count + 1), 0, "answers 3 values to a question for 2"),
        (lambda begin, code, count: of_registers(begin, code, count - 1), 0, "answers 1 values to a question for 2"),
        (
            lambda begin, code, _count: packed(begin, bytes([code, 9, 0])),
            0,
            "answers what is no Modbus; see whether host",
        ),
        (lambda _begin, _code, _count: b"", 0, "does not answer; see its power, whether host and tcp_port are its own"),
        (lambda begin, code, _count: packed(begin, bytes([code + 128, 2])), 40_001, "a manual's 40001 is address = 0"),
        (lambda begin, code, _count: packed(begin, bytes([code + 128, 2])), 256, "has none at such addresses"),
    ],
)
def test_an_answer_to_no_question_is_told_and_gives_no_value(
    answer: Callable[[bytes, int, int], bytes], address: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    listener = answering(answer)

    async def scenario() -> None:
        settings = Settings(
            host="127.0.0.1",
            tcp_port=listener.getsockname()[1],
            count=2,
            address=address,
            **QUICK | {"answer_ns": 10**9},
        )
        source = ModbusSource(settings)
        opening = asyncio.create_task(source.open())
        await until(lambda: told in source.waiting_for)
        assert ("manual's" in source.waiting_for) == (address > 40_000)
        await source.close()
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening

    with listener:
        asyncio.run(scenario())
    assert not [record for record in caplog.records if record.name == "asyncio"]  # it would print a traceback


def test_answers_slower_than_the_pace_are_told_with_what_they_cost() -> None:
    def late(begin: bytes, code: int, count: int) -> bytes:
        threading.Event().wait(0.02)
        return of_registers(begin, code, count)

    async def scenario(source: ModbusSource) -> None:
        taker = Taker(source)
        await taker.until(lambda taker: len(taker.items) == 2)
        assert source.trouble == ""  # it may be chance
        await taker.until(lambda taker: len(taker.items) == 4)
        assert re.search(r"an answer takes 0\.\d+ s, and poll is 0\.001 s: \d+ questions were left out", source.trouble)
        assert source.left_out >= 3 * 19
        await source.close()

    with answering(late) as listener:
        port = listener.getsockname()[1]
        asyncio.run(scenario(ModbusSource(Settings("127.0.0.1", port, **QUICK | {"poll_ns": 1_000_000}))))


@pytest.mark.parametrize(
    ("endian", "is_swapped", "hint"),
    [
        ("big", False, 'say endian = "little": 230.1'),
        ("little", True, "say swapped_bytes = false: 230.1"),
        ("big", True, 'say endian = "little" and swapped_bytes = false: 230.1'),
        ("little", False, ""),
    ],
)
def test_floats_in_another_order_are_told_with_what_to_say(endian: Endian, is_swapped: bool, hint: str) -> None:
    """230.1 V, as 0x199a and 0x4366: the less significant register first."""

    async def scenario() -> None:
        (port,) = free_ports(1)
        fields = (Field("u16", 0), Field("f32", 2), Field("f32", 6))
        wanted: dict[str, Any] = {"fields": fields, "endian": endian, "is_swapped": is_swapped, "count": 5}
        source = ModbusSource(Settings("127.0.0.1", port, **QUICK, **wanted))
        server, taker = await serve([7, 0, 0, 0x199A, 0x4366], port), Taker(source)
        try:
            await taker.until(lambda taker: len(taker.items) == 1)
            assert hint in source.trouble
            assert bool(source.trouble) == bool(hint)
        finally:
            await source.close()
            await end(server)

    asyncio.run(scenario())


NOISE = np.random.default_rng(7).normal(0, 5, (8, 2)).astype("f4")


@pytest.mark.parametrize(
    "values",
    [NOISE, 0 * NOISE, NOISE * 1e-9, NOISE * 1e12, np.where(NOISE < 2, np.nan, NOISE), np.ones_like(NOISE)],
)
def test_what_can_be_measured_is_not_doubted(values: Any) -> None:
    answers = [row.astype(">f4").tobytes() for row in values]
    assert doubt(answers, [Field("f32", 0), Field("f32", 4)], "big", is_swapped=False) == ""


def test_rtu_on_a_serial_line() -> None:
    async def scenario() -> None:
        with line() as (here, there):
            server = ModbusSerialServer(device([1, 2]), framer=FramerType.RTU, port=there, baudrate=19_200)
            await server.serve_forever(background=True)
            source = ModbusSource(Settings(port=here, framing="8N1", count=2, **QUICK))
            taker = Taker(source)
            try:
                async with asyncio.timeout(200):
                    await source.open()
                assert (await taker.bytes_until(4))[:4] == b"\0\1\0\2"
            finally:
                await source.close()
                await end(server)

    asyncio.run(scenario())


def test_it_keeps_its_promises_as_a_source() -> None:
    async def scenario() -> None:
        (port,) = free_ports(1)
        server = await serve([5], port)
        await check_source(lambda: ModbusSource(Settings("127.0.0.1", port, **QUICK)), lambda: None)
        await end(server)

    asyncio.run(scenario())


GOOD: dict[str, Any] = {"fields": [{"name": "x", "type": "u16"}], "endian": "big", "host": "box"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "tty"}, "one of both"),
        ({"host": ""}, "one of both"),
        ({"endian": None}, "endian: is missing"),
        ({"table": "coil", "swapped_bytes": True}, "a coil or input is one bit"),
        ({"table": "coils"}, 'Did you mean "coil"'),
        ({"table": "coil"}, 'a byte of its own: type = "u8"'),
        ({"table": "coil", "fields": [{"name": "x", "type": "u8", "bits": 0}]}, "without bits"),
        ({"table": "discrete", "fields": [{"name": "x", "type": "u8", "at": 2000}]}, "not 1 to 2000"),
        ({"table": "coil", "frame": "cobs"}, "coils and inputs are read by"),
        ({"framing": "9N1"}, 'framing: found "9N1"'),
        ({"unit_id": 256}, "not in 0..255"),
        ({"address": 65_536}, "not in 0..65535"),
        ({"poll": "0s"}, "expected 1ms to 24h"),
        ({"poll": "often"}, "poll"),
        ({"fields": [{"name": "x", "type": "u8"}]}, "1 bytes are not 1 to 125 registers"),
        ({"fields": [{"name": "x", "type": "u16", "at": 250}]}, "252 bytes are not"),
        ({"address": 65_535, "fields": [{"name": "x", "type": "u32"}]}, "beyond 65535"),
        ({"frame": "cobs"}, "without a frame"),
    ],
)
def test_a_wrong_table_is_refused(options: dict[str, Any], message: str) -> None:
    table = {key: value for key, value in (GOOD | options).items() if value is not None}
    with pytest.raises(UsageError, match=message):
        ModbusSource.from_config(source_config("binary", ("x",), kind="modbus", **table))


def test_another_decoder_is_refused() -> None:
    with pytest.raises(UsageError, match='decoder = "binary"'):
        ModbusSource.from_config(source_config("csv", ("x",), kind="modbus", host="box"))


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + (FOLDER / "sample.toml").read_text())
    sources = load_config(path).sources
    assert {key for source in sources for key in source.options} >= ModbusSource.keys.keys()
    page = (FOLDER / "README.md").read_text()
    for name, key in ModbusSource.keys.items():
        (row,) = (text for text in page.splitlines() if text.startswith(f"| `{name}` |"))
        assert (key.default or "must be given") in row
