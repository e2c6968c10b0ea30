"""How a service's workers are called, and when they seal, as its options say."""

from __future__ import annotations

import os
import socket

from ingest.engine.keeping import HOUR_NS
from ingest.engine.rhythm import Limits
from ingest.errors import UsageError
from ingest.units import parse_duration, parse_size


def worker_name() -> str:
    """A name that no other worker has while this process lives."""
    return f"{socket.gethostname()}-{os.getpid()}"


def limits_of(seal_bytes: str, seal_seconds: str) -> Limits:
    """The limits of `--seal-bytes` and `--seal-seconds`. Raises `UsageError`."""
    try:
        seconds = float(seal_seconds)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f'--seal-seconds: found "{seal_seconds}"; use a number above 0')
    size = parse_size(seal_bytes)
    if size <= 0:
        raise UsageError(f'--seal-bytes: found "{seal_bytes}"; use a size above 0, as in 16MiB')
    return Limits(seal_bytes=size, seal_seconds=seconds)


def age_of(keep: str) -> int:
    """The nanoseconds of `--keep`; whole hours go, so it is an hour or more. Raises `UsageError`."""
    days = keep.removesuffix("d")
    age_ns = parse_duration(f"{days}h") * 24 if days != keep else parse_duration(keep)
    if age_ns < HOUR_NS:
        raise UsageError(f'--keep: found "{keep}"; use an hour or more, as in 90d')
    return age_ns
