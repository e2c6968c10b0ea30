"""Files in which a driver of the kernel's says a value each, read at a steady pace: a file a channel."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Protocol

import numpy as np

from edge.decoders.scans.decoder import rows_of
from edge.protocol import SourceConfig, Values
from edge.sources.access import way_in
from edge.sources.polled import PolledSource, PollError
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.units import parse_duration

LEAST_NS: Final = 1_000_000
MOST_NS: Final = 86_400 * 10**9
_RULES: Final = "a udev rule as in the README of hwmon"
_GONE: Final = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR)


class Files(Protocol):
    """Where values are found, and what becomes of them."""

    @property
    def name(self) -> str:
        """What they are called in messages."""
        ...

    def find(self) -> Sequence[Path]:
        """The files, as they are now. Raises `OSError`, whose text says what to do."""
        ...

    def message(self, texts: Sequence[bytes | None]) -> bytes:
        """What the decoder is given of their texts; None for one that could not be read. Raises `ValueError`."""
        ...


class SysfsSource(PolledSource):
    """Polls such files. One that fails is missing in its sample; where all fail, they are looked for again."""

    tells_wait: ClassVar[bool] = True

    def __init__(self, files: Files, poll_ns: int) -> None:
        super().__init__(files.name, poll_ns)
        self._files = files
        self._paths: Sequence[Path] = ()
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """See `edge.protocol.Source`."""
        return "" if self.waiting_for else self._trouble or super().trouble

    async def _poll(self) -> bytes:
        return await asyncio.to_thread(self._read)  # a driver may take a second for its answer

    def _read(self) -> bytes:
        try:
            if not self._paths:
                self._paths = self._files.find()
            read = [_content(path) for path in self._paths]
            errors = {path: item for path, item in zip(self._paths, read, strict=True) if isinstance(item, OSError)}
            self._trouble = "; ".join(f"{path}: {_described(error)}" for path, error in errors.items())
            if any(error.errno in _GONE for error in errors.values()):
                self._paths = ()  # it may have another number when it comes back
            if len(errors) == len(read):
                raise next(iter(errors.values()))
            return self._files.message([None if isinstance(item, OSError) else item for item in read])
        except (OSError, ValueError) as error:
            self._paths = ()
            raise PollError(_described(error)) from None


def texts_by_channel(config: SourceConfig, key: str, example: str) -> dict[str, str]:
    """A text for each channel, of a table. Raises `UsageError`."""
    given, where = config.option(key, dict), config.where
    for channel in given:
        if channel not in config.channels:
            raise UsageError(f'{where}: {key}: "{channel}" is no channel{suggest(channel, config.channels)}')
    for channel in config.channels:
        text = given.get(channel)
        if not isinstance(text, str) or not text:
            raise UsageError(f"{where}: {key}: {channel}: found {text!r}, expected text, as in {channel} = {example}")
    return {channel: given[channel] for channel in config.channels}


def poll_ns(config: SourceConfig, default: str) -> int:
    """How often it is asked, of `poll`. Raises `UsageError`."""
    text = config.option("poll", str, default)
    try:
        found = parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{config.where}: poll: {error}") from None
    if not LEAST_NS <= found <= MOST_NS:
        raise UsageError(f'{config.where}: poll: found "{text}", expected 1ms to 24h')
    return found


def row_of(values: Values) -> bytes:
    """A row without a time of its own, of `(channels,)` values, for the decoder `scans`."""
    return rows_of(np.zeros(1, dtype=np.int64), values[np.newaxis])


def number(text: bytes | None) -> float:
    """What a file says; NaN where it could not be read. Raises `ValueError`."""
    return float("nan") if text is None else float(text.split()[0] if text.strip() else text)


def _content(path: Path) -> bytes | OSError:
    try:
        return path.read_bytes()
    except OSError as error:
        return error


def _described(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be read by this user; {way_in(error.filename, _RULES, writes=False)}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error)
