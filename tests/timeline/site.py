"""A small site with a log and a recording, real servers over it as processes, and clients that speak to them."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import httpx
import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from ingest.log.protocol import READINGS, STREAMS, Entry, Log
from ingest.opening import open_log
from ingest.records import Channel, Chunk, Clock, Record, RecordingEnd, RecordingStart, StreamDescription, schema_id
from ingest.wire import encode
from timeline import protocol
from timeline.protocol import ToPage

PROJECT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 60.0
S: Final = 10**9
START_NS: Final = 1_767_225_600_123_456_789
ACC: Final = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32", 100, 1, "LIS3DH")
T = TypeVar("T")


def boot(recording: str) -> bytes:
    """The boot of an agent that made a recording."""
    return recording.encode().ljust(16, b".")


def chunk(
    start_ns: int, count: int, seq: int, *, device: str = "pump-7", recording: str = "r1", values: Any = None
) -> Chunk:
    """Samples at 100 Hz of a stream `acc`: x counts them, y is its negative, unless `values` says other ones."""
    rows = np.arange(count, dtype=np.float32) if values is None else np.asarray(values, np.float32)
    data = np.stack([rows, -rows], axis=1).astype("<f4").tobytes()
    return Chunk(
        device,
        recording,
        "acc",
        boot(recording),
        seq,
        schema_id(ACC),
        start_ns,
        S // 100,
        1,
        0,
        0,
        b"",
        count,
        data,
        clock=Clock("ntp"),
    )


def recording(
    seconds: int, *, device: str = "pump-7", start_ns: int = START_NS, name: str = "r1", end: bool = True
) -> list[Record]:
    """A recording of chunks of a second."""
    records: list[Record] = [RecordingStart(device, name, boot(name), start_ns, "started")]
    for number in range(seconds):
        values = np.arange(number * 100, number * 100 + 100)
        records.append(chunk(start_ns + number * S, 100, number, device=device, recording=name, values=values))
    if end:
        records.append(RecordingEnd(device, name, boot(name), start_ns + seconds * S, "stopped"))
    return records


async def write(log: Log, records: Sequence[Record], device: str = "pump-7") -> None:
    """Readings into a log, whose streams are described."""
    await log.append(STREAMS, [Entry(schema_id(ACC), encode(ACC))])
    await log.append(READINGS, [Entry(device.encode(), encode(record)) for record in records])


def write_site(folder: Path, records: Sequence[Record], device: str = "pump-7") -> Path:
    """A site's folder with a log of segments."""

    async def work() -> None:
        log = open_log(f"segments:{folder}/log?partitions=2")
        try:
            await write(log, records, device)
        finally:
            await log.close()

    folder.mkdir(exist_ok=True)
    asyncio.run(work())
    return folder


class Served:
    """`sensorloom label serve` as a process, on a free port of loopback; `project` is where its code lies."""

    def __init__(self, *words: str, wait: bool = True, project: Path = PROJECT) -> None:
        command = [sys.executable, "-m", "sensorloom", "label", "serve", "--listen", "127.0.0.1:0", *words]
        environment = os.environ | {"PYTHONPATH": str(project), "NO_PROXY": "*"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=project, env=environment
        )
        self.link = self._line() if wait else ""
        self.url = self.link.split("/open/")[0].rstrip("/")
        self.cookie = ""

    def _line(self) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT_S)
        line = self.process.stdout.readline() if ready else ""
        found = re.search(r"https?://\S+", line)
        if found is None:
            self.process.kill()
            raise AssertionError(f"no address: {line!r}: {self.process.communicate()}")
        return found[0]

    def open(self) -> Self:
        """Sign in by the one-time link."""
        with httpx.Client() as client:
            response = client.get(self.link)
            assert response.status_code == 303, response.text
            self.cookie = response.cookies["sensorloom"]
        return self

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client with the session's cookie."""
        return httpx.Client(base_url=self.url, cookies={"sensorloom": self.cookie}, timeout=LIMIT_S, **options)

    def tab(self, **options: Any) -> Tab:
        """A tab of the page."""
        return Tab(self.url, self.cookie, **options)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(signal.SIGKILL)


