"""Several sources on one port, told apart by what their lines begin with: their tables say the same of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from edge.protocol import SourceConfig
from ingest.errors import UsageError

_OF_THE_PORT: Final = ("baud", "any_baud", "framing", "line_end", "record_bytes", "start")
_LINES: Final = ("csv", "json", "keyvalue", "nmea", "regex", "senml")
"""The decoders of lines."""


def tagged(sources: Sequence[SourceConfig]) -> tuple[SourceConfig, ...]:
    """The same with their tags; the first one on each port knows those of all.

    Raises:
        UsageError: a tag cannot be, two are the same, or tables say different things of one port.
    """
    found, firsts = list[SourceConfig](), dict[str, int]()
    for number, source in enumerate(sources):
        if "tag" not in source.options:
            found.append(source)
            continue
        tag, port = _tag(source), source.options["port"]
        first = firsts.setdefault(port, number)
        if first == number:
            found.append(replace(source, tag=tag, tags=(tag,)))
            continue
        one = found[first]
        _check_alike(source, one)
        if tag in one.tags:
            raise UsageError(f'{source.where}: tag: "{tag}" is another source\'s on this port')
        found[first] = replace(one, tags=(*one.tags, tag))
        found.append(replace(source, tag=tag))
    return tuple(found)


def _tag(source: SourceConfig) -> str:
    tag = source.option("tag", str)
    if not tag or not tag.isprintable() or tag != tag.strip() or len(tag) > 64 or tag.startswith("#"):
        raise UsageError(f'{source.where}: tag: found {tag!r}, expected what its lines begin with, as in "$IMU"')
    if source.decoder not in _LINES or "frame" in source.options:
        raise UsageError(f"{source.where}: tag: only lines have one, and its decoder reads packed bytes")
    return tag


def _check_alike(source: SourceConfig, first: SourceConfig) -> None:
    for key in _OF_THE_PORT:
        if source.options.get(key) != first.options.get(key):
            raise UsageError(
                f'{source.where}: {key}: it is one port, and source "{first.name}" says otherwise; say it alike in both'
            )
