"""What goes wrong at a site, each provoked for real, and what the running agent says of it, unasked.

Sensors are pseudo-terminals and clients of a real Mosquitto; each fault has a source, a stream and a port of its own.
One agent has all of them, so that the whole list takes as long as its slowest fault.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final

import pytest

from edge.agent.agent import Agent
from edge.config import load_config
from edge.errors import SourceFailedError
from ingest.errors import UsageError
from ingest.opening import open_log
from simulators.terminal import Terminal
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import publish
from tests.support.server import free_ports

PATIENCE_S: Final = 60.0
"""How long this waits on a busy machine; `test_diagnosis` holds within which time it is told."""
HERTZ: Final = 10
Lines = Callable[[int], bytes]
"""What a sensor sends, by the number of the line."""


def nmea(body: str) -> bytes:
    return f"${body}*{reduce(xor, body.encode(), 0):02X}\r\n".encode()


def fixed(line: bytes) -> Lines:
    return lambda number: line


def number(line: int) -> bytes:
    return b"%d\n" % line


@dataclass(frozen=True)
class Fault:
    """A source that is configured wrongly, or a sensor that does not what it should."""

    name: str
    decoder: str
    channels: str
    sends: Lines | None
    """None: nothing ever."""
    said: str
    """A pattern of what is told of it."""
    more: str = ""
    """Further keys of the table."""
    hertz: float = HERTZ
    stops_after: int | None = None
    """So many lines are sent, and then none."""
    raw: str = ""
    """What of the example is shown."""


def void(line: int) -> bytes:
    """A receiver that knows the time and no place."""
    return nmea(f"GPRMC,12{line // 60 % 60:02d}{line % 60:02d}.00,V,,,,,,,230326,,,N")


XY = 'x = "g", y = "g"'
XYZ = 'x = "g", y = "g", z = "g"'
PLACE = 'lat = "deg", lon = "deg"'
RMC = nmea("GPRMC,123519.00,A,4807.0380,N,01131.0000,E,022.4,084.4,230326,,,A")
BAUD = b"\x80\xf8\x00\xe0\x80\xfe\x9a\n"

SERIAL: Final = [
    Fault("csv-on-nmea", "csv", XYZ, fixed(RMC), r'look like NMEA sentences: say decoder = "nmea"', raw="$GPRMC,1235"),
    Fault("nmea-on-csv", "nmea", PLACE, fixed(b"0.1,0.2\n"), r'look like rows of numbers: say decoder = "csv"'),
    Fault("json-on-csv", "json", XY, fixed(b"0.1,0.2\n"), r'look like rows of numbers: say decoder = "csv"'),
    Fault(
        "csv-on-json", "csv", XY, fixed(b'{"x": 1, "y": 2}\n'), r'look like JSON: say decoder = "json"', raw='{"x": 1'
    ),
    Fault("nmea-on-json", "nmea", PLACE, fixed(b'{"lat": 1}\n'), r'look like JSON: say decoder = "json"'),
    Fault(
        "columns-more", "csv", XY, fixed(b"7,0.1,0.2\n"), r'columns, .*columns = \["x", "y", "c3"\]', raw="7,0.1,0.2"
    ),
    Fault("columns-fewer", "csv", XYZ, fixed(b"0.1,0.2\n"), r"2 cells, but columns are x, y, z"),
    Fault("semicolons", "csv", XY, fixed(b"0.1;0.2\n"), r'divided by ";": say separator = ";"'),
    Fault("tabs", "csv", XY, fixed(b"0.1\t0.2\n"), r'divided by tabs: say separator = "\\t"'),
    Fault("spaces", "csv", XY, fixed(b"0.1  0.2\n"), r'divided by spaces: say separator = "whitespace"'),
    Fault("decimal-commas", "csv", XY, fixed(b"0,1|0,2\n"), r'decimal comma: say decimal = ","', 'separator = "|"'),
    Fault("unit-in-cell", "csv", 't = "degC"', fixed(b"21.5C\n"), r'cell 1, "21.5C", has its unit in it'),
    Fault("words", "csv", XY, fixed(b"1,ERR\n"), r'cell 2, "ERR", is no number'),
    Fault("time-as-value", "csv", XY, fixed(b"2026-03-23T12:00:00Z,5\n"), r"cell 1, .* is a time: say time_column"),
    Fault(
        "time-unit",
        "csv",
        'x = "g"',
        lambda n: b"%d,5\n" % (1774267200000 + n),
        r'time_unit = "ms"',
        'time_column = "t"',
    ),
    Fault(
        "no-zone",
        "csv",
        'x = "g"',
        fixed(b"2026-03-23T12:00:00,5\n"),
        r"names no zone: say timezone",
        'time_column = "t"',
    ),
    Fault(
        "fractions", "csv", XY, fixed(b"0.5,0.25\n"), r'range, .*dtype = "int16" holds whole numbers', 'dtype = "int16"'
    ),
    Fault(
        "unknown-state",
        "csv",
        'gate = "1"',
        fixed(b"7\n"),
        r"unknown_state, the value is none .*values names gate 0, 1; name there",
        'values = { 0 = "raised", 1 = "down" }',
    ),
    Fault("implausible", "csv", XY, fixed(b"0.5,99\n"), r"outside of min, max or max_step", "max = 16"),
    Fault(
        "field-typo",
        "json",
        'x = "g"',
        fixed(b'{"ax": 1}\n'),
        r'no field "x"; its fields are ax: say fields',
        raw='{"ax": 1}',
    ),
    Fault("field-typo-of-two", "json", XY, fixed(b'{"x": 1, "why": 2}\n'), r'a value of y, .*no field "y"'),
    Fault("nested", "json", 'x = "g"', fixed(b'{"acc": {"x": 1}}\n'), r'say fields = \{ x = "acc.x" \}'),
    Fault("numbers-as-text", "json", 'x = "g"', fixed(b'{"x": "1.5"}\n'), r"say numbers_as_text = true"),
    Fault("array-length", "json", XYZ, fixed(b"[1, 2]\n"), r"2 values, but 3 channels: x, y, z"),
    Fault("baud", "csv", XY, fixed(BAUD), r"is baud = 9600 right.*Usual are 115200", "baud = 9600", raw="\\x80\\xf8"),
    Fault("baud-no-line", "csv", XY, fixed(BAUD[:-1] * 4), r"baud = 9600", "baud = 9600"),
    Fault("no-line-end", "csv", XY, fixed(b"0.1,0.2 " * 4), r"line"),
    Fault("no-fix", "nmea", PLACE, void, r"no_fix, the receiver has no fix.*free view of the sky", hertz=2),
    Fault("checksum", "nmea", PLACE, fixed(RMC.replace(b"4807", b"4808")), r"checksum, .*see the wiring, and baud"),
    Fault(
        "no-checksum", "nmea", PLACE, fixed(RMC.partition(b"*")[0] + b"\r\n"), r"no_checksum, .*Let the receiver send"
    ),
    Fault(
        "some-bad",
        "csv",
        'x = "1"',
        lambda n: b"1;2\n" if n % 5 == 0 else number(n),
        r"\d+ of the last \d+ lines give no",
    ),
    Fault(
        "twice",
        "csv",
        'x = "1"',
        lambda n: b"%d,5\n" % (1774267200000 + n // 5 * 500),
        r"not_rising, the time is that of the sample before.*does somebody send samples twice",
        'time_column = "t"\ntime_unit = "ms"',
    ),
    Fault("slow-and-bad", "csv", XY, fixed(b"0.1\n"), r"none of the last \d lines gives a sample: columns", hertz=0.5),
    Fault("silent", "csv", XY, None, r"nothing has come for \d+ s"),
    Fault("silent-expected", "csv", XY, None, r"expected is something every 2 s; is the sensor on", 'expect = "2s"'),
    Fault("falls-silent", "csv", 'x = "1"', number, r"nothing more has come for \d+ s, usual is", stops_after=20),
    Fault("rate-too-low", "csv", 'x = "1"', number, r'samples a second come, rate = "1Hz" says 1', 'rate = "1Hz"'),
    Fault(
        "rate-too-high", "csv", 'x = "1"', number, r'samples a second come, rate = "100Hz" says 100', 'rate = "100Hz"'
    ),
]


def table(fault: Fault) -> str:
    return f"""
