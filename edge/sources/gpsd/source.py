"""The source `gpsd`: what a GPS daemon makes of its receivers, as it reports it in JSON.

Beside NTP or other programs that want the same receiver, a receiver that speaks a maker's own protocol, or one on
another machine. A thread reads the connection and stamps each read, as it does with a serial port.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from edge.protocol import Key, SourceConfig
from edge.sources.gpsd.reports import FIX, Reports
from edge.sources.serial.port import why_unreached
from edge.sources.serial.threaded import ThreadedSource
from ingest.errors import UsageError
from ingest.settings import suggest

GPSD_LOST: Final = "gpsd_lost"
CONNECT_S: Final = 5.0
PORT: Final = 2947
_REPORTS: Final = (FIX, "SKY", "ATT", "IMU", "GST")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A gpsd, and which receiver's reports it is asked for; an endpoint of `edge.sources.serial.reader`."""

    host: str
    port: int = PORT
    receiver: str = ""
    """Its device file, where gpsd has several; empty: all."""

    loss: ClassVar[str] = GPSD_LOST
    delays_s: ClassVar[tuple[float, float]] = (0.1, 5.0)
    proves_ns: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"gpsd at {self.host}:{self.port}"

    def open(self) -> socket.socket:
        """Connect, and ask for reports. Raises `OSError`."""
        connection = socket.create_connection((self.host, self.port), CONNECT_S)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            wanted = {"enable": True, "json": True} | ({"device": self.receiver} if self.receiver else {})
            connection.sendall(b"?WATCH=%b;\n" % json.dumps(wanted).encode())
            connection.settimeout(None)
        except BaseException:
            connection.close()
            raise
        return connection

    def why_closed(self, error: Exception) -> str:
        """What people make of an error that connecting raised, and what to do."""
        if isinstance(error, ConnectionRefusedError):
            return "nobody listens there; is gpsd running (systemctl status gpsd.socket)?"
        return why_unreached(error)

    def why_lost(self, error: Exception) -> str:
        """What people make of an error that reading raised."""
        return "ended the connection; waiting for it to come back; is it gpsd that listens there (tcp_port)?"

    def others(self, at_ns: int) -> list[str]:
        """Nobody takes anything away: each client has its own reports."""
        return []


class GpsdSource(ThreadedSource):
    """A gpsd's reports as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {
        "host": Key("text", "Where gpsd runs.", '"10.0.0.7"', "127.0.0.1", ("server", "address", "gpsd")),
        "tcp_port": Key("whole number", "At which port it listens.", "2948", "2947", ("port", "gpsd_port")),
        "receiver": Key(
            "text",
            "The receiver's device file, as gpsd has it, where it has several.",
            '"/dev/ttyACM0"',
            "all of them",
            ("device_path", "gps", "path"),
        ),
        "report": Key(
            "one of TPV, SKY, ATT, IMU, GST",
            "The class of the reports that are read: TPV has time, position and velocity.",
            '"ATT"',
            "TPV",
            ("class", "reports"),
        ),
    }

    def __init__(self, daemon: Daemon, reports: Reports) -> None:
        super().__init__(daemon, reports, may_rest=False)

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where a key says what cannot be, or the decoder reads no JSON."""
        where, report, port = config.where, config.option("report", str, FIX), config.option("tcp_port", int, PORT)
        if report not in _REPORTS:
            raise UsageError(f'{where}: report: unknown report "{report}"{suggest(report, _REPORTS)}')
        if not 1 <= port <= 65_535:
            raise UsageError(f"{where}: tcp_port: {port} is not in 1..65535")
        if config.decoder != "json":
            raise UsageError(
                f'{where}: decoder: found "{config.decoder}"; gpsd reports in JSON: say decoder = "json", '
                'time_field = "time" and unique = ["time"]'
            )
        host, receiver = config.option("host", str, "127.0.0.1"), config.option("receiver", str, "")
        return cls(Daemon(host, port, receiver), Reports(report))
