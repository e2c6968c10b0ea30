"""One connection to a Kafka cluster for what is asked once and answered once: topics, bounds, offsets.

Every question is asked again, with back-off, while the error is one that time can mend, and until the timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from ingest.errors import LogConfigError, LogUnavailableError, SensorloomError
from ingest.log.kafka import setup
from ingest.log.kafka.contact import why_silent
from ingest.log.kafka.offsets import BEGIN, END, STABLE_END, Question, check_code, offsets
from ingest.log.kafka.setup import spec_of
from ingest.log.kafka.silence import Silence
from ingest.log.kafka.words import unreached, words_of
from ingest.log.protocol import Bounds, TopicSpec

T = TypeVar("T")

DEFAULT_PARTITIONS: Final = 4
"""Of a topic that is created here. It cannot be changed later without sending keys elsewhere, so it is the number of
workers that a stream may come to need, not the number it has; each partition costs a chain of manifests and a state."""
REQUEST_TIMEOUT_MS: Final = 15_000
FIRST_CONTACT_S: Final = 15.0
"""How long an address that never answered is tried: it is more likely wrong than down for a moment."""
_BACKOFF_S: Final = (0.05, 2.0)
_TOPIC_RESOURCE: Final = 2


class TopicInfo(NamedTuple):
    """What a writer needs to know of a topic."""

    partitions: int
    max_message_bytes: int


class Commit(NamedTuple):
    """How far a group is in a partition, and for whom it works (Kafka's metadata of a commit)."""

    offset: int
    owner: str


class _Unreachable(kafka_errors.KafkaConnectionError):  # type: ignore[misc]
    """Nobody answers; the reason is for people, without the library's own name for it."""

    def __str__(self) -> str:
        return str(self.args[0])


def is_transient(error: BaseException) -> bool:
    """Whether time can mend the error."""
    retriable = isinstance(error, kafka_errors.KafkaError) and bool(error.retriable)
    return retriable or isinstance(error, OSError | TimeoutError | kafka_errors.KafkaTimeoutError)


class Cluster:
    """A Kafka cluster by its bootstrap addresses `host:port[,host:port]`; connects at first use.

    Every method raises `LogUnavailableError` when the cluster gave no answer for `timeout_s`, and `LogConfigError`
    when it refuses.
    """

    def __init__(self, bootstrap: str, *, partitions: int | None, timeout_s: float) -> None:
        self.bootstrap: Final = bootstrap
        self.timeout_s: Final = timeout_s
        self._partitions = partitions
        self._client: Any = None
        self._reached = False
        self._lock = asyncio.Lock()
        self._known: dict[str, setup.Setup] = {}
        self._counts: dict[str, int] = {}
        """Partitions of each topic when this process first used it: its keys stay where they are until it ends."""
        self._faults: dict[str, str] = {}
        """What breaks a promise of topics that were in order when this process first used them."""
        self._gone: dict[str, str] = {}
        """What to do about topics in use that are there no more, as the last look found."""
        self._doubted: set[str] = set()
        self._open_told: set[tuple[str, int]] = set()
        """Partitions in which an open transaction was told: some producers always have one."""
        self.silence: Final = Silence()
        self.remarks: Final[list[str]] = []
        """See `ingest.log.protocol.Log`."""

    @property
    def request_timeout_ms(self) -> int:
        """How long one request may take."""
        return min(REQUEST_TIMEOUT_MS, int(self.timeout_s * 1000))

    async def connect(self) -> Any:
        """A connected aiokafka client of its own; the caller closes it."""
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=self.request_timeout_ms)
        try:
            await self._reach(client)
        except BaseException:
            await client.close()
            raise
        return client

    async def _reach(self, client: Any) -> None:
        if not self._reached:  # a client waits long for what is no broker
            await self._look()
        try:
            await client.bootstrap()
        except kafka_errors.KafkaConnectionError as error:
            await self._look()
            raise kafka_errors.KafkaConnectionError(
                f"the broker answers, but tells nothing of itself: {error}"
            ) from None
        brokers = sorted(client.cluster.brokers(), key=lambda broker: str(broker.nodeId))
        for broker in brokers:
            if await client.ready(broker.nodeId):
                return
        raise kafka_errors.KafkaConnectionError(unreached([f"{broker.host}:{broker.port}" for broker in brokers]))

    async def _look(self) -> None:
        """Raise `KafkaConnectionError` with the reason where no address answers as a broker does."""
        fault = await why_silent(self.bootstrap)
        if fault:
            raise _Unreachable(fault)

    async def close(self) -> None:
        """Let go of the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def call(self, what: str, operation: Callable[[Any], Awaitable[T]]) -> T:
        """The result of `operation(client)`, tried again while its error is transient and time is left."""
        patience_s = self.timeout_s if self._reached else min(self.timeout_s, FIRST_CONTACT_S)
        deadline, (delay_s, delay_max_s) = time.monotonic() + patience_s, _BACKOFF_S
        with self._asked(what):
            while True:
                try:
                    return await operation(await self._shared())
                except SensorloomError:
                    raise
                except Exception as error:
                    if not isinstance(error, kafka_errors.KafkaError | OSError | TimeoutError):
                        raise
                    if not is_transient(error):
                        raise self.refusal(what, error) from error
                    if time.monotonic() + delay_s > deadline:
                        raise self.unavailable(what, error) from error
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, delay_max_s)

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Count a question as open until it has an answer; for a while longer where it was given up."""
        self.silence.asked(what, what, time.monotonic())
        try:
            yield
        except (LogUnavailableError, asyncio.CancelledError):
            self.silence.given_up(what, time.monotonic())
            raise
        except BaseException:
            self.silence.answered(what)
            raise
        self.silence.answered(what)

    def _remark(self, *texts: str) -> None:
        whole = (f"kafka://{self.bootstrap}: {text}" for text in texts)
        self.remarks.extend(text for text in whole if text not in self.remarks)

    def unavailable(self, what: str, error: BaseException | str) -> LogUnavailableError:
        """The error for a cluster that gives no answer."""
        return LogUnavailableError(f"kafka://{self.bootstrap}: {what}: {words_of(what, error, self.bootstrap)}")

    def refusal(self, what: str, error: BaseException | str) -> LogConfigError:
        """The error for a cluster that says no."""
        return LogConfigError(f"kafka://{self.bootstrap}: {what}: {words_of(what, error, self.bootstrap)}")

    async def _shared(self) -> Any:
        async with self._lock:
            if self._client is None:
                self._client = await self.connect()
                self._reached = True
            return self._client

    async def identity(self) -> str:
        """The cluster id."""

        async def ask(client: Any) -> str:
            response = await client.send(client.get_random_node(), MetadataRequest([], False))
            return str(response.cluster_id)

        return await self.call("ask for the cluster id", ask)

    async def topics(self) -> dict[str, int]:
        """The topics that exist, Kafka's internal ones left out, with their number of partitions."""

        async def ask(client: Any) -> dict[str, int]:
            response = (await client.send(client.get_random_node(), MetadataRequest(None, False))).to_object()
            found = [topic for topic in response["topics"] if not topic["is_internal"]]
            return {topic["topic"]: len(topic["partitions"]) for topic in found}

        return await self.call("list topics", ask)

    async def ensure(self, topic: str) -> TopicInfo:
        """What is known of the topic; creates it where it is missing, and waits until it has leaders.

        Raises:
            LogConfigError: it is set up so that promises cannot be kept.
            LogUnavailableError: the same, since somebody changed it under this process: who puts it right mends it.
        """
        known = self._known.get(topic)
        if known is None:
            return await self._meet(topic)
        if topic in self._doubted:
            await self._look_at(topic, known)
        if topic in self._faults:
            raise self.unavailable(f'topic "{topic}"', self._faults[topic])
        return TopicInfo(self._counts[topic], self._known[topic].max_message_bytes)

    async def _meet(self, topic: str) -> TopicInfo:
        spec = spec_of(topic)
        if topic not in await self.topics():
            await self._create(spec)
        found = await self._setup(topic)
        if self._partitions not in (None, found.partitions):
            raise self.refusal(
                f'topic "{topic}"',
                f"found {found.partitions} partitions, asked for {self._partitions}; ask for {found.partitions}, or "
                "use another topic: other partitions would send keys elsewhere",
            )
        fault = setup.fault(spec, found, self.bootstrap)
        if fault:
            raise self.refusal(f'topic "{topic}"', fault)
        self._known[topic], self._counts[topic] = found, found.partitions
        self._remark(*setup.remarks(spec, found, self.bootstrap))
        return TopicInfo(found.partitions, found.max_message_bytes)

    def limit(self, topic: str) -> int:
        """The largest batch that a topic in use takes, as far as is known."""
        return self._known[topic].max_message_bytes

    def doubt(self, topic: str) -> None:
        """Ask for the topic's settings again before it is used again."""
        self._doubted.add(topic)

    async def look_again(self) -> None:
        """Look at the settings of the topics in use: what was changed under this process becomes a remark."""
        there = await self.topics()
        gone = [topic for topic in self._known if topic not in there]
        self._gone = {topic: setup.missing(spec_of(topic), self._counts[topic], self.bootstrap) for topic in gone}
        for topic, known in list(self._known.items()):
            if topic in there:
                await self._look_at(topic, known)

    @property
    def fault(self) -> str:
        """What keeps topics in use from taking more, as far as is known; empty where nothing does."""
        return "; ".join(f'topic "{topic}": {fault}' for topic, fault in {**self._faults, **self._gone}.items())

    async def _look_at(self, topic: str, known: setup.Setup) -> None:
        spec, now = spec_of(topic), await self._setup(topic)
        self._doubted.discard(topic)
        said = list(setup.changes(spec, known, now))
        said += set(setup.remarks(spec, now, self.bootstrap)) - set(setup.remarks(spec, known, self.bootstrap))
        lost = setup.shrunk(spec, self._counts[topic], now, self.bootstrap)
        wrong = setup.fault(spec, now, self.bootstrap)
        self._known[topic] = now
        self._note(topic, "; and ".join(filter(None, (lost, wrong))), said)

    def _note(self, topic: str, fault: str, said: list[str]) -> None:
        """What a look has found: a fault, or none, and what else is to be said."""
        before = self._faults.pop(topic, "")
        if fault:
            self._faults[topic] = fault
        if fault != before:
            said.append(f'topic "{topic}": {fault or "it is set up right again"}')
        at = time.strftime("%H:%M:%SZ", time.gmtime())  # the same may happen again, and is to be told again
        self._remark(*(f"changed before {at}: {text}" for text in said))

    async def _create(self, spec: TopicSpec) -> None:
        # Replication factor -1 is the broker's own default.
        settings = list(setup.wanted(spec).items())
        wanted: tuple[Any, ...] = (spec.name, self._partitions or DEFAULT_PARTITIONS, -1, [], settings)

        async def ask(client: Any) -> None:
            request = CreateTopicsRequest([wanted], timeout=self.request_timeout_ms, validate_only=False)
            response = await client.send(client.get_random_node(), request)
            for name, code, message, *_ in response.topic_errors:
                if code != kafka_errors.TopicAlreadyExistsError.errno:
                    check_code(code, f"{name}: {message}")

        await self.call(f'create topic "{spec.name}"', ask)

    async def leaders(self, topic: str) -> dict[int, int]:
        """The broker that leads each partition of the topic; waits until every one has a leader."""
        found = await self._metadata(topic)
        return {row["partition"]: row["leader"] for row in _partitions(found)}

    async def _metadata(self, topic: str) -> dict[str, Any]:
        async def ask(client: Any) -> dict[str, Any]:
            response: dict[str, Any] = (
                await client.send(client.get_random_node(), MetadataRequest([topic], False))
            ).to_object()
            check_code(response["topics"][0]["error_code"], topic)
            leaders = [row["leader"] for row in _partitions(response)]
            if not leaders or min(leaders) < 0:
                raise kafka_errors.LeaderNotAvailableError(topic)
            return response

        return await self.call(f'find the partitions of topic "{topic}"', ask)

    async def _setup(self, topic: str) -> setup.Setup:
        metadata = await self._metadata(topic)
        rows = _partitions(metadata)

        async def ask(client: Any) -> dict[str, str]:
            request = DescribeConfigsRequest([(_TOPIC_RESOURCE, topic, list(setup.SETTINGS))], False)
            response = await client.send(client.get_random_node(), request)
            ((code, message, _, _, entries),) = response.resources
            check_code(code, f"{topic}: {message}")
            return {name: value for name, value, *_ in entries}

        settings = await self.call(f'read the settings of topic "{topic}"', ask)
        return setup.Setup(len(rows), min(len(row["replicas"]) for row in rows), len(metadata["brokers"]), settings)

    async def bounds(self, topic: str) -> dict[int, Bounds]:
        """Begin and end of every partition; the end is where an open transaction of a foreign producer begins."""
        # In this order: what is written while the two are asked is no open transaction.
        begins, written, ends = await self._offsets(topic, BEGIN, END, STABLE_END)
        for partition, end in written.items():
            if ends[partition] < end and (topic, partition) not in self._open_told:
                self._open_told.add((topic, partition))
                self._remark(
                    f'topic "{topic}": a transaction of another producer is open at offset {ends[partition]} of '
                    f"partition {partition}; what lies behind it is read when it ends"
                )
        return {partition: Bounds(begin, ends[partition]) for partition, begin in sorted(begins.items())}

    async def written(self, topic: str) -> dict[int, Bounds]:
        """Begin and high watermark of every partition: open transactions lie before that."""
        begins, ends = await self._offsets(topic, BEGIN, END)
        return _between(begins, ends)

    async def since(self, topic: str, append_ns: int) -> dict[int, int]:
        """The first offset of every partition that was appended at a time or later; its end where none was."""
        begins, ends, found = await self._offsets(topic, BEGIN, END, Question(max(0, append_ns // 1_000_000)))
        bounds = _between(begins, ends)
        return {partition: end if found[partition] < 0 else found[partition] for partition, (_, end) in bounds.items()}

    async def _offsets(self, topic: str, *questions: Question) -> list[dict[int, int]]:
        """Each question's answer of every partition; asked in this order."""
        if topic not in self._known and topic not in await self.topics():
            raise self.refusal(f'topic "{topic}"', "it does not exist")

        async def ask(client: Any) -> list[dict[int, int]]:
            leaders = await self.leaders(topic)
            return [await offsets(client, topic, leaders, question) for question in questions]

        return await self.call(f'ask for the bounds of topic "{topic}"', ask)

    async def committed(self, topic: str, group: str) -> dict[int, Commit]:
        """What the group has committed of the topic's partitions, of those that it has begun."""
        partitions = list(await self.leaders(topic)) if topic in await self.topics() else []

        async def ask(client: Any) -> dict[int, Commit]:
            coordinator = await client.send(client.get_random_node(), FindCoordinatorRequest(group, 0))
            check_code(coordinator.error_code, group)
            response = await client.send(coordinator.coordinator_id, OffsetFetchRequest(group, [(topic, partitions)]))
            found = {}
            for _, answers in response.topics:
                for partition, offset, owner, code in answers:
                    check_code(code, f"{topic}-{partition}")
                    found[partition] = Commit(offset, owner or "")
            return {partition: commit for partition, commit in sorted(found.items()) if commit.offset >= 0}

        return await self.call(f'read the offsets of group "{group}"', ask) if partitions else {}


def _partitions(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a metadata response on one topic, by partition."""
    return sorted(metadata["topics"][0]["partitions"], key=lambda row: row["partition"])


def _between(begins: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, Bounds]:
    return {partition: Bounds(begin, max(begin, ends[partition])) for partition, begin in sorted(begins.items())}
