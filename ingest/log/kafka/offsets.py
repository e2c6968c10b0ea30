"""What Kafka is asked of a topic's offsets: where partitions begin, where they end, and what was appended when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.protocol.offset import OffsetRequest

_READ_UNCOMMITTED: Final = 0
READ_COMMITTED: Final = 1
"""Kafka's isolation level of who takes records of aborted transactions for no records."""


class Question(NamedTuple):
    """Asked of every partition: `when` is in ms since 1970, or one of Kafka's own."""

    when: int
    isolation: int = _READ_UNCOMMITTED


BEGIN: Final = Question(-2)
END: Final = Question(-1)
"""The high watermark: open transactions lie before that."""
STABLE_END: Final = Question(-1, READ_COMMITTED)
"""Where the first open transaction begins."""


def check_code(code: int, about: str) -> None:
    """Raise aiokafka's error for a response's error code other than 0."""
    if code:
        raise kafka_errors.for_code(code)(about)


async def offsets(client: Any, topic: str, leaders: Mapping[int, int], question: Question) -> dict[int, int]:
    """The answer of each partition's leader; below 0 where there is no such record. Raises aiokafka's errors."""
    nodes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for partition, node in leaders.items():
        nodes[node].append((partition, question.when))
    found: dict[int, int] = {}
    for node, asked in nodes.items():
        response = await client.send(node, OffsetRequest(-1, question.isolation, [(topic, asked)]))
        for _, answers in response.topics:
            for partition, code, _, offset in answers:
                check_code(code, f"{topic}-{partition}")
                found[partition] = offset
    return found
