"""agent.toml, strictly: what it says, checked before anything is opened."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

import msgspec

from edge.assembling import SourceTable, assemble
from edge.buttontables import Button, read_buttons
from edge.keys import TABLES, synonyms
from edge.protocol import SourceConfig
from edge.recording.batching import describe
from edge.recording.terms import Rules
from edge.remote import Overlay, Remote, laid_over, read_remote
from edge.sourcetables import read_sources
from edge.spool.condensing import DropPolicy
from edge.spool.spool import SpoolLimits
from edge.tables import address_part, check_characters, name, one_of, quantity, shown, text
from ingest.attributes import check_attributes
from ingest.chunker import Limits
from ingest.errors import UsageError
from ingest.files import check_file
from ingest.opening import anchored
from ingest.records import StreamDescription
from ingest.settings import check_keys, suggest
from ingest.units import parse_duration, parse_size
from labeling.rulefile import read_rules

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet

ClockTrust = Literal["system", "ntp"]
_MAX_INTERVAL_NS: Final = 60_000_000_000
RECEIVERS: Final = ("nmea", "ubx")
"""Decoders whose times are those of a fix."""
NOBODY: Final = "none"
_NAME_BYTES: Final = 255
_PATH_BYTES: Final = 4_000
"""Linux takes 4,096 (NAME_MAX and PATH_MAX of limits.h); a spool's files lie below its folder."""


@dataclass(frozen=True, slots=True)
class ClockConfig:
    """When the system's clock is believed, and what happens to data until then."""

    trust: ClockTrust = "system"
    """`system`: as soon as it says a year that can be; `ntp`: when the kernel says that it is synchronised."""
    unsynced: Literal["wait", "publish"] = "wait"
    pps: str = ""
    """Whose pulse per second leads the times: a PPS device, or `gpsd`; empty: none."""
    receiver: str = ""
    """The source whose fixes say which second a pulse begins; empty: none."""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent's configuration."""

    path: str
    agent: str
    device: str
    """Whose streams and marks are those that name no device."""
    log: str
    spool_dir: Path
    spool: SpoolLimits
    fsync_interval_ns: int
    rules: Rules
    clock: ClockConfig
    sources: tuple[SourceConfig, ...]
    buttons: tuple[Button, ...]
    rule_set: RuleSet | None
    """What marks are made of already here; None where no rules run on the agent."""
    metrics: tuple[str, int] | None
    """Host and port where the agent's figures are to be read; None: nowhere."""
    remote: Remote
    """What may come through the log."""
    digest: str
    """A hash of what it says."""
    local_digest: str
    """The same of the local file alone."""
    revision: str = ""
    """Of what came through the log and is laid over the local file; empty: nothing is."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that it names, in the order of their first source."""
        return tuple(dict.fromkeys(source.device for source in self.sources if not source.is_family))

    @property
    def descriptions(self) -> tuple[StreamDescription, ...]:
        """What the bytes of the streams mean that it names."""
        return tuple(describe(source) for source in self.sources if not source.has_streams)


def load_config(path: str | Path, environ: Mapping[str, str] = os.environ, over: Overlay | None = None) -> AgentConfig:
    """Read and check agent.toml, with the variables of `environ` put in, and what came through the log laid over it;
    sources and decoders are imported, no device is touched.

    Raises:
        UsageError: where, what was found, what to do.
    """
    (tables, source_tables, templates), file = assemble(path, environ), str(path)
    base = Path(path).resolve().parent
    top = TABLES[""]
    other = {"sources": "source", "templates": "template", "includes": "include", "button": "buttons"}
    check_keys(tables, {*top, *TABLES, "source", "template", "buttons"} - {""}, file, synonyms(top) | other)
    check_characters(tables, file)
    device = address_part(tables, "device", file, platform.node() or None)
    spool = _table(tables, "spool", file)
    recording = _table(tables, "recording", file)
    clock = _table(tables, "clock", file)
    unsynced = one_of(clock, "unsynced", f"{file}: clock", ("wait", "publish"), "wait")
    interval_ns = quantity(spool, "fsync_interval", f"{file}: spool", parse_duration, 1_000_000_000)
    if not 0 < interval_ns <= _MAX_INTERVAL_NS:
        raise UsageError(f'{file}: spool.fsync_interval: found "{spool["fsync_interval"]}", expected above 0 to 60s')
    remote = read_remote(_table(tables, "remote", file), f"{file}: remote")
    local_digest = _digest(tables, source_tables)
    if over is not None:
        source_tables = laid_over(source_tables, templates, str(base), over, remote)
    sources = read_sources(source_tables, file, device)
    return AgentConfig(
        path=file,
        device=device,
        agent=name(tables, "agent", file, platform.node() or "agent"),
        log=anchored(text(tables, "log", file), base),
        spool_dir=_spool_dir(spool, f"{file}: spool", base),
        spool=_spool_limits(spool, f"{file}: spool"),
        fsync_interval_ns=interval_ns,
        rules=Rules(
            _chunk_limits(_table(tables, "chunk", file), f"{file}: chunk"),
            quantity(recording, "silence", f"{file}: recording", parse_duration, Rules().silence_ns),
            unsynced == "wait",
            stall_ns=interval_ns + 2_000_000_000,
            attributes=_attributes(recording, f"{file}: recording.set"),
        ),
        clock=ClockConfig(
            cast(ClockTrust, one_of(clock, "trust", f"{file}: clock", get_args(ClockTrust), "system")),
            cast(Literal["wait", "publish"], unsynced),
            _pps(clock, f"{file}: clock", base),
            _receiver(clock, f"{file}: clock", sources),
        ),
        sources=sources,
        buttons=read_buttons(tables, file, device, sources),
        rule_set=_read_rules(base / text(tables, "rules", file), file, sources) if "rules" in tables else None,
        metrics=_address(_table(tables, "metrics", file), f"{file}: metrics"),
        remote=remote,
        digest=_digest(tables, source_tables),
        local_digest=local_digest,
        revision="" if over is None else over.revision,
    )


