"""An operator with everything that makes exactly-once hard: state that no replay from the middle gives back.

A record is `schema|boot|seq|x`, its key the device. Per device there is a running filter over the accepted values, a
rule with hysteresis on it (each flip is a row and a mark published to the log), open windows of five values that reach
across seals, and intervals of seen sequence numbers that remove duplicates. Integers only, so that equal means equal.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ingest.engine.operator import Draft, Output, Publication, State
from ingest.errors import CorruptError, StateVersionError
from ingest.log.protocol import MARKS, Entry, LogBatch
from ingest.records import StreamDescription

WINDOW = 5
HIGH, LOW = 620, 380
ROUND = 3
"""So many windows of all devices change the state's head."""
HEAD_BYTES = 400
ROWS_MAX = 8
"""It takes no more before it is sealed."""
Row = tuple[Any, ...]


def encode_row(row: Row) -> bytes:
    return json.dumps(row).encode()


class Intervals:
    """A set of integers as sorted half-open intervals `[a0, b0, a1, b1, ...]`."""

    def __init__(self, edges: Iterable[int] = ()) -> None:
        self.edges = list(edges)

    def add(self, number: int) -> bool:
        """False where it was in already."""
        at = bisect_right(self.edges, number)
        if at % 2:
            return False
        joins_left = at > 0 and self.edges[at - 1] == number
        joins_right = at < len(self.edges) and self.edges[at] == number + 1
        if joins_left and joins_right:
            del self.edges[at - 1 : at + 1]
        elif joins_left:
            self.edges[at - 1] = number + 1
        elif joins_right:
            self.edges[at] = number
        else:
            self.edges[at:at] = [number, number + 1]
        return True


class RuleLike:
    """The frozen part; `learn` tells the factor that a schema's values are multiplied with."""

    name = "rulelike"
    code = 1
    spec = "rulelike-1"

    def __init__(self) -> None:
        self.factors: dict[bytes, int] = {}

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        self.factors[schema] = int(description.channels[0].scale)

    def encode(self, row: Row) -> bytes:
        return encode_row(row)

    def tag(self, tag: str) -> str:
        return tag

    def start(self, saved: State | None) -> RuleLikeRunning:
        return RuleLikeRunning(self, saved)


class IdleLike(RuleLike):
    """The same, but its rows say of nobody whose they are: two partitions may have equal files."""

    def encode(self, row: Row) -> bytes:
        return encode_row(anonymous(row))


class UntaggedLike(IdleLike):
    """Wrong: its files have no more in their names than their content, so that partitions share them."""

    def tag(self, tag: str) -> str:
        return ""


def anonymous(row: Row) -> Row:
    """A window without its device, number and offset; any other row as it is."""
    return ("window", *row[3:6]) if row[0] == "window" else row


class RuleLikeRunning:
    urgent = False

    def __init__(self, operator: RuleLike, saved: State | None) -> None:
        head, *parts = map(json.loads, saved or (encode_row((operator.code, 0)),))
        if head[0] != operator.code:
            raise StateVersionError(f"state of version {head[0]}")
        self._operator = operator
        self._seen = {device: {boot: Intervals(edges) for boot, edges in seen.items()} for device, seen, _ in parts}
        self._devices: dict[str, dict[str, Any]] = {device: state for device, _, state in parts}
        if head[1] != self._rounds:
            raise CorruptError(f"a head of round {head[1]} beside parts of round {self._rounds}")
        self._rows: list[Row] = []
        self._marks: list[Publication] = []
        self._counts: Counter[str] = Counter()
        self.missing_schema: bytes | None = None

    def feed(self, batch: LogBatch) -> int:
        for index, (offset, key, value) in enumerate(zip(batch.offsets, batch.keys, batch.values, strict=True)):
            schema, boot, seq, x = value.split(b"|")
            factor = self._operator.factors.get(schema)
            if factor is None:
                self.missing_schema = schema
                return index
            self._take(key.decode(), boot.decode(), int(seq), int(x) * factor, offset)
            if len(self._rows) >= ROWS_MAX:
                self.missing_schema = None
                return index + 1
        self.missing_schema = None
        return len(batch)

    def _take(self, device: str, boot: str, seq: int, x: int, offset: int) -> None:
        if x == 0:  # changes no state: two seals may have equal states
            self._counts["idle"] += 1
            return
        if not self._seen.setdefault(device, {}).setdefault(boot, Intervals()).add(seq):
            self._counts["duplicate"] += 1
            return
        self._counts["accepted"] += 1
        state = self._devices.setdefault(device, {"y": 500, "on": False, "window": [], "n": 0})
        state["y"] += (x - state["y"]) // 4
        if (not state["on"] and state["y"] > HIGH) or (state["on"] and state["y"] < LOW):
            state["on"] = not state["on"]
            mark = ("flip", device, boot, seq, state["on"], state["y"])
            self._rows.append(mark)
            self._marks.append(Publication(MARKS, Entry(device.encode(), encode_row(mark))))
        state["window"].append(x)
        if len(state["window"]) == WINDOW:
            self._rows.append(("window", device, state["n"], state["window"], state["y"], state["on"], offset))
            state["window"], state["n"] = [], state["n"] + 1

    def skip(self, wanted: int, begin: int) -> None:
        self._counts["holes"] += 1
        self._rows.append(("hole", wanted, begin))
        for state in self._devices.values():
            state["window"] = []

    @property
    def pending_bytes(self) -> int:
        return 40 * len(self._rows)

    def take(self, tag: str = "") -> Output:
        drafts = []
        for folder, windows in (("windows", True), ("flips", False)):
            rows = [self._operator.encode(row) + b"\n" for row in self._rows if (row[0] == "window") is windows]
            if rows:
                drafts.append(Draft.of(folder, "r", ".jsonl", rows, len(rows), self._operator.tag(tag)))
        output = Output(drafts, self._marks, self._counts)
        self._rows, self._marks, self._counts = [], [], Counter()
        return output

    @property
    def _rounds(self) -> int:
        return sum(int(state["n"]) for state in self._devices.values()) // ROUND

    def snapshot(self) -> State:
        """A large head that changes now and then, and a small part for each device: most seals need not write all."""
        parts = [
            encode_row((device, {boot: intervals.edges for boot, intervals in seen.items()}, self._devices[device]))
            for device, seen in self._seen.items()
        ]
        return [encode_row((self._operator.code, self._rounds, "#" * HEAD_BYTES)), *parts]
