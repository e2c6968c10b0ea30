"""One tab's socket: what it asks for, what it is told, and what it is not told because it is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, Protocol

from ingest.archive.reading import Answer, Question
from ingest.archive.tiles import BITS
from ingest.errors import SensorloomError
from timeline import protocol
from timeline.history.catalog import GapSpan, UnsureSpan
from timeline.history.live import NewGap, NewRecording, News, NewUnsure, Redescribed, Samples
from timeline.marks.acts import MAY, Who
from timeline.protocol import Act, Density, FromPage, Hello, Marks, Neighbour, Ping, Presence, Queue, ToPage, View
from timeline.protocol.frames import BEFORE, LIVE, answer_frames, readdressed, samples_frames
from timeline.site import Timeline
from timeline.tabs.liveframes import LiveFrames, as_known
from timeline.tabs.outbox import Outbox
from timeline.tabs.turns import Turns

ACTS_MAX: Final = 2_000
"""So many acts wait to be done at most; while they do, nothing more is read of the tab."""
BACK_NS: Final = tuple(seconds * 10**9 for seconds in (1, 60, 3_600, 216_000, 12_960_000))
"""So far back the last value before a view is looked for, the nearest first."""
BACK_POINTS: Final = 4_096
BEGIN_SHARE: Final = 64
"""What has tiles in this part of a view's begin is no slow stream."""
DEVICES_MAX: Final = 10_000
"""So many devices' marks a tab hears of."""


