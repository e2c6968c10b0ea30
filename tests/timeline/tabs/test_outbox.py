"""What waits for a slow tab: frames within bounds, words always or not at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from timeline.tabs.outbox import FRAMES_MAX, WORDS_MAX, Outbox


def test_words_go_before_frames_each_in_their_order() -> None:
    outbox = Outbox()
    outbox.show(1, b"a")
    outbox.say("mark 1")
    outbox.show(1, "shown")
    outbox.say("mark 2")
    assert [outbox.take() for _ in range(5)] == ["mark 1", "mark 2", b"a", "shown", None]


def test_what_waits_of_an_earlier_view_is_not_sent() -> None:
    outbox = Outbox()
    outbox.show(1, b"a")
    outbox.show(2, b"b")
    outbox.forget(1)
    assert [outbox.take(), outbox.take()] == [b"b", None]


def test_what_is_to_come_behind_frames_is_made_then_and_never_left_out() -> None:
    outbox, made = Outbox(), list[str]()

    def make() -> str:
        made.append("marks")
        return "marks"

    outbox.show(1, b"a")
    outbox.follow(make)
    outbox.show(1, bytes(FRAMES_MAX - 1))
    assert not outbox.show(1, b"one more")
    outbox.forget(1)
    outbox.show(2, b"b")
    outbox.say("mark 1")
    assert (outbox.take(), made) == ("mark 1", [])
    assert ([outbox.take() for _ in range(3)], made) == (["marks", b"b", None], ["marks"])


def test_the_end_of_a_view_is_never_left_out() -> None:
    outbox = Outbox()
    assert outbox.show(1, bytes(FRAMES_MAX))
    assert not outbox.show(1, b"one more")
    assert outbox.show(1, "shown")
    assert outbox.dropped == 1


def test_a_tab_that_takes_nothing_is_given_up_and_no_word_is_lost_before() -> None:
    outbox, said = Outbox(), 0
    while outbox.say("m" * 100_000):
        said += 1
    assert WORDS_MAX - 200_000 < said * 100_000 <= WORDS_MAX
    taken = 0
    while outbox.take() is not None:
        taken += 1
    assert taken == said


@given(st.lists(st.tuples(st.sampled_from(["say", "show", "take"]), st.integers(1, FRAMES_MAX)), max_size=40))
def test_frames_cost_bounded_memory_whatever_comes(steps: list[tuple[str, int]]) -> None:
    outbox, waiting = Outbox(), 0
    for step, size in steps:
        if step == "say":
            outbox.say("m")
        elif step == "show":
            waiting += size if outbox.show(1, bytes(size)) else 0
        elif isinstance(taken := outbox.take(), bytes):
            waiting -= len(taken)
        assert waiting <= FRAMES_MAX
