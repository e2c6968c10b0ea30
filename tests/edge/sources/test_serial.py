"""The serial source on pseudo-terminals: every byte, ports that vanish, reads that end when told to."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from serial import Serial

from edge.errors import SourceUnavailableError
from edge.protocol import Arrival, Interruption, SourceConfig
from edge.sources import source_type
from edge.sources.clock import now
from edge.sources.serial import handover, pace, reader
from edge.sources.serial.lines import FixedRecords, LineEnds, Lines
from edge.sources.serial.port import DriverCounts, Line, driver_counts
from edge.sources.serial.source import SerialSource
from ingest.errors import UsageError
from simulators.doubles.suite import check_source
from tests.edge.sources.collecting import Taker, until
from tests.support.data import data_dir
from tests.support.pty import SerialPort


def config(tmp_path: Path, **options: Any) -> SourceConfig:
    return SourceConfig(
        where="agent.toml: source[0]",
        base=str(tmp_path),
        name="imu",
        type="serial",
        decoder="csv",
        device="pump-7",
        stream="acc",
        channels={"x": "g"},
        options={"port": "ttyUSB0", **options},
    )


def run(
    tmp_path: Path,
    body: Callable[[SerialPort, SerialSource], Coroutine[Any, Any, None]],
    lines: Lines | None = None,
    *,
    may_rest: bool = False,
) -> None:
    """`body` with a plugged-in port and a source for it that is open."""

    async def scenario() -> None:
        with SerialPort(tmp_path / "ttyUSB0") as port:
            source = SerialSource(Line(str(port.path)), lines, may_rest=may_rest)
            try:
                async with asyncio.timeout(200):
                    await source.open()
                if not isinstance(lines, FixedRecords):
                    port.write(b"the end of a line\n")
                await body(port, source)
            finally:
                await source.close()

    asyncio.run(scenario())


def test_it_is_found_by_name_and_reads_its_table(tmp_path: Path) -> None:
    assert source_type("serial", "agent.toml: source[0]") is SerialSource
    source = SerialSource.from_config(config(tmp_path, baud=9600, framing="7e2"))
    assert source.line == Line(str(tmp_path / "ttyUSB0"), 9600, "7E2")
    assert SerialSource.from_config(config(tmp_path, port="/dev/ttyS1")).line == Line("/dev/ttyS1", 115_200, "8N1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baud": 960}, r"agent.toml: source\[0\]: baud: 960 is no usual rate; .* did you mean 9600\?"),
        ({"baud": 11500}, r"baud: 11500 is no usual rate; the nearest are 10400 and 14400; did you mean 115200\?"),
        ({"baud": 115201}, r"the nearest are 115200 and 125000; did you mean 115200\?"),
        ({"baud": 31249}, r"the nearest are 28800 and 31250 \(any_baud = true takes it as it is\)"),
        ({"baud": 20, "any_baud": True}, r"baud: 20 is not in 50..12000000"),
        ({"line_end": "crcr"}, r"line_end: found 'crcr', expected one of auto, lf, crlf, cr, nul, none, or one"),
        ({"line_end": "§"}, r"line_end: found '§'"),
        ({"line_end": ""}, r"line_end: found ''"),
        ({"record_bytes": 0}, r"record_bytes: 0 is not in 1..4096"),
        ({"record_bytes": "8"}, r"record_bytes: found '8', expected a whole number"),
        ({"record_bytes": 8, "line_end": "cr"}, r"record_bytes: records of a fixed length have no line_end"),
        ({"baud": "fast"}, r"baud: found 'fast', expected a whole number"),
        ({"framing": "9N1"}, r'framing: found "9N1"; write data bits 7 or 8, .* as in "8N1"'),
        ({"framing": "8N"}, r'framing: found "8N"'),
        ({"port": 3}, r"port: found 3, expected text"),
        ({"port": "socket://10.0.0.7"}, r'port: found "socket://10.0.0.7", expected an address'),
        ({"port": "socket://10.0.0.7:99999"}, r'port: found "socket://10.0.0.7:99999"'),
        ({"port": "rfc2217://10.0.0.7/x"}, r'port: found .*, expected an address as in "rfc2217://192.168.1.7:4001"'),
        ({"port": "tcp://10.0.0.7:4001"}, r'port: "tcp://10.0.0.7:4001" is no device file'),
        ({"port": "COM3"}, r'port: "COM3" is no device file; write it as in "/dev/ttyUSB0"'),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SerialSource.from_config(config(tmp_path, **options))


@pytest.mark.parametrize("framing", ["8N1", "7E2", "8O1"])
def test_a_line_is_set_as_it_says(tmp_path: Path, framing: str) -> None:
    with SerialPort(tmp_path / "port") as port, Line(str(port.path), 9600, framing).open() as opened:
        assert isinstance(opened, Serial)
        assert f"{opened.bytesize}{opened.parity}{opened.stopbits:g}" == framing
        assert opened.baudrate == 9600


def test_every_byte_arrives_with_times_that_rise(tmp_path: Path) -> None:
    every_byte = bytes(range(256)) * 2000  # half a megabyte: also what a terminal would take for control characters

    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        before = now()
        player = port.playing(every_byte[at : at + 1000] for at in range(0, len(every_byte), 1000))
        assert await taker.bytes_until(len(every_byte)) == every_byte
        player.join()
        times = [(item.monotonic_ns, item.wall_ns) for item in taker.items]
        assert times == sorted(times)
        assert before <= times[0]
        assert times[-1] <= now()
        assert all(isinstance(item, Arrival) and len(item.data) <= handover.READ_BYTES for item in taker.items)

    run(tmp_path, body)


def test_recorded_receivers_arrive_byte_by_byte_as_they_spoke(tmp_path: Path) -> None:
    logs = sorted((data_dir() / "gpsd_nmea").glob("*.log"))
    assert len(logs) >= 20

    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        recorded = b"".join(log.read_bytes() for log in logs)
        player = port.playing(recorded.splitlines(keepends=True))
        assert await taker.bytes_until(len(recorded)) == recorded
        player.join()

    run(tmp_path, body)


def test_what_arrives_slowly_is_handed_over_at_once(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        for line in (b"1,2,3\n", b"4,5,6\n", b"7\n"):
            port.write(line)
            before = len(taker.data)
            await taker.bytes_until(before + len(line))
            assert taker.data.endswith(line)

    run(tmp_path, body)


def test_a_port_that_vanishes_is_opened_again(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        expected = b""
        for number in range(3):
            words = b"plugged in %d times\n" % (number + 1)
            port.write(b"\n" + words)
            expected += words if number else b"\n" + words  # all but the first time it follows an opening
            assert await taker.bytes_until(len(expected)) == expected
            assert (source.waiting_for, source.missing) == ("", "")
            port.unplug()
            await until(lambda: source.waiting_for != "")
            assert source.waiting_for.startswith(f"{port.path}: ")
            assert source.missing == "port_lost"
            port.plug()
            wanted = number + 1
            await taker.until(lambda taker, wanted=wanted: _interruptions(taker) == wanted)  # type: ignore[misc]
            lost = taker.items[-1]
            assert isinstance(lost, Interruption)
            assert lost.reason == "port_lost"

    run(tmp_path, body)


def _interruptions(taker: Taker) -> int:
    return sum(isinstance(item, Interruption) for item in taker.items)


def test_the_rest_of_a_line_is_left_out_after_each_opening(tmp_path: Path) -> None:
    async def scenario() -> None:
        with SerialPort(tmp_path / "ttyUSB0") as port:
            source = SerialSource(Line(str(port.path)))
            await source.open()
            taker = Taker(source)
            for number in range(2):
                for piece in (b"2", b".5", b"\r\n1", b".5\n"):
                    port.write(piece)
                await taker.until(lambda taker, wanted=number + 1: taker.data.count(b"\n") == wanted)  # type: ignore[misc]
                if not number:
                    port.unplug()
                    port.plug()
                    await taker.until(lambda taker: _interruptions(taker) == 1)
            assert taker.data == b"1.5\n1.5\n"
            await source.close()

    asyncio.run(scenario())


def test_it_waits_for_a_port_that_is_not_there_yet(tmp_path: Path) -> None:
    async def scenario() -> None:
        source = SerialSource(Line(str(tmp_path / "ttyUSB0")))
        opening = asyncio.create_task(source.open())
        await until(lambda: source.waiting_for.endswith("no such port; is it plugged in?"))
        assert not opening.done()
        with SerialPort(tmp_path / "ttyUSB0") as port:
            await asyncio.wait_for(opening, 60)
            assert source.waiting_for == ""
            port.write(b"12\nhello\n")
            taker = Taker(source)
            assert await taker.bytes_until(6) == b"hello\n"
            first = taker.items[0]  # nobody heard what it said before
            assert isinstance(first, Interruption)
            assert first.reason == "port_lost"
            await source.close()

    asyncio.run(scenario())


def test_a_port_that_another_program_reads_is_not_shared(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        second = SerialSource(Line(str(port.path)))
        opening = asyncio.create_task(second.open())
        await until(lambda: "another program has it open" in second.waiting_for)
        await source.close()
        await asyncio.wait_for(opening, 60)
        await second.close()

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (termios.error(errno.EIO, "Input/output error"), "does not answer as a serial port"),  # hung up while it opens
        (ValueError("Failed to set custom baud rate (31250)"), "its driver does not take baud = 115200"),
        (RuntimeError("nobody expects this"), "RuntimeError: nobody expects this"),
    ],
)
def test_whatever_goes_wrong_with_a_port_is_told_and_tried_again(
    tmp_path: Path, error: Exception, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Line, "delays_s", (0.01, 0.01))
    failing = threading.Event()
    failing.set()
    open_port = Line.open

    def fail(line: Line) -> Any:
        if failing.is_set():
            raise error
        return open_port(line)

    monkeypatch.setattr(Line, "open", fail)

    async def scenario() -> None:
        with SerialPort(tmp_path / "ttyUSB0") as port:
            source = SerialSource(Line(str(port.path)))
            assert (source.waiting_for, source.missing) == ("", "")
            opening = asyncio.create_task(source.open())
            await until(lambda: told in source.waiting_for)
            assert source.missing == "port_lost"
            failing.clear()
            await asyncio.wait_for(opening, 60)
            assert (source.waiting_for, source.missing) == ("", "")
            taker = Taker(source)
            for _ in range(3):
                port.write(b"x\n1\n")
                await taker.until(lambda taker: taker.data.endswith(b"1\n"))
                failing.set()
                port.unplug()
                await until(lambda: told in source.waiting_for)
                port.plug()
                failing.clear()
                before = _interruptions(taker)
                await taker.until(lambda taker, before=before: _interruptions(taker) > before)  # type: ignore[misc]
            await source.close()
            assert source.waiting_for == ""

    asyncio.run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reading_thread_that_is_no_more_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SystemExit  # as nothing that a port does

    monkeypatch.setattr("edge.sources.serial.reader.Reader._read", fail)

    async def body(port: SerialPort, source: SerialSource) -> None:
        with pytest.raises(SourceUnavailableError, match="its reading thread has ended"):
            await Taker(source).until(lambda _: False)

    run(tmp_path, body)


def test_a_port_that_says_bytes_but_no_line_is_told_and_what_it_says_is_lost(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        port.unplug()  # so that no line was ever seen
        port.plug()
        taker = Taker(source)
        await taker.until(lambda taker: _interruptions(taker) == 1)
        port.playing([b"+00012.5" * 700])
        await taker.until(lambda taker: _interruptions(taker) == 2)
        lost = taker.items[-1]
        assert isinstance(lost, Interruption)
        assert lost.reason == "no_line"
        assert taker.data.startswith(b"+00012.5")  # which the decoder counts as torn
        assert source.missing == "no_line"
        assert source.waiting_for == ""
        assert 'bytes but no line end, such as "' in source.trouble
        port.write(b"\n2\n")
        await taker.until(lambda taker: taker.data.endswith(b"2\n"))
        assert (source.trouble, source.missing) == ("", "")

    run(tmp_path, body)


def test_bytes_that_a_driver_has_dropped_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = DriverCounts(7, 3)  # before this agent began
    monkeypatch.setattr("edge.sources.serial.reader.driver_counts", lambda port: counted)  # no pty has a driver

    async def body(port: SerialPort, source: SerialSource) -> None:
        nonlocal counted
        taker = Taker(source)
        before_ns = now()[0]
        port.write(b"1\n")
        assert await taker.bytes_until(2) == b"1\n"
        counted = counted._replace(dropped=8)
        await taker.until(lambda taker: _interruptions(taker) == 1)
        lost = taker.items[-1]
        assert isinstance(lost, Interruption)
        assert lost.reason == "overrun"
        assert lost.since_ns is not None
        assert before_ns - 2_000_000_000 <= lost.since_ns <= lost.monotonic_ns
        port.write(b"the rest of a line\n2\n")
        assert await taker.bytes_until(4) == b"1\n2\n"
        counted = counted._replace(damaged=4)
        await taker.until(lambda taker: _interruptions(taker) == 2)
        lost = taker.items[-1]
        assert isinstance(lost, Interruption)
        assert (lost.reason, lost.is_whole) == ("line_error", True)
        port.write(b"3\n")
        assert await taker.bytes_until(6) == b"1\n2\n3\n"

    run(tmp_path, body)


def test_a_pseudo_terminal_counts_no_dropped_bytes() -> None:
    near, far = os.openpty()
    assert driver_counts(far) is None
    os.close(near)
    os.close(far)


def test_records_without_an_end_are_found_by_the_pauses_between_them(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        for number in range(4):
            await asyncio.sleep(0.3)  # a pause, as such devices make it
            port.write(b"+%07d" % number)
        await taker.until(lambda taker: taker.data.endswith(b"+0000003\n"))
        assert set(taker.data.split()) <= {b"+%07d" % number for number in range(4)}

    run(tmp_path, body, FixedRecords(8, 9600))


def test_another_program_that_reads_the_port_too_is_named(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "ttyUSB0") as port:
        code = "import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code, str(port.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()

            async def scenario() -> None:
                source = SerialSource(Line(str(port.path)))
                await source.open()
                await until(lambda: f"(process {other.pid}) has it open too: if it reads, it takes" in source.trouble)
                await source.close()

            asyncio.run(scenario())


@pytest.mark.parametrize("state", ["new", "waiting", "reading", "full"])
def test_closing_ends_it_at_once_and_twice_is_fine(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "QUEUE_BYTES", 1)

    async def scenario() -> None:
        with SerialPort(tmp_path / "ttyUSB0") as port:
            source = SerialSource(Line(str(port.path) if state != "waiting" else "/dev/no-such-port"))
            opening = asyncio.create_task(source.open()) if state != "new" else None
            if state == "full":
                await source.open()
                port.write(b"\nx")
                await until(lambda: source._handover is not None and bool(source._handover._items))
                port.write(b"y")
            if state == "waiting":
                await until(lambda: "no such port" in source.waiting_for)
            if state == "reading":
                await source.open()
            begin = time.monotonic()
            await source.close()
            await source.close()
            assert time.monotonic() - begin < 60
            if opening is not None:
                await asyncio.wait_for(opening, 60)

    asyncio.run(scenario())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("serial ")]


def test_it_can_be_opened_again(tmp_path: Path) -> None:
    async def body(port: SerialPort, source: SerialSource) -> None:
        await source.close()
        await asyncio.wait_for(source.open(), 60)
        taker = Taker(source)
        port.write(b"3\n1\n2\n")
        assert await taker.bytes_until(4) == b"1\n2\n"

    run(tmp_path, body)


def test_a_slow_taker_holds_the_reader_back_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "QUEUE_BYTES", 10_000)
    sent = os.urandom(400_000)

    async def body(port: SerialPort, source: SerialSource) -> None:
        player = port.playing(sent[at : at + 4096] for at in range(0, len(sent), 4096))
        await until(lambda: source._handover is not None and source._handover._bytes >= 10_000)
        assert player.is_alive()  # held back by the kernel's buffer, as by a line with flow control
        taker = Taker(source)
        assert await taker.bytes_until(len(sent)) == sent
        player.join()

    run(tmp_path, body, LineEnds(b"\n", 9600))


def test_it_keeps_every_promise_of_a_source(tmp_path: Path) -> None:
    with SerialPort(tmp_path / "ttyUSB0") as port:
        line = Line(str(port.path))
        asyncio.run(check_source(lambda: SerialSource(line), lambda: port.offer(b"1\n2\n")))


def rest_long(monkeypatch: pytest.MonkeyPatch, rest_ms: float) -> None:
    """Let a port rest behind its first line, and what was read late wait for ever."""
    monkeypatch.setattr(pace, "STEADY_NS", 0)
    monkeypatch.setattr(pace, "FIRST_MS", rest_ms)
    monkeypatch.setattr(reader, "OWED_NS", 1000 * 1_000_000_000)


def test_what_came_in_a_rest_is_read_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest_long(monkeypatch, 1e6)

    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        port.write(b"1\n")
        await taker.until(lambda taker: b"1\n" in taker.data)
        port.write(b"2\n")
        await source.close()
        left = b"".join(item.data for item in source.left() if isinstance(item, Arrival))
        assert taker.data + left == b"1\n2\n"

    run(tmp_path, body, may_rest=True)


def test_what_was_read_late_comes_before_the_loss_of_its_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rest_long(monkeypatch, 500.0)

    async def body(port: SerialPort, source: SerialSource) -> None:
        taker = Taker(source)
        port.write(b"1\n")
        await taker.until(lambda taker: b"1\n" in taker.data)
        port.write(b"2\n")
        reading = source._reader
        assert reading is not None
        await until(lambda: reading._pace.is_owed and bool(reading._held))
        port.unplug()
        port.plug()
        items = await taker.until(lambda taker: isinstance(taker.items[-1], Interruption))
        assert [item.data for item in items if isinstance(item, Arrival)] == [b"2\n"]

    run(tmp_path, body, may_rest=True)


def test_lines_come_whole_and_in_order_through_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "STEADY_NS", 0)

    async def body(port: SerialPort, source: SerialSource) -> None:
        said = [b"%d\n" % number for number in range(3000)]
        port.playing((line[at : at + 2] for line in said for at in range(0, len(line), 2)), 10_000)
        taker = Taker(source)
        assert await taker.bytes_until(len(b"".join(said))) == b"".join(said)
        reads = [read for item in taker.items if isinstance(item, Arrival) for read in item.reads]
        assert any(read.began_ns is not None for read in reads)
        assert all(read.began_ns is None or read.began_ns <= read.monotonic_ns for read in reads)

    run(tmp_path, body, may_rest=True)


@pytest.mark.parametrize(
    ("words", "may_rest"),
    [
        ({}, False),
        ({"rate": Fraction(100)}, True),
        ({"clock": "device"}, True),
    ],
)
def test_a_port_may_rest_where_not_each_lines_arrival_is_its_time(
    tmp_path: Path, words: dict[str, Any], may_rest: bool
) -> None:
    source = SerialSource.from_config(replace(config(tmp_path), **words))
    assert source._may_rest == may_rest
