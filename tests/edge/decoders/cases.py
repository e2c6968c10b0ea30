"""The cases that lie beside each decoder: what it is fed, and what comes of it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import edge.decoders
from edge.decoders import decoder_type
from edge.decoders.nmea.decoder import UNITS
from edge.decoders.ubx.decoder import UNITS as UBX_UNITS
from edge.protocol import ClockKind, Decoder
from ingest.units import parse_time
from simulators.doubles.suite import Sample
from tests.edge.configs import source_config

UNITS_OF = dict(UBX_UNITS) | dict(UNITS) | {"voltage": "V", "current": "A"}
FOLDER = Path(edge.decoders.__file__).parent


@dataclass(frozen=True)
class Case:
    decoder: str
    name: str
    channels: tuple[str, ...]
    options: dict[str, Any]
    is_plain: bool
    """It says no options of its own."""
    feed: bytes
    messages: list[bytes]
    samples: list[Sample]
    faults: list[tuple[str, int]]

    def new(self) -> Decoder:
        clock: ClockKind = "device" if self.decoder == "senml" else "arrival"
        config = source_config(self.decoder, self.channels, units=UNITS_OF, clock=clock, **self.options)
        return decoder_type(self.decoder, "").from_config(config)


def cases() -> Iterator[Case]:
    for path in sorted(FOLDER.glob("*/cases.toml")):
        file = tomllib.loads(path.read_text("utf-8"))
        for table in file["case"]:
            yield _case(path.parent.name, file, table)


def _case(decoder: str, file: dict[str, Any], table: dict[str, Any]) -> Case:
    known = {"name", "channels", "options", "feed", "hex", "messages", "samples", "times", "faults"}
    assert table.keys() <= known, table.keys() - known
    rows = table.get("samples", [])
    times = [parse_time(text) for text in table["times"]] if "times" in table else [None] * len(rows)
    return Case(
        decoder,
        table["name"],
        tuple(table.get("channels", file["channels"])),
        file.get("options", {}) | table.get("options", {}),
        "options" not in table,
        bytes.fromhex(table["hex"]) if "hex" in table else table.get("feed", "").encode("latin-1"),
        [text.encode("latin-1") for text in table.get("messages", [])],
        [(tuple(map(_shown, row)), at) for row, at in zip(rows, times, strict=True)],
        [(reason, samples) for reason, samples in table.get("faults", [])],
    )


def _shown(value: float) -> float:
    """As `simulators.doubles.suite.run` has it: NaN as something that equals itself."""
    return float(value) if value == value else float("-inf")