class Home(Protocol):
    """What a tab needs of the server that it is at; `timeline.tabs.hub.Hub` is it."""

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
        self._queued: dict[str, int] = {}
        self._outbox = Outbox()
        self._waiting = asyncio.Event()
        self._acts: asyncio.Queue[Act] = asyncio.Queue(ACTS_MAX)
        self._taken = asyncio.Event()
        self._turns = Turns()
        self._answering: asyncio.Task[None] | None = None
        self._beside: asyncio.Task[None] | None = None
        self._beside_view = -1
        self._marks_asked: list[Marks] = []
        """Not answered yet: a signal is what one waits for, and goes first."""
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

    def hear(self, news: Iterable[News], made: LiveFrames) -> None:
        """What is new in the log: told where the tab follows it; its frames are made for all tabs at once."""
        view = self.view
        if view is None or not view.follow:
            return
        gaps: list[protocol.Gap] = []
        recordings: list[protocol.Recording] = []
        unsure: list[protocol.Unsure] = []
        skipped = 0
        for it in news:
            if it.device != view.device:
                continue
            if isinstance(it, NewRecording):
                recordings.append(self.hub.recording(it.device, it.recording))
            elif it.stream not in view.streams or isinstance(it, Redescribed):
                continue
            elif isinstance(it, NewGap):
                gaps.append(_gap(it.stream, it.gap))
            elif isinstance(it, NewUnsure):
                unsure.append(_unsure(it.stream, it.span))
            else:
                skipped += self._show_live(view, it, made)
        if gaps or recordings or skipped or unsure:
            news_of = tuple(gaps), tuple(recordings), skipped, tuple(unsure)
            live = protocol.LiveNews(view.view, view.device, *news_of)
            self._outbox.show(view.view, protocol.encode(live))
        self._waiting.set()

    def _show_live(self, view: View, new: Samples, made: LiveFrames) -> int:
        place = view.streams.index(new.stream)
        frames = (readdressed(frame, view.view, place) for frame in made.of(new))
        return sum(not self._outbox.show(view.view, frame) for frame in frames)

    def hear_mark(self, changed: protocol.Changed) -> None:
        """A mark is new or another one: told where the tab has asked for its device's."""
        if self.hears(changed.mark.device):
            self.say(changed)

    def hears(self, device: str) -> bool:
        """Whether the tab has asked for a device's marks."""
        return device in self._devices

    def hear_queues(self) -> None:
        """Tell how many marks wait for review now, where that is another number than it was told."""
        for device, told in self._queued.items():
            total = self.hub.timeline.book.waiting(device)
            if total != told:
                self._queued[device] = total
                self.say(protocol.Queued(device, total))

    # Hearing.

    def take(self, message: FromPage) -> None:
        """What the page says, where there is `room`. Raises `ClosedError`."""
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
        elif isinstance(message, Queue):
            self._queue(message)
        elif isinstance(message, Neighbour):
            found = self.hub.timeline.book.neighbour(message)
            self.say(protocol.NeighbourOf(message.request, message.device, found))
        elif isinstance(message, Presence):
            self._present(message)
        else:
            self._acts.put_nowait(message)

    def _hello(self, message: Hello) -> None:
        if message.protocol != protocol.PROTOCOL:
            raise ClosedError(4409)
        self.person = protocol.Person(message.tab, self.who.user)
        if "mark" in MAY[self.who.role]:
            self.hub.timeline.expect()
        self.hub.people_changed()
        self._welcoming = asyncio.create_task(self._welcome())

    async def _welcome(self) -> None:
        """What there is, when all of it is known: "nothing here" would be a lie before. Of a log that takes long to
        read, what is known so far, and how far that is."""
        timeline = self.hub.timeline
        if not timeline.is_read:
            self.say(timeline.reading())
        if timeline.trouble:
            self.say(protocol.Trouble("log", timeline.trouble))
        await timeline.usable()
        self.say(self.hub.welcome(self.who))

    async def room(self) -> None:
        """Return when one more message can be taken."""
        while self._acts.full():
            self._taken.clear()
            await self._taken.wait()

    async def do_acts(self) -> None:
        """Do what the tab asks for, one after the other, until cancelled."""
        while True:
            act = await self._acts.get()
            self._taken.set()
            who = self._is_valid()
            if who is None:
                self.give_up(4401)
                return
            answer = self._turns.too_early(act) or await self.hub.timeline.act(act, who)
            self._turns.answered(act, answer)
            self.say(answer)
            if len(self._turns) > ACTS_MAX:
                self.give_up(4408)

    def _present(self, message: Presence) -> None:
        assert self.person is not None
        where = message.device, message.from_ns, message.to_ns, message.pending
        self.person = protocol.Person(self.person.tab, self.who.user, *where)
        self.hub.people_changed()

    def _marks(self, message: Marks) -> None:
        _range(message.from_ns, message.to_ns)
        self._devices.add(message.device)
        if len(self._devices) > DEVICES_MAX:
            raise ClosedError(4400)
        self._marks_asked.append(message)
        if self._answering is None or self._answering.done():
            self._tell_marks()
        elif len(self._marks_asked) > ACTS_MAX:
            self.give_up(4408)

    def _tell_marks(self) -> None:
        """Answer behind the frames that wait what was asked about marks."""
        for message in self._marks_asked:
            self._outbox.follow(partial(self._marks_of, message))
        self._marks_asked.clear()
        self._waiting.set()

    def _marks_of(self, message: Marks) -> str:
        start_ns, end_ns = _range(message.from_ns, message.to_ns)
        book = self.hub.timeline.book
        found, complete = book.meeting(message.device, start_ns, end_ns, message.most, message.part)
        total = book.count(message.device)
        return protocol.encode(protocol.MarksOf(message.request, message.device, tuple(found), complete, total))

    def _queue(self, message: Queue) -> None:
        book = self.hub.timeline.book
        marks = book.queue(message.device, int(message.from_ns), message.most)
        total = self._queued[message.device] = book.waiting(message.device)
        if len(self._queued) > DEVICES_MAX:
            raise ClosedError(4400)
        self.say(protocol.QueueOf(message.request, message.device, total, tuple(marks)))

    def _look(self, view: View) -> None:
        _range(view.from_ns, view.to_ns)
        if view.beside:
            self._look_beside(view)
            return
        if self._answering is not None:
            self._answering.cancel()
        if self.view is not None:
            self._outbox.forget(self.view.view)
        self.view = view
        self._answering = asyncio.create_task(self._answer(view))

    def _look_beside(self, view: View) -> None:
        if self._beside is not None:
            self._beside.cancel()
        self._outbox.forget(self._beside_view)
        self._beside_view = view.view
        self._beside = asyncio.create_task(self._answer(view))

    async def _answer(self, view: View) -> None:
        """The frames of a view, then `shown`."""
        start_ns, end_ns = int(view.from_ns), int(view.to_ns)
        timeline, catalog = self.hub.timeline, self.hub.timeline.catalog
        dropped, something = 0, False
        gaps: list[protocol.Gap] = []
        try:
            for number, stream in enumerate(view.streams):
                question = Question(view.device, stream, start_ns, end_ns, view.columns)
                answer = await timeline.ask_drawn(question)
                gaps += () if answer is None else _not_shown(stream, answer)
                frames = [] if answer is None else answer_frames(view.view, number, answer, view.columns)
                something = something or bool(frames)
                frames += self._recent(view, number, stream)
                if answer is None or not _begins_with_tiles(answer, start_ns, end_ns):
                    frames += await self._before(view, number, stream)
                dropped += sum(not self._outbox.show(view.view, frame) for frame in frames)
                self._waiting.set()
        except SensorloomError as error:
            self.say(protocol.Trouble("history", str(error), view.view))
        gaps += [_gap(name, gap) for name, gap in catalog.gaps_in(view.device, view.streams, start_ns, end_ns)]
        names = [it.name for it in catalog.recordings_in(view.device, start_ns, end_ns)]
        recordings = tuple(self.hub.recording(view.device, name) for name in names)
        nearest = None if something else catalog.nearest(view.device, start_ns, end_ns)
        nearest_ns = None if nearest is None else str(nearest)
        spans = catalog.unsure_in(view.device, view.streams, start_ns, end_ns)
        unsure = tuple(_unsure(name, span) for name, span in spans)
        span = catalog.span(view.device)
        newest_ns = None if span is None else str(span[1])
        shown = protocol.Shown(view.view, tuple(gaps), recordings, nearest_ns, dropped, unsure, newest_ns)
        self._outbox.show(view.view, protocol.encode(shown))
        if not view.beside:
            self._tell_marks()
        self._waiting.set()

    def _recent(self, view: View, number: int, stream: str) -> list[bytes]:
        """The newest samples, where an archive answers: it does not read what is not yet durable."""
        if view.beside or not view.follow or self.hub.timeline.settings.archive is None:
            return []
        recent = self.hub.timeline.live.recent.get((view.device, stream), ())
        shown = (samples_frames(view.view, number, it.times, as_known(self.hub.timeline, it), LIVE) for it in recent)
        return [frame for frames in shown for frame in frames]

    async def _before(self, view: View, number: int, stream: str) -> list[bytes]:
        """The last sample before the view, of a stream so slow that it may have none in it."""
        span = self.hub.timeline.catalog.streams.get(view.device, {}).get(stream)
        start_ns = int(view.from_ns)
        if span is None or span.first_ns >= start_ns:
            return []
        for back_ns in BACK_NS:
            question = Question(view.device, stream, start_ns - back_ns, start_ns, BACK_POINTS)
            answer = await self.hub.timeline.ask(question)
            if answer is not None:  # tiles: so many samples are no slow stream
                last = answer.times[-1:], answer.values[-1:]
                return list(samples_frames(view.view, number, *last, BEFORE))
        return []

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in (self._answering, self._beside, self._welcoming):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _begins_with_tiles(answer: Answer, start_ns: int, end_ns: int) -> bool:
    """Whether a stream is so quick that nobody asks for its last value before the view."""
    if answer.level is None:
        return False
    begins = (int(tiles.bucket[0]) << BITS * answer.level for tiles in answer.tiles if len(tiles.bucket))
    return min(begins, default=end_ns) - start_ns <= (end_ns - start_ns) // BEGIN_SHARE


def _gap(stream: str, gap: GapSpan) -> protocol.Gap:
    return protocol.Gap(stream, str(gap.start_ns), str(gap.end_ns), gap.samples, gap.reason)


def _not_shown(stream: str, answer: Answer) -> list[protocol.Gap]:
    """Values that no axis of the page fits are shown as what is not there, with words why; so is what is gone."""
    words = "{0.name} [{0.unit}] is not drawn: the stream was described otherwise"
    spans = [(it.start_ns, it.end_ns, words.format(it)) for it in answer.left_out] + [*answer.gone]
    return [protocol.Gap(stream, str(start_ns), str(end_ns + 1), -1, reason) for start_ns, end_ns, reason in spans]


def _unsure(stream: str, span: UnsureSpan) -> protocol.Unsure:
    return protocol.Unsure(stream, str(span.start_ns), str(span.end_ns), str(span.uncertainty_ns))


def _range(from_ns: str, to_ns: str) -> tuple[int, int]:
    """Raises `ClosedError` where it is none."""
    start_ns, end_ns = int(from_ns), int(to_ns)
    if not -(1 << 62) <= start_ns < end_ns <= 1 << 62:
        raise ClosedError(4400)
    return start_ns, end_ns
