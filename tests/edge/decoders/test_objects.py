"""Repetitions: those of a real LoRaWAN node are recognised, and nothing else is taken for one."""

from __future__ import annotations

import gzip
from collections import Counter

from edge.decoders.json.decoder import JsonDecoder
from edge.decoders.repetitions import GROUPS, Repetitions
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
    assert not any(known.is_known((device, 1)) for device in range(GROUPS + 100))
    assert not known.is_known((0, 1))
    assert known.is_known((GROUPS + 99, 1))


def test_a_whole_number_is_the_same_however_it_is_written_and_other_texts_are_others() -> None:
    known = Repetitions()
    assert [known.is_known(("a", frame)) for frame in (7, 7.0, "7", 7.5, True)] == [False, True, False, False, False]


def test_what_was_noted_is_known_after_a_restart_as_it_was_and_what_was_given_up_is_not() -> None:
    known, notes = Repetitions(), list[bytes]()
    for number in range(40):
        known.is_known(("ab"[number % 2], number))
        if number % 3 == 2:
            notes.append(known.take())
    known.is_known(("a", "given up"))
    known.forget(known.take())
    notes.append(known.take())
    for numbers, is_known in ((range(38, 9, -2), True), (range(6, -2, -2), False)):
        again = Repetitions(notes)
        assert {again.is_known(("a", number)) for number in numbers} == {is_known}
    for found in (known, Repetitions(notes)):
        assert not found.is_known(("a", "given up"))
