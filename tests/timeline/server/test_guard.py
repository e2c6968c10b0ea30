"""What a server takes from strangers, told to those who are too many."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from tests.timeline.site import LIMIT_S
from timeline.protocol import Problem
from timeline.server.guard import CONNECTIONS_MAX, GuardedProtocol

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def test_who_is_one_too_many_is_told_so() -> None:
    config, state = uvicorn.Config(Starlette(), lifespan="off", log_config=None), ServerState()
    config.load()
    others: list[Any] = [object() for _ in range(CONNECTIONS_MAX)]

    async def answer(port: int, request: bytes) -> tuple[str, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head, _, body = (await asyncio.wait_for(reader.read(), LIMIT_S)).partition(b"\r\n\r\n")
        writer.close()
        return head.decode().splitlines()[0], body

    async def work() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: GuardedProtocol(config, state, {}), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            state.connections.update(others[1:])
            assert (await answer(port, REQUEST))[0] == "HTTP/1.1 404 Not Found"
            state.connections.update(others)
            status, body = await answer(port, b"")  # before it has said a word
        assert status == "HTTP/1.1 503 Service Unavailable"
        problem = msgspec.json.decode(body, type=Problem)
        assert problem == Problem("busy", "this server has 1,200 connections, and no room for more; try again")

    asyncio.run(work())
