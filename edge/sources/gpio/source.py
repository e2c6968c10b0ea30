"""The source `gpio`: levels, edges or counts of lines of a GPIO chip, with the kernel's own times.

The chip is found and its lines are requested through libgpiod (`chip`); what the kernel says of their edges is read as
it is (`edges`), by a thread that all sources of the kernel's records share (`edge.sources.kernel`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from edge.protocol import Key, SourceConfig
from edge.sources.gpio.settings import KEYS, Settings, read_settings
from edge.sources.kernel import KernelSource
from ingest.errors import MissingLibraryError


class GpioSource(KernelSource):
    """Lines of one chip as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    def __init__(self, settings: Settings, where: str = "agent.toml") -> None:
        try:
            from edge.sources.gpio.chip import Chip
        except ModuleNotFoundError as error:  # there is none for every machine
            raise MissingLibraryError(f'{where}: source "gpio"', error.name, "edge") from None
        super().__init__(Chip(settings))

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be, or libgpiod is not there."""
        return cls(read_settings(config), config.where)
