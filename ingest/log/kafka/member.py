"""One worker of a consumer group: aiokafka keeps the membership, `PartitionFetcher` brings the records.

aiokafka's consumer never fetches here. Its rebalance listener, whose exceptions it would log and swallow, only notes
what happened; `poll` tells it. A revoked partition is handed on when the worker has been told and polls again, so
that two workers do not hold one at a time; after `HAND_OVER_S` it is handed on regardless, and the chain's fencing
decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import errors as kafka_errors
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import TopicPartition

from ingest.log.kafka import internals
from ingest.log.kafka.cluster import Cluster, is_transient
from ingest.log.kafka.fetch import Fetched, PartitionFetcher, begin_after_loss
from ingest.log.protocol import Assigned, Event, Revoked, Truncated

SESSION_MS: Final = 6_000
"""A killed member's partitions are free after this; Kafka's lowest default bound."""
_SESSION_S: Final = SESSION_MS / 1000
METADATA_AGE_MS: Final = 30_000
"""How soon partitions that were added are noticed."""
HEARTBEAT_MS: Final = 500
HAND_OVER_S: Final = 3.0
"""Below the session, which is also the time that a rebalance waits for its members."""
IDLE_MAX_MS: Final = 3_600_000
"""A worker may seal for long between two polls; the session tells whether it lives."""
_EVICTED_S: Final = 10.0
_EVICTED_MAX: Final = (3, 8)
"""How often in that time a member may lose its place: one that is as new as that, and any other one."""
_CLOSE_S: Final = 10.0
_COMMIT_S: Final = 5.0
_LAST_COMMITS_S: Final = 1.0
"""They are hints: what a leaving member has under way is given that long, before and after it goes."""


def group_id(topic: str, group: str) -> str:
    """Kafka's name of a group over one topic: members of one Kafka group with different topics would rebalance and
    be named together."""
    return f"{group}.{topic}"


def evictions_max(age_s: float, *, decides: bool) -> int:
    """How often within `_EVICTED_S` a member of this age loses its place until it gives way; `decides` is its group."""
    return _EVICTED_MAX[age_s >= _EVICTED_S or not decides]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes changes of ownership for `poll`."""

    def __init__(self, consumer: Any, fetcher: PartitionFetcher) -> None:
        self._consumer, self._fetcher = consumer, fetcher
        self.owned: set[int] = set()
        self.events: list[Event] = []
        self.rebalancing_since: float | None = time.monotonic()
        self.let_go = asyncio.Event()
        self.evicted_s: list[float] = []
        """When it lost its place."""
        self._has_place = False

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.rebalancing_since = time.monotonic()
        partitions = tuple(sorted(tp.partition for tp in revoked))
        for partition in partitions:
            self._fetcher.drop(partition)
        self.owned.clear()
        if partitions:
            self.let_go.clear()
            self._note(Revoked(partitions))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HAND_OVER_S):
                    await self.let_go.wait()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        tps = sorted(assigned)
        for tp in tps:
            # A position that is never used keeps aiokafka from looking for one, a paused partition from fetching.
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)
        self.rebalancing_since = None
        self._has_place = True
        self.owned = {tp.partition for tp in tps}
        if tps:
            self._note(Assigned(tuple(sorted(self.owned))))

    def on_place_lost(self) -> None:
        """One loss is told by the heartbeat and by each commit that was under way: brokers that stood still answer
        many at once. Whoever has had no place since loses none."""
        if self._has_place:
            self._has_place = False
            self.evicted_s.append(time.monotonic())

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self._fetcher.interrupt()


