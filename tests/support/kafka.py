"""A real Apache Kafka broker on loopback, in KRaft mode, for tests.

`server_jars` lets Maven resolve the server once (deploy/kafka) and keeps the jars; `KafkaBroker` starts one
broker-and-controller process on free ports and a copy of `formatted_folder`, and can kill and restart it on the same.
`class_archive` keeps the classes that a broker loads as Java has them in memory: a start takes half of the work then.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.server import PROJECT, Server, ServerError, free_ports, locked

POM: Final = PROJECT / "deploy" / "kafka" / "pom.xml"
MAVEN_S: Final = 600.0
ARCHIVING_S: Final = 300.0
JAVA_HINT: Final = "install a Java 17 runtime (Debian: apt-get install default-jre-headless)"

_CLUSTER_ID: Final = "sensorloomTestsOnlyAAAAAA"
_JAVA: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""One small heap, and no time spent on optimising a process that lives for a minute."""
_LOGGING: Final = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dlog4j2.level=OFF",
)


def kafka_version() -> str:
    """The version that deploy/kafka/pom.xml names."""
    match = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", POM.read_text())
    if match is None:
        raise ServerError(f"{POM}: names no <kafka.version>")
    return match[1]


def server_jars(cache: Path | None = None) -> Path:
    """The folder with the server's jars; Maven fills it where it is missing or of another pom.xml.

    Safe when several processes ask at once: one resolves, the others wait.
    """
    target = (cache or PROJECT / ".cache" / f"kafka-{kafka_version()}").resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    stamp, wanted = target / ".pom-sha256", hashlib.sha256(POM.read_bytes()).hexdigest()
    with locked(target.with_name(target.name + ".lock")):
        if not (stamp.exists() and stamp.read_text() == wanted):
            partial = target.with_name(target.name + ".partial")
            for folder in (partial, target):
                shutil.rmtree(folder, ignore_errors=True)
            _resolve(partial)
            (partial / stamp.name).write_text(wanted)
            partial.rename(target)
    return target


def class_archive() -> Path:
    """The archive of the classes that a broker loads with this Java, made by a broker that is started for it."""
    java = Path(_tool("java", JAVA_HINT)).resolve().stat()
    target = server_jars() / f"classes-{java.st_mtime_ns:x}-{java.st_size:x}.jsa"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            partial = target.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            with _Taught(partial) as broker:
                broker.end()
            partial.rename(target)
    return target


def formatted_folder() -> Path:
    """A data folder that Kafka's own tool has formatted once, for brokers to begin with a copy of it."""
    target = server_jars() / "formatted"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            partial, properties = target.with_suffix(".partial"), target.with_suffix(".properties")
            shutil.rmtree(partial, ignore_errors=True)
            _write(properties, alone("127.0.0.1:1", 2), partial)
            arguments = ["format", "-t", _CLUSTER_ID, "-c", str(properties)]
            command = _java_command("-Xshare:auto", "kafka.tools.StorageTool", *arguments)
            done = subprocess.run(command, capture_output=True, text=True, timeout=ARCHIVING_S, check=False)
            if done.returncode:
                raise ServerError(f"formatting a data folder for brokers: {done.stdout}{done.stderr}")
            partial.rename(target)
    return target


def _write(file: Path, properties: Mapping[str, str], data: Path) -> None:
    """A broker's properties, which keeps its topics in a folder."""
    lines = {**properties, "log.dirs": str(data)}
    file.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))


def _java_command(sharing: str, main: str, *arguments: str) -> list[str]:
    java, jars = _tool("java", JAVA_HINT), server_jars()
    return [java, *_JAVA, sharing, *_LOGGING, "-cp", f"{jars}/*", main, *arguments]


