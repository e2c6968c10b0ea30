"""Logs by URL: `segments:DIR` or `kafka://host:9092[,host:9092][/SITE]`."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import UsageError
from ingest.log.protocol import Log


def open_log(url: str, *, partitions: int | None = None) -> Log:
    """The log that `url` names; `partitions` is for topics that this process creates.

    Only the implementation that is asked for is imported.

    Raises:
        UsageError: the URL names no log.
    """
    scheme, separator, rest = url.partition(":")
    if scheme == "segments" and rest:
        from ingest.log.segments import SegmentLog

        return SegmentLog(rest, partitions=partitions)
    if scheme == "kafka" and rest.startswith("//") and len(rest) > 2:
        from ingest.log.kafka import KafkaLog

        return KafkaLog(rest[2:].rstrip("/"), partitions=partitions)
    hint = " (a path needs the scheme: segments:DIR)" if not separator or "/" in scheme else ""
    raise UsageError(f'log: "{url}" names no log{hint}; use segments:DIR or kafka://host:9092[,host:9092]')


def check_begun(url: str) -> None:
    """Raise `UsageError` where `url` names a `segments` log that nobody has begun: who wants to read mistyped it."""
    folder = url.removeprefix("segments:")
    if folder != url and not Path(folder).is_dir():
        raise UsageError(f"{url}: there is no log; check the folder's name")
