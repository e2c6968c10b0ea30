"""An agent in the field: two sensors, a spool on a small disk, a log, and everything that happens to them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec

from ingest.records import Chunk, Record
from tests.integration.forks import AGENT, Forks, Process
from tests.integration.observed_agent import POINTS, Noted, numbers_of
from tests.integration.sensors import TOPIC, Line, Messages
from tests.integration.site import SmallDisk, wait_for
from tests.support.kafka import KafkaBroker
from tests.support.logs import read_log
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import begin_session

OBSERVED: Final = "tests.integration.observed_agent"
PATIENCE_S: Final = 60.0
KEEPS_ALL: Final = ("max_queued_messages 0", "max_inflight_messages 0")
"""Mosquitto drops nothing that is for a subscriber who is away."""
CONFIG: Final = """device = "pump"
log = "{log}"
[spool]
dir = "spool"
max_bytes = "3MB"
fsync_interval = "{interval_ms}ms"
[[source]]
name = "line"
type = "serial"
port = "port"
decoder = "csv"
stream = "line"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
[[source]]
name = "messages"
type = "mqtt"
broker = "{broker}"
topic = "{topic}"
decoder = "csv"
stream = "messages"
channels = {{ number = "1", check = "1" }}
dtype = "int32"
"""


class Log(Protocol):
    """A log that can go away and come back."""

    @property
    def url(self) -> str: ...

    def away(self) -> None: ...

    def back(self) -> None: ...


class SegmentsLog:
    """The embedded log: its folder is gone, as when a disk is not mounted. An agent that runs has it open, so that only
    the next one meets that."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._elsewhere = folder, folder.with_name(f"{folder.name}-elsewhere")
        self.url = f"segments:{folder}"

    def away(self) -> None:
        if self._folder.exists():
            self._folder.rename(self._elsewhere)
        self._folder.touch()

    def back(self) -> None:
        self._folder.unlink()
        if self._elsewhere.exists():
            self._elsewhere.rename(self._folder)


