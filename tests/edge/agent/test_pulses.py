"""Pulses from a made-up tree of the kernel's files and from a made-up gpsd, up to the times in the log."""

from __future__ import annotations

import asyncio
import functools
import operator
import time
from pathlib import Path

import numpy as np
import pytest

from edge.agent.overview import page
from edge.agent.pulses import GpsdPulses, KernelPulses, PulseWatch, pulses_of
from edge.config import load_config
from edge.protocol import Arrival
from edge.recording.pulses import Line, Piece, Pulse
from edge.sources.clock import boottime_ns
from ingest.errors import UsageError
from ingest.records import RecordingEnd
from ingest.times import sample_times
from simulators.terminal import Terminal
from tests.edge.feeding import FlakyLog, Running, S, fed, fed_config, running
from tests.edge.recording.test_pulses import PPS
from tests.edge.sources.collecting import until

pytestmark = pytest.mark.usefixtures("fed")
__all__ = ["fed"]
AHEAD_NS = 300_000_000
"""The system's clock."""
BEHIND_NS = 37_300_000_000
"""The same of one that nobody set: by whole seconds, too."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.pulses.POLL_S", 0.05)


def say(folder: Path, text: str) -> None:
    """As the kernel does: at once."""
    folder.mkdir(exist_ok=True)
    (folder / "new").write_text(text)
    (folder / "new").rename(folder / "assert")


async def pulse(folder: Path) -> None:
    """Each second that is true, from now on."""
    for sequence in range(1, 1000):
        at_ns = (time.time_ns() - AHEAD_NS) // S * S + S + AHEAD_NS
        await asyncio.sleep((at_ns - time.time_ns()) / 1e9)
        say(folder, f"{at_ns // S}.{at_ns % S:09}#{sequence}\n")


def test_times_are_led_by_the_pulse_and_its_loss_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.clock.bound_ns", lambda: AHEAD_NS + 50_000_000)
    path, log, sent = fed_config(tmp_path, more='[clock]\npps = "pps0/"'), FlakyLog(), list[int]()
    (tmp_path / "pps0").mkdir()

    async def speak(agent: Running) -> None:
        while True:
            sent.append(time.time_ns())
            boot_ns = boottime_ns()
            agent.source.items.put_nowait(Arrival(b"%d\n" % (len(sent) - 1), boot_ns, sent[-1]))
            await asyncio.sleep(0.05)

    async def scenario() -> None:
        async with running(path, log) as agent:
            tasks = [asyncio.create_task(speak(agent)), asyncio.create_task(pulse(tmp_path / "pps0"))]
            try:
                await agent.until(lambda: agent.agent.figures()["pps.locked"] == 1)
                count = len(sent)
                await agent.until(lambda: len(log.values()) > count + 10)
                overview = agent.agent.overview()
                assert (overview.pps_trouble, overview.figures["pps.missed"]) == ("", 0)
                assert 0.29 < overview.figures["pps.clock_ahead_s"] < 0.31
                assert "locked: times are within" in page(overview)
                tasks.pop().cancel()
                await agent.until(lambda: any("held" in line for line in agent.said))
                assert "times go on as it had them" in agent.agent.overview().pps_trouble
                count = len(sent)
                await agent.until(lambda: len(log.values()) > count + 3)
            finally:
                for task in tasks:
                    task.cancel()

    asyncio.run(scenario())
    seen = dict[str, list[int]]()
    for chunk in log.chunks():
        assert chunk.clock is not None
        numbers = np.frombuffer(chunk.values, "<f4").astype(int)
        off = [at - sent[number] for at, number in zip(sample_times(chunk), numbers, strict=True)]
        seen.setdefault(chunk.clock.source, []).extend(off)
        if chunk.clock.source == "pps":
            assert 10_000_000 <= chunk.clock.uncertainty_ns < 15_000_000  # an arrival's own 10 ms
    assert list(seen) == ["system", "pps", "pps_lost"]
    assert max(map(abs, seen["system"])) < 10_000_000
    assert max(abs(off + AHEAD_NS) for off in seen["pps"] + seen["pps_lost"]) < 10_000_000
    ends = [record.reason for record in log.records() if isinstance(record, RecordingEnd)]
    assert ends == ["clock_step", "stopped"]


def sentence(at_ns: int) -> bytes:
    """What a receiver says at a whole second."""
    body = time.strftime("GPRMC,%H%M%S.00,A,5230.0,N,01324.0,E,0.0,0.0,%d%m%y,,,A", time.gmtime(at_ns // S)).encode()
    return b"$%s*%02X\r\n" % (body, functools.reduce(operator.xor, body))


RECEIVER = """[[source]]
name = "gps"
type = "serial"
port = "gps"
decoder = "nmea"
stream = "gps"
channels = { lat = "deg", lon = "deg" }
"""


def test_a_clock_that_nobody_set_is_led_by_a_receivers_pulse_and_its_sentences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agent.clock.bound_ns", lambda: None)
    path = fed_config(tmp_path, more=f'[clock]\npps = "pps0/"\n{RECEIVER}')
    (tmp_path / "pps0").mkdir()
    log, sent = FlakyLog(), list[int]()

    async def receive(terminal: Terminal) -> None:
        for sequence in range(1, 1000):
            true_ns = (time.time_ns() - BEHIND_NS) // S * S + S
            at_ns = true_ns + BEHIND_NS
            await asyncio.sleep((at_ns - time.time_ns()) / 1e9)
            say(tmp_path / "pps0", f"{at_ns // S}.{at_ns % S:09}#{sequence}\n")
            await asyncio.sleep(0.3)
            terminal.offer(sentence(true_ns))

    async def scenario() -> None:
        with Terminal(tmp_path / "gps") as terminal:
            async with running(path, log) as agent:
                speaking = asyncio.create_task(receive(terminal))
                try:
                    await agent.until(lambda: agent.agent.figures()["pps.locked"] == 1)
                    for number in range(3):
                        sent.append(time.time_ns())
                        agent.source.items.put_nowait(Arrival(b"%d\n" % number, boottime_ns(), sent[-1]))
                        await agent.until(lambda number=number: len(log.values()) > number)  # type: ignore[misc]
                    assert agent.agent.overview().pps_trouble == ""
                finally:
                    speaking.cancel()

    asyncio.run(scenario())
    chunks = [chunk for chunk in log.chunks() if chunk.stream != "gps"]
    assert {chunk.clock.source for chunk in chunks if chunk.clock is not None} == {"pps"}
    times = [int(at) for chunk in chunks for at in sample_times(chunk)]
    assert max(abs(at - true) for at, true in zip(times, [at - BEHIND_NS for at in sent], strict=True)) < 10_000_000


def test_a_clock_that_nobody_bounds_is_left_alone_and_why_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agent.clock.bound_ns", lambda: None)
    monkeypatch.setattr("edge.agent.pulses.PATIENCE_NS", 0)
    path, log = fed_config(tmp_path, more='[clock]\npps = "pps0/"'), FlakyLog()
    (tmp_path / "pps0").mkdir()

    async def scenario() -> None:
        async with running(path, log) as agent:
            await agent.until(lambda: any("is not there, or says no rising edges" in line for line in agent.said))
            now_ns = time.time_ns() - 10_000_000
            say(tmp_path / "pps0", f"{now_ns // S}.{now_ns % S:09}#7\n")
            await agent.until(lambda: any("nothing says which" in line for line in agent.said))
            agent.source.items.put_nowait(Arrival(b"1\n", boottime_ns(), time.time_ns()))
            await agent.until(lambda: log.values() == [1])

    asyncio.run(scenario())
    assert [chunk.clock.source for chunk in log.chunks() if chunk.clock] == ["system"]


def test_a_kernels_file_is_looked_at_once_a_pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.pulses.SYSFS", tmp_path)

    async def scenario() -> None:
        pulses = KernelPulses("/dev/pps0")
        assert await pulses.next() is None
        assert "dtoverlay=pps-gpio" in pulses.trouble
        (tmp_path / "pps1").mkdir()
        assert await pulses.next() is None
        assert "there are /dev/pps1" in pulses.trouble
        say(tmp_path / "pps0", "")
        assert (await pulses.next(), pulses.trouble) == (None, "")
        say(tmp_path / "pps0", "12.000000005#3\n")
        assert await pulses.next() == Pulse(12 * S + 5, 3)
        assert await pulses.next() is None
        say(tmp_path / "pps0", "what?")
        assert await pulses.next() is None
        assert "'what?' is no pulse's time" in pulses.trouble

    asyncio.run(scenario())


def test_what_goes_wrong_with_pulses_ends_nothing_and_leaves_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.pulses.REPAIR_S", 0.01)
    said: list[str] = []

    class Broken(KernelPulses):
        async def next(self) -> Pulse | None:
            raise ZeroDivisionError

    async def scenario() -> None:
        watch = PulseWatch(Broken("/dev/pps0"), said.append)
        watch.clock.line = Line((Piece(0, 0, 0),), 0)
        running = asyncio.create_task(watch.run(lambda: asyncio.sleep(0)))
        async with asyncio.timeout(30):
            await until(lambda: len(said) >= 3)
        assert watch.clock.line is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    assert "ZeroDivisionError" in said[0]


def test_a_daemon_that_goes_and_comes_back() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b'{"class":"VERSION"}\r\n' + PPS + PPS[:30])
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(PPS[30:])
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        number = server.sockets[0].getsockname()[1]
        pulses = pulses_of(f"gpsd:{number}")
        assert isinstance(pulses, GpsdPulses)
        found = list[Pulse]()
        async with asyncio.timeout(30):
            while len(found) < 4:
                found += [one for one in [await pulses.next()] if one is not None]
            server.close()
            pulses.close()
            await pulses.next()
        assert {one.true_ns for one in found} == {1_330_212_592_000_343_182}
        assert "is gpsd running" in pulses.trouble
        assert len(heard) == 2
        assert b'"pps":true' in heard[0]

    asyncio.run(scenario())


@pytest.mark.parametrize("said", ["pps0", "gpsd:x", 7])
def test_what_is_no_pulse_is_refused(tmp_path: Path, said: str | int) -> None:
    value = f'"{said}"' if isinstance(said, str) else said
    with pytest.raises(UsageError, match=r"clock(\.|: )pps"):
        load_config(fed_config(tmp_path, more=f"[clock]\npps = {value}"))


def test_a_device_is_named_by_its_path_and_a_folder_from_the_configurations(tmp_path: Path) -> None:
    for said, wanted in (("/dev/pps0", "/dev/pps0"), ("gpsd", "gpsd"), ("./pps", f"{tmp_path}/pps")):
        assert load_config(fed_config(tmp_path, more=f'[clock]\npps = "{said}"')).clock.pps == wanted


def test_the_receiver_is_the_first_that_says_fixes_or_the_one_that_is_named(tmp_path: Path) -> None:
    ubx = RECEIVER.replace('"gps"', '"ubx"').replace("nmea", "ubx")
    for said, wanted in (("", "gps"), ('receiver = "ubx"', "ubx"), ('receiver = "none"', "")):
        path = fed_config(tmp_path, more=f'[clock]\npps = "gpsd"\n{said}\n{RECEIVER}{ubx}')
        assert load_config(path).clock.receiver == wanted
    path = fed_config(tmp_path, more=f'[clock]\nreceiver = "gsp"\n{RECEIVER}{ubx}')
    with pytest.raises(UsageError, match=r"clock.receiver: found \"gsp\".*\(gps, ubx\), or none.*\"gps\"\?"):
        load_config(path)
