"""The smallest operator with state: sums numbers, and puts out a line a batch of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ingest.engine.operator import Draft, Output, State
from ingest.errors import StateVersionError
from ingest.log.protocol import LogBatch
from ingest.records import StreamDescription


@dataclass
class Summing:
    total: int = 0
    lines: list[str] = field(default_factory=list)
    fed: int = 0
    missing_schema: bytes | None = None
    urgent: bool = False

    def feed(self, batch: LogBatch) -> int:
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            self.total += int(value)
            self.lines.append(f"{offset} {self.total}\n")
        self.fed += len(batch)
        return len(batch)

    def skip(self, wanted: int, begin: int) -> None:
        self.lines.append(f"lost {wanted} {begin}\n")

    @property
    def pending_bytes(self) -> int:
        return sum(map(len, self.lines))

    def take(self, tag: str = "") -> Output:
        text = "".join(self.lines).encode()
        drafts = [Draft.of("lines", "l", ".txt", [text], len(self.lines), tag)] if text else []
        counts = Counter({"lines": len(self.lines), "records": self.fed})
        self.lines, self.fed = [], 0
        return Output(drafts, counts=counts)

    def snapshot(self) -> State:
        return (b"%d" % self.total,)


@dataclass(frozen=True)
class SumOperator:
    code: int = 1
    spec: str = "plain"
    name: str = "sum"

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        pass

    def start(self, saved: State | None) -> Summing:
        if saved == [b"unreadable"]:
            raise StateVersionError("unreadable")
        return Summing(int(saved[0]) if saved else 0)


def batch_of(numbers: list[int], start: int = 0, partition: int = 0) -> LogBatch:
    """The numbers as consecutive records from offset `start`."""
    count = len(numbers)
    return LogBatch(
        "readings",
        partition,
        range(start, start + count),
        [0] * count,
        [b"d"] * count,
        [b"%d" % number for number in numbers],
        start + count,
    )
