"""The errors of `edge` besides those of `ingest`, split into what a retry can mend and what it cannot."""

from __future__ import annotations

from ingest.errors import PermanentError, TransientError, UsageError


class SourceUnavailableError(TransientError):
    """A source cannot be opened or read just now: a port that is not plugged in, a broker that is away."""


class SourceFailedError(PermanentError, UsageError):
    """A source cannot work as it is configured: no waiting mends it, a person must."""


class SpoolBusyError(PermanentError):
    """Another process holds the spool: two agents must not share one."""


class SpoolFormatError(UsageError):
    """The spool was written by a newer version, which alone can read all of it."""


class UnwrittenError(TransientError):
    """An agent ended with samples that no disk took."""
