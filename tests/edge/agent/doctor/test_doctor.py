"""`agent doctor` as a user types it, and what a real broker does not grant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sensorloom
from edge.agent.doctor.links import link_facts
from edge.config import load_config
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import has_session


def configure(folder: Path, url: str, protocol: str = "5", log: str = "segments:log") -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f"""device = "pump"
log = "{log}"
[spool]
dir = "spool"
[[source]]
name = "temp"
type = "mqtt"
broker = "{url}"
topic = "t"
protocol = "{protocol}"
decoder = "csv"
stream = "temp"
channels = {{ c = "degC" }}
"""
    )
    return path


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_broker_that_grants_all_is_well_and_keeps_nothing_of_the_visit(tmp_path: Path, protocol: str) -> None:
    with Mosquitto() as broker:
        (found,) = link_facts(load_config(configure(tmp_path, broker.url, protocol)), "t7")
        assert (found.who, found.address, found.problem, found.limits) == ("temp", broker.url, "", [])
        assert not has_session(broker.host, broker.port, "sensorloom-t7")


def test_what_a_broker_does_not_grant_is_named(tmp_path: Path) -> None:
    with Mosquitto("max_packet_size 2000", "max_qos 0", "persistent_client_expiration 1h") as broker:
        (found,) = link_facts(load_config(configure(tmp_path, broker.url)), "t7")
    said = "\n".join(found.limits)
    assert "it has no QoS 1" in said
    assert "packets up to 2,000 bytes, max_message allows 1,000,000" in said


def test_who_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    config = load_config(configure(tmp_path, "mqtt://127.0.0.1:9", log="kafka://127.0.0.1:9,127.0.0.1:10/site"))
    problems = {found.who: (found.address, found.problem) for found in link_facts(config, "t7")}
    assert problems["log"] == (
        "127.0.0.1:10",
        "nobody listens there; is the broker running, is the number behind the colon right?",
    )
    assert problems["temp"] == (
        "mqtt://127.0.0.1:9",
        "Connection refused: nobody listens there; is the broker running, is port 9 right?",
    )


def test_the_doctor_ends_with_1_and_the_fixes_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = configure(tmp_path, "mqtt://127.0.0.1:9")
    words = ["agent", "doctor", "-c", str(path), "--for", "100ms"]
    assert sensorloom.main([*words, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [one["weight"] for one in said["remedies"]] == sorted(one["weight"] for one in said["remedies"])
    assert {"agent", "temp"} <= {one["what"] for one in said["remedies"]}
    assert said["facts"]["disk"]["spool"].endswith("/spool")
    assert sensorloom.main(words) == 1
    shown = capsys.readouterr().out
    assert "1. agent: no agent runs on the spool" in shown
    assert shown.count("temp: mqtt://127.0.0.1:9: ") == 1
    assert not (tmp_path / "spool").exists()
