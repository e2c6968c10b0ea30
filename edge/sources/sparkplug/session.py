"""What an edge node says, in its order: births name metrics and give them aliases, data use them, deaths end them
(Sparkplug 3.0, sections 5 and 6.4). Pure: times are arguments.

A message that cannot be understood yet is parked: it is not acknowledged, and a rebirth is asked for. Messages are
numbered from 0 to 255 and round again: a number says that others are missing, and never that a message is an old one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from typing import Final, NamedTuple

import numpy as np

from edge.decoders.scans.decoder import rows_of
from edge.devices import Pattern
from edge.protocol import Arrival, Interruption
from edge.sources.sparkplug.payload import Metric, Payload, read_payload
from ingest.times import NS

NODE_DEAD: Final = "node_dead"
DEVICE_DEAD: Final = "device_dead"
MISSED: Final = "seq_gap"
UNKNOWN: Final = "unknown_alias"
BAD: Final = "bad_payload"
NO_NUMBER: Final = "text"
NO_TIME: Final = "no_time"
INFINITE: Final = "infinite"
PARKED: Final = 1000
PARKED_BYTES: Final = 1_000_000
"""More than so much is not parked: the oldest is given up."""
REBIRTH_NS: Final = (10 * NS, 320 * NS)
"""A rebirth is asked for again after the first, then after twice as long each time, up to the second; births between
do not hurry it, or one alias that none of them gives would have the node do nothing else. After a quiet while of twice
the second it begins anew."""
DEVICES_MOST: Final = 10_000
ALIASES_MOST: Final = 100_000
"""Of a node and all of its devices: births that bring more are left out."""
TOO_MANY: Final = "too_many_metrics"
_MS: Final = 1_000_000
_TIME_MAX_MS: Final = (1 << 62) // _MS
Item = Arrival | Interruption


class Topic(NamedTuple):
    """`spBv1.0/GROUP/KIND/NODE`, and where it is a device's `/DEVICE`."""

    kind: str
    device: str
    """Empty: the edge node itself."""

    @classmethod
    def of(cls, topic: str) -> Topic | None:
        """None for what is no topic of Sparkplug B."""
        levels = topic.split("/")
        if len(levels) not in (4, 5) or levels[0] != "spBv1.0" or (levels[2][:1] == "D") is not (len(levels) == 5):
            return None
        return cls(levels[2], levels[4] if len(levels) == 5 else "")


@dataclass(slots=True)
class Born:
    """What a node's or a device's birth said."""

    wanted: dict[int | str, tuple[int, int]] = field(default_factory=dict)
    """By alias and by name: the channel's number, and the datatype."""
    aliases: set[int] = field(default_factory=set)
    """All of them."""


class Parked(NamedTuple):
    """A message that waits for a birth."""

    topic: Topic
    item: Arrival


