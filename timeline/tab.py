"""One tab's socket: what it asks for, what it is told, and what it is not told because it is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol

from ingest.archive.reading import Question
from ingest.errors import SensorloomError
from timeline import protocol
from timeline.acts import Who
from timeline.catalog import GapSpan
from timeline.frames import BEFORE, LIVE, answer_frames, samples_frames
from timeline.live import NewGap, NewRecording, News, Samples
from timeline.outbox import Outbox
from timeline.protocol import Act, Density, FromPage, Hello, Marks, Ping, Presence, ToPage, View
from timeline.site import Timeline

ACTS_MAX: Final = 2_000
"""Acts that wait to be done; who sends more is to send them again."""
BACK_NS: Final = tuple(seconds * 10**9 for seconds in (1, 60, 3_600, 216_000, 12_960_000))
"""So far back the last value before a view is looked for, the nearest first."""
BACK_POINTS: Final = 4_096


class Home(Protocol):
    """What a tab needs of the server that it is at; `timeline.hub.Hub` is it."""

    timeline: Timeline

    def now(self) -> protocol.Ns:
        """The server's clock."""

    def welcome(self, who: Who) -> protocol.Welcome:
        """What a tab is told first."""

    def recording(self, device: str, name: str) -> protocol.Recording:
        """A recording as it is now."""

    def people_changed(self) -> None:
        """Somebody came, went, or looks elsewhere."""


class ClosedError(Exception):
    """The socket is to be closed with a code of `timeline.protocol.CLOSE_CODES`."""

    def __init__(self, code: int) -> None:
        super().__init__(protocol.CLOSE_CODES[code])
        self.code = code


