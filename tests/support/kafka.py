"""A real Apache Kafka broker on loopback, in KRaft mode, for tests.

`server_jars` lets Maven resolve the server once (deploy/kafka) and keeps the jars; `KafkaBroker` formats a data folder,
starts one broker-and-controller process on free ports, and can kill and restart it on the same data and ports.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
POM: Final = PROJECT / "deploy" / "kafka" / "pom.xml"
START_S: Final = 60.0
MAVEN_S: Final = 600.0

_CLUSTER_ID: Final = "wavemarkTestsOnlyAAAAAA"
_JAVA: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""One small heap, and no time spent on optimising a process that lives for a minute."""
_LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dlog4j2.level=OFF",
)
_READY: Final = "Kafka Server started"

# Ends the broker when the process that the tests belong to is gone, however that came about.
_GUARD: Final = 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; kill -9 "$2" 2>/dev/null; sleep 1; rm -rf "$3"'


class KafkaToolError(RuntimeError):
    """The broker, Java or Maven did not do what the tests need; the message says how to get it."""


def kafka_version() -> str:
    """The version that deploy/kafka/pom.xml names."""
    match = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text())
    if match is None:
        raise KafkaToolError(f"{POM}: names no <kafka.version>")
    return match[1]


def server_jars(cache: Path | None = None) -> Path:
    """The folder with the server's jars; Maven fills it where it is missing or of another pom.xml.

    Safe when several processes ask at once: one resolves, the others wait.
    """
    target = cache or PROJECT / ".cache" / f"kafka-{kafka_version()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    stamp, wanted = target / ".pom-sha256", hashlib.sha256(POM.read_bytes()).hexdigest()
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            partial = target.with_name(target.name + ".partial")
            for folder in (partial, target):
                shutil.rmtree(folder, ignore_errors=True)
            _resolve(partial)
            (partial / stamp.name).write_text(wanted)
            partial.rename(target)
    return target


def _resolve(folder: Path) -> None:
    maven = _tool("mvn", "install Maven (Debian: apt-get install maven)")
    command = [maven, "-B", "-q", "-ntp", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_S, check=False)
    if done.returncode:
        raise KafkaToolError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def _tool(name: str, hint: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise KafkaToolError(f"{name}: not found; {hint}, or point KAFKA_BOOTSTRAP at a running cluster")
    return path


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nobody listens now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class KafkaBroker:
    """One broker process; `owner` is the process whose end also ends the broker (default: this one).

    `misleading=(at, to)` opens one more listener, at one `host:port`, that sends its clients on to another.

    A context manager: `with KafkaBroker() as broker: ... broker.bootstrap ...`.
    """

    def __init__(self, *, owner: int | None = None, misleading: tuple[str, str] | None = None) -> None:
        self._java = _tool("java", "install a Java 17 runtime (Debian: apt-get install default-jre-headless)")
        self._classpath = f"{server_jars()}/*"
        self._owner = owner or os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="wavemark-kafka-"))
        self.log_path: Final = self._folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        port, controller_port = free_ports(2)
        self.bootstrap: Final = f"127.0.0.1:{port}"
        self._properties = self._folder / "server.properties"
        self._write_properties(port, controller_port, misleading)
        try:
            self._format()
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _write_properties(self, port: int, controller_port: int, misleading: tuple[str, str] | None) -> None:
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A killed broker may register again only when its last session is over: 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "250",
        }
        if misleading is not None:
            properties["listeners"] += f",MISLEADING://{misleading[0]}"
            properties["advertised.listeners"] += f",MISLEADING://{misleading[1]}"
            protocols = (f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", "MISLEADING"))
            properties["listener.security.protocol.map"] = ",".join(protocols)
            properties["inter.broker.listener.name"] = "PLAINTEXT"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def _format(self) -> None:
        arguments = ["format", "-t", _CLUSTER_ID, "-c", str(self._properties)]
        done = subprocess.run(
            self._command("kafka.tools.StorageTool", *arguments),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        if done.returncode:
            raise KafkaToolError(f"formatting the broker's data folder: {done.stdout}{done.stderr}")

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [self._java, *_JAVA, *_LOGGING, "-cp", self._classpath, main, *arguments]

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._process is None:
            raise KafkaToolError("the broker does not run")
        return self._process.pid

    def restart(self) -> None:
        """Start (again) on the same data and ports, and wait until it serves."""
        with self.log_path.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._properties)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        guard = ["sh", "-c", _GUARD, "kafka-guard", str(self._owner), str(self._process.pid), str(self._folder)]
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._await_ready(begin)

    def _await_ready(self, begin: int) -> None:
        process, deadline = self._process, time.monotonic() + START_S
        assert process is not None
        while _READY not in self._log_from(begin):
            if process.poll() is not None or time.monotonic() > deadline:
                found = (
                    f"ended with {process.returncode}" if process.poll() is not None else f"not ready in {START_S} s"
                )
                raise KafkaToolError(
                    f"the broker {found}; the end of {self.log_path}:\n{self._log_from(begin)[-3000:]}"
                )
            time.sleep(0.05)

    def _log_from(self, begin: int) -> str:
        return self.log_path.read_bytes()[begin:].decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; its data stay."""
        for process in (self._guard, self._process):
            if process is not None:
                process.kill()
                process.wait()
        self._guard = self._process = None

    def release(self) -> None:
        """Leave it to run until its owner ends, when this process may be gone already."""
        for process in (self._guard, self._process):
            if process is not None:
                process.returncode = 0  # Popen need not warn that nobody waits for it
        self._guard = self._process = None

    def stop(self) -> None:
        """End it for good and remove its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> KafkaBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
