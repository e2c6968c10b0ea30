"""What people read of the library's errors."""

from __future__ import annotations

import pytest
from aiokafka import errors as kafka_errors

from ingest.log.kafka.words import unreached, words_of


@pytest.mark.parametrize(
    ("error", "what", "place"),
    [
        (
            kafka_errors.TopicAuthorizationFailedError("a.readings"),
            'append to topic "a.readings"',
            "--topic a.readings",
        ),
        (kafka_errors.GroupAuthorizationFailedError("g"), 'read the offsets of group "g"', "--group g"),
        (kafka_errors.ClusterAuthorizationFailedError(), 'create topic "a.readings"', "--cluster"),
    ],
)
def test_what_is_not_allowed_is_told_with_what_grants_it(error: kafka_errors.KafkaError, what: str, place: str) -> None:
    said = words_of(what, error, "h:1")
    assert said.startswith("the broker's ACLs do not allow it to User:ANONYMOUS")
    assert said.endswith(f"--bootstrap-server h:1 --add --allow-principal User:ANONYMOUS --operation All {place}")


def test_a_broker_that_names_none_is_not_told_to_advertise_another_address() -> None:
    assert "find it at h:1, h:2, which cannot be reached from here" in unreached(["h:1", "h:2"])
    assert "names none that serves clients" in unreached([])
    assert "advertised" not in unreached([])
