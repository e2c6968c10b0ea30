"""Buttons and the book: whatever edges come, what is marked was so, and what is held is never forgotten."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.agent.marking.book import (
    UNKNOWN_END,
    UNWATCHED,
    Act,
    Add,
    Book,
    Retract,
    State,
    button_key,
    range_key,
    take_key,
)
from edge.agent.marking.panel import Panel
from edge.buttontables import Button
from edge.sources.gpio.settings import Settings

BOOT, LATER = b"k" * 16, b"l" * 16
S = 1_000_000_000
BOUNCE = 20_000_000
FALL = Button("fall", "pump", "pump/fall", Settings("c", (1,), debounce_ns=BOUNCE), press="fall")
SAFE = Button("safe", "pump", "pump/safe", Settings("c", (2,), debounce_ns=BOUNCE), press="fall", undo_ns=2 * S)
WALK = Button("walk", "pump", "pump/walk", Settings("c", (3,), debounce_ns=BOUNCE), hold="walk")
ON = Button("on", "pump", "pump/on", Settings("c", (4,), debounce_ns=BOUNCE), start="run", undo_ns=2 * S)
OFF = Button("off", "pump", "pump/off", Settings("c", (5,), debounce_ns=BOUNCE), stop="run")
TURN = Button("turn", "pump", "pump/turn", Settings("c", (6,), debounce_ns=BOUNCE), start="turn", stop="turn")
BUTTONS = (FALL, SAFE, WALK, ON, OFF, TURN)


class Bench:
    """A panel whose buttons are pressed, and which may be killed at any time."""

    def __init__(self) -> None:
        self.book = Book(State(), BOOT, lambda _, at_ns: at_ns + 10**18)
        self.acts: list[Act] = []
        self.begin()

    def begin(self, *, boot: bytes = BOOT, down: tuple[str, ...] = (), at_ns: int = 0) -> None:
        """An agent begins with what the one before left on the disk."""
        left = msgspec.msgpack.decode(msgspec.msgpack.encode(self.book.state), type=State)
        self.book = Book(left, boot, lambda _, at_ns: at_ns + 10**18)
        self.panel = Panel(BUTTONS, self.book)
        self.acts += self.book.begin_anew(button_key(button.name) for button in BUTTONS)
        for button in BUTTONS:
            self.acts += self.panel.stands(button.name, at_ns, is_down=button.name in down)

    def edge(self, name: str, at_ns: int, *, is_down: bool, missed: int = 0) -> None:
        self.acts += self.panel.edge(name, at_ns + BOUNCE, is_down=is_down, missed=missed)

    def press(self, name: str, at_ns: int, for_ns: int = S // 5) -> None:
        self.edge(name, at_ns, is_down=True)
        self.acts += self.panel.heard(name, at_ns + for_ns)
        self.edge(name, at_ns + for_ns, is_down=False)

    def said(self) -> list[Any]:
        """In short: a mark's label and bounds in seconds, and what became of the rest."""
        return [_short(act) for act in self.acts]


def _short(act: Act) -> Any:
    if isinstance(act, Add):
        return act.open.label, act.open.start_ns / S, act.end_ns / S
    return type(act).__name__


def test_a_press_is_an_instant_at_its_edge() -> None:
    bench = Bench()
    bench.press("fall", 3 * S)
    (act,) = bench.acts
    assert isinstance(act, Add)
    assert (act.open.label, act.open.start_ns, act.end_ns) == ("fall", 3 * S, 3 * S)
    assert (act.open.author, act.open.tool, act.open.start_utc_ns) == ("pump/fall", "button", 10**18 + 3 * S)
    assert act.evidence == {"debounce s": 0.02}


def test_a_long_press_takes_the_last_mark_of_its_button_back_and_again_the_one_before() -> None:
    bench = Bench()
    bench.press("safe", 1 * S)
    bench.press("fall", 2 * S)
    bench.press("safe", 3 * S)
    bench.press("safe", 4 * S, 3 * S)
    bench.press("safe", 8 * S, 2 * S)
    bench.press("safe", 12 * S, 2 * S)
    assert bench.said() == [("fall", 1, 1), ("fall", 2, 2), ("fall", 3, 3), "Retract", "Retract", "Refused"]
    made = {act.open.start_ns: act.open.id for act in bench.acts if isinstance(act, Add)}
    assert [act.made.id for act in bench.acts if isinstance(act, Retract)] == [made[3 * S], made[1 * S]]


def test_a_long_press_counts_as_soon_as_it_is_long_and_not_before_all_edges_have_come() -> None:
    bench = Bench()
    bench.press("safe", 1 * S)
    bench.edge("safe", 5 * S, is_down=True)
    bench.acts += bench.panel.heard("safe", 7 * S)  # its debounced edge may still come
    assert bench.said() == [("fall", 1, 1)]
    bench.acts += bench.panel.heard("safe", 7 * S + BOUNCE)
    bench.edge("safe", 9 * S, is_down=False)
    assert bench.said() == [("fall", 1, 1), "Retract"]


