"""The database at work: requests by influxdb-client, and what their answers mean for who waits.

The library's own writer speaks `/api/v2/write` only, retries in a thread of its own and drops what it gives up; so only
its client is used here, which knows connections, TLS, headers and time limits, and waiting is left to the engine.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from typing import Any, Final

import urllib3.exceptions
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from ingest.errors import StoreUnavailableError, UsageError
from sinks.influx.config import Target
from sinks.influx.refusals import Answer, Refusals, write_lines

_TEXT: Final = "text/plain; charset=utf-8"
_VICTORIA: Final = "X-Server-Hostname"
"""VictoriaMetrics names its host in every answer; InfluxDB its version in every answer."""
_INFLUX: Final = "X-Influxdb-Version"
_CONNECTIONS: Final = 4
_MISSING, _DENIED = 404, (401, 403)
_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")


class Database:
    """Takes batches of lines. Its methods block: call them in a thread; several at once are fine."""

    def __init__(self, target: Target, secret: str) -> None:
        self._target = target
        token = f"{target.user}:{secret}" if target.user else secret
        self._client = InfluxDBClient(
            target.url,
            token,
            timeout=max(1, round(target.timeout_s * 1000)),
            org=target.org,
            auth_basic=bool(target.user),
            ssl_ca_cert=target.ca_file or None,
            connection_pool_maxsize=_CONNECTIONS,
            retries=False,
        )
        if target.database:
            self._path = "/write"
            policy = [("rp", target.retention_policy)] if target.retention_policy else []
            self._query = [("db", target.database), *policy, ("precision", "ns")]
        else:
            self._path = "/api/v2/write"
            org = [("org", target.org)] if target.org else []
            self._query = [*org, ("bucket", target.bucket), ("precision", "ns")]

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()  # type: ignore[no-untyped-call]

    def check(self) -> tuple[str, ...]:
        """What a person should know of it; nothing where it is away just now.

        Raises:
            UsageError: it has no such database, or wants another secret.
        """
        try:
            answer, _ = self._request("POST", self._path, self._query, b"")
            _, headers = self._request("GET", "/ping", [], b"")
        except StoreUnavailableError:
            return ()
        if answer.status == _MISSING or answer.status in _DENIED:
            raise UsageError(self._why(answer))
        if headers.get(_VICTORIA) and not headers.get(_INFLUX):
            return (
                f"{self._target.url} is VictoriaMetrics: it cuts times to milliseconds, leaves texts out, and keeps "
                "both where a batch is written again after a failure: it cannot promise that nothing is there twice, "
                "and, as it acknowledges what is not on its disk yet, none that all is there: where it dies, its last "
                "seconds are gone, and are written again with another --out alone",
            )
        return ()

    def write(self, data: bytes) -> Refusals:
        """Write lines, with line feeds between them; what was refused of them.

        Raises:
            StoreUnavailableError: it is away, or takes nothing just now; some of them may be written.
        """
        writing = write_lines(data.split(b"\n"))
        part = next(writing)
        while True:
            answer = self._post(part)
            if answer.verdict == "away":
                raise StoreUnavailableError(self._why(answer))
            try:
                part = writing.send(answer)
            except StopIteration as done:
                refused: Refusals = done.value
                return refused

    def _post(self, lines: Sequence[bytes]) -> Answer:
        return self._request("POST", self._path, self._query, b"\n".join(lines))[0]

    def _request(self, method: str, path: str, query: list[tuple[str, str]], body: bytes) -> tuple[Answer, Any]:
        """The answer and its headers. Raises `StoreUnavailableError` where none came."""
        headers = {"Content-Type": _TEXT}
        if self._target.gzip and body:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        try:
            # The client's writer has no other path than v2's; that of its requests is a parameter.
            _, status, found = self._client.api_client.call_api(  # type: ignore[no-untyped-call]
                path, method, query_params=query, header_params=headers, body=body, _return_http_data_only=False
            )
        except ApiException as error:
            if not error.status:
                raise StoreUnavailableError(self._away(str(error.reason))) from None
            return Answer(error.status, str(error.body or error.reason or "")), error.headers
        except urllib3.exceptions.LocationValueError as error:
            raise UsageError(f"{self._target.url}: {error}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailableError(self._away(_plain(error))) from None
        return Answer(status), found

    def _away(self, why: str) -> str:
        return f"{self._target.url}: does not answer ({why}); nothing is lost: points wait in the log until it does"

    def _why(self, answer: Answer) -> str:
        target = self._target
        where, told = target.url, f"{answer.status} {answer.message}".strip()
        if answer.status == _MISSING and target.database:
            return f'{where}: {told}; create it (CREATE DATABASE "{target.database}"), or name another database'
        if answer.status == _MISSING:
            return f"{where}: {told}; create the bucket, or name another bucket or org"
        if answer.status in _DENIED:
            return f"{where}: {told}; see user and password_file, or token_file, and what they may write"
        return f"{where}: takes no points just now ({told}); nothing is lost: they wait in the log until it does"


def _plain(error: Exception) -> str:
    """What went wrong, without the names of Python's objects, which differ each time."""
    text = str(getattr(error, "reason", None) or error)
    return _ERRNO.sub("", text.rpartition(": ")[2]) or type(error).__name__
