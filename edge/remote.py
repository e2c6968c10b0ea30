"""What may be set from afar: `[remote]` of agent.toml, and a configuration from there laid over the local file. Pure.

Whoever may write to a log is trusted with what a sensor's numbers mean, not with the device. What runs a program, is a
secret, names a file or says whom to connect to comes from the local file and nowhere else: a source that is new takes
up a `[template.NAME]` of it, which says what it is and where it is found. What may come is listed key by key, so that
a key that is new, or another one's, may not.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from edge.assembling import SourceTable
from edge.decoders import DECODERS, decoder_type
from edge.keys import SOURCE, TABLES, synonyms
from edge.sources import DECODERS as OWN_DECODERS
from edge.sources import source_type
from edge.tables import quantity, shown
from ingest.errors import UsageError
from ingest.settings import check_keys, suggest
from ingest.units import parse_duration

CHANGE: Final = "change"
ADD: Final = "add"
REMOVE: Final = "remove"
COMMAND: Final = "command"
WORDS: Final = (CHANGE, ADD, REMOVE, COMMAND)
CONFIGURING: Final = frozenset((CHANGE, ADD, REMOVE))
TEXT_BYTES: Final = 100_000
"""A configuration has at most."""
_LEAST_NS: Final = 1_000_000_000
_MOST_NS: Final = 3600 * 1_000_000_000
_TOP: Final = ("source", "without")
_FRAMED_STREAM: Final = ("baud", "framing")
_LOCAL: Final = frozenset(("type", "template"))
"""Of every source: what it is."""
_PROGRAMS: Final = ("exec",)
"""Sources that run something: none begins because somebody afar says so, whatever template it takes up."""

FROM_AFAR: Final[Mapping[str, frozenset[str]]] = {
    "exec": frozenset(),
    "gpio": frozenset(("lines", "quadrature", "edge", "every", "bias", "active_low", "debounce")),
    "gpsd": frozenset(("report",)),
    "hwmon": frozenset(("poll",)),
    "i2c": frozenset(("range",)),
    "iio": frozenset(("frequency", "buffer", "mount_matrix", "poll")),
    "modbus": frozenset((*_FRAMED_STREAM, "unit_id", "table", "address", "swapped_bytes", "poll", "answer_within")),
    "mqtt": frozenset(("topic", "qos", "window", "max_message", "session_expiry")),
    "onewire": frozenset(("poll",)),
    "replay": frozenset(),
    "serial": frozenset((*_FRAMED_STREAM, "any_baud", "line_end", "first_line", "record_bytes", "tag")),
    "sparkplug": frozenset(
        ("qos", "window", "max_message", "session_expiry", "group_id", "edge_node_id", "device_id", "metrics")
    ),
}
"""By type of source, which of its own keys may come from afar; of a type that is not here, none."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the local file allows."""

    allow: frozenset[str] = frozenset()
    """Of `WORDS`."""
    keys: frozenset[str] | None = None
    """Which keys of sources may be set; None: all that may be at all."""
    patience_ns: int = 60 * 1_000_000_000
    """So long a configuration is on trial."""
    max_age_ns: int = 60 * 1_000_000_000
    """A command that is older is refused."""

    @property
    def is_configured(self) -> bool:
        """Configurations are taken."""
        return bool(self.allow & CONFIGURING)

    @property
    def is_commanded(self) -> bool:
        """Commands are taken."""
        return COMMAND in self.allow


class Overlay(NamedTuple):
    """A configuration from afar, read."""

    revision: str
    sources: tuple[Mapping[str, Any], ...]
    without: tuple[str, ...]
    """Sources of the local file that are not to be read."""

    @property
    def where(self) -> str:
        """Its path in error messages."""
        return f"configuration {self.revision}"


def read_remote(table: Mapping[str, Any], where: str) -> Remote:
    """The table `[remote]`. Raises `UsageError`."""
    allow = _texts(table, "allow", where)
    for word in allow:
        if word not in WORDS:
            raise UsageError(f'{where}: allow: unknown value "{word}"{suggest(word, WORDS)}')
    keys = frozenset(_texts(table, "keys", where)) if "keys" in table else None
    for key in sorted((keys or frozenset()) & _LOCAL):
        raise UsageError(f'{where}: keys: "{key}" is never taken from afar; leave it out')
    return Remote(allow, keys, _span(table, "patience", where), _span(table, "max_age", where))


def _texts(table: Mapping[str, Any], key: str, where: str) -> frozenset[str]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UsageError(f'{where}: {key}: found {shown(found)}, expected a list of texts, as in ["change"]')
    return frozenset(found)


def _span(table: Mapping[str, Any], key: str, where: str) -> int:
    found = quantity(table, key, where, parse_duration, 60 * _LEAST_NS)
    if not _LEAST_NS <= found <= _MOST_NS:
        raise UsageError(f'{where}: {key}: found "{table[key]}", expected 1s to 60min')
    return found