class KafkaServerLog:
    """A real broker, killed and restarted."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self.url = f"kafka://{broker.bootstrap}"

    def away(self) -> None:
        self._broker.kill()

    def back(self) -> None:
        self._broker.restart()


class Field:
    """The agent, killed and started again, and its troubles, all by one seed. A context manager: it begins calm."""

    def __init__(self, folder: Path, log: Log, seed: int) -> None:
        self.folder, self.log = folder, log
        self.chance = random.Random(seed)
        self.happened: list[str] = []
        self.kills = 0
        self.covered: dict[tuple[str, bytes, int], list[int]] = {}
        """What fsyncs covered: the numbers of each chunk by its stream, boot and sequence number."""
        self.repeated = 0
        """Messages that came to the agent again, and were known."""
        self._lines = 0
        self._journal_at = 0
        self._agent: Process | None = None
        self._filler = folder / "spool" / "filler"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._disk = stack.enter_context(SmallDisk(self.folder / "spool", "size=16m", 0))
            self._mosquitto = stack.enter_context(Mosquitto(*KEEPS_ALL))
            begin_session(self._mosquitto.host, self._mosquitto.port, "sensorloom-pump-messages", TOPIC)
            (self.folder / "agent.toml").write_text(
                CONFIG.format(
                    log=self.log.url,
                    interval_ms=self.chance.choice([50, 200, 1000]),
                    broker=self._mosquitto.url,
                    topic=TOPIC,
                )
            )
            self.line = stack.enter_context(Line(self.folder / "port", lines_per_s=100))
            self.messages = stack.enter_context(Messages(self._mosquitto, bursts_per_s=20, burst=5))
            self._forks = stack.enter_context(Forks((*AGENT, OBSERVED, "ingest.log.kafka")))
            stack.callback(self._end_agent)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    # --- the agent

    def _start(self, death: str = "never:0") -> None:
        words = [str(self.folder / "journal"), death, "agent", "run", "-c", str(self.folder / "agent.toml")]
        self._agent = self._forks.begin(words, self.folder / "stderr.txt", OBSERVED)

    def _end_agent(self) -> None:
        if self._agent is not None:
            self._agent.kill()
            self._agent.wait()

    def said(self) -> str:
        """What agents said on stderr."""
        return (self.folder / "stderr.txt").read_text()

    def story(self) -> str:
        """For a failure's message."""
        return f"{self.happened}\n{self.said()[-3000:]}"

    def _revive(self) -> None:
        """As a supervisor does."""
        assert self._agent is not None
        code = self._agent.poll()
        if code is not None:
            self.happened.append(f"ended by itself: {code}")
            assert code == 1, self.story()
            self._start()

    def _read_journal(self) -> int:
        """Take in what the journal says; how many lines of the port it names by now."""
        path = self.folder / "journal"
        path.touch()
        with path.open("rb") as file:
            file.seek(self._journal_at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._journal_at += len(whole)
        for line in whole.splitlines():
            try:
                noted = msgspec.json.decode(line, type=Noted)
            except msgspec.DecodeError:
                continue  # its writer was killed in the midst of it
            self.repeated += noted.repeated
            for chunk in noted.covered:
                self.covered[chunk.stream, chunk.boot, chunk.seq] = chunk.numbers
                self._lines += len(chunk.numbers) * (chunk.stream == "line")
        return self._lines

    def _await_lines(self, count: int) -> None:
        """Wait until so many more are durable: a kill counts only while work is under way."""
        wanted = self._read_journal() + count

        def there() -> bool:
            self._revive()
            return self._read_journal() >= wanted

        wait_for(there, f"{count} lines after {self.happened[-5:]}: {self.said()[-2000:]}", PATIENCE_S)

    def _kill(self) -> None:
        assert self._agent is not None
        self._agent.kill()
        assert self._agent.wait() in (-signal.SIGKILL, 1), self.story()
        self.kills += 1

    def _die_at_a_point(self) -> None:
        """Start one that kills itself."""
        point = self.chance.choice(POINTS)
        self._start(f"{point}:{self.chance.randint(1, 5)}")
        self.happened.append(point)
        assert self._agent is not None
        assert self._agent.wait(PATIENCE_S) == -signal.SIGKILL, self.story()
        self.kills += 1

    def _stop(self) -> None:
        assert self._agent is not None
        self._agent.send_signal(signal.SIGTERM)
        assert self._agent.wait(PATIENCE_S) in (0, 1, -signal.SIGTERM), self.story()

    # --- troubles

    def _troubles(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """How each begins and ends."""
        found = {
            "broker": (self._kill_broker, self._restart_broker),
            "frozen": (self._signal_broker(signal.SIGSTOP), self._signal_broker(signal.SIGCONT)),
            "log": (self.log.away, self.log.back),
            "port": (self.line.unplug, self.line.plug),
            "port touched": (self._touch_port, lambda: None),
        }
        if self._disk.mounted:  # else a limit on its files would hold for the journal, too
            found["disk"] = self._fill_disk, self._free_disk
        return found

    def _touch_port(self) -> None:
        self.line.unplug()
        self.line.plug()

    def _kill_broker(self) -> None:
        self.messages.quiet()  # what it has not saved it would lose, with no agent to blame
        with self._agent_held():
            for _ in range(2):  # acknowledgements that were on their way are in the second one
                self._mosquitto.save()
            self._mosquitto.kill()

    @contextlib.contextmanager
    def _agent_held(self) -> Iterator[None]:
        """Meanwhile the agent acknowledges nothing: the broker would deliver again what it was told of in vain."""
        assert self._agent is not None
        self._agent.send_signal(signal.SIGSTOP)  # nothing, where it has ended
        try:
            yield
        finally:
            self._agent.send_signal(signal.SIGCONT)

    def _restart_broker(self) -> None:
        self._mosquitto.restart()
        self.messages.speak()

    def _signal_broker(self, number: int) -> Callable[[], None]:
        return lambda: os.kill(self._mosquitto.pid, number)

    def _fill_disk(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def _free_disk(self) -> None:
        self._filler.unlink()

    def round(self, *wanted: str) -> None:
        """Troubles come, `wanted` or any; the agent is killed in the midst of them, or not; and they go."""
        troubles = self._troubles()
        names = [name for name in wanted if name in troubles]
        if not wanted:
            names = self.chance.sample(sorted(troubles), self.chance.choice([0, 1, 1, 1, 2]))
            if set(names) in ({"broker", "frozen"}, {"port", "port touched"}):
                names = names[:1]  # who is frozen cannot save; what is unplugged is not touched
        self._await_lines(self.chance.randint(1, 200))
        for name in names:
            troubles[name][0]()
        self.happened.append("+".join(names) or "calm")
        time.sleep(self.chance.random() * (1.5 if names else 0.2))  # not to wait for anything: to strike anywhere
        self._revive()
        strike = self.chance.choice([self._kill, self._kill, self._kill, self._stop, None])
        self.happened.append("survived" if strike is None else strike.__name__)
        if strike is not None:
            strike()
            self._start()
        time.sleep(self.chance.random() * 1.5 * bool(names))
        for name in reversed(names):
            troubles[name][1]()
        if self.chance.random() < 0.5:
            self._await_lines(self.chance.randint(1, 100))
            self._kill()
            self._die_at_a_point()
            self._start()

    def calm(self) -> list[Record]:
        """The sensors say no more, and the agent brings in what is left; what is in the log then."""
        self._await_lines(10)
        self.messages.quiet()
        self.line.end()

        def complete() -> bool:
            self._revive()
            self._read_journal()
            numbers = (n for record in read_log(self.log.url) for n in _numbers(record, "messages"))
            return set(numbers) >= set(range(self.messages.published))

        wait_for(complete, "every message in the log", PATIENCE_S)
        self._stop()
        self._read_journal()
        return read_log(self.log.url)


def _numbers(record: Record, stream: str) -> list[int]:
    if not isinstance(record, Chunk) or record.stream != stream:
        return []
    numbers: list[int] = numbers_of(record)[:, 0].tolist()
    return numbers
