"""The source `i2c`: a part on an I2C bus, described by a file of its registers, read through smbus2.

A thread finds and sets up the part (`bus`), looks at its FIFO at a steady pace (`reader`), and hands on the counts in
it with the time at which they were there: the part's own clock makes the samples, and the recorder learns its rate.
What is written and what bytes mean is pure (`registers`); a part is a file (`part`, `parts/`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Self

from edge.protocol import Key, SourceConfig
from edge.sources.i2c import settings as table
from edge.sources.i2c.settings import KEYS, Settings, read_settings
from edge.sources.serial.handover import Handover
from edge.sources.serial.lines import RawBytes
from edge.sources.serial.reader import Endpoint, Reader
from edge.sources.serial.threaded import ThreadedSource
from ingest.errors import MissingLibraryError


class I2cSource(ThreadedSource):
    """A part as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint, RawBytes(), may_rest=False)

    @classmethod
    def of(cls, settings: Settings, where: str = "agent.toml") -> Self:
        """The part at its place. Raises `UsageError` where smbus2 is not there."""
        try:
            from edge.sources.i2c.bus import Place
        except ModuleNotFoundError as error:
            raise MissingLibraryError(f'{where}: source "i2c"', error.name, "edge") from None
        return cls(Place(settings))

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be."""
        return cls.of(read_settings(config), config.where)

    @classmethod
    def completed(cls, config: SourceConfig, said: Collection[str]) -> SourceConfig:
        """See `edge.protocol.Completing`: the part's file knows rate, scale and type."""
        return table.completed(config, said)

    def _new_reader(self, handover: Handover) -> Reader:
        from edge.sources.i2c.reader import I2cReader

        return I2cReader(self._endpoint, self._lines, handover, self._state, may_rest=False)