class Frame:
    """A binary frame, read by README's table alone."""

    def __init__(self, data: bytes) -> None:
        head = struct.unpack_from("<BBBBIHBBIq", data)
        self.version, self.kind, self.flags, self.channels, self.view, self.stream, self.span, _, self.count, base = (
            head
        )
        self.base_ns = base
        bases = np.frombuffer(data, "<f8", self.channels, 24)
        at = 24 + 8 * self.channels
        if self.kind == 1:
            self.times = base + np.frombuffer(data, "<i8", self.count, at)
            values = np.frombuffer(data, "<f4", self.count * self.channels, at + 8 * self.count)
            self.values = values.reshape(self.channels, self.count) + bases[:, None]
        else:
            self.times = base + (np.frombuffer(data, "<u4", self.count, at).astype(np.int64) << self.span)
            values = np.frombuffer(data, "<f4", 4 * self.count * self.channels, at + 4 * self.count)
            self.values = values.reshape(self.channels, 4, self.count) + bases[:, None, None]
        assert len(data) == at + (8 if self.kind == 1 else 4) * self.count + values.nbytes


class Tab:
    """A tab of the page, as a program: `async with served.tab() as tab`."""

    def __init__(
        self, url: str, cookie: str = "", *, token: str = "", origin: str | None = "own", **options: Any
    ) -> None:
        self.name = str(uuid.uuid4())
        headers = {"Cookie": f"sensorloom={cookie}"} if cookie else {}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self._connect = connect(
            f"ws{url.removeprefix('http')}/socket",
            origin=url if origin == "own" else origin,  # type: ignore[arg-type]
            additional_headers=headers,
            compression=None,
            max_size=None,
            proxy=None,
            open_timeout=LIMIT_S,
            close_timeout=LIMIT_S,
            **options,
        )
        self.seen: list[ToPage | Frame] = []

    async def __aenter__(self) -> Self:
        self.socket: ClientConnection = await self._connect.__aenter__()
        return self

    async def __aexit__(self, *args: Any) -> None:
        await self._connect.__aexit__(*args)

    async def say(self, kind: str, /, **fields: Any) -> None:
        """Send a message; what is None is left out."""
        told = {name: value for name, value in fields.items() if value is not None}
        await self.socket.send(msgspec.json.encode({"type": kind} | told).decode())

    async def hello(self) -> protocol.Welcome:
        """Begin."""
        await self.say("hello", protocol=1, tab=self.name)
        return await self.hear(protocol.Welcome)

    async def next(self) -> ToPage | Frame:
        """What comes next."""
        data = await asyncio.wait_for(self.socket.recv(), LIMIT_S)
        return Frame(data) if isinstance(data, bytes) else msgspec.json.decode(data, type=ToPage)

    async def hear(self, kind: type[T], fits: Callable[[T], bool] = lambda it: True) -> T:
        """The first message of a kind that fits, of those not heard so far; others wait to be heard."""
        for place, it in enumerate(self.seen):
            if isinstance(it, kind) and fits(it):
                return self.seen.pop(place)  # type: ignore[return-value]
        while True:
            it = await self.next()
            if isinstance(it, kind) and fits(it):
                return it
            self.seen.append(it)

    async def look(self, view: int, start_ns: int, end_ns: int, **more: Any) -> tuple[list[Frame], protocol.Shown]:
        """The frames of a view that are no live ones, and what ends them."""
        about = {"device": "pump-7", "streams": ["acc"], "columns": 800} | more
        await self.say("view", view=view, from_ns=str(start_ns), to_ns=str(end_ns), **about)
        shown = await self.hear(protocol.Shown, lambda it: it.view == view)
        frames = [it for it in self.seen if isinstance(it, Frame) and it.view == view and not it.flags & 1]
        self.seen = [it for it in self.seen if it not in frames]
        return frames, shown

    async def act(self, kind: str, **fields: Any) -> protocol.Accepted | protocol.Rejected:
        """Do something, and hear what became of it. Times may be given as numbers."""
        told = act_of(kind, **fields)
        await self.say("act", **told)
        fits = lambda it: it.act == told["act"]  # noqa: E731
        return await self.hear(protocol.Accepted | protocol.Rejected, fits)  # type: ignore[arg-type]


def act_of(kind: str, **fields: Any) -> dict[str, Any]:
    """An act's fields; an add is of a mark of its own, and everything happens now."""
    plain = {"act": str(uuid.uuid4()), "kind": kind, "device": "pump-7", "client_ns": time.time_ns()}
    if kind == "add":
        plain |= {"mark": str(uuid.uuid4()), "start_ns": START_NS + S, "end_ns": START_NS + 2 * S, "label": "run"}
    told = plain | fields
    return {name: str(value) if name.endswith("_ns") and value is not None else value for name, value in told.items()}
