"""Which of gpsd's reports are handed on, and what the others say that people must know. Pure.

Each report is a line of JSON whose first member is its class (gpsd_json(5)). Those of the wanted class are handed on as
they are; of TPV (time, position, velocity) only those that have a fix and its time.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ingest.showing import printable

MAX_REPORT: Final = 65_536
"""No report is longer: SKY with some hundred satellites has 20 kB."""
FIX: Final = "TPV"
_NO_RECEIVER: Final = "gpsd has no receiver; is it plugged in, and named in /etc/default/gpsd?"
_NO_FIX: Final = "the receiver has no fix, or does not know the time yet; can the antenna see the sky?"


class Reports:
    """Bytes from gpsd to the wanted reports, a line each; the `Lines` of a reading thread."""

    pause_s = float("inf")
    is_lost = False

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._begins = b'{"class":"%b"' % wanted.encode()
        self._parse = msgspec.json.Decoder(dict[str, Any]).decode
        self.begin()

    def begin(self, *, is_opened: bool = True) -> None:
        """See `Lines`: a connection was made."""
        self.trouble = ""
        self._held = b""

    def feed(self, data: bytes, at_ns: int) -> bytes:
        """See `Lines`."""
        *lines, self._held = (self._held + data).split(b"\n")
        found = [line for line in lines if self._takes(line)]
        if len(self._held) > MAX_REPORT:  # gpsd never says so much: hand it on, for the decoder to count
            found, self._held = [*found, self._held], b""
        return b"".join(line.rstrip(b"\r") + b"\n" for line in found)

    def pause(self) -> None:
        """See `Lines`."""

    def take_loss(self) -> str:
        """See `Lines`."""
        return ""

    def _takes(self, line: bytes) -> bool:
        """Whether a line is handed on; also what is no report at all, for the decoder to count."""
        try:
            report = self._parse(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return bool(line.strip())
        kind = report.get("class")
        if kind == "ERROR":
            self.trouble = f"gpsd says: {printable(str(report.get('message', 'an error')))[:200]}"
        elif kind == "DEVICES":
            self.trouble = "" if report.get("devices") else _NO_RECEIVER
        if kind != self._wanted:
            return False
        if kind == FIX and ("time" not in report or report.get("mode", 0) not in (2, 3)):
            self.trouble = _NO_FIX
            return False
        self.trouble = ""
        return True
