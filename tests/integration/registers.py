"""A device behind Modbus TCP that numbers its answers: each look at its registers finds the next number."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from typing import Final

from tests.integration.books import Said

_HEAD: Final = struct.Struct(">HHHBB")
"""Modbus Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3: transaction, protocol, length, unit; the function."""
_ASKED: Final = struct.Struct(">HH")
"""Modbus Application Protocol V1.1b3, 6.3: the first register, and how many."""
_VALUES: Final = struct.Struct(">BII")
"""How many bytes follow; a number and its check, in two registers each."""
_REGISTERS: Final = 4


class Registers(socketserver.ThreadingTCPServer):
    """Answers who reads its four registers. What was asked and never came to its asker was said all the same."""

    daemon_threads = True

    def __init__(self, check_of: Callable[[int], int]) -> None:
        super().__init__(("127.0.0.1", 0), _Link)
        self.port: Final[int] = self.server_address[1]
        self.said = Said()
        self._check_of = check_of
        self._telling = threading.Lock()
        self._serving = threading.Thread(target=self.serve_forever, name="registers", daemon=True)
        self._serving.start()

    def tick(self, now_s: float) -> None:
        """It speaks when it is asked."""

    def next_values(self) -> bytes:
        """The next number, and when it was said."""
        with self._telling:
            number, now_ns = len(self.said.due_ns), time.time_ns()
            self.said.due_ns.append(now_ns)
            self.said.written_ns.append(now_ns)
        return _VALUES.pack(2 * _REGISTERS, number, self._check_of(number))

    def close(self) -> None:
        """Answer nobody any more."""
        self.shutdown()
        self._serving.join()
        self.server_close()


class _Link(socketserver.StreamRequestHandler):
    """Who asks."""

    server: Registers

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while len(head := self.rfile.read(_HEAD.size)) == _HEAD.size:
                transaction, _, length, unit, function = _HEAD.unpack(head)
                _, count = _ASKED.unpack(self.rfile.read(length - 2))
                assert (function, count) == (3, _REGISTERS)
                values = self.server.next_values()
                self.wfile.write(_HEAD.pack(transaction, 0, 2 + len(values), unit, function) + values)
        except ConnectionError:
            return  # it was killed
