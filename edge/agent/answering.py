"""`agent.sock` in the spool's folder: what a running agent says of itself to whoever may open it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from edge.agent.overview import Overview
from ingest.errors import TransientError

NAME: Final = "agent.sock"
PATIENCE_S: Final = 10.0
_MODE: Final = 0o660
"""Its user and its group may ask."""


@asynccontextmanager
async def answering(folder: Path, overview: Callable[[], Overview]) -> AsyncIterator[None]:
    """Answer while the block runs; a folder that takes no socket is nothing that an agent fails of."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(msgspec.json.encode(overview()))
            await writer.drain()
        writer.close()

    server: asyncio.Server | None = None
    with suppress(OSError), _short(folder) as path:
        path.unlink(missing_ok=True)  # of an agent that was killed: the spool has one agent at a time
        server = await asyncio.start_unix_server(answer, path)
        path.chmod(_MODE)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            with suppress(OSError):
                (folder / NAME).unlink(missing_ok=True)


def ask(folder: Path) -> Overview:
    """What the agent on this spool says of itself.

    Raises:
        TransientError: none runs there, or this user may not ask it.
    """
    received = bytearray()
    try:
        with _short(folder) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect(str(path))
            while data := link.recv(65_536):
                received += data
        return msgspec.json.decode(received, type=Overview)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise TransientError(f"no agent runs on the spool {folder}; start it: sensorloom agent run") from None
    except PermissionError:
        raise TransientError(
            f"{folder}: this user may not ask the agent there; ask as its user, or as a member of its group"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise TransientError(f"{folder}: the agent there does not answer: {error}") from None


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """The socket's path, by a descriptor: a socket's name has 107 bytes at most (unix(7)), a folder's may have more."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{NAME}")
    finally:
        os.close(descriptor)