class KafkaMember:
    """A static member of a group over one topic; see `ingest.log.protocol.Member`."""

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        group: str,
        instance: str,
        *,
        owner: str = "",
        decides: Callable[[], bool] = lambda: True,
    ) -> None:
        self.decides: Final = decides
        """Of two services of one name one goes on: is it here that it is seen which?"""
        self._cluster, self._topic, self._group, self._owner = cluster, topic, group_id(topic, group), owner
        self._name = f'group "{self._group}", instance "{instance}"'
        self._fetcher = PartitionFetcher(cluster, topic)
        self._consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=cluster.bootstrap,
            group_id=self._group,
            group_instance_id=instance,
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=IDLE_MAX_MS,
            metadata_max_age_ms=METADATA_AGE_MS,
            request_timeout_ms=cluster.request_timeout_ms,
        )
        self._listener = _Listener(self._consumer, self._fetcher)
        self._joined_s = time.monotonic()
        self._committing: set[asyncio.Future[None]] = set()
        self._claimed: set[int] = set()
        self._told_of_revocation = False

    async def start(self) -> None:
        """Connect and ask to join; `poll` tells when it happened."""
        try:
            await self._check_owner()
            await self._cluster.call(f"join {self._name}", lambda _: self._consumer.start())
        except BaseException:
            await self._consumer.stop()
            raise
        internals.on_lost_place(self._consumer, self._listener.on_place_lost)
        self._consumer.subscribe([self._topic], listener=self._listener)

    async def _check_owner(self) -> None:
        """Raise `LogConfigError` where the group works for somebody else: each would get a part of the partitions."""
        if not self._owner:
            return
        for partition, commit in (await self._cluster.committed(self._topic, self._group)).items():
            if commit.owner not in ("", self._owner):
                raise self._cluster.refusal(
                    f"join {self._name}",
                    f'partition {partition} is read for "{commit.owner}", this is "{self._owner}", and the two would '
                    "share the partitions, each with a part of the data; give each dataset a group of its own",
                )

    async def poll(self, timeout_s: float) -> list[Event]:
        """Changes of ownership and records, in the order in which they count."""
        if self._told_of_revocation:
            self._listener.let_go.set()
        await self._check()
        fetched = Fetched([], {}) if self._listener.events else await self._fetcher.fetch(timeout_s)
        events, self._listener.events = self._listener.events, []
        self._told_of_revocation = any(isinstance(event, Revoked) for event in events)
        # Every partition here is owned since before these events: the fetcher knows no other.
        events += fetched.batches
        for partition, wanted in fetched.out_of_range.items():
            begin = await begin_after_loss(self._cluster, self._topic, partition, wanted)
            if begin is not None and partition in self._listener.owned:
                self._fetcher.drop(partition)
                events.append(Truncated(partition, wanted, begin))
        return events

    async def _check(self) -> None:
        """Pass on what went wrong with the membership, and show aiokafka that this member is in use."""
        self._check_rival()
        since, silence, key = self._listener.rebalancing_since, self._cluster.silence, ("join", self._name)
        if since is None:
            silence.answered(key)
            try:
                await self._consumer.getmany(timeout_ms=0)
            except kafka_errors.KafkaError as error:
                if is_transient(error) or type(error) is kafka_errors.KafkaError:
                    raise self._cluster.unavailable(f"member of {self._name}", error) from error
                raise self._cluster.refusal(f"member of {self._name}", error) from error
            return
        if time.monotonic() - since > _SESSION_S:  # the time that it may take where a member was killed
            silence.asked(key, f"join {self._name}", since)
        if time.monotonic() - since > self._cluster.timeout_s:
            silence.given_up(key, time.monotonic())
            self._listener.rebalancing_since = time.monotonic()
            raise self._cluster.unavailable(f"join {self._name}", f"not done in {self._cluster.timeout_s} s")

    def _check_rival(self) -> None:
        """Raise `LogConfigError` where another living member has this instance name: Kafka gives the place to
        whoever asked last, so that two take it from each other for ever. The newer one gives way.

        Of two that are new it is the one that loses first. Where both are in several groups, one group decides: else
        one of them would give way in this group, the other in that, and nobody went on.
        """
        now_s = time.monotonic()
        evicted_s = self._listener.evicted_s = [at for at in self._listener.evicted_s if now_s - at < _EVICTED_S]
        if len(evicted_s) >= evictions_max(now_s - self._joined_s, decides=self.decides()):
            raise self._cluster.refusal(
                f"member of {self._name}",
                f"lost its place {len(evicted_s)} times in {_EVICTED_S:.0f} s: another worker has the same name; "
                "give each worker a name of its own, or stop the other one",
            )

    def seek(self, partition: int, offset: int) -> None:
        """Begin, or go on, delivering an owned partition at `offset`; ignored where it is no longer owned."""
        if partition in self._listener.owned:
            self._fetcher.seek(partition, offset)
            self._claim(partition, offset)

    def _claim(self, partition: int, offset: int) -> None:
        """Say for whom the group works as soon as it begins a partition: its first commit may be a minute away."""
        if self._owner and partition not in self._claimed:
            self._claimed.add(partition)
            self._begin_commit({partition: offset})

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Note how far the group is; a failure is not an error."""
        owned = {partition: offset for partition, offset in offsets.items() if partition in self._listener.owned}
        if owned:
            await asyncio.wait((self._begin_commit(owned),), timeout=_COMMIT_S)

    def _begin_commit(self, offsets: Mapping[int, int]) -> asyncio.Future[None]:
        commits = {TopicPartition(self._topic, p): (offset, self._owner) for p, offset in offsets.items()}
        # Never cancelled: aiokafka shields the request, and would leave its failure to nobody, who prints it.
        committing: asyncio.Future[None] = asyncio.ensure_future(self._consumer.commit(commits))
        self._committing.add(committing)
        committing.add_done_callback(self._committed)
        return committing

    def _committed(self, done: asyncio.Future[None]) -> None:
        self._committing.discard(done)
        if not done.cancelled():
            done.exception()

    async def close(self) -> None:
        """Leave the group at once: another member need not wait for the session to end."""
        internals.leave_when_stopped(self._consumer)
        await self.disconnect()

    async def disconnect(self) -> None:
        """Go away without leaving: within the session, a member of this instance name gets the partitions back."""
        self._listener.let_go.set()
        self._listener.owned.clear()
        await self._fetcher.close()
        await self._end_commits()  # a stopped consumer asks for its coordinator for ever
        with contextlib.suppress(TimeoutError, kafka_errors.KafkaError):
            async with asyncio.timeout(_CLOSE_S):
                await self._consumer.stop()
        await internals.close_connections(self._consumer)
        await self._end_commits()
        for committing in self._committing:  # no request of theirs is under way any more
            committing.cancel()

    async def _end_commits(self) -> None:
        if self._committing:
            await asyncio.wait(self._committing, timeout=_LAST_COMMITS_S)
