"""`KafkaLog`: the log protocol on an Apache Kafka cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ingest.addresses import host_fault
from ingest.errors import UsageError
from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.fetch import KafkaReader
from ingest.log.kafka.member import KafkaMember, group_id
from ingest.log.kafka.publisher import Publisher
from ingest.log.kafka.watch import Watch
from ingest.log.protocol import Bounds, Entry, Position

TIMEOUT_S: Final = 120.0
_SITE: Final = re.compile("[A-Za-z0-9_-]+")
_ADDRESS: Final = re.compile(r"(?P<host>[^\s:,/\[\]]*|\[[0-9A-Fa-f:]+\])(:(?P<port>\d{1,5}))?")
_PORT_MAX: Final = 65_535


def _check_address(address: str, url: str) -> None:
    """Raise `UsageError` where this is no `host:port`."""
    if "@" in address:
        raise UsageError(
            f"log: {url}: it holds a user and a password, but this log logs in nowhere; write kafka://host:9092"
        )
    found = _ADDRESS.fullmatch(address)
    if found is None or not address:
        raise UsageError(f'log: {url}: "{address}" is no address; use host:9092')
    fault = host_fault(found["host"].strip("[]"))
    if fault:
        raise UsageError(f"log: {url}: {fault}; use host:9092")
    if found["port"] is None:
        raise UsageError(f'log: {url}: "{address}" says no port; Kafka\'s own is 9092: write {address}:9092')
    if not 1 <= int(found["port"]) <= _PORT_MAX:
        raise UsageError(f"log: {url}: port {found['port']} is not in 1..{_PORT_MAX}")


class KafkaLog:
    """A Kafka cluster as a log; see `ingest.log.protocol.Log`.

    `address` is `host:port[,host:port][/SITE]`: with a site, its topics are `SITE.readings`, `SITE.marks` …, so that
    several logs share a cluster.

    `partitions` is for topics that this process creates (default 4); a topic with another number is then refused.
    `timeout_s` is how long appending, asking and reading go on trying before `LogUnavailableError`; an address that
    never answered is given up after 15 s. `trouble` says long before that that there is none, and why.
    """

    def __init__(self, address: str, *, partitions: int | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = f"kafka://{address}"
        bootstrap, _, site = address.partition("/")
        if site and not _SITE.fullmatch(site):
            raise UsageError(f'log: {self.url}: "{site}" cannot begin a topic\'s name; use letters, digits, - and _')
        for host in bootstrap.split(","):
            _check_address(host, self.url)
        self._prefix = f"{site}." if site else ""
        self._cluster = Cluster(bootstrap, partitions=partitions, timeout_s=timeout_s)
        self._publisher = Publisher(self._cluster)
        self._watch = Watch(self._cluster, self.url)
        self._groups: set[str] = set()
        """Kafka's names of those joined; the first of them decides which of two services of a name goes on."""

    @property
    def trouble(self) -> str:
        """Why the cluster gives no answer just now, told within 10 s; empty when all is well, or nobody asks."""
        return self._watch.trouble

    @property
    def remarks(self) -> Sequence[str]:
        """How its topics are set up, where a person should know, and what of that was changed, within a minute."""
        return self._cluster.remarks

    async def identity(self) -> str:
        """Kafka's cluster id."""
        self._watch.begin()
        return self._prefix + await self._cluster.identity()

    async def topics(self) -> dict[str, int]:
        """The topics that exist, Kafka's internal ones and other sites' left out, with their number of partitions."""
        found = await self._cluster.topics()
        return {
            name.removeprefix(self._prefix): count for name, count in found.items() if name.startswith(self._prefix)
        }

    async def ensure(self, topic: str) -> int:
        """The topic's number of partitions; creates it, with LogAppendTime, where it is missing."""
        self._watch.begin()
        return (await self._cluster.ensure(self._prefix + topic)).partitions

    async def check(self, topic: str, entries: Sequence[Entry]) -> None:
        """Raise `PermanentError` for an entry that is larger than the topic takes."""
        await self._publisher.check(self._prefix + topic, entries)

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Append, and return when all in-sync replicas have every entry."""
        self._watch.begin()
        return await self._publisher.append(self._prefix + topic, entries)

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and end of every partition of an existing topic; where an open transaction begins, it ends for now."""
        self._watch.begin()
        return await self._cluster.bounds(self._prefix + topic)

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """Where to begin reading for what was appended then or later."""
        self._watch.begin()
        return await self._cluster.since(self._prefix + topic, append_ns)

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """The offsets that the group's members last committed."""
        found = await self._cluster.committed(self._prefix + topic, group_id(self._prefix + topic, group))
        return {partition: commit.offset for partition, commit in found.items()}

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> KafkaReader:
        """Read the partitions in `start` from their offsets. Kafka shows what all in-sync replicas have, no more:
        `durable=False` changes nothing."""
        self._watch.begin()
        return KafkaReader(self._cluster, self._prefix + topic, start)

    async def join(self, topic: str, group: str, instance: str, *, owner: str = "") -> KafkaMember:
        """Ask to join the Kafka group `<group>.<topic>` as the static member `instance`."""
        self._watch.begin()
        await self._cluster.ensure(self._prefix + topic)
        name = group_id(self._prefix + topic, group)
        self._groups.add(name)
        member = KafkaMember(
            self._cluster, self._prefix + topic, group, instance, owner=owner, decides=lambda: name == min(self._groups)
        )
        await member.start()
        return member

    async def close(self) -> None:
        """Finish the appends under way and let go; readers and members are closed by those who have them."""
        await self._publisher.close()
        await self._watch.close()
        await self._cluster.close()
