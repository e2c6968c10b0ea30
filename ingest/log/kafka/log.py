"""`KafkaLog`: the log protocol on an Apache Kafka cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ingest.log.kafka.cluster import Cluster
from ingest.log.kafka.fetch import KafkaReader
from ingest.log.kafka.member import KafkaMember, group_id
from ingest.log.kafka.publisher import Publisher
from ingest.log.protocol import Bounds, Entry, Position

TIMEOUT_S: Final = 120.0


class KafkaLog:
    """A Kafka cluster as a log; see `ingest.log.protocol.Log`.

    `partitions` is for topics that this process creates (default 4); a topic with another number is then refused.
    `timeout_s` is how long appending, asking and reading go on trying before `LogUnavailableError`; an address that
    never answered is given up after 15 s.
    """

    def __init__(self, bootstrap: str, *, partitions: int | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = f"kafka://{bootstrap}"
        self._cluster = Cluster(bootstrap, partitions=partitions, timeout_s=timeout_s)
        self._publisher = Publisher(self._cluster)

    async def identity(self) -> str:
        """Kafka's cluster id."""
        return await self._cluster.identity()

    async def topics(self) -> dict[str, int]:
        """The topics that exist, Kafka's internal ones left out, with their number of partitions."""
        return await self._cluster.topics()

    async def ensure(self, topic: str) -> int:
        """The topic's number of partitions; creates it, with LogAppendTime, where it is missing."""
        return (await self._cluster.ensure(topic)).partitions

    async def append(self, topic: str, entries: Sequence[Entry]) -> list[Position]:
        """Append, and return when all in-sync replicas have every entry."""
        return await self._publisher.append(topic, entries)

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and end (the high watermark) of every partition of an existing topic."""
        return await self._cluster.bounds(topic)

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """The offsets that the group's members last committed."""
        return await self._cluster.committed(topic, group_id(topic, group))

    def reader(self, topic: str, start: Mapping[int, int], *, durable: bool = True) -> KafkaReader:
        """Read the partitions in `start` from their offsets. Kafka shows what all in-sync replicas have, no more:
        `durable=False` changes nothing."""
        return KafkaReader(self._cluster, topic, start)

    async def join(self, topic: str, group: str, instance: str) -> KafkaMember:
        """Ask to join the Kafka group `<group>.<topic>` as the static member `instance`."""
        await self._cluster.ensure(topic)
        member = KafkaMember(self._cluster, topic, group, instance)
        await member.start()
        return member

    async def close(self) -> None:
        """Finish the appends under way and let go; readers and members are closed by those who have them."""
        await self._publisher.close()
        await self._cluster.close()