class Session:
    """One edge node.

    Args:
        names: the metrics that are channels, in their order.
        device: the Sparkplug device that they are of; empty: the node itself; None: each device is one of ours …
        pattern: … by the name that this makes of it.
        parked_most: so many messages wait for a birth at most.
    """

    def __init__(
        self, names: Sequence[str], device: str | None, pattern: Pattern | None = None, parked_most: int = PARKED
    ) -> None:
        self._channels = {name: number for number, name in enumerate(names)}
        self._device = device
        self._pattern = pattern
        self._parked_most = parked_most
        self._births: dict[str, Born] = {}
        self._reached_ns: dict[str, int] = {}
        """By device: the newest sample's time. What a birth says again is none."""
        self._seq: int | None = None
        """Of the newest message."""
        self._bd_seq: int | None = None
        self._born_ms: int | None = None
        """When the node's newest birth was, as it says."""
        self.is_dead = False
        self.parked: Final[deque[Parked]] = deque()
        self._parked_bytes = 0
        self._asked_ns = 0
        self._wait_ns = REBIRTH_NS[0]
        self._wants_birth = False
        self.rebirths = 0
        """Asked for since the last birth."""

    # --- messages

    def take(self, topic_text: str, item: Arrival) -> list[Item]:
        """What a message makes known, in order. Each token and identity is handed on, or waits in `parked`."""
        topic = Topic.of(topic_text)
        if topic is None or topic.kind not in _KINDS:
            return [_empty(item)]
        try:
            payload = read_payload(item.data)
        except ValueError:
            self._wants_birth = topic.kind != "NDEATH"
            self.unread(topic_text)
            return [_empty(item), self._lost(BAD, topic.device, item)]
        if topic.kind == "NDEATH":
            return self._died(payload, item)
        found = self._count(topic, payload, item)
        match topic.kind:
            case "NBIRTH" | "DBIRTH":
                found += self._born(topic, payload, item)
            case "DDEATH":
                had_any = self._births.pop(topic.device, Born()).wanted
                found += [_empty(item), *([self._lost(DEVICE_DEAD, topic.device, item)] if had_any else [])]
                found += self._drop_parked(topic.device)
            case _:
                found += self._data(topic, payload, item)
        return found

    def _count(self, topic: Topic, payload: Payload, item: Arrival) -> list[Item]:
        """What the number says: others are missing before it. A delivery that is repeated says nothing."""
        seq, expected = payload.seq, None if self._seq is None else (self._seq + 1) % 256
        if topic.kind == "NBIRTH" or seq is None or expected is None:  # a birth begins to count
            return []
        if seq == expected:
            self._seq = seq
            return []
        if item.redelivered:
            return []
        self._seq, self._wants_birth = seq, True
        return [self._lost(MISSED, None, item)]

    def _born(self, topic: Topic, payload: Payload, item: Arrival) -> list[Item]:
        if topic.kind == "NBIRTH":
            if item.redelivered and payload.timestamp_ms == self._born_ms:
                return [_empty(item)]
            self._born_ms = payload.timestamp_ms
            self._births.clear()  # each device is born anew behind it (section 6.4.11)
            self._bd_seq = _bd_seq(payload)
            self.is_dead, self._seq = False, payload.seq
            self._wants_birth, self.rebirths = False, 0
        known = sum(len(born.aliases) for device, born in self._births.items() if device != topic.device)
        if len(self._births) > DEVICES_MOST or known + len(payload.metrics) > ALIASES_MOST:
            return [_empty(item), self._lost(TOO_MANY, topic.device, item)]
        self._births[topic.device] = born = Born()
        for metric in payload.metrics:
            if metric.alias is not None:
                born.aliases.add(metric.alias)
            channel = self._channels.get(metric.name)
            if channel is not None and self._is_wanted(topic.device):
                born.wanted[metric.name] = channel, metric.datatype
                if metric.alias is not None:
                    born.wanted[metric.alias] = channel, metric.datatype
        return [*self._unpark(topic.device), *self._values(topic.device, born, payload, item, is_birth=True)]

    def _data(self, topic: Topic, payload: Payload, item: Arrival) -> list[Item]:
        if not self._is_wanted(topic.device):
            self._wants_birth |= not self._births  # what is wanted may say nothing until it changes
            return [_empty(item)]
        born = self._births.get(topic.device)
        if born is None or any(_is_unknown(metric, born) for metric in payload.metrics):
            self._wants_birth = True
            return self._park(Parked(topic, item))
        return list(self._values(topic.device, born, payload, item))

    def _died(self, payload: Payload, item: Arrival) -> list[Item]:
        """The node's last will. One of an earlier session than the birth's says nothing (section 6.4.19)."""
        said = _bd_seq(payload)
        if self._bd_seq is not None and said is not None and said != self._bd_seq:
            return [_empty(item)]
        self._births.clear()
        self._seq, self._bd_seq, self.is_dead, self._wants_birth, self._asked_ns = None, None, True, False, 0
        return [_empty(item), *self._drop_parked(None), self._lost(NODE_DEAD, None, item)]

    # --- births that nobody read

    def unread(self, topic_text: str) -> None:
        """A message could not be read: if it was a birth, what the one before said holds no more."""
        topic = Topic.of(topic_text)
        if topic is not None and topic.kind in ("NBIRTH", "DBIRTH"):
            self._wants_birth = True
            for device in [topic.device] if topic.device else list(self._births):
                self._births.pop(device, None)

    def reconnected(self) -> list[Item]:
        """Between two connections the node may have been born again, with other aliases: what they mean is not known
        until the next birth, which is asked for. Names stay what they are. What waited with a token the broker brings
        again; the rest was said before the break, and no birth after it explains that."""
        for born in self._births.values():
            born.aliases.clear()
            born.wanted = {name: known for name, known in born.wanted.items() if isinstance(name, str)}
        self._bd_seq, self._wants_birth, self._asked_ns = None, True, 0
        kept = [parked for parked in self.parked if parked.item.token is None]
        self.parked.clear()
        self.parked.extend(kept)
        return self._drop_parked(None)

    # --- values

    def _values(
        self, device: str, born: Born, payload: Payload, item: Arrival, *, is_birth: bool = False
    ) -> Iterator[Item]:
        rows: dict[int, list[float]] = {}
        reasons: list[str] = []
        reached_ns = self._reached_ns.get(device, 0)
        for metric in payload.metrics:
            wanted = born.wanted.get(metric.alias if metric.alias in born.wanted else metric.name)
            if wanted is None:
                continue
            time_ns, value, reason = _read(metric, payload, wanted[1])
            if reason:
                reasons.append(reason)
            elif not (is_birth and time_ns <= reached_ns):
                rows.setdefault(time_ns, [nan] * len(self._channels))[wanted[0]] = value
        filled = {time_ns: row for time_ns, row in sorted(rows.items()) if any(value == value for value in row)}
        if not filled:
            yield _empty(item)
        else:
            if len(self._reached_ns) > DEVICES_MOST:
                self._reached_ns.clear()
            self._reached_ns[device] = max(reached_ns, *filled)
            times = np.array(list(filled), dtype=np.int64)
            data = rows_of(times, np.array(list(filled.values()), dtype=np.float64))
            yield replace(item, data=data, device=self._name(device))
        for reason in dict.fromkeys(reasons):
            yield self._lost(reason, device, item)

    def _is_wanted(self, device: str) -> bool:
        return bool(device) if self._device is None else device == self._device

    def _name(self, device: str | None) -> str:
        """The device as ours; empty for all, or the only one."""
        return "" if self._pattern is None or not device else self._pattern.fill({"device": device})

    def _lost(self, reason: str, device: str | None, item: Arrival) -> Interruption:
        """`device` as Sparkplug has it; None: all of the node's. The node itself has no device of ours where each of
        its devices has one."""
        name = self._name(device)
        return Interruption(reason, item.monotonic_ns, item.wall_ns, goes_on=True, device=name)

    # --- what waits for a birth

    def _park(self, parked: Parked) -> list[Item]:
        self.parked.append(parked)
        self._parked_bytes += len(parked.item.data)
        found: list[Item] = []
        while len(self.parked) > self._parked_most or self._parked_bytes > PARKED_BYTES:
            oldest = self.parked.popleft()
            self._parked_bytes -= len(oldest.item.data)
            found += self._give_up(oldest)
        return found

    def _unpark(self, device: str) -> list[Item]:
        """A birth says what the messages before it meant."""
        waiting, found = list(self.parked), list[Item]()
        self.parked.clear()
        self._parked_bytes = 0
        for parked in waiting:
            born = self._births.get(parked.topic.device)
            if parked.topic.device != device or born is None:
                self.parked.append(parked)
                self._parked_bytes += len(parked.item.data)
            else:
                payload = read_payload(parked.item.data)  # it could be read when it came
                is_known = not any(_is_unknown(metric, born) for metric in payload.metrics)
                found += self._values(device, born, payload, parked.item) if is_known else self._give_up(parked)
        return found

    def _drop_parked(self, device: str | None) -> list[Item]:
        waiting, found = list(self.parked), list[Item]()
        self.parked.clear()
        self._parked_bytes = 0
        for parked in waiting:
            if device is None or parked.topic.device == device:
                found += self._give_up(parked)
            else:
                self.parked.append(parked)
                self._parked_bytes += len(parked.item.data)
        return found

    def _give_up(self, parked: Parked) -> list[Item]:
        return [_empty(parked.item), self._lost(UNKNOWN, parked.topic.device, parked.item)]

    # --- births that are asked for

    def asks(self, now_ns: int) -> bool:
        """Whether a rebirth should be asked for now; then it is noted as asked for."""
        quiet_ns = now_ns - self._asked_ns
        if not self._wants_birth or (self._asked_ns and quiet_ns < self._wait_ns):
            return False
        is_again = self._asked_ns and quiet_ns < 2 * REBIRTH_NS[1]
        self._wait_ns = min(2 * self._wait_ns, REBIRTH_NS[1]) if is_again else REBIRTH_NS[0]
        self._asked_ns = now_ns
        self.rebirths += 1
        return True


