"""Real InfluxDB 1 and VictoriaMetrics servers on loopback for tests; they can be killed and restarted on their data."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

from tests.support.server import Server, ServerError, free_ports

_FOLDERS: Final = "/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin"
_CONFIG: Final = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  {data}
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  {http}
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
"""


def _binary(name: str, package: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=_FOLDERS)
    if path is None:
        raise ServerError(f"{name}: not found; install it (Debian: sudo deploy/setup.sh servers, or apt {package})")
    return path


class _HttpServer(Server):
    """A server that answers at `ping` when it serves."""

    start_s = 90.0

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.port, self.rpc_port = free_ports(2)
        self.url: Final = f"http://127.0.0.1:{self.port}"

    def _begin(self) -> None:
        try:
            self.restart()
        except BaseException:
            self.stop()
            raise

    def _serves(self, said: str) -> bool:
        try:
            self.get("/ping")
        except (OSError, urllib.error.URLError):
            return False
        return self.running

    def get(self, path: str, **query: str) -> bytes:
        """What is at a path."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            found: bytes = answer.read()
            return found


class Influx(_HttpServer):
    """InfluxDB 1 ; `data` and `http` are further lines of its configuration."""

    def __init__(self, data: str = "", http: str = "") -> None:
        self._binary = _binary("influxd", "influxdb")
        super().__init__("influx")
        self._config = self._folder / "influx.conf"
        words = {"rpc": self.rpc_port, "port": self.port, "folder": self._folder, "data": data, "http": http}
        self._config.write_text(_CONFIG.format(**words))
        self._begin()

    def _command(self) -> list[str]:
        return [self._binary, "-config", str(self._config)]

    def query(self, text: str, database: str = "sensors", **more: str) -> list[dict[str, Any]]:
        """The series of an InfluxQL query, times in ns. Raises `ServerError` where it has an error."""
        words = urllib.parse.urlencode({"q": text, "db": database, "epoch": "ns"})
        request = urllib.request.Request(f"{self.url}/query?{urllib.parse.urlencode(more)}", words.encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            (found,) = json.load(answer)["results"]
        if "error" in found:
            raise ServerError(f"{text}: {found['error']}")
        series: list[dict[str, Any]] = found.get("series", [])
        return series

    def create(self, name: str = "sensors", how: str = "", **more: str) -> None:
        """A database."""
        self.query(f'CREATE DATABASE "{name}" {how}', **more)

    def write(self, lines: str, database: str = "sensors") -> None:
        """Write lines as they are."""
        url = f"{self.url}/write?{urllib.parse.urlencode({'db': database})}"
        with urllib.request.urlopen(urllib.request.Request(url, lines.encode()), timeout=60):
            pass

    def rows(self, text: str) -> list[list[Any]]:
        """The rows of a query that has one series; none where it has none."""
        series = self.query(text)
        assert len(series) <= 1, series
        return series[0]["values"] if series else []


class Victoria(_HttpServer):
    """VictoriaMetrics, single node, which keeps what is old."""

    def __init__(self) -> None:
        self._binary = _binary("victoria-metrics", "victoria-metrics")
        super().__init__("victoria")
        self._begin()

    def _command(self) -> list[str]:
        listen = f"-httpListenAddr=127.0.0.1:{self.port}"
        return [self._binary, f"-storageDataPath={self._folder}/data", listen, "-retentionPeriod=100y"]

    def export(self, match: str) -> list[dict[str, Any]]:
        """The series that a selector matches, with all their values and times in ms."""
        self.get("/internal/force_flush")
        lines = self.get("/api/v1/export", **{"match[]": match}).decode().splitlines()
        return [json.loads(line) for line in lines]