[[source]]
name = "{fault.name}"
type = "serial"
port = "ports/{fault.name}"
decoder = "{fault.decoder}"
stream = "{fault.name}"
channels = {{ {fault.channels} }}
{fault.more}
"""


def head(log: str = "segments:log") -> str:
    return f'device = "pump"\nagent = "test"\nlog = "{log}"\n[spool]\ndir = "spool"\nfsync_interval = "200ms"\n'


class Told:
    """What an agent says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def of(self, name: str) -> str:
        return "\n".join(line for line in self.lines if line.startswith(f"{name}: "))

    async def until(self, wanted: dict[str, str]) -> None:
        """Wait until of each name something was told that its pattern finds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while not all(re.search(pattern, self.of(name)) for name, pattern in wanted.items()):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        missing = {name: self.of(name) for name, pattern in wanted.items() if not re.search(pattern, self.of(name))}
        assert not missing, missing


@asynccontextmanager
async def agent_of(folder: Path, text: str) -> AsyncIterator[Told]:
    """An agent with this configuration."""
    folder.mkdir(exist_ok=True)  # noqa: ASYNC240
    (folder / "agent.toml").write_text(text)
    config, told, stop = load_config(folder / "agent.toml"), Told(), asyncio.Event()
    log = open_log(config.log)
    running = asyncio.create_task(Agent(config, log, bytes(16), "0", told.lines.append).run(stop))
    try:
        yield told
        assert not running.done(), running
        stop.set()
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await log.close()


async def send(port: Terminal, fault: Fault) -> None:
    for count in itertools.count():
        if fault.sends is None or count == fault.stops_after:
            return
        port.offer(fault.sends(count))
        await asyncio.sleep(1 / fault.hertz)


def test_what_is_wrong_with_a_sensor_is_said_with_an_example_and_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "ports").mkdir()
    busy = Fault("busy", "csv", XY, None, "another program|in use|has it open")
    absent = Fault("absent", "csv", XY, None, "no such port; is it plugged in")
    folder = Fault("folder", "csv", XY, None, r"waiting for .*ports/folder: ")

    async def main() -> None:
        async with AsyncExitStack() as stack:
            ports = {f.name: stack.enter_context(Terminal(tmp_path / "ports" / f.name)) for f in [*SERIAL, busy]}
            (tmp_path / "ports/folder").mkdir()
            stack.enter_context(held(tmp_path / "ports/busy"))
            faults = [*SERIAL, busy, absent, folder]
            told = await stack.enter_async_context(agent_of(tmp_path, head() + "".join(map(table, faults))))
            sensors = [asyncio.create_task(send(ports[fault.name], fault)) for fault in SERIAL]
            await told.until({fault.name: fault.said for fault in faults})
            for sensor in sensors:
                sensor.cancel()
            await asyncio.gather(*sensors, return_exceptions=True)
            for fault in faults:
                assert fault.raw in told.of(fault.name), fault.name
            for line in told.lines:
                assert line.isprintable(), line
                assert all(len(example) <= 60 for example in re.findall(r'as in "(.*?)"; ', line)), line

    asyncio.run(main())


@contextmanager
def held(path: Path) -> Iterator[None]:
    """A port that another program has open for itself."""
    import serial

    with serial.Serial(str(path), exclusive=True):
        yield


def test_a_sensor_that_is_as_configured_is_not_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "ports").mkdir()
    good = [
        Fault("good", "csv", 'x = "1"', number, ""),
        Fault("rated", "csv", 'x = "1"', number, "", 'rate = "10Hz"'),
        Fault("slow", "csv", 'x = "1"', number, "", 'expect = "8s"', hertz=0.4),
    ]
    bad = Fault("bad", "csv", XY, number, "columns")

    async def main() -> None:
        async with AsyncExitStack() as stack:
            ports = {f.name: stack.enter_context(Terminal(tmp_path / "ports" / f.name)) for f in [*good, bad]}
            told = await stack.enter_async_context(agent_of(tmp_path, head() + "".join(map(table, [*good, bad]))))
            sensors = [asyncio.create_task(send(ports[fault.name], fault)) for fault in [*good, bad]]
            await told.until({"bad": "columns"})
            for sensor in sensors:
                sensor.cancel()
            await asyncio.gather(*sensors, return_exceptions=True)
        of_others = [line for line in told.lines if not line.startswith(("bad: ", "spool: ")) and "rated: " not in line]
        assert not of_others  # where the spool lies depends on the machine

    asyncio.run(main())


# --- brokers


def mqtt_table(name: str, broker: str, topic: str, more: str = "", decoder: str = "json") -> str:
    return f"""
