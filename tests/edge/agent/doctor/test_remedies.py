"""What a device lacks, the gravest first."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.agent.doctor.links import limits
from edge.agent.doctor.remedies import ClockFacts, DiskFacts, Facts, LinkFacts, PowerFacts, doctor_page, remedies
from tests.edge.agent.views import source_view, view

WELL = Facts(
    ClockFacts("system", is_plausible=True, is_synchronised=True, daemon="chronyd"),
    DiskFacts("/spool", max_bytes=2_000_000_000, free_bytes=10_000_000_000),
    PowerFacts(is_low=False, was_low=False),
    [LinkFacts("log", "kafka://h:9092")],
    view(),
)


def having(part: str = "", **given: Any) -> Facts:
    """A device that is well but for this."""
    if not part:
        return msgspec.structs.replace(WELL, **given)
    return msgspec.structs.replace(WELL, **{part: msgspec.structs.replace(getattr(WELL, part), **given)})


def test_of_a_device_that_is_well_nothing_is_said() -> None:
    assert remedies(WELL) == []
    assert doctor_page([], WELL) == "an agent runs: process 7, sensorloom 1.0\nall is well"


@pytest.mark.parametrize(
    ("facts", "weight", "what", "said"),
    [
        (having(agent=None, why_none="no agent runs here"), 1, "agent", "no agent runs here"),
        (having("agent", figures={"conflicts": 1}), 1, "agent", "another agent publishes for its device"),
        (having("agent", sources=[source_view(findings=["its rate is off"])]), 1, "imu", "its rate is off"),
        (having("agent", sources=[source_view(waiting_for="a port")]), 1, "imu", "waiting for a port"),
        (having("agent", figures={"spool.dropped_samples": 9}), 1, "spool", "9 samples were dropped as it was full"),
        (having("agent", figures={"spool.lost_records": 9}), 1, "spool", "9 of its records are gone"),
        (having("agent", figures={"too_large": 2}), 1, "log", "raise its max.message.bytes"),
        (having("agent", figures={"lag_s": 61.0}), 2, "log", "it is 61 s behind"),
        (having("agent", log_waiting_for="kafka: refused"), 2, "log", "waiting for kafka: refused"),
        (having(links=[LinkFacts("log", "h:9092", "nobody listens there")]), 2, "log", "h:9092: nobody listens there"),
        (having(links=[LinkFacts("t", "mqtt://h", limits=["no QoS 1"])]), 2, "t", "mqtt://h: no QoS 1"),
        (having("clock", is_plausible=False), 2, "clock", "a year that cannot be"),
        (having("clock", is_synchronised=False), 3, "clock", "chronyc sources"),
        (having("clock", is_synchronised=False, daemon=""), 3, "clock", "sudo apt install chrony"),
        (having("clock", is_synchronised=False, daemon="ntpd"), 3, "clock", "see why ntpd does not set it"),
        (having("clock", is_synchronised=False, trust="ntp"), 2, "clock", "lets data wait for that"),
        (having("clock", has_rtc=False), 3, "clock", 'say trust = "ntp" in [clock]'),
        (having(calibrations={"imu": "is yet to come"}), 3, "imu", "is yet to come"),
        (having("disk", is_read_only=True), 1, "disk", "mounted read-only"),
        (having("disk", ground="lies in memory"), 2, "disk", "lies in memory"),
        (having("disk", free_bytes=50_000_000), 2, "disk", "50 MB are free; make room"),
        (having("disk", free_bytes=500_000_000), 4, "disk", "may grow by 2 GB, 500 MB are free"),
        (having("disk", used_bytes=1_900_000_000), 2, "spool", "holds 1.9 GB of 2 GB"),
        (having("disk", device="mmcblk0", worn=0.9), 4, "disk", "mmcblk0 has 90 % of its life behind it"),
        (having("disk", device="mmcblk0", written_a_day=3e10), 4, "disk", "30 GB a day are written to the card"),
        (having("power", is_low=True), 3, "power", "too low now"),
        (having("power", was_low=True), 3, "power", "too low since the start"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_once_with_what_to_do(facts: Facts, weight: int, what: str, said: str) -> None:
    (found,) = remedies(facts)
    assert (found.weight, found.what) == (weight, what)
    assert said in found.text


def test_the_gravest_comes_first() -> None:
    facts = msgspec.structs.replace(
        having("clock", is_synchronised=False),
        disk=msgspec.structs.replace(WELL.disk, worn=1.0),
        agent=None,
        why_none="no agent runs",
        sources=[source_view(findings=["silent"])],
        links=[LinkFacts("log", "h:9092", "away")],
    )
    assert [one.what for one in remedies(facts)] == ["agent", "imu", "log", "clock", "disk"]
    page = doctor_page(remedies(facts), facts)
    assert page.splitlines()[:2] == ["1. agent: no agent runs", "2. imu: silent"]


def test_the_log_that_the_agent_names_is_not_named_twice() -> None:
    facts = msgspec.structs.replace(having("agent", log_waiting_for="it"), links=[LinkFacts("log", "h:9092", "away")])
    assert [one.text for one in remedies(facts)] == ["waiting for it"]


def test_a_broker_for_which_a_source_waits_is_not_named_twice() -> None:
    waiting = source_view("t", waiting_for="mqtt://h: not connected yet", findings=["mixed"])
    facts = having("agent", sources=[waiting, source_view("u", waiting_for="a port")])
    facts = msgspec.structs.replace(facts, links=[LinkFacts("t", "mqtt://h", "no way")])
    found = [(one.weight, one.what, one.text) for one in remedies(facts)]
    assert found == [(1, "t", "mixed"), (1, "u", "waiting for a port"), (1, "t", "mqtt://h: no way")]


def test_a_disk_that_is_no_card_may_be_written_to() -> None:
    assert remedies(having("disk", device="nvme0n1", written_a_day=1e12, worn=0.5)) == []


def test_what_a_broker_does_not_grant() -> None:
    assert list(limits({}, 1, 1_000_000, 604_800)) == []
    said = {"MaximumQoS": 0, "SessionExpiryInterval": 60, "MaximumPacketSize": 1000, "ServerKeepAlive": 5}
    found = "\n".join(limits(said, 1, 1_000_000, 604_800))
    for words in ("no QoS 1", "for 60 s only", "packets up to 1,000 bytes", "silent for 5 s"):
        assert words in found
    assert list(limits({"MaximumQoS": 0}, 0, 1, 1)) == []
