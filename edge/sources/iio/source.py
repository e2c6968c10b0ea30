"""The source `iio`: a sensor that has a driver of the kernel's, through its buffer or by single values.

A buffer's scans have the kernel's own times; they are read as they are (`layout`, `reading`, `scans`) by the thread of
`edge.sources.kernel`. Single values are asked for (`polled`) at a steady pace, and have the time at which they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from edge.protocol import Key, SourceConfig
from edge.sources.iio.chip import Chip
from edge.sources.iio.polled import Values
from edge.sources.iio.settings import KEYS, read_settings
from edge.sources.kernel import KernelSource
from edge.sources.sysfs import SysfsSource


class IioSource:
    """The one that a table describes."""

    keys: ClassVar[Mapping[str, Key]] = KEYS

    @classmethod
    def from_config(cls, config: SourceConfig) -> IioBuffer | IioValues:
        """Raises `UsageError` where a key says what cannot be."""
        settings = read_settings(config)
        return IioValues(Values(settings), settings.poll_ns) if settings.poll_ns else IioBuffer(Chip(settings))


class IioBuffer(KernelSource):
    """A sensor's buffer as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = KEYS


class IioValues(SysfsSource):
    """A sensor's single values as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = KEYS
