"""What a sink is told, by a file and by options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ingest.addresses import host_fault
from ingest.errors import UsageError
from ingest.log.protocol import MARKS, READINGS, STATUS
from ingest.opening import anchored
from ingest.settings import check_keys
from ingest.tomlfile import read_toml
from ingest.units import parse_duration

PASSWORD_ENV: Final = "SENSORLOOM_INFLUX_PASSWORD"
TOKEN_ENV: Final = "SENSORLOOM_INFLUX_TOKEN"
_TOP: Final = ("log", "out", "influx", "write")
_INFLUX: Final = (
    *("url", "database", "retention_policy", "bucket", "org", "user", "password_file", "token_file", "ca_file"),
    *("timeout", "batch", "gzip"),
)
_WRITE: Final = ("thin", MARKS, STATUS)
_SYNONYMS: Final = {"db": "database", "username": "user", "password": "password_file", "token": "token_file"}
_FULL: Final = "full"
_FILES: Final = ("password_file", "token_file", "ca_file")
_BATCH_MAX: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The database. With `database` it is written by `/write` (InfluxDB 1), with `bucket` by `/api/v2/write`."""

    url: str
    database: str = ""
    retention_policy: str = ""
    bucket: str = ""
    org: str = ""
    user: str = ""
    password_file: str = ""
    token_file: str = ""
    ca_file: str = ""
    timeout_s: float = 30.0
    batch: int = 5000
    """About so many points in a request."""
    gzip: bool = False

    @property
    def name(self) -> str:
        """What it is called wherever it is moved to: by it a sink knows that it goes on with the same one."""
        parts = ("v1", self.database, self.retention_policy) if self.database else ("v2", self.org, self.bucket)
        return "/".join(parts)

    def secret(self, environ: Mapping[str, str] = os.environ) -> str:
        """The password or token, from its file or the environment; empty where there is none. Raises `UsageError`."""
        file, variable = (self.password_file, PASSWORD_ENV) if self.user else (self.token_file, TOKEN_ENV)
        if not file:
            return environ.get(variable, "")
        try:
            secret = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{file}: {getattr(error, 'strerror', None) or 'is no text'}; it holds a secret alone"
            ) from None
        if not secret.isprintable() or not secret.isascii():
            raise UsageError(f"{file}: is no password or token: write it into the file and nothing else")
        return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """A sink: from where, to where, and what of it."""

    log: str
    out: Path
    """Where it is noted how far each partition is written."""
    target: Target
    thin_ns: int = 0
    """0: every sample is written."""
    marks: bool = True
    status: bool = True

    @property
    def topics(self) -> tuple[str, ...]:
        """What it reads."""
        return (READINGS, *([MARKS] if self.marks else []), *([STATUS] if self.status else []))


def read_config(path: str | None, options: Mapping[str, str | None]) -> SinkConfig:
    """The configuration of a file, if one is named, and of options, which go before it: `log`, `out`, `thin`, and the
    keys of `[influx]`. Relative paths of a file begin at its folder.

    Raises:
        UsageError: what is missing or impossible, with where it stands.
    """
    tables = {} if path is None else read_toml(path)
    where = path or "sink influx"
    check_keys(tables, _TOP, where)
    influx, write = _table(tables, "influx", where), _table(tables, "write", where)
    check_keys(influx, _INFLUX, f"{where}: influx", _SYNONYMS)
    check_keys(write, _WRITE, f"{where}: write")
    base = Path() if path is None else Path(path).parent
    influx |= {key: str(base / _text(influx, key, f"{where}: influx")) for key in _FILES if key in influx}
    said = {key: value for key, value in options.items() if value is not None}
    top = {key: _text(tables, key, where) for key in ("log", "out") if key in tables}
    if "log" in top:
        top["log"] = anchored(top["log"], base)
    if "out" in top:
        top["out"] = str(base / top["out"])
    top |= {key: said[key] for key in ("log", "out") if key in said}
    if "database" in said or "bucket" in said:  # an option says another kind of database than the file
        influx = {key: value for key, value in influx.items() if key not in ("database", "bucket")}
    influx |= {key: said[key] for key in _INFLUX if key in said}
    for key in ("log", "out"):
        if not top.get(key):
            raise UsageError(f"{where}: {key}: is missing; give it there, or as --{key}")
    return SinkConfig(
        log=top["log"],
        out=Path(top["out"]),
        target=_target(influx, f"{where}: influx"),
        thin_ns=_thin(said.get("thin", write.get("thin", _FULL)), where),
        marks=_flag(write, MARKS, f"{where}: write", default=True),
        status=_flag(write, STATUS, f"{where}: write", default=True),
    )


def _target(table: Mapping[str, Any], where: str) -> Target:
    words = {key: _text(table, key, where) for key in _INFLUX[:9] if key in table}
    target = Target(
        **{"url": "", **words},
        timeout_s=_timeout(table.get("timeout", "30s"), where),
        batch=_batch(table.get("batch", 5000), where),
        gzip=_flag(table, "gzip", where, default=False),
    )
    _check_url(target.url, where)
    if bool(target.database) == bool(target.bucket):
        raise UsageError(f"{where}: name either a database (InfluxDB 1) or a bucket (InfluxDB 2, VictoriaMetrics)")
    wrong = [
        key for key in (("org", "token_file") if target.database else ("retention_policy", "user")) if key in words
    ]
    if wrong and not (target.database and wrong == ["token_file"]):
        kind = "a bucket" if target.database else "a database"
        raise UsageError(f"{where}: {wrong[0]}: goes with {kind}")
    if target.user and target.token_file:
        raise UsageError(f"{where}: give either a user with a password_file, or a token_file")
    if target.password_file and not target.user:
        raise UsageError(f"{where}: password_file: whose? name the user")
    return target


def _check_url(url: str, where: str) -> None:
    """Raise `UsageError` for an address that is none, or that has a secret in it."""
    if not url:
        raise UsageError(f"{where}: url: is missing; name the database's address, as in http://127.0.0.1:8086")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{where}: url: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"{where}: url: has a user in it; say user, and the password by password_file or {PASSWORD_ENV}"
        )
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise UsageError(f'{where}: url: found "{url}"; use http://host:port or https://host:port')
    if fault := host_fault(host):
        raise UsageError(f"{where}: url: {fault}")


def _thin(value: object, where: str) -> int:
    if value == _FULL:
        return 0
    try:
        span_ns = parse_duration(str(value))
    except UsageError as error:
        raise UsageError(f"{where}: thin: {error}") from None
    if span_ns <= 0:
        raise UsageError(f'{where}: thin: found "{value}"; use a span, as in 10s, or {_FULL}')
    return span_ns


def _timeout(value: object, where: str) -> float:
    try:
        seconds = parse_duration(str(value)) / 1e9
    except UsageError as error:
        raise UsageError(f"{where}: timeout: {error}") from None
    if seconds <= 0:
        raise UsageError(f'{where}: timeout: found "{value}"; use a span above 0, as in 30s')
    return seconds


def _batch(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _BATCH_MAX:
        raise UsageError(f"{where}: batch: {value} is not in 1..{_BATCH_MAX}")
    return value


def _table(tables: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    table = tables.get(key, {})
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {key}: found {table!r}, expected a table [{key}]")
    return dict(table)


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise UsageError(f"{where}: {key}: found {value!r}, expected a text")
    return value


def _flag(table: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {key}: found {value!r}, expected true or false")
    return value
