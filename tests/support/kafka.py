"""A real Apache Kafka broker on loopback, in KRaft mode, for tests.

`server_jars` lets Maven resolve the server once (deploy/kafka) and keeps the jars; `KafkaBroker` formats a data folder,
starts one broker-and-controller process on free ports, and can kill and restart it on the same data and ports.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.server import PROJECT, Server, ServerError, free_ports

POM: Final = PROJECT / "deploy" / "kafka" / "pom.xml"
MAVEN_S: Final = 600.0

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

    start_s = 60.0

    def __init__(
        self, *, owner: int | None = None, misleading: tuple[str, str] | None = None, host: str = "127.0.0.1"
    ) -> None:
        super().__init__("kafka", owner=owner)
        port, controller_port = free_ports(2)
        self.bootstrap: Final = f"{host}:{port}"
        properties = alone(self.bootstrap, controller_port)
        if misleading is not None:
            properties |= misled(self.bootstrap, controller_port, *misleading)
        self._write(properties)
        try:
            self._format()
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _write(self, properties: Mapping[str, str]) -> None:
        self._properties = self._folder / "server.properties"
        properties = {**properties, "log.dirs": str(self._folder / "data")}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))

    def _format(self) -> None:
        arguments = ["format", "-t", _CLUSTER_ID, "-c", str(self._properties)]
        done = subprocess.run(
            self._java_command("kafka.tools.StorageTool", *arguments),
            capture_output=True,
            text=True,
            timeout=self.start_s,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"formatting the broker's data folder: {done.stdout}{done.stderr}")

    def _java_command(self, main: str, *arguments: str) -> list[str]:
        java = _tool("java", "install a Java 17 runtime (Debian: apt-get install default-jre-headless)")
        return [java, *_JAVA, *_LOGGING, "-cp", f"{server_jars()}/*", main, *arguments]

    def _command(self) -> list[str]:
        return self._java_command("kafka.Kafka", str(self._properties))

    def _serves(self, said: str) -> bool:
        return "Kafka Server started" in said


def _uuid() -> str:
    """A UUID as Kafka writes it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class _Node(KafkaBroker):
    """One of several brokers; it is launched when all are there, as none serves without the others."""

    def __init__(self, properties: Mapping[str, str], bootstrap: str, formatted: Path | None) -> None:
        Server.__init__(self, "kafka")
        self.bootstrap = bootstrap  # type: ignore[misc]
        self._write(properties)
        if formatted is None:
            self._format()
        else:
            shutil.copytree(formatted, self.data)
            own = {"node.id": properties["node.id"], "directory.id": _uuid()}
            meta = self.data / "meta.properties"
            lines = (line.partition("=") for line in meta.read_text().splitlines())
            meta.write_text("".join(f"{name}={own.get(name, value)}\n" for name, _, value in lines))

    @property
    def data(self) -> Path:
        """Where it keeps its topics."""
        return self._folder / "data"


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
        formatted = None
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
                node = self.brokers[number + 1] = _Node(properties, addresses[number], formatted)
                formatted = formatted or node.data
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
