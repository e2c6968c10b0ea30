"""Which settings of a topic break a promise, and which are worth a word."""

from __future__ import annotations

import pytest

from ingest.log.kafka import setup
from ingest.log.kafka.setup import Setup, spec_of

KAFKAS_OWN = {
    "message.timestamp.type": "CreateTime",
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "min.insync.replicas": "1",
}
RIGHT = {
    "readings": {"message.timestamp.type": "LogAppendTime"},
    "marks": {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"},
    "streams": {"cleanup.policy": "compact"},
    "status": {},
}


def a_setup(
    topic: str, more: dict[str, str] | None = None, *, partitions: int = 4, replicas: int = 1, brokers: int = 1
) -> Setup:
    named = {name.replace("_", "."): value for name, value in (more or {}).items()}
    return Setup(partitions, replicas, brokers, {**KAFKAS_OWN, **RIGHT[topic], **named})


@pytest.mark.parametrize("topic", RIGHT)
def test_topics_as_they_are_made_are_in_order(topic: str) -> None:
    spec = spec_of(f"north.{topic}")
    assert setup.fault(spec, a_setup(topic), "h:1") == ""
    assert list(setup.remarks(spec, a_setup(topic), "h:1")) == []
    assert list(setup.remarks(spec, a_setup(topic, {"min_insync_replicas": "2"}, replicas=3, brokers=3), "h:1")) == []


@pytest.mark.parametrize(
    ("topic", "more", "found", "wanted"),
    [
        ("readings", {"message_timestamp_type": "CreateTime"}, "message.timestamp.type=CreateTime", "LogAppendTime"),
        ("marks", {"message_timestamp_type": "CreateTime"}, "message.timestamp.type=CreateTime", "LogAppendTime"),
        ("readings", {"cleanup_policy": "compact"}, "cleanup.policy=compact", "cleanup.policy=delete"),
        ("marks", {"cleanup_policy": "compact,delete"}, "cleanup.policy=compact,delete", "cleanup.policy=delete"),
        ("streams", {"cleanup_policy": "delete"}, "cleanup.policy=delete", "cleanup.policy=compact"),
        ("streams", {"cleanup_policy": "delete,compact"}, "cleanup.policy=delete,compact", "cleanup.policy=compact"),
    ],
)
def test_what_breaks_a_promise_is_found_with_the_command(
    topic: str, more: dict[str, str], found: str, wanted: str
) -> None:
    fault = setup.fault(spec_of(topic), a_setup(topic, more), "h:1")
    assert f"found {found}, needs {wanted.rpartition('=')[2]}" in fault
    assert f"kafka-configs.sh --bootstrap-server h:1 --alter --entity-type topics --entity-name {topic}" in fault
    assert fault.endswith(wanted)


def test_descriptions_that_are_compacted_and_kept_for_ever_are_in_order() -> None:
    policy = {"cleanup_policy": "compact,delete", "retention_ms": "-1"}
    assert setup.fault(spec_of("streams"), a_setup("streams", policy), "h:1") == ""


@pytest.mark.parametrize(
    ("more", "said", "command"),
    [
        ({"retention_ms": "86400000"}, "for 1 days", "retention.ms=-1"),
        ({"retention_bytes": "1000"}, "up to 1000 bytes a partition", "retention.bytes=-1"),
        (
            {"retention_ms": "604800000", "retention_bytes": "1000"},
            "for 7 days and up to 1000 bytes a partition",
            "retention.ms=-1,retention.bytes=-1",
        ),
    ],
)
def test_marks_that_are_not_kept_for_ever_are_told(more: dict[str, str], said: str, command: str) -> None:
    (remark,) = setup.remarks(spec_of("marks"), a_setup("marks", more), "h:1")
    assert said in remark
    assert remark.endswith(command)


def test_records_that_one_broker_of_several_has_are_told() -> None:
    (alone,) = setup.remarks(spec_of("readings"), a_setup("readings", replicas=1, brokers=3), "h:1")
    assert "replication factor 1, 3 brokers" in alone
    (unsure,) = setup.remarks(spec_of("readings"), a_setup("readings", replicas=3, brokers=3), "h:1")
    assert "min.insync.replicas=1" in unsure
    assert unsure.endswith("min.insync.replicas=2")
    assert list(setup.remarks(spec_of("live"), a_setup("status", replicas=1, brokers=3), "h:1")) == []


def test_a_topic_that_is_there_no_more_or_is_another_one_is_told_with_what_makes_it_as_it_was() -> None:
    spec = spec_of("north.marks")
    gone = setup.missing(spec, 4, "h:1")
    assert gone.endswith("--partitions 4 --config message.timestamp.type=LogAppendTime --config retention.ms=-1")
    assert setup.shrunk(spec, 4, a_setup("marks"), "h:1") == ""
    less = setup.shrunk(spec, 4, a_setup("marks", partitions=1), "h:1")
    assert "it has 1 partition, had 4" in less
    assert less.endswith("kafka-topics.sh --bootstrap-server h:1 --alter --topic north.marks --partitions 4")


def test_what_was_changed_is_told() -> None:
    before = a_setup("readings")
    assert list(setup.changes(spec_of("readings"), before, before)) == []
    more, smaller = setup.changes(
        spec_of("readings"), before, a_setup("readings", {"max_message_bytes": "3000"}, partitions=6)
    )
    assert "6 partitions now, had 4" in more
    assert "max.message.bytes is 3000 now, was 1048588" in smaller
