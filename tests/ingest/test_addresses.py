from __future__ import annotations

from pathlib import Path

import pytest

from ingest.addresses import host_fault
from ingest.errors import UsageError
from ingest.opening import anchored, open_log


@pytest.mark.parametrize(
    "host", ["localhost", "plant.example", "plant.example.", "10.0.0.7", "::1", "grün.example", "a_b"]
)
def test_a_resolver_may_take_it(host: str) -> None:
    assert host_fault(host) == ""


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("plant..example", "an empty part"),
        (".example", "an empty part"),
        ("", "no host"),
        ("a" * 64, "too long"),
        (".".join(["abc"] * 70), "too long"),
        ("plant example", "other characters"),
        ("-plant", "other characters"),
        ("gr\u00fcn..example", "no name of a host"),
    ],
)
def test_no_resolver_takes_it(host: str, reason: str) -> None:
    assert reason in host_fault(host)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://plant", "says no port; Kafka's own is 9092: write plant:9092"),
        ("kafka://plant/site", "write plant:9092"),
        ("kafka://plant..example:9092", "an empty part between two dots"),
        ("kafka://plant:99999", "port 99999 is not in 1..65535"),
        ("kafka://plant:9092,", '"" is no address'),
        ("kafkas://plant:9093", "Kafka by TLS is not supported"),
        ("mqtt://plant:1883", "a broker is a source"),
        ("/var/log/sensors", "a path needs the scheme: segments:DIR"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_the_fix(url: str, said: str) -> None:
    with pytest.raises(UsageError) as found:
        open_log(url)
    assert said in str(found.value)


def test_a_folder_starts_from_where_it_was_written() -> None:
    base = Path("/etc/sensorloom")
    assert anchored("segments:log", base) == "segments:/etc/sensorloom/log"
    assert anchored("segments:/srv/log?retention=1d", base) == "segments:/srv/log?retention=1d"
    assert anchored("kafka://host:9092/site", base) == "kafka://host:9092/site"