[[source]]
name = "{name}"
type = "mqtt"
broker = "{broker}"
topic = "{topic}"
decoder = "{decoder}"
stream = "{name}"
channels = {{ x = "g" }}
{more}
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a socket it could not use
def test_what_is_wrong_with_a_broker_is_said(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "plant"), Authority(tmp_path / "stranger")
    (tmp_path / "acl").write_text("topic read site/#\ntopic write #\n")
    (tmp_path / "secret").write_text("wrong")
    signed = {
        "good": authority.sign("good", "IP:127.0.0.1"),
        "named": authority.sign("named", "DNS:broker.example"),
        "expired": authority.sign("expired", "IP:127.0.0.1", "20200101000000Z", "20210101000000Z"),
    }
    with ExitStack() as stack:
        plain = stack.enter_context(Mosquitto(f"acl_file {tmp_path / 'acl'}"))
        closed = stack.enter_context(Mosquitto("allow_anonymous false"))
        tls = {
            name: stack.enter_context(Mosquitto(f"certfile {certificate}", f"keyfile {key}"))
            for name, (certificate, key) in signed.items()
        }
        web = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        secure = {name: f"mqtts://127.0.0.1:{broker.port}" for name, broker in tls.items()}
        (nobody,) = free_ports(1)
        own, other = f'ca_file = "{authority.certificate}"', f'ca_file = "{stranger.certificate}"'
        faults = {
            "topic-typo": (plain.url, "site/Acc", "", r'anyone publish on "site/Acc", written just so'),
            "topic-forbidden": (plain.url, "secret/acc", "", r"may this user read it\? A broker may forbid it"),
            "message-typo": (plain.url, "site/acc", "", r'no field "x"; its fields are ax'),
            "no-login": (closed.url, "site/acc", "", r"[Nn]ot authori[sz]ed.*username"),
            "wrong-login": (closed.url, "site/b", 'username = "pump"\npassword_file = "secret"', r"password_file"),
            "refused": (f"mqtt://127.0.0.1:{nobody}", "a", "", r"Connection refused"),
            "unknown-host": ("mqtt://no-such-host.invalid", "a", "", r"no-such-host|not known"),
            "tls-on-plain": (plain.url.replace("mqtt:", "mqtts:"), "a", "", r"write mqtt://"),
            "plain-on-tls": (tls["good"].url, "a", "", r"write mqtts://"),
            "unknown-ca": (secure["good"], "a", "", r"ca_file"),
            "other-ca": (secure["good"], "b", other, r"does not hold the authority"),
            "other-name": (secure["named"], "a", own, r"for another host"),
            "expired": (secure["expired"], "a", own, r"has expired"),
            "mute-port": (f"mqtt://127.0.0.1:{web.getsockname()[1]}", "a", "", r"no answer"),
        }
        text = head() + "".join(mqtt_table(name, url, topic, more) for name, (url, topic, more, _) in faults.items())

        async def main() -> None:
            async with agent_of(tmp_path, text) as told:

                async def speak() -> None:
                    while True:
                        await asyncio.to_thread(publish, plain.host, plain.port, "site/acc", [b'{"ax": 1}'])
                        await asyncio.sleep(0.2)

                speaking = asyncio.create_task(speak())
                await told.until({name: said for name, (_, _, _, said) in faults.items()})
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
                assert all(line.isprintable() and "wrong\n" not in line for line in told.lines)

        asyncio.run(main())


