"""What is open and what was made: acts of who marks in, marks and what is to be said out. Pure.

Times are CLOCK_BOOTTIME's of one kernel boot, where nothing else is said. A range becomes a mark when it ends; until
then it stands in the book, which is written to the disk before its beginning is confirmed (`journal`). A mark's id
follows from who made it and when, so that one that is made again after a kill is the same mark.

What was open when an agent died:

- In the same kernel boot, a range between start and stop goes on: a stop that nobody heard was not confirmed.
- A button that is still held goes on; one that was let go meanwhile ended nobody knows when: its mark ends where it was
  last seen to be held, and says so.
- A kernel boot later all of it ends so, and so does a recording that was under way.
- A press whose length was not known yet is a mark; one that would have begun or ended a range does so in the same
  kernel boot, and is told to have done nothing in a later one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from ingest.times import NS
from ingest.units import format_time

UNKNOWN_END: Final = "end unknown"
"""Evidence of a mark: 1 where it ended later than it says, or is not known to have."""
UNWATCHED: Final = "unwatched"
"""Evidence of a mark: so often nobody looked within it, as an agent or a chip was away."""
MADE_MAX: Final = 64
"""So many of each button's newest marks can be taken back."""
_HEX: Final = 32
Kind: TypeAlias = Literal["press", "wait", "hold", "range", "take"]
"""`press` and `wait`: pressed, for nobody knows how long yet; the second begins or ends a range."""


class Open(msgspec.Struct, frozen=True):
    """What has begun, and is no mark yet."""

    kind: Kind
    device: str
    label: str
    """Empty for a recording without a label."""
    author: str
    tool: str
    who: str
    """Whose last mark it will be, for who takes it back: a button's, or a range's key."""
    start_ns: int
    kernel_boot: bytes
    """Empty: times are UTC, as somebody said them."""
    seen_ns: int
    """Up to here it was surely open."""
    start_utc_ns: int = 0
    """Its start as the device's samples have it; 0 where the clock was not set."""
    until_ns: int = 0
    """When it ends by itself; 0: it does not."""
    unwatched: int = 0
    note: str = ""
    evidence: dict[str, float] = {}
    name: str = ""
    """Of a recording."""

    @property
    def id(self) -> str:
        """Of the mark that it becomes."""
        said = f"{self.kernel_boot.hex()}\n{self.start_ns}\n{self.kind}\n{self.who}\n{self.label}\n{self.device}"
        return hashlib.sha256(said.encode()).hexdigest()[:_HEX]


class Made(msgspec.Struct, frozen=True):
    """A mark, as who takes it back must name it."""

    id: str
    device: str
    author: str
    tool: str


class State(msgspec.Struct):
    """All that must outlive the agent."""

    open: dict[str, Open] = {}
    made: dict[str, list[Made]] = {}
    """The newest last, by who made them."""


class Add(msgspec.Struct, frozen=True):
    """A mark to be written; `end_ns == open.start_ns`: an instant."""

    open: Open
    end_ns: int
    evidence: dict[str, float] = {}
    note: str = ""


class Retract(msgspec.Struct, frozen=True):
    """A mark to be taken back."""

    made: Made
    who: str
    at_ns: int


class Begun(msgspec.Struct, frozen=True):
    """The book has to be on the disk; then it is confirmed that this is open."""

    open: Open


class Dropped(msgspec.Struct, frozen=True):
    """What was open and was taken back before it was a mark."""

    open: Open


class Refused(msgspec.Struct, frozen=True):
    """Nothing was done; who did it is told why."""

    who: str
    words: str


Act: TypeAlias = Add | Retract | Begun | Dropped | Refused


