"""The errors of `ingest`, split into what a retry can mend and what it cannot.

Every message says where, what was found, and what to do.
"""

from __future__ import annotations

from ingest.showing import masked


class SensorloomError(Exception):
    """Base of every error that sensorloom raises on purpose. Its text shows no password of a URL in it."""

    def __str__(self) -> str:
        return masked(super().__str__())


class UsageError(SensorloomError):
    """Wrong usage or configuration: the command line ends with exit code 2."""


class MissingLibraryError(UsageError):
    """Something needs a library that is not installed: the extra that brings it is named."""

    def __init__(self, what: str, library: str | None, extra: str) -> None:
        super().__init__(
            f'{what} needs the library "{library}"; install sensorloom with its extra "{extra}" '
            f"(in a checkout: pip install '.[{extra}]')"
        )


class TransientError(SensorloomError):
    """What a retry can mend."""


class LogUnavailableError(TransientError):
    """The log could not be reached, or did not acknowledge in time; nothing is known to be lost."""


class PermanentError(SensorloomError):
    """What no retry mends."""


class WireError(PermanentError):
    """Bytes that are no record of this project, or of a version it does not know."""


class LogConfigError(PermanentError):
    """The log is set up so that sensorloom cannot keep its promises on it."""


class RecordTooLargeError(PermanentError):
    """A record that the log does not take: with its key it has more than `bytes_max` bytes."""

    def __init__(self, message: str, *, bytes_max: int) -> None:
        super().__init__(message)
        self.bytes_max = bytes_max


class CorruptError(PermanentError):
    """A file holds other bytes than were written: a checksum or a hash does not match."""


class CorruptLogError(CorruptError):
    """Records of a partition cannot be read; what lies before and behind them can.

    `[offset, next_offset)` is what is unreadable: reading goes on from `next_offset`.
    """

    def __init__(self, message: str, *, partition: int, offset: int, next_offset: int) -> None:
        super().__init__(message)
        self.partition = partition
        self.offset = offset
        self.next_offset = next_offset


class TruncatedLogError(PermanentError):
    """A wanted range of offsets is no longer in the log."""


class FencedError(PermanentError):
    """Another worker owns the partition and has sealed this sequence number."""


class StateVersionError(PermanentError):
    """The saved operator state was written by another, incompatible version of the code."""


class ReplacedLogError(PermanentError):
    """The log no longer holds what a dataset has read of it: it was made anew, or restored from an older backup."""


class StoreUnavailableError(TransientError):
    """The store takes nothing just now (mounted read-only, no descriptor is free); nothing was made visible."""


class StoreFullError(StoreUnavailableError):
    """The store has no room left; nothing was made visible, and nothing is lost."""