# --- the log and the spool


def test_what_is_wrong_with_the_log_is_said(tmp_path: Path) -> None:
    """A sensor each, that says nothing; what the log's address is, is seen without it."""
    (nobody,) = free_ports(1)
    (tmp_path / "file").write_text("")
    with Mosquitto() as broker, Terminal(tmp_path / "port"):
        faults = {
            f"kafka://127.0.0.1:{nobody}": r"nobody answers at this address: connection refused; start the broker",
            "kafka://no-such-host.invalid:9092": r'no such host: "no-such-host.invalid"',
            f"kafka://127.0.0.1:{broker.port}": r"is it Kafka|is no Kafka",
            f"segments:{tmp_path}/file/log": r"a file is where a folder should be",
        }
        source = table(Fault("line", "csv", XY, None, "")).replace("ports/line", "../port{0}")

        async def main() -> None:
            async with AsyncExitStack() as stack:
                agents: dict[str, Told] = {}
                for place, log in enumerate(faults):
                    stack.enter_context(Terminal(tmp_path / f"port{place}"))
                    text = head(log) + source.replace("{0}", str(place))
                    agents[log] = await stack.enter_async_context(agent_of(tmp_path / f"agent{place}", text))
                for log, told in agents.items():
                    await told.until({"readings": faults[log]})

        asyncio.run(main())


