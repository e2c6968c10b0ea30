"""An error inside a decoder costs the line that it was about, in an agent too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pytest

from edge.decoders import DECODERS, decoder_type
from edge.decoders.guard import GuardedDecoder
from edge.protocol import Fault, Frame, Key, SourceConfig
from simulators.doubles.agent import fed_config, running
from simulators.doubles.log import FlakyLog
from simulators.doubles.source import source_type
from simulators.doubles.suite import Sample, cut
from simulators.doubles.suite import run as run_decoder
from tests.edge.configs import source_config
from tests.edge.decoders.fuzzing import sentence


class Fragile:
    """Lines of one number; raises at a line that holds `!`, and at pieces that hold `?`."""

    keys: ClassVar[Mapping[str, Key]] = {}

    def __init__(self) -> None:
        self.rest, self.reached = b"", 0

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        return cls()

    def feed(self, data: bytes) -> Iterable[Frame | Fault]:
        if b"?" in data:
            raise KeyError("?")
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if b"!" in line:
                raise ZeroDivisionError("!")
            self.reached += len(line) + 1
            yield Frame(np.array([[float(line)]]), None, self.reached)

    def message(self, data: bytes) -> Iterable[Frame | Fault]:
        return self.feed(data + b"\n")

    def reset(self) -> Iterable[Frame | Fault]:
        rest, self.rest, self.reached = self.rest, b"", 0
        if b"!" in rest:
            raise ZeroDivisionError("!")
        return [Fault("torn", 0, 1, rest)] if rest else []


def run(decoder: GuardedDecoder, pieces: Iterable[bytes]) -> list[Sample | Fault]:
    return run_decoder(decoder, pieces)  # type: ignore[arg-type]  # it is made around one, not from a configuration


def guarded() -> tuple[GuardedDecoder, list[Exception]]:
    told: list[Exception] = []
    return GuardedDecoder(Fragile(), told.append), told


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_line_that_raises_costs_itself(size: int) -> None:
    data = b"1\n2\n3!\n4\n!\n5\n"
    decoder, told = guarded()
    found = run(decoder, cut(data, range(0, len(data), size)))
    assert found == [
        ((1.0,), None),
        ((2.0,), None),
        Fault("decoder_failed", 4, -1, b"3!\n"),
        ((4.0,), None),
        Fault("decoder_failed", 9, -1, b"!\n"),
        ((5.0,), None),
    ]
    assert told


def test_offsets_go_on_and_a_reset_begins_anew() -> None:
    decoder, _ = guarded()
    (_, frame) = decoder.feed(b"!\n1\n")
    assert isinstance(frame, Frame)
    assert frame.offset == 4
    (later,) = decoder.feed(b"2\n")
    assert isinstance(later, Frame)
    assert later.offset == 6
    assert decoder.reset() == []
    (first,) = decoder.feed(b"2\n")
    assert isinstance(first, Frame)
    assert first.offset == 2


def test_what_fails_before_its_line_is_whole_is_not_taken_up_in_its_middle() -> None:
    decoder, _ = guarded()
    found = run(decoder, [b"1\n", b"2?", b"34", b"5\n6\n"])
    assert found == [((1.0,), None), Fault("decoder_failed", 2, -1, b"2?"), ((6.0,), None)]


def test_what_fails_only_as_it_was_fed_is_told_and_given() -> None:
    class Once(Fragile):
        failed = False

        def feed(self, data: bytes) -> Iterable[Frame | Fault]:
            if not Once.failed:
                Once.failed = True
                raise KeyError
            return super().feed(data)

    found = GuardedDecoder(Once(), lambda error: None).feed(b"7\n")
    assert found[0] == Fault("decoder_failed", 0, -1, b"7\n")
    assert isinstance(found[1], Frame)


def test_a_message_and_a_reset_that_raise_are_a_fault_each() -> None:
    decoder, _ = guarded()
    assert decoder.message(b"1!") == [Fault("decoder_failed", 0, -1, b"1!")]
    (frame,) = decoder.message(b"2")
    assert isinstance(frame, Frame)
    assert frame.offset == 5
    decoder.feed(b"3!")
    assert decoder.reset() == [Fault("decoder_failed", 5, -1, b"3!")]


def configured(folder: Path) -> Path:
    path = fed_config(folder)
    text = path.read_text().replace('"csv"', '"fragile"')
    path.write_text(text + text[text.index("[[source]]") :].replace('"fed"\nty', '"two"\nty').replace('"acc"', '"b"'))
    return path


def test_an_agent_goes_on_behind_a_line_that_breaks_its_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DECODERS, "fragile", f"{__name__}:Fragile")
    log = FlakyLog()

    async def story() -> list[str]:
        async with running(configured(tmp_path), log) as here:
            here.source.feed(b"1\n2!\n3\n", 1)
            here.source.feed(b"!\n4\n", 2)
            await here.until(lambda: len(log.values()) == 3)
        return here.said

    with source_type("fed"):
        said = asyncio.run(story())
    assert log.values() == [1.0, 3.0, 4.0]
    assert [(gap.reason, gap.samples) for gap in log.gaps()][:1] == [("decoder_failed", -1)]
    told = [line for line in said if "fragile" in line]
    assert len(told) == 1
    assert 'fed: decoder "fragile": ZeroDivisionError: ! (test_guard.py:' in told[0]


def test_a_source_that_fails_as_nobody_foresaw_ends_neither_itself_nor_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DECODERS, "fragile", f"{__name__}:Fragile")
    monkeypatch.setattr("edge.agent.pipeline.RESTART_S", (0.01, 0.02))
    log = FlakyLog()

    async def story() -> list[str]:
        async with running(configured(tmp_path), log) as here:
            other = type(here.source).opened["b"]
            other.items.put_nowait(UnicodeError("no such label"))
            here.source.feed(b"1\n", 1)
            other.feed(b"2\n", 2)
            await here.until(lambda: {chunk.stream for chunk in log.chunks()} == {"acc", "b"})
        return here.said

    with source_type("fed"):
        said = asyncio.run(story())
    assert any(line.startswith("two: UnicodeError: no such label (") for line in said), said


@pytest.mark.parametrize(
    ("decoder", "broken", "lines"),
    [
        ("csv", "edge.decoders.csv.decoder.number", [b"1,nan", b"bug,nan", b"3,nan"]),
        ("json", "edge.decoders.objects.number_of", [b'{"x":1,"bug":0}', b'{"x":"bug"}', b"[3,null]"]),
        (
            "nmea",
            "edge.decoders.nmea.decoder.read",
            [sentence(b"GPGGA,1"), sentence(b"GPGGA,bug"), sentence(b"GPGGA,3")],
        ),
    ],
)
def test_a_bug_in_our_own_decoders_costs_its_line_too(
    decoder: str, broken: str, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = broken.rpartition(".")
    right = getattr(import_module(module), name)

    def wrong(what: object, *more: object, **named: object) -> object:
        if what == "bug" or (isinstance(what, bytes) and b"bug" in what):
            raise ZeroDivisionError
        return right(what, *more, **named)

    channels = ("lat", "lon") if decoder == "nmea" else ("x", "y")
    config = source_config(decoder, channels, units={"lat": "deg", "lon": "deg"})
    made = decoder_type(decoder, "").from_config(config)
    usual = run_decoder(made, [lines[0] + b"\n", lines[2] + b"\n"])
    monkeypatch.setattr(broken, wrong)
    found = run_decoder(made, [b"\n".join(lines) + b"\n"])
    (failed,) = (item for item in found if isinstance(item, Fault) and item.reason == "decoder_failed")
    assert failed == Fault("decoder_failed", len(lines[0]) + 1, -1, lines[1])
    assert [item for item in found if not isinstance(item, Fault)] == [
        item for item in usual if not isinstance(item, Fault)
    ]
    assert len(found) == len(usual) + 1
