"""What a sensor said = what is in the log + what is announced: the agent as a process, ports, Mosquitto, faults.

`tests.integration.books` says when a book closes. Each test is one agent at which several things happen at a time, to
different sensors; the long forms of the same run with `make soak`.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.integration.books import Book, S, Tolerance, missing
from tests.integration.links import new_link
from tests.integration.site import SmallDisk, wait_for
from tests.integration.stations import Port, Station
from tests.support.kafka import KafkaBroker
from tests.support.mosquitto import Mosquitto

LONG: Final = pytest.param(True, marks=[pytest.mark.soak, pytest.mark.timeout(0)], id="long")
SHORT: Final = pytest.param(False, id="short")
BROKER: Final = Tolerance(early_ns=2 * S, late_ns=3 * S, edge_ns=2 * S)
"""A message passes through two more processes."""
both = pytest.mark.parametrize("long", [SHORT, LONG])


def garbled(chance: random.Random) -> bytes:
    """What 9600 baud are at 115200: other bytes, of which some end a line."""
    return bytes(chance.choice([0x00, 0x80, 0xF8, 0x1C, 0xE0, 0x0A, 0x9E, 0x2C]) for _ in range(3))


@both
def test_faults_of_a_line(tmp_path: Path, *, long: bool) -> None:
    """Noise, a wrong baud rate, torn and merged lines, a cable out, silence, a rate that doubles: a port for each."""
    fault_s = 25.0 if long else 4.0
    chance = random.Random(6)
    station = Station(tmp_path)
    clean = station.add_port("clean", more='rate = "100Hz"')
    noisy = station.add_port("noisy")
    baud = station.add_port("baud")
    torn = station.add_port("torn")
    cable = station.add_port("cable")
    silent = station.add_port("silent")
    double = station.add_port("double", more='rate = "100Hz"')

    def noise(data: bytes) -> bytes:
        return data if chance.random() < 0.9 else bytes(b ^ 0x80 for b in data[:-1]) + data[-1:]

    def tear(data: bytes) -> bytes:
        return data if chance.random() < 0.9 else data[: chance.randrange(len(data))]

    def begin() -> None:
        noisy.spoil, baud.spoil, torn.spoil = noise, lambda data: garbled(chance), tear
        cable.unplug()
        silent.silent = True
        double.rate_hz = 200.0

    def end() -> None:
        noisy.spoil = baud.spoil = torn.spoil = None
        cable.plug()
        silent.silent = False
        double.rate_hz = 100.0

    with station:
        station.await_more()
        station.change(begin)
        time.sleep(fault_s)
        station.change(end)
        station.await_more()
        station.quiet()
        assert station.stop() == 0, station.err
        books = station.check()
    for port, at_least in ((noisy, 20), (baud, 300), (torn, 20), (cable, 300)):
        name = port.path.name
        assert len(missing(books[name], port.said)) >= at_least, f"{name}: too little happened"
    for port in (clean, silent, double):
        assert not len(missing(books[port.path.name], port.said)), port.path.name


@both
def test_an_agent_that_is_stopped_killed_and_ended(tmp_path: Path, *, long: bool) -> None:
    """SIGSTOP while ports run over, SIGKILL, SIGTERM; each time it goes on."""
    station = Station(tmp_path)
    station.add_port("steady", more='rate = "100Hz"')
    station.add_port("unrated")
    fast: Port = station.add_port("fast", 1000, more='rate = "1kHz"')
    with station:
        station.await_more()
        station.signal(signal.SIGSTOP)
        time.sleep(120 if long else 5)
        station.signal(signal.SIGCONT)
        station.await_more()
        station.kill()
        time.sleep(1.0)
        station.start()
        station.await_more()
        assert station.stop() == 0, station.err
        time.sleep(1.0)
        station.start()
        station.await_more()
        station.quiet()
        assert station.stop() == 0, station.err
        books = station.check()
    assert fast.unsaid, "the port never ran over"
    assert all(book.recordings >= 3 for book in books.values())


def test_a_stop_that_is_short_but_longer_than_a_port_keeps(tmp_path: Path) -> None:
    """Lines of 14 bytes, 2,000 a second: in a second they are more than any buffer of a port keeps."""
    station = Station(tmp_path)
    fast: Port = station.add_port("fast", 2000, more='rate = "2kHz"')
    with station:
        station.await_more()
        for _ in range(2):
            before = fast.unsaid
            station.signal(signal.SIGSTOP)
            wait_for(lambda before=before: fast.unsaid > before + 200, "a port that runs over")  # type: ignore[misc]
            station.signal(signal.SIGCONT)
            station.await_more()
        station.quiet()
        assert station.stop() == 0, station.err
        station.check()


def published(books: dict[str, Book], station: Station) -> None:
    """Every message that a broker took is there, or lies in what is announced: `check` has seen to that; and not all
    of them are announced away."""
    for name, book in books.items():
        share = len(book.numbers) / len(station.sensors[name].said.due_ns)
        assert share > 0.1, f"{name}: hardly anything is there"


@both
def test_a_broker_that_forgets(tmp_path: Path, *, long: bool) -> None:
    """A queue that overflows while the agent is away, a restart, a store that is deleted, a session that is lost."""
    away_s = 30.0 if long else 4.0
    station = Station(tmp_path)
    with Mosquitto("max_queued_messages 20") as broker:
        station.add_publisher("one", broker.host, broker.port)
        station.add_publisher("two", broker.host, broker.port, 50, back_s=4)  # behind the agent, with all that it kept
        with station:
            station.await_more()
            time.sleep(away_s if long else 0)
            station.kill()
            time.sleep(away_s)
            station.start()
            station.await_more()
            overflowed = {name: len(book.numbers) for name, book in station.books().items()}
            broker.kill()  # what it has not saved is gone: sessions too
            time.sleep(away_s / 2)
            broker.restart()
            station.await_more()
            broker.kill()
            broker.forget()
            time.sleep(away_s / 2)
            broker.restart()
            station.await_more()
            station.quiet()
            assert station.stop() == 0, station.err
            books = station.check(BROKER)
    for name, count in overflowed.items():
        assert count < len(station.sensors[name].said.due_ns), f"{name}: the queue never ran over"
    published(books, station)


@both
def test_a_broker_that_keeps_everything(tmp_path: Path, *, long: bool) -> None:
    """Killed and restarted on its store, the agent killed meanwhile: nothing is lost at all, and nothing doubled."""
    station = Station(tmp_path)
    with Mosquitto("max_queued_messages 0") as broker:
        station.add_publisher("one", broker.host, broker.port)
        with station:
            station.await_more()
            station.kill()
            time.sleep(20.0 if long else 3.0)
            station.change(broker.save)
            station.start()
            station.await_more()
            station.quiet()
            assert station.stop() == 0, station.err
            books = station.check(BROKER)
    assert not len(missing(books["one"], station.sensors["one"].said))


def test_a_full_disk_at_the_end(tmp_path: Path) -> None:
    """SIGTERM while the log is away and the spool's disk takes nothing: the exit code says whether all found room,
    and where it did not, how much; the next start owns up to the hole."""
    with SmallDisk(tmp_path / "spool", "size=16m", 1) as disk:
        assert disk.mounted, "this test fills a disk of its own: run it where a tmpfs may be mounted"
        station = Station(tmp_path)
        port = station.add_port("fast", 1000)
        log, elsewhere = tmp_path / "log", tmp_path / "elsewhere"
        filler = tmp_path / "spool" / "filler"
        with station:
            station.await_more()
            log.rename(elsewhere)
            log.touch()  # as where a disk is not mounted
            fill(filler)
            station.says("No space left")
            fill(filler)
            time.sleep(2.0)
            said = len(port.said.due_ns)
            code = station.stop()
            assert code in (0, 1), station.err
            if code:
                assert re.search(r"[\d,]+ samples", station.err), station.err
            filler.unlink()
            log.unlink()
            elsewhere.rename(log)
            station.start()
            station.await_more()
            station.quiet()
            assert station.stop() == 0, station.err
            books = station.check()
        lost = missing(books["fast"], port.said)
        assert bool((lost < said - 2000).any()) == (code == 1), f"exit code {code}: {station.err}"


def fill(path: Path) -> None:
    """Leave no byte on a disk."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def the_log(station: Station) -> None:
    shutil.rmtree(station.folder / "log")


