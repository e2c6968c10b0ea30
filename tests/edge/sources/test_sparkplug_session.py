"""What an edge node says, message by message: payloads, births, deaths, numbers, what is parked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from edge.decoders.scans.decoder import row_type
from edge.devices import Pattern
from edge.protocol import Arrival, Interruption
from edge.sources.sparkplug.payload import Metric, Payload, read_payload, rebirth_command
from edge.sources.sparkplug.session import PARKED, Item, Session
from ingest.times import NS
from simulators.doubles.suite import mutated
from tests.edge.sources.sparkplug import Said, payload, text, varint, whole
from tests.support.data import data_dir

AT = 1_750_000_000_000
BD = Said("bdSeq", value=3, datatype=8)


class Node:
    """A session, and what it made of messages."""

    def __init__(self, names: tuple[str, ...] = ("temp", "rpm"), device: str | None = "", **more: Any) -> None:
        self.session = Session(names, device, **more)
        self._type = row_type(len(names))
        self._count = 0

    def hear(self, kind: str, data: bytes, device: str = "", *, again: bool = False) -> list[Any]:
        """Rows as `(ms, values…)` with their device where there is one, losses as their reason; empty arrivals as
        nothing."""
        topic = f"spBv1.0/plant/{kind}/gate" + (f"/{device}" if device else "")
        self._count += 1
        item = Arrival(data, self._count, self._count, token=self._count, identity=b"i", redelivered=again)
        return list(self._shown(self.session.take(topic, item)))

    def _shown(self, items: list[Item]) -> Iterator[Any]:
        for item in items:
            if isinstance(item, Interruption):
                yield item.reason if not item.device else (item.reason, item.device)
            else:
                assert item.token is not None
                assert item.identity
                for row in np.frombuffer(item.data, self._type):
                    values = tuple(None if value != value else value for value in row["values"].tolist())
                    own = (item.device,) if item.device else ()
                    yield (*own, int(row["time_ns"]) // 1_000_000 - AT, *values)

    def born(self) -> None:
        self.hear("NBIRTH", payload(0, [BD, Said("temp", 1, 20.5), Said("rpm", 2, 7, datatype=1)]))


def test_the_vectors_are_read_as_they_say() -> None:
    for vector in json.loads((data_dir() / "sparkplug_b" / "vectors.json").read_text()):
        found = read_payload(base64.b64decode(vector["base64"]))
        assert len(found.metrics) == vector["metric_count"]
    node = Node(("Temperature",))
    vectors = json.loads((data_dir() / "sparkplug_b" / "vectors.json").read_text())
    rows = [row for one in vectors[:2] for row in node.hear(one["message_type"], base64.b64decode(one["base64"]))]
    assert [row[-1] for row in rows] == [21.5, 22.5]


def test_types_are_what_the_birth_says() -> None:
    node = Node()
    node.born()
    data = payload(1, [Said(alias=1, value=-1.5, datatype=0), Said(alias=2, value=-3, datatype=0)], AT + 1)
    assert node.hear("NDATA", data) == [(1, -1.5, -3.0)]
    assert node.hear("NDATA", payload(2, [Said(alias=2, value=200, datatype=5)], AT + 2)) == [(2, None, 200.0)]
    assert node.hear("NDATA", payload(3, [Said("temp", value=True, datatype=11)], AT + 3)) == [(3, 1.0, None)]


def test_each_metric_has_its_own_time_and_a_history_comes_in_its_order() -> None:
    node = Node()
    node.born()
    metrics = [
        Said(alias=1, value=3.0, at_ms=AT + 30),
        Said(alias=1, value=1.0, at_ms=AT + 10, is_historical=True),
        Said(alias=2, value=2, at_ms=AT + 10, is_historical=True),
    ]
    assert node.hear("NDATA", payload(1, metrics, AT + 31)) == [(10, 1.0, 2.0), (30, 3.0, None)]


@pytest.mark.parametrize(
    ("metric", "at_ms", "reason"),
    [
        (Said(alias=1, value="hot", datatype=12), AT, "text"),
        (Said(alias=1, value=float("inf")), AT, "infinite"),
        (Said(alias=1, value=1.0), None, "no_time"),
    ],
)
def test_a_value_that_is_none_is_a_loss(metric: Said, at_ms: int | None, reason: str) -> None:
    node = Node()
    node.born()
    assert node.hear("NDATA", payload(1, [metric], at_ms)) == [reason]


def test_a_null_is_no_value_and_what_a_birth_says_again_no_sample() -> None:
    node = Node()
    node.born()
    assert node.hear("NDATA", payload(1, [Said(alias=1, value=None), Said(alias=2, value=1)], AT + 5)) == [
        (5, None, 1.0)
    ]
    assert node.hear("NDATA", payload(2, [Said(alias=1, value=None)], AT + 6)) == []
    again = [BD, Said("temp", 1, 20.5, at_ms=AT), Said("rpm", 2, 1, at_ms=AT + 7)]
    assert node.hear("NBIRTH", payload(0, again, AT + 8)) == [(7, None, 1.0)]


def test_an_unknown_alias_waits_for_a_birth_that_is_asked_for_at_a_bounded_rate() -> None:
    node = Node()
    assert node.hear("NDATA", payload(7, [Said(alias=1, value=1.0)], AT + 1)) == []
    assert len(node.session.parked) == 1
    assert [node.session.asks(at * NS) for at in (100, 105, 109, 110, 115, 129, 130, 169, 170)] == [
        *(True, False, False, True, False, False, True, False, True)
    ]
    assert node.hear("NDATA", payload(8, [Said(alias=1, value=2.0)], AT + 2)) == []
    birth = payload(0, [BD, Said("temp", 1, 9.0, at_ms=AT + 3)], AT + 3)
    assert node.hear("NBIRTH", birth) == [(1, 1.0, None), (2, 2.0, None), (3, 9.0, None)]
    assert not node.session.asks(1000 * NS)
    assert not node.session.parked
    # an alias that the new birth does not give either is lost
    node.hear("NDATA", payload(1, [Said(alias=9, value=1.0)], AT + 4))
    assert node.session.asks(1000 * NS)
    assert node.hear("NBIRTH", payload(0, [BD, Said("temp", 1, 9.0, at_ms=AT + 3)], AT + 5)) == ["unknown_alias"]


def test_after_another_connection_aliases_are_unknown_until_the_next_birth() -> None:
    """The node may have begun anew meanwhile, with `rpm` where `temp` was: nobody but its birth can tell."""
    node = Node()
    node.born()
    assert node.session.reconnected() == []
    assert node.hear("NDATA", payload(1, [Said("temp", value=3.0), Said("rpm", value=1)], AT + 1)) == [(1, 3.0, 1.0)]
    assert node.session.asks(NS)  # although it could be read
    assert node.hear("NDATA", payload(2, [Said(alias=1, value=900.0)], AT + 2)) == []
    other = payload(0, [Said("bdSeq", value=4, datatype=8), Said("temp", 2, 20.5), Said("rpm", 1, 7)])
    assert node.hear("NBIRTH", other) == [(2, None, 900.0)]
    # what waited with a token comes again; what waited without one was said before the break
    node.hear("NDATA", payload(1, [Said(alias=9, value=1.0)]))
    node.session.take("spBv1.0/plant/NDATA/gate", Arrival(payload(2, [Said(alias=9, value=1.0)]), 1, 1))
    lost = [found for found in node.session.reconnected() if not isinstance(found, Arrival)]
    assert [found.reason for found in lost] == ["unknown_alias"]
    assert not node.session.parked
    # a last will that no birth was heard of counts
    assert node.hear("NDEATH", payload(None, [Said("bdSeq", value=9, datatype=8)])) == ["node_dead"]


def test_a_birth_that_cannot_be_read_ends_what_the_one_before_it_said() -> None:
    node = Node(("temp",), "press")
    node.hear("DBIRTH", payload(1, [Said("temp", 1, 2.0)]), "press")
    assert node.hear("DBIRTH", b"\x08", "press") == ["bad_payload"]
    assert node.hear("DDATA", payload(2, [Said(alias=1, value=9.0)], AT + 1), "press") == []
    assert node.hear("DBIRTH", payload(3, [Said("temp", 2, 2.0)], AT + 2), "press") == ["unknown_alias", (2, 2.0)]
    node.session.unread("spBv1.0/plant/NBIRTH/gate")  # too large to be taken
    assert node.hear("DDATA", payload(4, [Said(alias=2, value=9.0)], AT + 3), "press") == []


def test_births_that_do_not_explain_an_alias_are_not_asked_for_faster() -> None:
    node = Node()
    asked = []
    for second in range(100, 200):
        node.hear("NDATA", payload(None, [Said(alias=9, value=1.0)], AT + second))
        if node.session.asks(second * NS):
            asked.append(second)
            node.born()
    assert asked == [100, 110, 130, 170]
    node.hear("NDATA", payload(None, [Said(alias=9, value=1.0)], AT + 900))
    assert [node.session.asks(at * NS) for at in (900, 910)] == [True, True]


def test_no_more_is_parked_than_is_allowed_and_what_is_given_up_is_acknowledged_and_told() -> None:
    node = Node()
    lost = [node.hear("NDATA", payload(n % 256, [Said(alias=1, value=1.0)], AT + n)) for n in range(PARKED + 5)]
    assert lost.count(["unknown_alias"]) == 5
    assert len(node.session.parked) == PARKED
    large = payload(0, [Said(alias=1, value="x" * 400_000, datatype=12)])
    for _ in range(3):
        node.hear("NDATA", large)
    assert sum(len(parked.item.data) for parked in node.session.parked) <= 1_000_000
    small = Node(parked_most=10)
    for n in range(12):
        small.hear("NDATA", payload(n, [Said(alias=1, value=1.0)]))
    assert len(small.session.parked) == 10


def test_a_number_that_is_missing_is_a_loss_and_asks_for_a_birth() -> None:
    node = Node()
    node.born()
    for seq in range(1, 600):  # through 255 and round again
        assert node.hear("NDATA", payload(seq % 256, [Said(alias=1, value=1.0)], AT + seq)) == [(seq, 1.0, None)]
    assert not node.session.asks(NS)
    assert node.hear("NDATA", payload(90, [Said(alias=1, value=1.0)], AT + 700)) == ["seq_gap", (700, 1.0, None)]
    assert node.session.asks(NS)
    assert node.hear("NDATA", payload(91, [Said(alias=1, value=1.0)], AT + 701)) == [(701, 1.0, None)]


def test_an_equal_number_and_value_is_another_message() -> None:
    """256 messages later everything may be the same but the time."""
    node = Node()
    node.born()
    for seq in range(1, 257):
        node.hear("NDATA", payload(seq % 256, [Said(alias=1, value=1.0)], AT + seq))
    assert node.hear("NDATA", payload(1, [Said(alias=1, value=1.0)], AT + 300)) == [(300, 1.0, None)]


def test_a_repeated_delivery_is_no_gap() -> None:
    node = Node()
    node.born()
    first, second = (payload(seq, [Said(alias=1, value=1.0)], AT + seq) for seq in (1, 2))
    node.hear("NDATA", first)
    node.hear("NDATA", second)
    assert node.hear("NDATA", first, again=True) == [(1, 1.0, None)]  # the agent knows it by its packet id
    node.hear("NBIRTH", payload(0, [BD, Said("temp", 1, 20.5), Said("rpm", 2, 7, datatype=1)]), again=True)
    assert node.hear("NDATA", payload(3, [Said(alias=1, value=1.0)], AT + 3)) == [(3, 1.0, None)]


def test_a_death_ends_its_own_session_alone() -> None:
    node = Node()
    node.born()
    assert node.hear("NDEATH", payload(None, [Said("bdSeq", value=2, datatype=8)])) == []
    assert not node.session.is_dead
    assert node.hear("NDEATH", payload(None, [BD])) == ["node_dead"]
    assert node.session.is_dead
    assert node.hear("NDATA", payload(1, [Said(alias=1, value=1.0)])) == []
    assert node.hear("NDEATH", payload(None, [BD])) == ["unknown_alias", "node_dead"]
    node.born()
    assert not node.session.is_dead


def test_each_device_behind_a_node_is_one_of_its_own() -> None:
    node = Node(("temp",), None, pattern=Pattern.of("hall-{device}"))
    node.hear("NBIRTH", payload(0, [BD, Said("temp", 1, 5.0)]))
    assert node.hear("DBIRTH", payload(1, [Said("temp", 1, 1.0)]), "a") == [("hall-a", 0, 1.0)]
    assert node.hear("DBIRTH", payload(2, [Said("temp", 1, 2.0)]), "b") == [("hall-b", 0, 2.0)]
    assert node.hear("DDATA", payload(3, [Said(alias=1, value=3.0)], AT + 1), "a") == [("hall-a", 1, 3.0)]
    assert node.hear("DDEATH", payload(4), "a") == [("device_dead", "hall-a")]
    assert node.hear("DDATA", payload(5, [Said(alias=1, value=3.0)], AT + 2), "a") == []
    assert node.hear("DDATA", payload(6, [Said(alias=1, value=4.0)], AT + 2), "b") == [("hall-b", 2, 4.0)]
    assert node.hear("DBIRTH", payload(7, [Said("temp", 9, 1.0)], AT + 3), "a") == [
        ("unknown_alias", "hall-a"),
        ("hall-a", 3, 1.0),
    ]


def test_of_one_device_the_others_are_left_alone() -> None:
    node = Node(("temp",), "a")
    node.hear("NBIRTH", payload(0, [BD, Said("temp", 1, 5.0)]))
    assert node.hear("DDATA", payload(1, [Said(alias=1, value=1.0)]), "b") == []
    assert not node.session.parked
    assert node.hear("DBIRTH", payload(2, [Said("temp", 1, 2.0)]), "a") == [(0, 2.0)]
    node.hear("DDATA", payload(3, [Said(alias=9, value=1.0)]), "b")
    assert not node.session.asks(NS)  # whatever another one says
    assert node.hear("NCMD", payload(None, [])) == []
    assert node.hear("DDATA", payload(None, [Said(alias=1, value=1.0)], AT + 1), "a") == [(1, 1.0)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x12\x7f",
        b"\x0b",
        b"\x00\x01",
        b"\x08" + b"\xff" * 11,
        text(2, text(1, b"\xff\xfe")),
        text(2, varint(13 << 3 | 1) + b"\0" * 7),
        whole(3, 256),
    ],
)
def test_what_is_no_payload_is_a_loss_and_asks_for_a_birth(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        read_payload(data)
    node = Node()
    node.born()
    assert node.hear("NDATA", data) == ["bad_payload"]
    assert node.session.asks(NS)


def test_the_command_is_one_that_a_node_understands() -> None:
    assert read_payload(rebirth_command(AT)) == Payload(
        AT, None, [Metric("Node Control/Rebirth", timestamp_ms=AT, datatype=11, value=True)]
    )


def test_other_topics_are_acknowledged_and_say_nothing() -> None:
    session = Session(("x",), "")
    for topic in ("a/b", "spBv1.0/g/NDATA", "spBv1.0/g/NDATA/n/d", "spBv1.0/g/DDATA/n", "spBv1.0/g/STATE/n"):
        (found,) = session.take(topic, Arrival(b"\xff", 1, 1, token=7))
        assert isinstance(found, Arrival)
        assert (found.data, found.token) == (b"", 7)


def fuzz(count: int) -> None:
    """Damaged messages: nothing raises, each token comes out once or is parked, memory is bounded."""
    chance = Random(7)
    births = payload(0, [BD, Said("temp", 1, 20.5), Said("rpm", 2, 7, datatype=1), Said("other", 3, "text")])
    data = [payload(n, [Said(alias=n % 4, value=1.5), Said("rpm", value=n)], AT + n) for n in range(8)]
    node, seen = Session(("temp", "rpm"), None, Pattern.of("{device}"), 20), set[Any]()
    for number in range(count):
        kind = chance.choice(("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDATA", "DDEATH"))
        said = chance.choice([births, *data])
        said = mutated(said, chance) if chance.random() < 0.7 else said
        device = f"/{chance.choice('abc')}" if kind[0] == "D" else ""
        item = Arrival(said, number, number, token=number, redelivered=chance.random() < 0.1)
        for found in node.take(f"spBv1.0/g/{kind}/n{device}", item):
            if isinstance(found, Arrival):
                assert found.token not in seen
                seen.add(found.token)
        assert len(node.parked) <= 20
    assert len(seen) + len(node.parked) == count


def test_damaged_messages_end_nothing() -> None:
    fuzz(3000)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_many_damaged_messages_end_nothing() -> None:
    fuzz(100_000)
