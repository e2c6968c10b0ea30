"""Where the server listens."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from timeline.server.serving import Serving, listen
from timeline.site import Settings


def test_what_is_sent_does_not_wait_for_what_was_sent_before(tmp_path: Path) -> None:
    """Answers in two parts came 40 ms late: the second part waited until the first one was acknowledged."""
    serving = Serving(Settings("pump", f"segments:{tmp_path}/log"), "127.0.0.1", 0, None, "op-1")

    async def connect() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen(serving) as listening:
            async with await asyncio.start_server(hear, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname()[:2])
                found = await seen
                writer.close()
        return found

    assert asyncio.run(connect()) == 1
