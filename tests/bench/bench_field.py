"""What a device in the field must hold: a chip's edges and a buffer's scans, ten sources in one agent, a day's backlog.

Edges and scans go through all but the kernel: bytes as its devices hand them on, through what reads them, the decoder,
the recorder and the spool; every one is counted at the end. The agent of ten sources is a process of its own beside
real servers (Mosquitto, gpsd, pymodbus) and sensors on pseudo-terminals. The backlog is a day of 100 Hz in the spool as
the agent starts, beside a sensor that goes on; it drains into a real Kafka on this machine, and somebody looks at
`live` twenty times a second: a slow link would add its own time to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.agent.answering import NoAgentError, ask
from edge.decoders.scans.decoder import ScansDecoder
from edge.protocol import SourceConfig
from edge.recording.batching import describe
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from edge.sources.gpio.edges import EVENT, Levels
from edge.sources.iio.layout import Column, Element, Layout
from edge.sources.iio.reading import Reading
from edge.sources.iio.scans import Scans
from edge.spool.entries import description, reading
from edge.spool.spool import Queue, SpoolLimits
from ingest.log.protocol import LIVE
from ingest.opening import open_log
from ingest.records import Chunk, Clock, schema_id
from ingest.times import sample_times
from ingest.wire import decode
from simulators.terminal import Terminal
from tests.bench.bench_agent import DISK, PROJECT, speaking
from tests.bench.harness import Row, row
from tests.support.gpsd import Gpsd
from tests.support.kafka import KafkaBroker
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import publish
from tests.support.server import free_ports

S: Final = 1_000_000_000
WALL: Final = 1_700_000_000 * S
RUNS: Final = 5
SECONDS: Final = 10
EDGES_PER_S = SCANS_PER_S = 20_000
ROWS_PER_READ: Final = 200
DAY_S: Final = 86_400
RATE: Final = 100
SETTLE_S: Final = 30.0
LOOK_S: Final = 0.05
DRAINS: Final = 3
DRAIN_MOST_S: Final = 1800.0


def bench() -> list[Row]:
    """Rates of what the kernel hands on, memory, and a day's backlog."""
    DISK.mkdir(exist_ok=True)
    edges = [EDGES_PER_S * SECONDS / _cpu_s(_gpio, EDGES_PER_S) for _ in range(RUNS + 1)]
    scans = [SCANS_PER_S * SECONDS / _cpu_s(_iio, SCANS_PER_S) for _ in range(RUNS + 1)]
    peak, resident, kinds, count = ten_sources()
    drains = [a_days_backlog() for _ in range(DRAINS)]
    about = f"agent with {count} sources of {kinds} types"
    return [
        row("edges of a GPIO chip's 4 lines into the spool, none lost", edges[1:], "edges/s", bar=None),
        row("scans of an IIO buffer (3 of s16, time) into the spool, none lost", scans[1:], "scans/s", bar=None),
        row(f"{about}, resident memory", [resident], "MB", bar=64, lower_is_better=True),
        row(f"{about}, peak resident memory", [peak], "MB", bar=64, lower_is_better=True),
        row(
            "a day of 100 Hz drained into Kafka",
            [taken_s / 60 for taken_s, _ in drains],
            "min",
            bar=30,
            lower_is_better=True,
        ),
        row(
            "meanwhile, how old what live shows is, p95",
            [age_s for _, age_s in drains],
            "s",
            bar=2,
            lower_is_better=True,
        ),
    ]


# --- what the kernel hands on