class Book:
    """What is open, and what was made."""

    def __init__(self, state: State, kernel_boot: bytes, utc_ns: Callable[[str, int], int]) -> None:
        self.state = state
        self._kernel_boot = kernel_boot
        self._utc_ns = utc_ns
        """An instant as a device's samples have it; 0 where the clock is not set."""

    def opening(self, kind: Kind, device: str, label: str, at_ns: int, author: str, tool: str, who: str) -> Open:
        """Something that begins then."""
        boot, utc_ns = self._kernel_boot, self._utc_ns(device, at_ns)
        return Open(kind, device, label, author, tool, who, at_ns, boot, at_ns, utc_ns)

    def add(self, opened: Open, end_ns: int) -> list[Act]:
        """A mark of a range that is over."""
        return [self._made(Add(opened, end_ns, opened.evidence, opened.note))]

    def begin(self, key: str, opened: Open) -> list[Act]:
        """Open it, unless it is open."""
        known = self.state.open.get(key)
        if known is not None:
            return [Refused(opened.who, _open_already(known))]
        self.state.open[key] = opened
        return [Begun(opened)]

    def end(self, key: str, at_ns: int, who: str, what: str) -> list[Act]:
        """End what is open under this key, as a mark."""
        opened = self.state.open.pop(key, None)
        if opened is None:
            return [Refused(who, f"{what}: nothing is open that could be ended")]
        if opened.kernel_boot != self._kernel_boot:
            self.state.open[key] = opened
            return self.lose(key, "the machine was started anew meanwhile")
        if opened.kind == "press":
            return self.add(opened, opened.start_ns)
        evidence = opened.evidence | ({UNWATCHED: float(opened.unwatched)} if opened.unwatched else {})
        return self._ended(opened, max(at_ns, opened.start_ns), evidence, opened.note)

    def lose(self, key: str, why: str) -> list[Act]:
        """End it where it was last seen: nobody knows when it ended."""
        opened = self.state.open.pop(key)
        if opened.kind == "press":
            return self.add(opened, opened.start_ns)
        if opened.kind == "wait":
            return [Refused(opened.who, f"{opened.who}: was pressed and did nothing: {why}; press it again")]
        note = "; ".join(filter(None, (opened.note, f"it is not known when it ended: {why}")))
        return self._ended(opened, opened.seen_ns, opened.evidence | {UNKNOWN_END: 1.0}, note)

    def _ended(self, opened: Open, end_ns: int, evidence: dict[str, float], note: str) -> list[Act]:
        return [self._made(Add(opened, end_ns, evidence, note))] if opened.label else [Dropped(opened)]

    def drop(self, key: str) -> list[Act]:
        """Take back what is open."""
        return [Dropped(self.state.open.pop(key))]

    def undo(self, who: str, at_ns: int, what: str) -> list[Act]:
        """Take the last mark back that was made so and was not taken back yet."""
        made = self.state.made.get(who)
        if not made:
            return [Refused(who, f"{what}: no mark is left that could be taken back")]
        return [Retract(made.pop(), who, at_ns)]

    def seen(self, keys: Iterable[str], at_ns: int) -> None:
        """Up to then these were surely open."""
        for key in keys:
            opened = self.state.open.get(key)
            if opened is not None and opened.kernel_boot == self._kernel_boot and at_ns > opened.seen_ns:
                self.state.open[key] = msgspec.structs.replace(opened, seen_ns=at_ns)

    def unwatched(self, key: str) -> None:
        """For a while nobody looked at it."""
        opened = self.state.open[key]
        self.state.open[key] = msgspec.structs.replace(opened, unwatched=opened.unwatched + 1)

    def due(self, now_ns: int) -> list[Act]:
        """What ends by itself by now."""
        ended = [key for key, opened in self.state.open.items() if opened.until_ns and opened.until_ns <= now_ns]
        return [act for key in ended for act in self.end(key, self.state.open[key].until_ns, "", "")]

    def begin_anew(self, held: Iterable[str]) -> list[Act]:
        """The agent begins: what cannot go on ends. `held` are the keys of buttons, which look for themselves."""
        acts: list[Act] = []
        for key, opened in list(self.state.open.items()):
            if opened.kernel_boot != self._kernel_boot:
                acts += self.lose(key, "the machine was started anew meanwhile")
            elif opened.kind == "take":
                acts += self.lose(key, "the agent was away")
            elif opened.kind == "range":
                self.unwatched(key)
            elif key not in held:
                acts += self.lose(key, "the agent was away, and has no such button any more")
        return acts

    def _made(self, add: Add) -> Add:
        made = self.state.made.setdefault(add.open.who, [])
        made.append(Made(add.open.id, add.open.device, add.open.author, add.open.tool))
        del made[:-MADE_MAX]
        return add


def button_key(name: str) -> str:
    """Of what one button holds open."""
    return f"button/{name}"


def range_key(device: str, label: str) -> str:
    """Of a range with a start and a stop, whoever says them."""
    return f"range/{device}/{label}"


def take_key(device: str) -> str:
    """Of a device's recording that was asked for."""
    return f"take/{device}"


def _open_already(known: Open) -> str:
    """Since when, of whom, and how it ends."""
    since = f" since {_second(known.start_utc_ns)}" if known.start_utc_ns else ""
    words = f"{known.label or known.name}: is open already,{since} by {known.author}"
    if known.kind == "take":
        ends_ns = known.start_utc_ns + known.until_ns - known.start_ns
        by_itself = f", and by itself at {_second(ends_ns)}" if known.until_ns and known.start_utc_ns else ""
        return f'{words}: recording "{known.name}" ends by Ctrl-C where it was begun{by_itself}'
    if known.kind == "range":
        return f"{words}: sensorloom agent mark {known.label} --stop ends it"
    return f"{words}: it ends when {known.who} is let go"


def _second(t_ns: int) -> str:
    return format_time(t_ns // NS * NS)
