"""`GET /api/take` and what is to be known before it: a range of a device's samples as a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.archive.reading import Answer, under
from ingest.commandline import say_aside
from ingest.errors import SensorloomError
from ingest.records import Channel
from ingest.settings import suggest
from ingest.units import format_time
from timeline.protocol import TakePlan, TakeQuery
from timeline.server.answers import ProblemError, json_answer
from timeline.site import Timeline
from timeline.take import ranges
from timeline.take.files import Taken, python_line, writer

AT_ONCE_MAX: Final = 4
"""So many files are on their way at once: each costs the memory of a part."""
SLOW_S: Final = 60.0
"""Who takes nothing for so long is given up."""
READY_S: Final = 10.0
MEDIA: Final = {"csv": "text/csv", "npz": "application/zip", "parquet": "application/vnd.apache.parquet"}


class TakeRoutes:
    """The routes over a timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._under_way = 0

    async def plan(self, request: Request) -> Response:
        """`GET /api/take/plan`: what a file would hold."""
        query = await self._query(request)
        _, plan = await self._plan(query)
        return json_answer(plan)

    async def take(self, request: Request) -> Response:
        """`GET /api/take`: the file."""
        query = await self._query(request)
        taken, plan = await self._plan(query)
        if plan.words:
            raise ProblemError(413 if plan.too_much else 404, "request" if plan.too_much else "missing", plan.words)
        if self._under_way >= AT_ONCE_MAX:
            words = f"{AT_ONCE_MAX} ranges are being taken out just now; try again in a moment"
            raise ProblemError(429, "busy", words, {"Retry-After": "5"})
        headers = {"Content-Disposition": f'attachment; filename="{plan.file}"', "Cache-Control": "no-store"}
        parts = self._parts(query.format, taken)
        self._under_way += 1
        try:
            first = await anext(parts)
        except BaseException as error:
            self._done()
            if isinstance(error, ChangedChannelsError):
                raise ProblemError(409, "request", str(error)) from None
            raise
        return FileAnswer(first, parts, headers, MEDIA[query.format], self._done)

    def _done(self) -> None:
        self._under_way -= 1

    async def _query(self, request: Request) -> TakeQuery:
        """What is asked for. Raises `ProblemError`."""
        asked = request.query_params
        told = dict(asked) | {"streams": asked.getlist("streams")}
        try:
            query = msgspec.convert(told, TakeQuery)
        except msgspec.ValidationError as error:
            raise ProblemError(400, "request", str(error)) from None
        if not -(1 << 62) <= int(query.from_ns) < int(query.to_ns) <= 1 << 62:
            raise ProblemError(400, "request", f"the range from {query.from_ns} to {query.to_ns} is none")
        try:
            async with asyncio.timeout(READY_S):
                await self._timeline.caught_up()
        except TimeoutError:
            raise ProblemError(503, "log", "the server has not read the whole log yet; ask again") from None
        known = self._timeline.catalog.streams
        if query.device not in known:
            raise ProblemError(404, "missing", f'there is no device "{query.device}"{suggest(query.device, known)}')
        for name in query.streams:
            if name not in known[query.device]:
                found = suggest(name, known[query.device])
                raise ProblemError(404, "missing", f'{query.device} has no stream "{name}"{found}')
        return query

    async def _plan(self, query: TakeQuery) -> tuple[Taken, TakePlan]:
        start_ns, end_ns = int(query.from_ns), int(query.to_ns)
        found: dict[str, Answer] = {}
        for name in dict.fromkeys(query.streams):
            answer = await ranges.overview(self._timeline.past.ask, query.device, name, start_ns, end_ns)
            if answer is not None and ranges.counted(answer):
                found[name] = answer
        samples = sum(map(ranges.counted, found.values()))
        gaps = self._timeline.catalog.gaps_in(query.device, list(found), start_ns, end_ns)
        taken = Taken(
            query.device,
            start_ns,
            end_ns,
            {name: answer.channels for name, answer in found.items()},
            {name: answer.units for name, answer in found.items()},
            [(name, gap.start_ns, gap.end_ns, gap.samples, gap.reason) for name, gap in gaps],
        )
        file = _file_name(query)
        columns, line = tuple(taken.columns), python_line(query.format, file)
        gone = (_gone_words(name, answer) for name, answer in found.items() if answer.gone)
        words, too_much = self._words(query, samples) or next(gone, ""), samples > ranges.SAMPLES_MAX
        return taken, TakePlan(file, samples, ranges.SAMPLES_MAX, too_much, words, line, columns, len(taken.gaps))

    def _words(self, query: TakeQuery, samples: int) -> str:
        """What stands in the way."""
        start_ns, end_ns = int(query.from_ns), int(query.to_ns)
        span = f"{format_time(start_ns)} to {format_time(end_ns)}"
        if samples > ranges.SAMPLES_MAX:
            return (
                f"{query.device} has about {samples:,} samples from {span}, at most {ranges.SAMPLES_MAX:,} are given "
                "at once: take a shorter range or fewer streams"
            )
        if samples:
            return ""
        nearest = self._timeline.catalog.nearest(query.device, start_ns, end_ns)
        where = "" if nearest is None else f"; the nearest are at {format_time(nearest)}"
        return f"{query.device} has no samples of {', '.join(query.streams)} from {span}{where}"

    async def _parts(self, form: str, taken: Taken) -> AsyncGenerator[bytes]:
        """The bytes of the file. Raises `SensorloomError`."""
        file = writer(form, taken)
        for stream, channels in taken.channels.items():
            told = [Channel(*said) for said in zip(channels, taken.units[stream], strict=True)]
            ask, span = self._timeline.past.ask, (taken.start_ns, taken.end_ns)
            async with aclosing(ranges.parts(ask, taken.device, stream, *span)) as answers:
                async for answer in answers:
                    part = whole(stream, told, answer)
                    async for data in _in_thread(file.write(stream, part.times, part.values)):
                        yield data
        async for data in _in_thread(file.end()):
            yield data