def _cpu_s(made: Callable[[int], Iterator[bytes]], per_s: int) -> float:
    """CPU seconds for `SECONDS` of rows, with a commit a second; all of them are in the spool's records."""
    rows = made(per_s)
    channels = dict.fromkeys("abcd" if made is _gpio else "xyz", "1")
    words = {"where": "bench", "base": ".", "name": "s", "type": "gpio", "device": "pump", "stream": "acc"}
    config = SourceConfig(**words, decoder="scans", channels=channels, clock="kernel", dtype="float32")  # type: ignore[arg-type]
    recorder = Recorder("pump", os.urandom(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    decoder = ScansDecoder.from_config(config)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as name:
        queue, found, fed = Queue(Path(name) / "q", SpoolLimits()), 0, 0
        begin = time.process_time()
        for second in range(1, SECONDS + 1):
            for number in range(per_s // ROWS_PER_READ):
                data = next(rows)
                fed += len(data)
                at = (second - 1) * S + (number + 1) * S * ROWS_PER_READ // per_s
                recorder.take("acc", len(data), decoder.feed(data), at, WALL + at)
            held = [one.record for one in recorder.flush(second * S)]
            queue.commit([reading("pump", record) for record in held])
            found += sum(record.count for record in held if isinstance(record, Chunk))
        taken = time.process_time() - begin
        queue.close()
    assert found == per_s * SECONDS, (found, recorder.counters["acc"].lost)
    return taken


def _gpio(per_s: int) -> Iterator[bytes]:
    """Rows of events of four lines, as one read of the chip brings them."""
    levels = Levels([3, 5, 7, 9], both=True)
    levels.begin(0)
    levels.stand([0, 0, 0, 0], 0)
    for first in range(0, per_s * SECONDS, ROWS_PER_READ):
        events = np.zeros(ROWS_PER_READ, EVENT)
        seq = np.arange(first, first + ROWS_PER_READ)
        events["time_ns"] = seq * S // per_s + 1
        events["offset"] = np.array([3, 5, 7, 9])[seq % 4]
        events["id"] = 1 + seq // 4 % 2
        events["seqno"], events["line_seqno"] = seq + 1, seq // 4 + 1
        yield levels.take(np.frombuffer(events.tobytes(), EVENT), 0)


def _iio(per_s: int) -> Iterator[bytes]:
    """Rows of scans of an accelerometer, as one read of its buffer brings them."""
    kinds = [(n, f"accel_{axis}", Element.parse("le:s12/16>>4")) for n, axis in enumerate("xyz")]
    layout = Layout([*kinds, (3, "timestamp", Element.parse("le:s64/64>>0"))])
    columns = tuple(Column(f"accel_{axis}") for axis in "xyz")
    scans = Scans(layout, Reading(columns, np.eye(3) * 0.0098, np.zeros(3)), 4096)
    shape = np.dtype({"names": ["v", "t"], "formats": [("<i2", 3), "<i8"], "offsets": [0, 8], "itemsize": 16})
    noise = np.random.default_rng(1).integers(-2000, 2000, (ROWS_PER_READ, 3)).astype("<i2") << 4
    for first in range(0, per_s * SECONDS, ROWS_PER_READ):
        data = np.zeros(ROWS_PER_READ, shape)
        data["v"], data["t"] = noise, np.arange(first, first + ROWS_PER_READ) * S // per_s + 1
        yield scans.take(data.tobytes(), 0)


# --- agents


HEAD: Final = """device = "pump"
log = "{log}"
[spool]
dir = "spool"
"""
SERIAL: Final = """[[source]]
name = "serial-{0}"
type = "serial"
port = "{1}"
decoder = "csv"
stream = "serial-{0}"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "100Hz"
"""
OTHERS: Final = """[[source]]
name = "mqtt-{n}"
type = "mqtt"
broker = "mqtt://{broker.host}:{broker.port}"
topic = "bench/{n}"
decoder = "json"
stream = "mqtt-{n}"
channels = {{ x = "g", y = "g", z = "g" }}
[[source]]
name = "exec-{n}"
type = "exec"
command = ["/bin/sh", "-c", "while :; do echo x=1 y={n}; sleep 0.1; done"]
decoder = "keyvalue"
stream = "exec-{n}"
channels = {{ x = "1", y = "1" }}
[[source]]
name = "modbus-{n}"
type = "modbus"
host = "127.0.0.1"
tcp_port = {modbus}
address = {n}
poll = "200ms"
decoder = "binary"
endian = "big"
fields = [{{ name = "x", type = "u16" }}]
stream = "modbus-{n}"
channels = {{ x = "1" }}
"""
SINGLE: Final = """[[source]]
name = "gps"
type = "gpsd"
tcp_port = {gpsd}
decoder = "json"
time_field = "time"
stream = "gps"
channels = {{ lat = "deg", lon = "deg" }}
dtype = "float64"
[[source]]
name = "replay"
type = "replay"
file = "a.csv"
speed = 1
decoder = "csv"
stream = "replay"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "100Hz"
"""


@contextmanager
def _agent(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "stderr.txt").open("wb") as err:
        words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(folder / "agent.toml")]
        process = subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=err)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(120)
    assert code == 0, (folder / "stderr.txt").read_text()[-4000:]


def ten_sources() -> tuple[float, float, int, int]:
    """Peak and resident MB of an agent, how many types its sources have, and how many they are; each was heard."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as name, ExitStack() as stack:
        folder = Path(name)
        broker = stack.enter_context(Mosquitto())
        ports = [stack.enter_context(Terminal(folder / f"port{number}")) for number in range(2)]
        for port in ports:
            stack.enter_context(speaking(port, RATE))
        receiver = stack.enter_context(Terminal(folder / "gps"))
        gpsd = stack.enter_context(Gpsd(folder / "gps"))
        (modbus,) = free_ports(1)
        stack.enter_context(_background(lambda over: asyncio.run(_registers(modbus, over))))
        stack.enter_context(_background(lambda over: _fixes(receiver, over)))
        stack.enter_context(_background(lambda over: _messages(broker, over)))
        (folder / "a.csv").write_text("1,2,3\n" * 100_000)
        text = HEAD.format(log=f"segments:{folder}/log")
        text += "".join(SERIAL.format(number, f"port{number}") for number in range(2))
        text += "".join(OTHERS.format(n=n, broker=broker, modbus=modbus) for n in range(2))
        (folder / "agent.toml").write_text(text + SINGLE.format(gpsd=gpsd.port))
        with _agent(folder) as process:
            _until(lambda: all(source.samples for source in ask(folder / "spool").sources))
            time.sleep(SETTLE_S)
            sources = ask(folder / "spool").sources
            said = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    kinds = {source.type for source in sources}
    peak, resident = (int(said[key].split()[0]) / 1024 for key in ("VmHWM", "VmRSS"))
    return peak, resident, len(kinds), len(sources)


def _until(condition: Callable[[], bool], most_s: float = 300.0) -> None:
    end_s = time.monotonic() + most_s
    while time.monotonic() < end_s:
        with contextlib.suppress(NoAgentError):
            if condition():
                return
        time.sleep(0.2)
    raise TimeoutError


@contextmanager
def _background(work: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


async def _registers(port: int, over: threading.Event) -> None:
    """A device with two registers."""
    device = SimDevice(1, simdata=[SimData(0, values=[5, 6], datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    await asyncio.to_thread(over.wait)
    await server.shutdown()  # type: ignore[no-untyped-call]


def _fixes(port: Terminal, over: threading.Event) -> None:
    """A receiver that has a fix each second."""
    second = 0
    while not over.wait(0.2):
        at = f"12{second // 60 % 60:02}{second % 60:02}.00"
        for text in (
            f"GPGGA,{at},5203.0000,N,00436.0000,E,1,08,0.9,12.5,M,40.0,M,,",
            f"GPRMC,{at},A,5203.0000,N,00436.0000,E,10.0,90.0,241126,,,A",
        ):
            check = 0
            for sign in text.encode():
                check ^= sign
            with contextlib.suppress(BrokenPipeError):
                port.offer(f"${text}*{check:02X}\r\n".encode())
        second += 1


def _messages(broker: Mosquitto, over: threading.Event) -> None:
    """Ten a second to each topic."""
    while not over.wait(1.0):
        for number in range(2):
            publish(broker.host, broker.port, f"bench/{number}", [b'{"x":1,"y":2,"z":3}'] * 10)


# --- a backlog


def a_days_backlog() -> tuple[float, float]:
    """Seconds until the log had it, and how old (p95, seconds) the newest sample on `live` was meanwhile."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=DISK) as name, KafkaBroker() as broker:
        folder, address = Path(name), f"kafka://{broker.bootstrap}/backlog"
        text = HEAD.format(log=address) + SERIAL.format(0, "port")
        (folder / "agent.toml").write_text(text)
        _fill(folder / "spool" / "readings")
        with Terminal(folder / "port") as port, speaking(port, RATE), _agent(folder):
            begin = time.monotonic()
            ages = asyncio.run(_look_at_live(address, folder / "spool"))
            taken = time.monotonic() - begin
    return taken, float(np.quantile(ages, 0.95))


def _fill(folder: Path) -> None:
    """A day of an agent whose log was away, a chunk a second."""
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "device": "pump", "stream": "acc"}
    config = SourceConfig(**words, decoder="csv", channels=dict.fromkeys("xyz", "g"), rate=Fraction(RATE))  # type: ignore[arg-type]
    config = replace(config, dtype="int16")
    schema, values = schema_id(describe(config)), os.urandom(RATE * 6)
    folder.parent.mkdir(parents=True, exist_ok=True)
    begin_ns = now_ns = time.time_ns() - DAY_S * S
    queue = Queue(folder, SpoolLimits(), clock_ns=lambda: now_ns)
    queue.commit([description(describe(config))])
    head = ("pump", "yesterday", "acc", b"b" * 16)
    for first in range(0, DAY_S, 100):
        now_ns = begin_ns + (first + 100) * S
        chunks = [
            Chunk(*head, n, schema, begin_ns + n * S, S // RATE, 1, 0, 1, b"", RATE, values, clock=Clock("ntp"))
            for n in range(first, first + 100)
        ]
        queue.commit([reading("pump", chunk) for chunk in chunks])
    queue.close()


async def _look_at_live(address: str, spool: Path) -> list[float]:
    """The age of what `live` shows, at each look from its first sample on until all is drained."""
    log, ages, newest_ns = open_log(address), list[float](), 0
    await log.ensure(LIVE)
    reader = log.reader(LIVE, {partition: at.end for partition, at in (await log.bounds(LIVE)).items()})
    end_s, asked_s = time.monotonic() + DRAIN_MOST_S, 0.0
    try:
        while time.monotonic() < end_s:
            for batch in await reader.fetch(LOOK_S):
                chunks = [one for one in map(decode, map(bytes, batch.values)) if isinstance(one, Chunk)]
                newest_ns = max([newest_ns, *(int(sample_times(chunk)[-1]) for chunk in chunks)])
            if newest_ns:
                ages.append((time.time_ns() - newest_ns) / S)
            if time.monotonic() - asked_s > 1:
                asked_s = time.monotonic()
                with contextlib.suppress(NoAgentError):
                    figures = (await asyncio.to_thread(ask, spool)).figures
                    if figures["published.records"] > DAY_S and figures["spool.backlog"] < 10:
                        return ages
    finally:
        await reader.close()
        await log.close()
    raise TimeoutError(f"{DRAIN_MOST_S:g} s, and the backlog is not drained")