# --- the spool


def test_a_spool_in_memory_is_said_at_once(tmp_path: Path) -> None:
    """`/dev/shm` is a tmpfs on every Linux."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Terminal(tmp_path / "port"):
        text = head().replace('dir = "spool"', f'dir = "{folder}/spool"')
        text += table(Fault("line", "csv", XY, None, "")).replace("ports/line", "port")

        async def main() -> None:
            async with agent_of(tmp_path, text) as told:
                await told.until(
                    {"spool": r"lies in memory \(tmpfs\): what waits there is lost .*name a folder on a disk"}
                )

        asyncio.run(main())


def test_a_spool_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.startup.filesystem_of", lambda path: "nfs4")
    text = head() + table(Fault("line", "csv", XY, None, ""))

    async def main() -> None:
        (tmp_path / "agent.toml").write_text(text)
        agent = Agent(load_config(tmp_path / "agent.toml"), open_log(f"segments:{tmp_path}/log"), bytes(16), "0", print)
        await agent.run(asyncio.Event())

    with pytest.raises(UsageError, match=r"spool.dir: .*network file system \(nfs4\).*name a folder on a disk"):
        asyncio.run(main())
    assert not (tmp_path / "spool").exists()


def test_a_spool_that_cannot_be_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "agent.toml").write_text(
        head().replace('dir = "spool"', 'dir = "file/spool"') + table(Fault("line", "csv", XY, None, ""))
    )
    words = [sys.executable, "-m", "sensorloom", "agent", "run", "-c", str(tmp_path / "agent.toml")]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=200)
    assert done.returncode in (1, 2)
    assert "file/spool" in done.stderr
    assert "a file is where a folder should be" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_file_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    """And the agent that ends while a source waits does not say that it goes on."""
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "pump", "right"], check=True, timeout=200)
    passwords.chmod(0o600)
    more = 'username = "pump"\npassword_file = "secret"'

    async def main(broker: Mosquitto) -> None:
        text = head() + mqtt_table("acc", broker.url, "a", more) + mqtt_table("b", "mqtt://127.0.0.1:1", "b")
        async with agent_of(tmp_path, text) as told:
            await told.until({"acc": f"waiting for {broker.url}: {secret}: No such file or directory", "b": "refused"})
            secret.write_text("right\n")
            await told.until({"acc": "goes on"})
        assert "goes on" not in told.of("b")

    with Mosquitto("allow_anonymous false", f"password_file {passwords}") as broker:
        asyncio.run(main(broker))


def test_a_source_that_cannot_work_stays_in_the_agents_status(tmp_path: Path) -> None:
    replay = '[[source]]\nname = "torn"\ntype = "replay"\nfile = "torn.csv.gz"\nspeed = "max"\nrate = "1Hz"\n'
    replay += 'decoder = "csv"\nstream = "torn"\nchannels = { x = "g" }\n'
    (tmp_path / "torn.csv.gz").write_bytes(gzip.compress(b"1\n" * 99)[:-6])
    (tmp_path / "agent.toml").write_text(head() + replay + mqtt_table("b", "mqtt://127.0.0.1:1", "b"))

    async def main() -> list[str]:
        config, stop = load_config(tmp_path / "agent.toml"), asyncio.Event()
        log = open_log(config.log)
        agent = Agent(config, log, bytes(16), "0", lambda line: None)
        running = asyncio.create_task(agent.run(stop))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (found := agent.overview().sources[0].findings):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            stop.set()
            with pytest.raises(SourceFailedError, match="torn.csv.gz"):
                await running
        finally:
            await log.close()
        return found

    (found,) = asyncio.run(main())
    assert re.search(r"torn.csv.gz: cannot be read to its end.*; it is read no more: mend that", found), found