def revision_of(text: str) -> str:
    """By which a configuration is known: of its text as it was put; empty for none."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def read_overlay(text: str) -> Overlay:
    """A configuration as it was put; of an empty one nothing.

    Raises:
        UsageError: it is too long, no TOML, has a key that is none, or a variable of an environment.
    """
    revision = revision_of(text)
    where = f"configuration {revision}"
    if len(text.encode()) > TEXT_BYTES:
        raise UsageError(f"{where}: has {len(text.encode()):,} bytes, expected no more than {TEXT_BYTES:,}")
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: is no TOML: {error}") from None
    for key in found:
        if key in TABLES[""] or key in TABLES or key in ("template", "buttons"):
            raise UsageError(f"{where}: {key}: is taken from the local file only; write it there")
    check_keys(found, _TOP, where)
    for path, said in _leaves(found, where):
        if isinstance(said, str) and "${" in said:
            raise UsageError(f"{path}: variables of the environment are for the local file only; write the text itself")
    sources = found.get("source", [])
    if not isinstance(sources, list) or not all(isinstance(table, dict) for table in sources):
        raise UsageError(f"{where}: source: found {shown(sources)}, expected [[source]] tables")
    for number, table in enumerate(sources, 1):
        if not isinstance(table.get("name"), str) or not table["name"]:
            raise UsageError(f'{where}: [[source]] number {number}: "name" is missing: it says which source is meant')
    names = [table["name"] for table in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'{where}: source "{name}": stands there twice')
    without = _texts(found, "without", where)
    for name in sorted(without & set(names)):
        raise UsageError(f'{where}: without: "{name}" is among its sources; say one of both')
    return Overlay(revision, tuple(sources), tuple(sorted(without)))


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield where, key
            yield from _leaves(part, f"{where}: {key}")
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, where)
    else:
        yield where, value


def laid_over(
    sources: Sequence[SourceTable], templates: Mapping[str, Mapping[str, Any]], base: str, over: Overlay, remote: Remote
) -> list[SourceTable]:
    """The local file's sources, as a configuration changes them. `base` is the local file's folder.

    Raises:
        UsageError: it names what is not there, or says what the local file does not allow.
    """
    said = {table["name"]: table for table in over.sources}
    known = {table.table.get("name"): table for table in sources}
    for name in over.without:
        if name not in known:
            raise UsageError(f'{over.where}: without: there is no source "{name}"{suggest(name, _names(known))}')
        _allowed(REMOVE, f"{over.where}: without", remote)
    found = [
        _changed(table, said[table.table["name"]], over, remote) if table.table.get("name") in said else table
        for table in sources
        if table.table.get("name") not in over.without
    ]
    new = [table for name, table in said.items() if name not in known]
    return found + [_added(table, templates, base, over, remote, _names(known)) for table in new]


def _names(known: Collection[Any]) -> list[str]:
    return [name for name in known if isinstance(name, str)]


def _allowed(word: str, where: str, remote: Remote) -> None:
    if word not in remote.allow:
        raise UsageError(f'{where}: the local file does not allow it; there, [remote] allow = ["{word}"] does')


def _changed(local: SourceTable, said: Mapping[str, Any], over: Overlay, remote: Remote) -> SourceTable:
    where = _where(over, said)
    _allowed(CHANGE, where, remote)
    whole = {**local.table, **said}
    _check(said, whole, where, remote, may_be=frozenset())
    return local._replace(table=whole, where=where, number=where)


def _added(
    said: Mapping[str, Any],
    templates: Mapping[str, Mapping[str, Any]],
    base: str,
    over: Overlay,
    remote: Remote,
    known: Sequence[str],
) -> SourceTable:
    where = _where(over, said)
    if ADD not in remote.allow:
        raise UsageError(f'{where}: there is none in the local file{suggest(said["name"], known)} A new one needs '
                         '[remote] allow = ["add"] there')  # fmt: skip
    name = said.get("template")
    if not isinstance(name, str) or name not in templates:
        raise UsageError(
            f"{where}: template: a new source takes up a [template.NAME] of the local file, which says what it is and "
            f"where{suggest(str(name or ''), templates)}"
        )
    whole = {**templates[name], **{key: value for key, value in said.items() if key != "template"}}
    if whole.get("type") in _PROGRAMS:
        raise UsageError(f'{where}: template "{name}" runs a program, which only the local file begins')
    _check(said, whole, where, remote, may_be=frozenset(("template",)))
    return SourceTable(whole, where, where, base)


def _where(over: Overlay, said: Mapping[str, Any]) -> str:
    return f'{over.where}: source "{said["name"]}"'


def _check(
    said: Mapping[str, Any], whole: Mapping[str, Any], where: str, remote: Remote, *, may_be: frozenset[str]
) -> None:
    """Raise `UsageError` for the first key that is not to be set from afar. One that nobody knows is found later."""
    kind, decoder = str(whole.get("type", "")), str(whole.get("decoder", ""))
    if kind in OWN_DECODERS:
        decoder = OWN_DECODERS[kind]
    own = source_type(kind, where).keys
    decoding = decoder_type(decoder, where).keys
    may = (SOURCE.keys() - _LOCAL) | may_be | FROM_AFAR.get(kind, frozenset())
    may |= decoding.keys() - own.keys() if decoder in DECODERS else frozenset()
    for key in said:
        if key not in may and key in {*SOURCE, *own, *decoding, *synonyms(own)}:
            raise UsageError(f"{where}: {key}: is taken from the local file only; write it there")
        if remote.keys is not None and key not in {"name", *may_be, *remote.keys}:
            raise UsageError(f"{where}: {key}: is not among [remote] keys of the local file")