class ChangedChannelsError(SensorloomError):
    """A stream is not the same one in the whole range."""


class GoneError(SensorloomError):
    """A range has samples that are there no more."""


def whole(stream: str, told: Sequence[Channel], answer: Answer) -> Answer:
    """A part under the channels that the file says. Raises `ChangedChannelsError` where something of it would be lost:
    a channel that they lack, or one with a unit that theirs cannot be made of; `GoneError` where something is."""
    found = under(answer, told)
    if found.gone:
        raise GoneError(f"take: {_gone_words(stream, found)}")
    if found.left_out:
        lost = ", ".join(dict.fromkeys(f"{it.name} [{it.unit}]" for it in found.left_out))
        at = format_time(min(it.start_ns for it in found.left_out))
        raise ChangedChannelsError(
            f"take: {stream} has {lost} at {at}, and has not at the range's end: take the range in two"
        )
    return found


def _gone_words(stream: str, answer: Answer) -> str:
    start_ns, end_ns, reason = answer.gone[0]
    at = f"{format_time(start_ns)} to {format_time(end_ns)}"
    return f"{stream}: the samples from {at} are {reason}, and the log has them no more: take a range without them"


async def _in_thread(parts: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """Making text of a million numbers must not keep a mark waiting."""
    while (data := await asyncio.to_thread(next, parts, None)) is not None:
        if data:
            yield data


def _file_name(query: TakeQuery) -> str:
    """Of letters that every disk takes."""
    device = re.sub(r"[^A-Za-z0-9.-]+", "-", query.device).strip(".-")[:60] or "device"
    first, last = (datetime.fromtimestamp(int(it) // 10**9, UTC) for it in (query.from_ns, query.to_ns))
    return f"{device}_{first:%Y%m%dT%H%M%SZ}_{last:%Y%m%dT%H%M%SZ}.{query.format}"


class FileAnswer(Response):
    """Parts as they are made. An error on the way breaks the answer off: half a file must not look like a whole one."""

    def __init__(
        self, first: bytes, parts: AsyncGenerator[bytes], headers: dict[str, str], media: str, done: Callable[[], None]
    ) -> None:
        super().__init__(headers=headers, media_type=media)
        del self.headers["content-length"]
        self._first = first
        self._parts = parts
        self._done = done

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        gone = asyncio.create_task(_gone(receive))
        try:
            async with aclosing(self._parts):
                await self._send(send, gone)
        except SensorloomError as error:
            say_aside(f"sensorloom: {error}")
        except TimeoutError:
            return
        finally:
            self._done()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    async def _send(self, send: Send, gone: asyncio.Task[None]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        data: bytes | None = self._first
        while data is not None and not gone.done():
            async with asyncio.timeout(SLOW_S):
                await send({"type": "http.response.body", "body": data, "more_body": True})
            data = await anext(self._parts, None)
        if data is None:
            await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