def test_held_is_a_range_and_two_buttons_are_one() -> None:
    bench = Bench()
    bench.press("walk", 1 * S, 4 * S)
    bench.press("on", 10 * S)
    bench.press("on", 11 * S)
    bench.press("off", 15 * S)
    bench.press("off", 16 * S)
    assert bench.said() == ["Begun", ("walk", 1, 5), "Begun", "Refused", ("run", 10, 15), "Refused"]


def test_a_long_press_takes_back_what_is_open_else_the_last_range() -> None:
    bench = Bench()
    bench.press("on", 1 * S)
    bench.press("off", 2 * S)
    bench.press("on", 3 * S)
    bench.press("on", 4 * S, 2 * S)
    bench.press("on", 8 * S, 2 * S)
    assert bench.said() == ["Begun", ("run", 1, 2), "Begun", "Dropped", "Retract"]


def test_one_button_with_start_and_stop_does_both_by_turns() -> None:
    bench = Bench()
    for at_s in (1, 3, 6, 7):
        bench.press("turn", at_s * S)
    assert bench.said() == ["Begun", ("turn", 1, 3), "Begun", ("turn", 6, 7)]


def test_a_glitch_that_the_kernel_saw_one_end_of_changes_nothing() -> None:
    bench = Bench()
    bench.edge("walk", 1 * S, is_down=True)
    bench.edge("walk", 2 * S, is_down=True)
    bench.edge("walk", 3 * S, is_down=False)
    bench.edge("walk", 4 * S, is_down=False)
    bench.edge("fall", 5 * S, is_down=True)
    bench.edge("fall", 6 * S, is_down=True)
    assert bench.said() == ["Begun", ("walk", 1, 3), ("fall", 5, 5)]


def test_where_edges_were_missed_a_range_ends_where_it_was_last_seen() -> None:
    bench = Bench()
    bench.edge("walk", 1 * S, is_down=True)
    bench.acts += bench.panel.heard("walk", 4 * S + BOUNCE)
    bench.edge("walk", 9 * S, is_down=True, missed=5)
    bench.edge("walk", 12 * S, is_down=False)
    assert bench.said() == ["Begun", "Refused", ("walk", 1, 4), "Begun", ("walk", 9, 12)]
    assert [act.evidence.get(UNKNOWN_END) for act in bench.acts if isinstance(act, Add)] == [1.0, None]
    assert bench.panel.missed == 5


# --- kills


def test_a_button_that_is_still_held_after_a_kill_goes_on() -> None:
    bench = Bench()
    bench.edge("walk", 1 * S, is_down=True)
    bench.begin(down=("walk",), at_ns=3 * S)
    bench.edge("walk", 5 * S, is_down=False)
    assert bench.said() == ["Begun", "Begun", ("walk", 1, 5)]
    assert isinstance(bench.acts[-1], Add)
    assert bench.acts[-1].evidence[UNWATCHED] == 1.0


def test_a_button_that_was_let_go_meanwhile_ends_where_it_was_last_seen_and_says_so() -> None:
    bench = Bench()
    bench.edge("walk", 1 * S, is_down=True)
    bench.acts += bench.panel.heard("walk", 2 * S + BOUNCE)
    bench.begin(at_ns=8 * S)
    assert bench.said() == ["Begun", ("walk", 1, 2)]
    assert isinstance(bench.acts[-1], Add)
    assert (bench.acts[-1].evidence[UNKNOWN_END], "not known when it ended" in bench.acts[-1].note) == (1.0, True)


def test_a_range_goes_on_over_a_kill_and_ends_with_the_kernels_boot() -> None:
    bench = Bench()
    bench.press("on", 1 * S)
    bench.begin(at_ns=5 * S)
    bench.press("off", 9 * S)
    bench.press("on", 20 * S)
    bench.book.seen([range_key("pump", "run")], 25 * S)
    bench.begin(boot=LATER, at_ns=2 * S)
    assert bench.said() == ["Begun", ("run", 1, 9), "Begun", ("run", 20, 25)]


@pytest.mark.parametrize(("boot", "said"), [(BOOT, [("fall", 1, 1), "Begun"]), (LATER, [("fall", 1, 1), "Refused"])])
def test_a_press_that_a_kill_interrupts_is_not_lost(boot: bytes, said: list[Any]) -> None:
    bench = Bench()
    bench.edge("safe", 1 * S, is_down=True)
    bench.edge("on", 2 * S, is_down=True)
    bench.begin(boot=boot, at_ns=3 * S)
    assert bench.said() == said


def test_a_button_that_is_down_as_it_is_first_seen_marks_nothing() -> None:
    bench = Bench()
    bench.begin(down=("walk",))
    bench.edge("walk", 1 * S, is_down=False)
    bench.press("walk", 2 * S)
    assert bench.said() == ["Refused", "Begun", ("walk", 2, 2.2)]