def _digest(tables: Mapping[str, Any], sources: Iterable[SourceTable]) -> str:
    said = {**tables, "source": [source.table for source in sources]}
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()[:16]


def _read_rules(path: Path, file: str, sources: Iterable[SourceConfig]) -> RuleSet:
    """The rules that a configuration's file names; each that reads streams of a device here must fit them."""
    from labeling.rules.plan import check  # the rules' grammar is built at import: only where rules run

    check_file(path, f"{file}: rules")
    rules = read_rules(path)
    for device in {source.device: None for source in sources}:
        check(rules, [describe(source) for source in sources if source.device == device])
    return rules


def _attributes(recording: Mapping[str, Any], where: str) -> dict[str, str]:
    found = recording.get("set", {})
    if not isinstance(found, dict):
        raise UsageError(f'{where}: found {shown(found)}, expected a table, as in [recording.set] subject = "u07"')
    return check_attributes(found, where)


def _address(table: Mapping[str, Any], where: str) -> tuple[str, int] | None:
    """`host:port`, an IPv6 address in brackets."""
    if "listen" not in table:
        return None
    found = text(table, "listen", where)
    host, colon, port = found.rpartition(":")
    if not host.strip("[]") or not colon or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UsageError(f'{where}.listen: found "{found}", expected host and port, as in "127.0.0.1:9477"')
    return host.strip("[]"), int(port)


def _pps(clock: Mapping[str, Any], where: str, base: Path) -> str:
    """A PPS device as an absolute path, or gpsd."""
    if "pps" not in clock:
        return ""
    found = text(clock, "pps", where)
    if re.fullmatch(r"gpsd(:[0-9]{1,5})?", found):
        return found
    if "/" not in found:
        raise UsageError(f'{where}.pps: found "{found}", expected a device, as in "/dev/pps0", or "gpsd"')
    return str(base / found)


def _receiver(clock: Mapping[str, Any], where: str, sources: Sequence[SourceConfig]) -> str:
    """The source of the receiver that makes the pulse; empty: there is none."""
    able = [one.name for one in sources if one.type == "serial" and one.clock == "device" and not one.is_family]
    if "receiver" not in clock:
        return next((one.name for one in sources if one.name in able and one.decoder in RECEIVERS), "")
    found = text(clock, "receiver", where)
    if found not in [*able, NOBODY]:
        known = ", ".join(able) or "there is none"
        raise UsageError(
            f'{where}.receiver: found "{found}", expected a serial source with the times of its device '
            f"({known}), or {NOBODY}{suggest(found, able)}"
        )
    return "" if found == NOBODY else found


def _spool_dir(table: Mapping[str, Any], where: str, base: Path) -> Path:
    """Where the spool is, or will be. Raises `UsageError` where no folder can be."""
    found = base / text(table, "dir", where)
    longest = max(len(os.fsencode(part)) for part in found.parts)
    if longest > _NAME_BYTES or len(os.fsencode(found)) > _PATH_BYTES:
        raise UsageError(
            f"{where}.dir: {len(os.fsencode(found)):,} bytes, {longest:,} of them one folder's name, are more than a "
            f"system takes ({_PATH_BYTES:,} and {_NAME_BYTES}); name another folder"
        )
    try:
        mode = found.stat().st_mode
    except NotADirectoryError:
        mode = stat.S_IFREG
    except OSError:  # it is made when the agent runs; what this user may not see, the agent's may
        return found
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{where}.dir: {found}: a file is where a folder should be; name another, or move it away")
    return found


def _spool_limits(table: Mapping[str, Any], where: str) -> SpoolLimits:
    size = quantity(table, "max_bytes", where, parse_size, SpoolLimits().max_bytes)
    if size < 1_000_000:
        raise UsageError(f'{where}.max_bytes: found "{table["max_bytes"]}", expected at least 1MB')
    age = quantity(table, "max_age", where, parse_duration, 0)
    return SpoolLimits(
        size, age or None, cast(DropPolicy, one_of(table, "drop", where, get_args(DropPolicy), "oldest"))
    )


def _chunk_limits(table: Mapping[str, Any], where: str) -> Limits:
    limits = Limits(
        quantity(table, "span", where, parse_duration, Limits().span_ns),
        quantity(table, "bytes", where, parse_size, Limits().bytes),
    )
    if not 0 < limits.span_ns <= _MAX_INTERVAL_NS or not 64 <= limits.bytes <= 1_000_000:
        raise UsageError(f'{where}: expected a span above 0 to 60s and 64B to 1MB, as in span = "1s", bytes = "32kB"')
    return limits


def _table(tables: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {name}: found {shown(table)}, expected a table [{name}]")
    check_keys(table, TABLES[name], f"{where}: {name}", synonyms(TABLES[name]))
    return table
