"""`agent.sock` in the spool's folder: what a running agent says of itself to whoever may open it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import msgspec

from edge.agent.overview import Overview
from ingest.errors import TransientError

T = TypeVar("T")
Answering: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAME: Final = "agent.sock"
PATIENCE_S: Final = 10.0
_MODE: Final = 0o660
"""Its user and its group may ask."""


class NoAgentError(TransientError):
    """No agent runs on a spool."""


@asynccontextmanager
async def answering(folder: Path, overview: Callable[[], Overview]) -> AsyncIterator[None]:
    """Answer while the block runs; a folder that takes no socket is nothing that an agent fails of."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(msgspec.json.encode(overview()))

    async with serving(folder, NAME, answer):
        yield


@asynccontextmanager
async def serving(folder: Path, name: str, answer: Answering) -> AsyncIterator[None]:
    """A socket in the spool's folder while the block runs; a folder that takes none is nothing that an agent fails
    of."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await answer(reader, writer)
            await writer.drain()
        writer.close()

    server: asyncio.Server | None = None
    with suppress(OSError), _short(folder, name) as path:
        path.unlink(missing_ok=True)  # of an agent that was killed: the spool has one agent at a time
        server = await asyncio.start_unix_server(serve, path)
        path.chmod(_MODE)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)


def ask(folder: Path) -> Overview:
    """What the agent on this spool says of itself. Raises as `ask_of`."""
    return ask_of(folder, NAME, Overview)


def ask_of(folder: Path, name: str, kind: type[T], request: bytes = b"") -> T:
    """What the agent on this spool answers at a socket of its.

    Raises:
        NoAgentError: none runs there.
        TransientError: this user may not ask it, or it does not answer.
    """
    received = bytearray()
    try:
        with _short(folder, name) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(PATIENCE_S)
            link.connect(str(path))
            if request:
                link.sendall(request)
            while data := link.recv(65_536):
                received += data
        return msgspec.json.decode(received, type=kind)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NoAgentError(f"no agent runs on the spool {folder}; start it: sensorloom agent run") from None
    except PermissionError:
        raise TransientError(
            f"{folder}: this user may not ask the agent there; ask as its user, or as a member of its group"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise TransientError(f"{folder}: the agent there does not answer: {error}") from None


@contextmanager
def _short(folder: Path, name: str) -> Iterator[Path]:
    """The socket's path, by a descriptor: a socket's name has 107 bytes at most (unix(7)), a folder's may have more."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{name}")
    finally:
        os.close(descriptor)