def test_a_recording_ends_with_its_agent_and_by_itself() -> None:
    bench = Bench()
    opened = bench.book.opening("take", "pump", "walk", 1 * S, "anna", "operator", "shell")
    bench.acts += bench.book.begin(take_key("pump"), msgspec.structs.replace(opened, until_ns=9 * S, name="walk-1"))
    bench.acts += bench.book.begin(take_key("pump"), opened)
    assert bench.book.due(8 * S) == []
    assert [_short(act) for act in bench.book.due(12 * S)] == [("walk", 1, 9)]
    bench.acts += bench.book.begin(take_key("pump"), msgspec.structs.replace(opened, label=""))
    bench.begin()
    assert bench.said() == ["Begun", "Refused", "Begun", "Dropped"]


# --- whatever comes

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([button.name for button in BUTTONS]),
        st.sampled_from(["down", "up", "again", "missed", "kill", "reboot", "away", "look"]),
        st.integers(1, 3 * S),
    ),
    max_size=40,
)


class Contacts:
    """Contacts that are closed and opened; agents are killed, lines vanish, edges are lost, sometimes the last one."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.now_ns = S
        self.closed: list[tuple[str, int, int]] = []
        """Each closing of a contact, with its end."""
        self._since: dict[str, int] = {}

    def end(self) -> None:
        for name in list(self._since):
            self._contact(name, is_down=False)

    def _contact(self, name: str, *, is_down: bool) -> None:
        if is_down:
            self._since.setdefault(name, self.now_ns)
        elif name in self._since:
            self.closed.append((name, self._since.pop(name), self.now_ns))

    def happen(self, name: str, what: str) -> None:
        bench, is_down = self.bench, name in self._since
        if what in ("down", "up", "missed"):
            self._contact(name, is_down=what == "down" or (what == "missed" and not is_down))
            bench.edge(name, self.now_ns, is_down=name in self._since, missed=2 * (what == "missed"))
        elif what == "again":
            bench.edge(name, self.now_ns, is_down=is_down)
        elif what in ("kill", "reboot"):
            self._contact(name, is_down=not is_down)  # nobody sees it
            if what == "reboot":
                bench.begin(boot=LATER, at_ns=self.now_ns)
            bench.begin(down=tuple(self._since), at_ns=self.now_ns)
        elif what == "away":
            bench.panel.lost(name)
            bench.acts += bench.panel.stands(name, self.now_ns, is_down=is_down)
        else:
            bench.acts += bench.panel.heard(name, self.now_ns + BOUNCE)


def test_what_is_held_as_its_line_goes_is_not_said_to_be_held_until_that_is_back() -> None:
    bench = Bench()
    bench.edge("walk", 1 * S, is_down=True)
    bench.acts += bench.panel.heard("walk", 2 * S + BOUNCE)
    bench.panel.lost("walk")
    bench.acts += bench.panel.heard("walk", 9 * S)  # when it is back, and before it is looked at
    bench.acts += bench.panel.stands("walk", 9 * S, is_down=False)
    assert bench.said() == ["Begun", ("walk", 1, 2)]


def test_a_range_whose_stop_button_was_away_says_that_nobody_looked() -> None:
    bench = Bench()
    bench.press("on", 1 * S)
    for name, times in (("off", 2), ("on", 1)):
        for _ in range(times):
            bench.panel.lost(name)
            bench.panel.lost(name)  # it is looked for again, and is away still
            bench.acts += bench.panel.stands(name, 2 * S, is_down=False)
    bench.press("off", 5 * S)
    *_, act = bench.acts
    assert isinstance(act, Add)
    assert act.evidence[UNWATCHED] == 2


@settings(max_examples=150)
@given(EVENTS)
def test_what_is_marked_was_so_and_no_mark_is_made_twice(events: list[tuple[str, str, int]]) -> None:
    contacts = Contacts()
    for name, what, after_ns in events:
        contacts.now_ns += after_ns
        contacts.happen(name, what)
    contacts.end()
    adds = [act for act in contacts.bench.acts if isinstance(act, Add)]
    assert len({act.open.id for act in adds}) == len(adds)
    presses = {(name, begin_ns) for name, begin_ns, _ in contacts.closed}
    for act in adds:
        assert act.open.start_ns <= act.end_ns <= contacts.now_ns
        if act.open.kind == "press":
            assert (act.open.who, act.open.start_ns) in presses
        if act.open.kind == "hold" and UNWATCHED not in act.evidence:
            held = (span for name, *span in contacts.closed if name == "walk")
            assert any(begin_ns <= act.open.start_ns and act.end_ns <= end_ns for begin_ns, end_ns in held)
    for label in ("walk", "run", "turn"):
        own = sorted((act.open.start_ns, act.end_ns) for act in adds if act.open.label == label)
        assert all(first[1] <= second[0] for first, second in pairwise(own))
