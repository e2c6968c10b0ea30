from __future__ import annotations

import asyncio
import socket

from simulators.broker import EmbeddedBroker


def test_who_has_said_nothing_yet_is_disconnected_too() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        broker = EmbeddedBroker("127.0.0.1", port)
        await broker.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await broker.stop()
        async with asyncio.timeout(200):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    asyncio.run(main())
