"""What a server takes from strangers: so many connections, headers within seconds, bodies of a few kilobytes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from timeline.protocol import Problem

CONNECTIONS_MAX: Final = 1_200
"""More are told so and closed at once, before they have said a word."""
HEADERS_S: Final = 10.0
"""A request's headers come within this, or the connection ends: else a few thousand slow ones would keep all others
out."""
_FULL_WORDS: Final = Problem(
    "busy", f"this server has {CONNECTIONS_MAX:,} connections, and no room for more; try again"
)
_FULL_BODY: Final = msgspec.json.encode(_FULL_WORDS)
_FULL: Final = (
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(_FULL_BODY)}\r\nRetry-After: 10\r\nConnection: close\r\n\r\n"
).encode() + _FULL_BODY
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which by itself waits for headers for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.write(_FULL)
            transport.close()
            return
        self._begin_deadline()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._begin_deadline()
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._end_deadline()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """See `H11Protocol`."""
        self._end_deadline()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._end_deadline()
        super().connection_lost(exc)

    def _begin_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_S, self._too_slow)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class SafeHeaders:
    """Gives every answer the headers that keep other pages out, and other origins' scripts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
