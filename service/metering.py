"""Counts the bytes that an operator is fed, for a run's closing figures."""

from __future__ import annotations

from collections.abc import Callable

from ingest.engine.operator import Operator, Output, Running, State
from ingest.log.protocol import LogBatch
from ingest.records import StreamDescription


class Metered:
    """`operator`, that also tells `count` the size of every record it takes."""

    def __init__(self, operator: Operator, count: Callable[[int], None]) -> None:
        self._operator = operator
        self._count = count

    @property
    def name(self) -> str:
        """See `Operator`."""
        return self._operator.name

    @property
    def code(self) -> int:
        """See `Operator`."""
        return self._operator.code

    @property
    def spec(self) -> str:
        """See `Operator`."""
        return self._operator.spec

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`."""
        self._operator.learn(schema, description)

    def start(self, saved: State | None) -> Running:
        """See `Operator`."""
        return _Metered(self._operator.start(saved), self._count)


class _Metered:
    def __init__(self, running: Running, count: Callable[[int], None]) -> None:
        self._running = running
        self._count = count

    def feed(self, batch: LogBatch) -> int:
        taken = self._running.feed(batch)
        self._count(sum(map(len, batch.values[:taken])))
        return taken

    @property
    def missing_schema(self) -> bytes | None:
        return self._running.missing_schema

    def skip(self, wanted: int, begin: int) -> None:
        self._running.skip(wanted, begin)

    @property
    def pending_bytes(self) -> int:
        return self._running.pending_bytes

    @property
    def urgent(self) -> bool:
        return self._running.urgent

    def take(self, tag: str = "") -> Output:
        return self._running.take(tag)

    def snapshot(self) -> State:
        return self._running.snapshot()
