"""An MQTT broker inside of this process (amqtt), where no Mosquitto runs: MQTT 3.1.1, hundreds of messages a second.

It keeps sessions and queues in memory only, so it is for demonstrations, not for data that matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from amqtt.broker import Broker
from amqtt.errors import BrokerError

from ingest.errors import UsageError

_GOODBYE_S: Final = 5.0


class EmbeddedBroker:
    """A broker for anybody who reaches `host:port`: loopback, if you are wise."""

    def __init__(self, host: str, port: int) -> None:
        self.url: Final = f"mqtt://{host}:{port}"
        for name in ("amqtt", "transitions"):  # it reports each client's every mishap with a stack trace
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._broker = Broker(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )

        self._connections: set[asyncio.StreamWriter] = set()
        self._serve = self._broker.stream_connected
        self._broker.stream_connected = self._connected

    async def start(self) -> None:
        """Serve from now on. Raises `UsageError` where the port is taken."""
        try:
            await self._broker.start()
        except (BrokerError, OSError) as error:
            raise UsageError(f"{self.url}: cannot listen there: {error}; choose another port") from None

    async def stop(self) -> None:
        """Disconnect everybody and end."""
        await self._broker.shutdown()
        for writer in list(self._connections):  # the library leaves those open that have not been greeted yet
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await writer.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str) -> None:
        self._connections.add(writer)
        try:
            await self._serve(reader, writer, listener_name=listener_name)
        finally:
            self._connections.discard(writer)
            writer.close()