_KINDS: Final = frozenset(("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"))


def _read(metric: Metric, payload: Payload, born_as: int) -> tuple[int, float, str]:
    """A metric's time (ns), its value, and why there is none."""
    at_ms = payload.timestamp_ms if metric.timestamp_ms is None else metric.timestamp_ms
    if at_ms is None or not 0 < at_ms < _TIME_MAX_MS:
        return 0, nan, NO_TIME
    if not metric.is_number and not metric.is_null:
        return 0, nan, NO_NUMBER
    found = metric.number(born_as)
    value = nan if found is None else float(found)
    if value == value and not isfinite(value):
        return 0, nan, INFINITE
    return at_ms * _MS, value, ""


def _is_unknown(metric: Metric, born: Born) -> bool:
    """It is named by an alias alone, which no birth gave."""
    return not metric.name and metric.alias is not None and metric.alias not in born.aliases


def _bd_seq(payload: Payload) -> int | None:
    return next((metric.bits for metric in payload.metrics if metric.name == "bdSeq"), None)


def _empty(item: Arrival) -> Arrival:
    """What says nothing, and is to be acknowledged."""
    return replace(item, data=b"", device="")


def names_of(channels: Iterable[str], metrics: Mapping[str, str]) -> list[str]:
    """The metric of each channel."""
    return [metrics.get(channel, channel) for channel in channels]
