"""Logs by URL: `segments:DIR` or `kafka://host:9092[,host:9092][/SITE]`, and how topics are kept behind a `?`.

`segments:DIR?partitions=8&retention=30d&retention_bytes=100GB` and `kafka://host:9092?partitions=12`. The number of
partitions is for topics that do not exist yet; what is kept of `readings`, `status` and `deadletter` in `segments` may
change at any time (`forever` takes a bound away again). Kafka keeps what its own topic settings say. `archive:DIR` is
a log that was archived (`sensorloom archive run`): it can only be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from ingest.errors import UsageError
from ingest.log.places import is_log, shown_names, strangers
from ingest.log.protocol import Log
from ingest.settings import check_keys, meant
from ingest.units import parse_duration, parse_size

FOREVER: Final = "forever"


_HINTS: Final = {
    "kafkas": " (Kafka by TLS is not supported)",
    "kafka+ssl": " (Kafka by TLS is not supported)",
    "mqtt": " (a broker is a source, not a log)",
    "mqtts": " (a broker is a source, not a log)",
    "file": " (a folder is segments:DIR)",
}


def _partitions(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f'found "{text}", expected 1 or more')
    return int(text)


def _retention_ms(text: str) -> int:
    milliseconds = -1 if text == FOREVER else parse_duration(text) // 1_000_000
    if milliseconds == 0:
        raise UsageError(f'"{text}" keeps nothing; use 30d, or {FOREVER}')
    return milliseconds


def _retention_bytes(text: str) -> int:
    size = -1 if text == FOREVER else parse_size(text)
    if size == 0:
        raise UsageError(f'"{text}" keeps nothing; use 100GB, or {FOREVER}')
    return size


_Options = Mapping[str, Callable[[str], int]]
_KAFKA: Final[_Options] = {"partitions": _partitions}
_SEGMENTS: Final[_Options] = {**_KAFKA, "retention": _retention_ms, "retention_bytes": _retention_bytes}


def anchored(url: str, base: Path) -> str:
    """The URL with the folder of a log in one as a path that starts from `base`, where it is a relative one."""
    address, mark, query = url.partition("?")
    scheme, separator, rest = address.partition(":")
    if scheme not in ("segments", "archive") or not rest or rest.startswith("//"):
        return url
    return f"{scheme}{separator}{base / rest}{mark}{query}"


def open_log(url: str, *, partitions: int | None = None) -> Log:
    """The log that `url` names; `partitions` goes before the URL's own.

    Only the implementation that is asked for is imported.

    Raises:
        UsageError: the URL names no log, or an option of it is none.
    """
    address, _, query = url.partition("?")
    scheme, separator, rest = address.partition(":")
    if scheme == "segments" and rest:
        from ingest.log.segments import SegmentLog

        options = _options(url, query, _SEGMENTS, partitions)
        return SegmentLog(rest, retention_ms=options.pop("retention", None), **options)
    if scheme == "kafka" and rest.startswith("//") and len(rest) > 2:
        from ingest.log.kafka import KafkaLog

        return KafkaLog(rest[2:].rstrip("/"), **_options(url, query, _KAFKA, partitions))
    if scheme == "archive" and rest:
        from ingest.archive.log import ArchiveLog

        _options(url, query, {}, partitions)
        return ArchiveLog(rest)
    hint = _HINTS.get(scheme, " (a path needs the scheme: segments:DIR)" if not separator or "/" in scheme else "")
    raise UsageError(f'log: "{url}" names no log{hint}; use segments:DIR or kafka://host:9092[,host:9092]')


def _options(url: str, query: str, known: _Options, partitions: int | None) -> dict[str, Any]:
    pairs = parse_qsl(query, keep_blank_values=True)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UsageError(f"log: {url}: an option is given twice; give it once")
    check_keys(found, known, f"log: {url}")
    values: dict[str, Any] = {}
    for name, text in found.items():
        try:
            values[name] = known[name](text)
        except UsageError as error:
            raise UsageError(f"log: {url}: {name}: {error}") from None
    if partitions is not None:
        values["partitions"] = partitions
    return values


def is_begun(url: str) -> bool:
    """Whether `url` names a log that somebody has begun, or an empty folder for one, as far as that can be told without
    asking a server."""
    folder = _folder(url)
    return folder is None or (folder.is_dir() and not (url.startswith("segments:") and _others(folder)))


def check_begun(url: str) -> None:
    """Raise `UsageError` where `url` names a log in a folder that nobody has begun: who wants to read mistyped it."""
    folder = _folder(url)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{url}: there is no log; check the folder's name{_near(url, folder)}")
    check_free(url)


def check_out(out: Path, what: str) -> None:
    """Raise `UsageError` where no service may lay its work: at a file, or in a log's own folder."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out: {out} is a file; name {what}")
    if is_log(out):
        raise UsageError(f"--out: {out} holds a log of segments, which is kept apart; name {what}")


def check_free(url: str) -> None:
    """Raise `UsageError` where no log can be begun at `url`: the folder of another kind lies there."""
    folder = _folder(url)
    others = _others(folder) if folder is not None and url.startswith("segments:") else []
    if folder is not None and others:
        raise UsageError(f"{url}: is no log, but holds {shown_names(others)}{_near(url, folder)}")


def _others(folder: Path) -> list[str]:
    """See `strangers`; none where the folder cannot be looked into, which is told by who opens it."""
    try:
        return strangers(folder) if folder.is_dir() else []
    except OSError:
        return []


def _folder(url: str) -> Path | None:
    """The folder that a log lies in; None for logs elsewhere, and for what names none."""
    scheme, _, folder = url.partition("?")[0].partition(":")
    return Path(folder) if folder and scheme in ("segments", "archive") else None


def _near(url: str, folder: Path) -> str:
    """The log that was probably meant: one in the folder, or beside it."""
    if ",segments:" in url or ",kafka:" in url:
        return "; one log is read at a time"
    try:
        within = [path for path in folder.glob("*/") if is_log(path)]
        beside = {path.name: path for path in folder.parent.glob("*/") if is_log(path)}
    except OSError:
        return ""
    near = within[0] if len(within) == 1 else beside.get(meant(folder.name, beside))
    return f"; did you mean segments:{near}?" if near else ""
