"""The errors of `edge`, split into what a retry can mend and what it cannot."""

from __future__ import annotations

from ingest.errors import CorruptError, PermanentError, TransientError


class SourceUnavailableError(TransientError):
    """A source cannot be opened or read just now: a port that is not plugged in, a broker that is away."""


class SpoolFullError(TransientError):
    """The spool's disk has no room left; what was fsynced is safe, what was not is counted."""


class SpoolBusyError(PermanentError):
    """Another process holds the spool: two agents must not share one."""


class SpoolCorruptError(CorruptError):
    """A file of the spool holds other bytes than were written; the records it held are announced as a gap."""