def _resolve(folder: Path) -> None:
    maven = _tool("mvn", "install Maven (Debian: apt-get install maven)")
    command = [maven, "-B", "-q", "-ntp", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_S, check=False)
    if done.returncode:
        raise ServerError(
            f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def _tool(name: str, hint: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ServerError(f"{name}: not found; {hint}, or point KAFKA_BOOTSTRAP at a running cluster")
    return path


def alone(bootstrap: str, controller_port: int) -> dict[str, str]:
    """The properties of a broker that is its own controller and has no other beside it."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap}",
        "controller.listener.names": "CONTROLLER",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker may register again only when its last session is over: 9 s by default.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "250",
    }


def misled(bootstrap: str, controller_port: int, at: str, to: str) -> dict[str, str]:
    """The properties of one more listener, at one address, that sends its clients on to another."""
    protocols = (f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", "MISLEADING"))
    return {
        "listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller_port},MISLEADING://{at}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap},MISLEADING://{to}",
        "listener.security.protocol.map": ",".join(protocols),
        "inter.broker.listener.name": "PLAINTEXT",
    }


class KafkaBroker(Server):
    """One broker process.

    `misleading=(at, to)` opens one more listener, at one `host:port`, that sends its clients on to another.

    A context manager: `with KafkaBroker() as broker: ... broker.bootstrap ...`.
    """

    start_s = 150.0

    def __init__(
        self, *, owner: int | None = None, misleading: tuple[str, str] | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__("kafka", owner=owner)
        port, controller_port = free_ports(2)
        self.bootstrap: Final = f"{host}:{port}"
        properties = alone(self.bootstrap, controller_port)
        if misleading is not None:
            properties |= misled(self.bootstrap, controller_port, *misleading)
        self._properties = self._folder / "server.properties"
        _write(self._properties, properties, self.data)
        try:
            self._format()
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _format(self, node: int = 1) -> None:
        """Give it a folder as Kafka's own tool formats one, with a name of its own."""
        shutil.copytree(formatted_folder(), self.data)
        meta, own = self.data / "meta.properties", {"node.id": str(node), "directory.id": _uuid()}
        lines = (line.partition("=") for line in meta.read_text().splitlines())
        meta.write_text("".join(f"{name}={own.get(name, value)}\n" for name, _, value in lines))

    @property
    def data(self) -> Path:
        """Where it keeps its topics."""
        return self._folder / "data"

    def _sharing(self) -> str:
        return f"-XX:SharedArchiveFile={class_archive()}"

    def _command(self) -> list[str]:
        return _java_command(self._sharing(), "kafka.Kafka", str(self._properties))

    def _serves(self, said: str) -> bool:
        return "Kafka Server started" in said


class _Taught(KafkaBroker):
    """A broker that writes down what classes it had, when it ends in order."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        super().__init__()

    def _sharing(self) -> str:
        return f"-XX:ArchiveClassesAtExit={self._archive}"

    def end(self) -> None:
        """Wait until it has ended in order, and its archive is whole."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(ARCHIVING_S)
        if not self._archive.exists():
            said = self._said_since(0)[-3000:]
            raise ServerError(f"{self._archive}: not written; the end of {self.log_path}:\n{said}")


def _uuid() -> str:
    """A UUID as Kafka writes it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class _Node(KafkaBroker):
    """One of several brokers; it is launched when all are there, as none serves without the others."""

    def __init__(self, properties: Mapping[str, str], bootstrap: str) -> None:
        Server.__init__(self, "kafka")
        self.bootstrap = bootstrap  # type: ignore[misc]
        self._properties = self._folder / "server.properties"
        _write(self._properties, properties, self.data)
        self._format(int(properties["node.id"]))


class KafkaCluster:
    """Three brokers, each a controller too; a topic has three replicas, and an append is acknowledged by two.

    A context manager: `with KafkaCluster() as cluster: ... cluster.bootstrap, cluster.brokers[2].kill() ...`.
    """

    def __init__(self, count: int = 3) -> None:
        ports = free_ports(2 * count)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        voters = ",".join(f"{number + 1}@{addresses[count + number]}" for number in range(count))
        self.bootstrap: Final = ",".join(addresses[:count])
        self.brokers: Final[dict[int, KafkaBroker]] = {}
        """By node id."""
        try:
            for number in range(count):
                properties = alone(addresses[number], ports[count + number]) | {
                    "node.id": str(number + 1),
                    "controller.quorum.voters": voters,
                    "default.replication.factor": str(count),
                    "offsets.topic.replication.factor": str(count),
                    "min.insync.replicas": "2",
                    "auto.create.topics.enable": "false",
                    "broker.session.timeout.ms": "6000",
                }
                self.brokers[number + 1] = _Node(properties, addresses[number])
            self.restart()
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """SIGKILL to all; their data stay."""
        for broker in self.brokers.values():
            broker.kill()

    def restart(self) -> None:
        """Start those that do not run, and wait until all serve."""
        missing = [broker for broker in self.brokers.values() if not broker.running]
        for broker in missing:
            broker.launch()
        for broker in missing:
            broker.await_service()

    def stop(self) -> None:
        """End all for good and remove their data."""
        for broker in self.brokers.values():
            broker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
