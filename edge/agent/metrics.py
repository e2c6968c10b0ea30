"""`[metrics] listen`: an agent's figures for Prometheus, over HTTP. One page, nothing to be said to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from edge.agent.exposition import CONTENT_TYPE, exposition
from edge.agent.notices import Notices
from edge.agent.overview import Overview

PATIENCE_S: Final = 10.0
"""So long somebody may take to ask, and to take the answer."""
ASKING_MOST: Final = 16
"""So many are answered at the same time; who comes on top is sent away."""
RETRY_S: Final = 10.0
_HEAD_BYTES: Final = 8192


async def serve_metrics(
    address: tuple[str, int], overview: Callable[[], Overview], report: Callable[[str], None]
) -> None:
    """Answer until cancelled. An address that cannot be had is told, and tried again: no agent fails of it."""
    notices, server = Notices(report, "answers"), None
    page = _Page(overview)
    host, port = address
    while server is None:
        try:
            server = await asyncio.start_server(page.answer, host, port, limit=_HEAD_BYTES)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            notices.say("metrics", f"{host}:{port}, where they are to be read: {reason}")
            await asyncio.sleep(RETRY_S)
    notices.say("metrics", "")
    async with server:
        await server.serve_forever()


class _Page:
    def __init__(self, overview: Callable[[], Overview]) -> None:
        self._overview = overview
        self._asking = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asking += 1
        try:
            if self._asking <= ASKING_MOST:
                async with asyncio.timeout(PATIENCE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(answer(head, self._overview))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who asks like that is not answered
        finally:
            self._asking -= 1
            with suppress(OSError):
                writer.close()


def answer(head: bytes, overview: Callable[[], Overview]) -> bytes:
    """The answer to a request's head, RFC 9112; the connection ends with it."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return _response(HTTPStatus.BAD_REQUEST, "this is for Prometheus: GET /metrics\n")
    method, path = words[0], words[1].partition(b"?")[0]
    if path != b"/metrics":
        return _response(HTTPStatus.NOT_FOUND, "there is /metrics, and nothing else\n")
    if method not in (b"GET", b"HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are known\n", "Allow: GET, HEAD\r\n")
    page = _response(HTTPStatus.OK, exposition(overview()))
    return page if method == b"GET" else page[: page.index(b"\r\n\r\n") + 4]


def _response(status: HTTPStatus, text: str, more: str = "") -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {CONTENT_TYPE}\r\n{more}"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
