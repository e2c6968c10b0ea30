"""Why an address does not answer as a Kafka broker does: asked with a request of our own, told apart for people."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

from ingest.showing import shown_bytes

PATIENCE_S: Final = 3.0
_CORRELATION: Final = 0x736C6F6F
_API_VERSIONS: Final = 18
_REQUEST: Final = struct.pack(">ihhih", 10, _API_VERSIONS, 0, _CORRELATION, -1)
"""ApiVersions, version 0, of a client without a name: every broker answers it before all else."""
_TLS_ALERT: Final = b"\x15\x03"
_PORT: Final = 9092
_SHOWN: Final = 40


async def why_silent(bootstrap: str) -> str:
    """Why none of the addresses `host:port[,host:port]` answers; empty where one does. Takes `PATIENCE_S` twice."""
    addresses = bootstrap.split(",")
    faults = await asyncio.gather(*map(_fault, addresses))
    if "" in faults:
        return ""
    if len(addresses) == 1:
        return faults[0]
    return "; ".join(f"{address}: {fault}" for address, fault in zip(addresses, faults, strict=True))


async def _fault(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port or _PORT))
    except TimeoutError:
        return f"nobody answers: no connection in {PATIENCE_S:g} s; is the address right, and no firewall before it?"
    except socket.gaierror as error:
        return f'no such host: "{host}" ({error.strerror}); correct the name, or this machine\'s DNS'
    except ConnectionRefusedError:
        return "nobody answers at this address: connection refused; start the broker, or correct the address"
    except OSError as error:
        return f"nobody answers: {error.strerror or error}; correct the address, or the network"
    try:
        return await _answer(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    received = b""
    try:
        writer.write(_REQUEST)
        async with asyncio.timeout(PATIENCE_S):
            while len(received) < 8 and (more := await reader.read(1024)):
                received += more
    except TimeoutError:
        return f"a connection, but no answer in {PATIENCE_S:g} s: is it Kafka? Its own port is {_PORT}"
    except OSError as error:
        return f"something is there and hangs up ({error.strerror}): is it Kafka, without TLS and login?"
    if len(received) >= 8 and struct.unpack(">i", received[4:8])[0] == _CORRELATION:
        return ""
    if received.startswith(_TLS_ALERT):
        return "it speaks TLS, which is not supported here; use a listener of the broker that is plain"
    if not received:
        return "something is there and hangs up: is it Kafka, without TLS and login?"
    said = shown_bytes(received, _SHOWN)
    return f'what answers there is no Kafka, it says "{said}"; correct the port, Kafka\'s own is {_PORT}'