def the_logs_segment(station: Station) -> None:
    for path in (station.folder / "log" / "topics" / "readings").glob("*/*.log"):
        path.unlink()


def the_spool(station: Station) -> None:
    shutil.rmtree(station.folder / "spool")


def the_spools_segment(station: Station) -> None:
    for path in (station.folder / "spool" / "readings").glob("*.log"):
        path.unlink()


@pytest.mark.parametrize("deleted", [the_log, the_logs_segment, the_spool, the_spools_segment])
def test_what_is_deleted_under_a_running_agent(tmp_path: Path, deleted: Callable[[Station], None]) -> None:
    """What is said after a deletion is in the log, or announced; what was said before, too, where the log still is."""
    station = Station(tmp_path)
    port = station.add_port("steady")
    with station:
        station.await_more()
        deleted(station)
        at_ns = time.time_ns()
        time.sleep(3.0)
        if station.agent is not None and station.agent.poll() is None:
            station.kill()
        station.start()
        station.await_more()
        station.quiet()
        assert station.stop() == 0, station.err
        if deleted in (the_log, the_logs_segment):
            first = station.check()["steady"].numbers.min()
            assert port.said.due_ns[int(first)] <= at_ns + Tolerance().edge_ns, "what was said since is not there"
        station.check()


@both
@pytest.mark.parametrize("log", ["segments", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_a_link_that_is_half_open(tmp_path: Path, log: str, *, long: bool) -> None:
    """What the agent sends to the broker and to Kafka is lost between sending and acknowledgement."""
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(new_link())
        broker = stack.enter_context(Mosquitto("max_queued_messages 0", host=link.host))
        url = None
        if log == "kafka":
            kafka = stack.enter_context(KafkaBroker(host=link.host))
            url = f"kafka://{kafka.bootstrap}"
        station = Station(tmp_path, url, prefix=link.prefix)
        station.add_port("line")
        station.add_publisher(
            "message", broker.host, broker.port, broker=f"mqtt://{link.host}:{link.port_to(broker.port)}"
        )
        stack.enter_context(station)
        station.await_more()
        link.cut()
        time.sleep(90.0 if long else 4.0)
        if log == "segments":
            station.kill()  # acknowledgements are lost: all of it is delivered again, and known
            station.start()
            time.sleep(1.0)
        link.mend()
        station.await_more()
        station.quiet()
        assert station.stop() == 0, station.err
        books = station.check(BROKER)
        assert not len(missing(books["message"], station.sensors["message"].said))
        if log == "kafka":
            assert not len(missing(books["line"], station.sensors["line"].said))
