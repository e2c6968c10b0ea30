"""Repetitions: those of a real LoRaWAN node are recognised, and nothing else is taken for one."""

from __future__ import annotations

import gzip
from collections import Counter

from edge.decoders.json.decoder import JsonDecoder
from edge.decoders.objects import Repetitions
from edge.protocol import Fault
from tests.edge.configs import source_config
from tests.support.data import data_dir


def test_frames_that_several_gateways_heard() -> None:
    config = source_config(
        "json", ("t",), kind="mqtt", fields={"t": "decoded.payload.temperature"}, unique=["dev_eui", "fcnt"]
    )
    decoder, counted = JsonDecoder.from_config(config), Counter[str]()
    with gzip.open(data_dir() / "lorawan_campusiot" / "helium_ems_B1C1.ndjson.gz") as file:
        for message in file:
            counted.update(item.reason if isinstance(item, Fault) else "sample" for item in decoder.message(message))
    assert counted["repeated"] == 8110 - 6144
    assert counted.total() == 8110


def test_a_counter_that_begins_anew_is_no_repetition() -> None:
    known = Repetitions()
    assert not any(known.is_known(("a", number % 30)) for number in range(90))


def test_each_device_has_its_own() -> None:
    known = Repetitions()
    assert [known.is_known((device, 1)) for device in "abab"] == [False, False, True, True]


def test_devices_without_end_are_forgotten() -> None:
    known = Repetitions()
    assert not any(known.is_known((device, 1)) for device in range(5000))
    assert not known.is_known((0, 1))
    assert known.is_known((4999, 1))