class Tab:
    """A tab from its `hello` on."""

    def __init__(self, hub: Home, who: Who, is_valid: Callable[[], Who | None]) -> None:
        self.hub = hub
        self.who = who
        self.person: protocol.Person | None = None
        """None before `hello`."""
        self.view: View | None = None
        self.over = asyncio.Event()
        """Set when the tab is to be given up."""
        self.code = 1012
        self._is_valid = is_valid
        self._devices: set[str] = set()
        self._outbox = Outbox()
        self._waiting = asyncio.Event()
        self._acts: asyncio.Queue[Act] = asyncio.Queue(ACTS_MAX)
        self._answering: asyncio.Task[None] | None = None
        self._welcoming: asyncio.Task[None] | None = None

    # Telling.

    def say(self, message: ToPage) -> None:
        """Tell the tab something that must not be lost."""
        if not self._outbox.say(protocol.encode(message)):
            self.give_up(4408)
        self._waiting.set()

    def give_up(self, code: int) -> None:
        """End the socket with a close code."""
        if not self.over.is_set():
            self.code = code
            self.over.set()
            self._waiting.set()

    async def send(self, send: Callable[[bytes | str], Awaitable[None]]) -> None:
        """Send what waits, until the tab is over."""
        while not self.over.is_set():
            item = self._outbox.take()
            if item is not None:
                await send(item)
                continue
            self._waiting.clear()
            await self._waiting.wait()

    def hear(self, news: Iterable[News]) -> None:
        """What is new in the log: told where the tab follows it."""
        view = self.view
        if view is None or not view.follow:
            return
        gaps: list[protocol.Gap] = []
        recordings: list[protocol.Recording] = []
        skipped = 0
        for it in news:
            if it.device != view.device:
                continue
            if isinstance(it, NewRecording):
                recordings.append(self.hub.recording(it.device, it.recording))
            elif it.stream not in view.streams:
                continue
            elif isinstance(it, NewGap):
                gaps.append(_gap(it.stream, it.gap))
            else:
                skipped += self._show_live(view, it)
        if gaps or recordings or skipped:
            live = protocol.LiveNews(view.view, view.device, tuple(gaps), tuple(recordings), skipped)
            self._outbox.show(view.view, protocol.encode(live))
        self._waiting.set()

    def _show_live(self, view: View, new: Samples) -> int:
        frames = samples_frames(view.view, view.streams.index(new.stream), new.times, new.values, LIVE)
        return sum(not self._outbox.show(view.view, frame) for frame in frames)

    def hear_mark(self, changed: protocol.Changed) -> None:
        """A mark is new or another one: told where the tab has asked for its device's."""
        if changed.mark.device in self._devices:
            self.say(changed)

    # Hearing.

    def take(self, message: FromPage) -> None:
        """What the page says. Raises `ClosedError`."""
        if isinstance(message, Hello):
            self._hello(message)
            return
        if self.person is None:
            raise ClosedError(4400)
        if isinstance(message, Ping):
            self.say(protocol.Pong(message.ping, message.client_ns, self.hub.now()))
        elif isinstance(message, View):
            self._look(message)
        elif isinstance(message, Marks):
            self._marks(message)
        elif isinstance(message, Density):
            start_ns, end_ns = _range(message.from_ns, message.to_ns)
            names, cells = self.hub.timeline.book.density(message.device, start_ns, end_ns, message.columns)
            self.say(protocol.DensityOf(message.request, message.device, names, tuple(cells)))
        elif isinstance(message, Presence):
            self._present(message)
        else:
            self._act(message)

    def _hello(self, message: Hello) -> None:
        if message.protocol != protocol.PROTOCOL:
            raise ClosedError(4409)
        self.person = protocol.Person(message.tab, self.who.user)
        self.hub.timeline.doubt()
        self.hub.people_changed()
        self._welcoming = asyncio.create_task(self._welcome())

    async def _welcome(self) -> None:
        """What there is, when all of it is known: "nothing here" would be a lie before."""
        await self.hub.timeline.caught_up()
        self.say(self.hub.welcome(self.who))

    def _act(self, act: Act) -> None:
        try:
            self._acts.put_nowait(act)
        except asyncio.QueueFull:
            self.say(protocol.Rejected(act.act, "busy", "too many at once; send it again", again=True))

    async def do_acts(self) -> None:
        """Do what the tab asks for, one after the other, until cancelled."""
        while True:
            act = await self._acts.get()
            who = self._is_valid()
            if who is None:
                self.give_up(4401)
                return
            self.say(await self.hub.timeline.act(act, who))

    def _present(self, message: Presence) -> None:
        assert self.person is not None
        where = message.device, message.from_ns, message.to_ns, message.pending
        self.person = protocol.Person(self.person.tab, self.who.user, *where)
        self.hub.people_changed()

    def _marks(self, message: Marks) -> None:
        start_ns, end_ns = _range(message.from_ns, message.to_ns)
        book = self.hub.timeline.book
        found, complete = book.meeting(message.device, start_ns, end_ns, message.most)
        self._devices.add(message.device)
        total = book.count(message.device)
        self.say(protocol.MarksOf(message.request, message.device, tuple(found), complete, total))

    def _look(self, view: View) -> None:
        _range(view.from_ns, view.to_ns)
        if self._answering is not None:
            self._answering.cancel()
        self.view = view
        self._outbox.forget(view.view)
        self._answering = asyncio.create_task(self._answer(view))

    async def _answer(self, view: View) -> None:
        """The frames of a view, then `shown`."""
        start_ns, end_ns = int(view.from_ns), int(view.to_ns)
        catalog, past = self.hub.timeline.catalog, self.hub.timeline.past
        dropped, something = 0, False
        try:
            for number, stream in enumerate(view.streams):
                question = Question(view.device, stream, start_ns, end_ns, view.columns)
                answer = await past.ask(question)
                frames = [] if answer is None else answer_frames(view.view, number, answer, view.columns)
                something = something or bool(frames)
                frames += self._recent(view, number, stream)
                frames += await self._before(view, number, stream)
                dropped += sum(not self._outbox.show(view.view, frame) for frame in frames)
                self._waiting.set()
        except SensorloomError as error:
            self.say(protocol.Trouble("history", str(error), view.view))
        gaps = (_gap(name, gap) for name, gap in catalog.gaps_in(view.device, view.streams, start_ns, end_ns))
        names = [it.name for it in catalog.recordings_in(view.device, start_ns, end_ns)]
        recordings = tuple(self.hub.recording(view.device, name) for name in names)
        nearest = None if something else catalog.nearest(view.device, start_ns, end_ns)
        nearest_ns = None if nearest is None else str(nearest)
        shown = protocol.Shown(view.view, tuple(gaps), recordings, nearest_ns, dropped)
        self._outbox.show(view.view, protocol.encode(shown))
        self._waiting.set()

    def _recent(self, view: View, number: int, stream: str) -> list[bytes]:
        """The newest samples, where an archive answers: it does not read what is not yet durable."""
        if not view.follow or self.hub.timeline.settings.archive is None:
            return []
        recent = self.hub.timeline.live.recent.get((view.device, stream), ())
        return [frame for it in recent for frame in samples_frames(view.view, number, it.times, it.values, LIVE)]

    async def _before(self, view: View, number: int, stream: str) -> list[bytes]:
        """The last sample before the view, of a stream so slow that it may have none in it."""
        span = self.hub.timeline.catalog.streams.get(view.device, {}).get(stream)
        start_ns = int(view.from_ns)
        if span is None or span.first_ns >= start_ns:
            return []
        for back_ns in BACK_NS:
            question = Question(view.device, stream, start_ns - back_ns, start_ns, BACK_POINTS)
            answer = await self.hub.timeline.past.ask(question)
            if answer is not None:  # tiles: so many samples are no slow stream
                last = answer.times[-1:], answer.values[-1:]
                return list(samples_frames(view.view, number, *last, BEFORE))
        return []

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in (self._answering, self._welcoming):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _gap(stream: str, gap: GapSpan) -> protocol.Gap:
    return protocol.Gap(stream, str(gap.start_ns), str(gap.end_ns), gap.samples, gap.reason)


def _range(from_ns: str, to_ns: str) -> tuple[int, int]:
    """Raises `ClosedError` where it is none."""
    start_ns, end_ns = int(from_ns), int(to_ns)
    if not -(1 << 62) <= start_ns < end_ns <= 1 << 62:
        raise ClosedError(4400)
    return start_ns, end_ns
