"""`marks.sock` in the spool's folder: marks and recordings asked for from the device's shell.

One request a connection, a JSON object in a line, and one answer. Who may open the socket may mark: the agent's user
and its group. Where no agent runs, the same is done on the spool itself, and the next agent brings it to the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from edge.agent.answering import PATIENCE_S, ask_of, serving
from edge.agent.clock import offset_ns, system_clock
from edge.agent.marking.book import Act, Add, Book, Dropped, Open, Refused, State, range_key, take_key
from edge.agent.marking.desk import Desk
from edge.agent.marking.events import Dated
from edge.agent.marking.journal import Journal, load
from edge.config import AgentConfig
from edge.sources.clock import boottime_ns
from edge.spool.spool import Spool
from ingest.errors import UsageError
from ingest.log.segments.head import boot_id

NAME: Final = "marks.sock"
SHELL: Final = "shell"
TOOL: Final = "operator"
REQUEST_BYTES: Final = 65_536
What: TypeAlias = Literal["mark", "start", "stop", "record", "end"]


class Request(msgspec.Struct, frozen=True):
    """What is asked for."""

    what: What
    device: str
    author: str
    label: str = ""
    note: str = ""
    at_ns: int = 0
    """CLOCK_BOOTTIME as it was asked; 0: `start_ns` and `end_ns` say when."""
    start_ns: int = 0
    """UTC."""
    end_ns: int = 0
    name: str = ""
    """Of a recording."""
    for_ns: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What became of it."""

    done: bool
    words: str = ""
    """Why it was not done."""
    durable: bool = False
    """It is on the disk."""
    id: str = ""
    start_ns: int = 0
    """As the device's samples have it: UTC, or CLOCK_BOOTTIME where it `waits`."""
    end_ns: int = 0
    waits: bool = False
    """For the system's clock to be set."""


Recording: TypeAlias = Callable[[str, int, str], None]
"""A device's recording ends then, and the next one has this name; without one, it has none."""


class Clerk:
    """Does what is asked for at the desk. `devices` are those whose samples are recorded here; None: nobody knows."""

    def __init__(self, desk: Desk, dated: Dated, devices: Collection[str] | None, record: Recording | None) -> None:
        self._desk = desk
        self._dated = dated
        self._devices = devices
        self._record = record

    async def do(self, request: Request) -> Answer:
        """Do it, and say what became of it."""
        if self._devices is not None and request.device not in self._devices:
            return Answer(done=False, words=f'no source is of the device "{request.device}"')
        if request.what == "record" and self._record is None:
            return Answer(done=False, words="no agent runs here that could record")
        acts = self._acts(request)
        refused = next((act for act in acts if isinstance(act, Refused)), None)
        if refused is not None:
            return Answer(done=False, words=refused.words)
        if request.what == "record" and self._record is not None:
            self._record(request.device, request.at_ns, request.name)
        durable = await self._desk.carry_out(acts)
        return self._answer(acts[0], durable=durable)

    def _acts(self, request: Request) -> list[Act]:
        book, device, at_ns = self._desk.book, request.device, request.at_ns
        key = range_key(device, request.label)
        match request.what:
            case "mark":
                begun = replace(request, at_ns=at_ns - request.for_ns) if at_ns else request
                return book.add(self._opened(begun, "press", SHELL), at_ns or request.end_ns)
            case "start":
                return book.begin(key, self._opened(request, "range", key))
            case "stop":
                return book.end(key, at_ns, SHELL, request.label)
            case "end":
                return book.end(take_key(device), at_ns, SHELL, "recording")
            case "record":
                opened = self._opened(request, "take", SHELL)
                named = replace(opened, name=request.name, until_ns=at_ns + request.for_ns)
                return book.begin(take_key(device), named)

    def _opened(self, request: Request, kind: Literal["press", "range", "take"], who: str) -> Open:
        said = kind, request.device, request.label
        if not request.at_ns:
            start_ns = request.start_ns
            return Open(*said, request.author, TOOL, who, start_ns, b"", start_ns, start_ns, note=request.note)
        opened = self._desk.book.opening(*said, request.at_ns, request.author, TOOL, who)
        return replace(opened, note=request.note)

    def _answer(self, act: Act, *, durable: bool) -> Answer:
        words = "" if durable else f"not on the disk yet: {self._desk.trouble}"
        opened = getattr(act, "open", None)
        if opened is None:
            return Answer(done=True, words=words, durable=durable)
        end_ns = act.end_ns if isinstance(act, Add) else opened.until_ns or opened.start_ns
        if not opened.kernel_boot:
            return Answer(True, words, durable, opened.id, opened.start_ns, end_ns)
        start_ns, waits = self._dated(opened.device, opened.start_ns)
        start_ns, span_ns = opened.start_utc_ns or start_ns, end_ns - opened.start_ns
        mark = "" if isinstance(act, Dropped) or not opened.label else opened.id
        return Answer(True, words, durable, mark, start_ns, start_ns + span_ns, waits)


def listening(folder: Path, clerk: Clerk) -> AbstractAsyncContextManager[None]:
    """Take requests while the block runs."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await reader.readline()
            request = msgspec.json.decode(line, type=Request)
        except (TimeoutError, ValueError, msgspec.MsgspecError) as error:
            found = Answer(done=False, words=f"that was no request: {error}")
        else:
            found = await clerk.do(request)
        writer.write(msgspec.json.encode(found))

    return serving(folder, NAME, answer)


def ask_agent(folder: Path, request: Request) -> Answer:
    """What the agent on this spool makes of it. Raises as `edge.agent.answering.ask_of`."""
    return ask_of(folder, NAME, Answer, msgspec.json.encode(request) + b"\n")


@asynccontextmanager
async def own_clerk(config: AgentConfig, report: Callable[[str], None]) -> AsyncIterator[Clerk]:
    """Who does it where no agent runs: what is asked for lies in the spool then.

    Raises:
        SpoolBusyError: an agent begins just now.
    """
    spool = await asyncio.to_thread(Spool, config.spool_dir, config.spool)
    try:
        is_held = config.rules.holds_unsynced and not system_clock(config.clock.trust).is_set

        def dated(_: str, at_ns: int) -> tuple[int, bool]:
            return (at_ns, True) if is_held else (at_ns + offset_ns(), False)

        state, told = load(config.spool_dir)
        if told:
            report(told)
        desk = desk_of(config, spool, state, dated, lambda _: None)  # the answer says what there is to say
        has_family = any(source.is_family for source in config.sources)
        yield Clerk(desk, dated, None if has_family else config.devices, None)
    finally:
        await asyncio.to_thread(spool.close)


def desk_of(
    config: AgentConfig,
    spool: Spool,
    state: State,
    dated: Dated,
    report: Callable[[str], None],
    durable: Callable[[], None] = lambda: None,
    ended: Callable[[Open], None] = lambda _: None,
) -> Desk:
    """The desk on a spool, with what was open there before."""
    kernel_boot = boot_id()

    def utc_ns(device: str, at_ns: int) -> int:
        found, is_held = dated(device, at_ns)
        return 0 if is_held else found

    journal = Journal(config.spool_dir, state)
    return Desk(spool, Book(state, kernel_boot, utc_ns), journal, kernel_boot, dated, report, durable, ended)


def now_request(what: What, device: str, author: str, **more: str | int) -> Request:
    """A request of this instant. Raises `UsageError` for one that cannot be sent."""
    request = Request(what, device, author, at_ns=boottime_ns(), **more)  # type: ignore[arg-type]
    if len(msgspec.json.encode(request)) >= REQUEST_BYTES // 2:
        raise UsageError("agent: the text is too long")
    return request
