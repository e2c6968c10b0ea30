"""What a tab does to a mark keeps its order, whatever has to be sent again; other marks do not wait."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from timeline.protocol import Accepted, Act, Rejected
from timeline.tabs.turns import Turns


def act(name: int, mark: str = "m", behind: str | None = None) -> Act:
    return Act(str(name), "edit", "pump-7", mark, str(name), behind=behind)


def test_acts_of_other_marks_do_not_wait() -> None:
    turns = Turns()
    turns.answered(act(1), Rejected("1", "log", "full", again=True))
    assert turns.too_early(act(2, "other")) is None
    early = turns.too_early(act(2))
    assert early is not None
    assert early.again
    assert turns.too_early(act(1)) is None
    turns.answered(act(1), Rejected("1", "role", "no"))  # refused for good
    assert turns.too_early(act(2)) is None
    assert len(turns) == 0


def test_what_belongs_to_an_act_neither_passes_it_nor_is_done_without_it() -> None:
    """A unite whose edit was refused took its second mark back all the same."""
    turns = Turns()
    turns.answered(act(1), Rejected("1", "log", "full", again=True))
    early = turns.too_early(act(2, "other", "1"))
    assert early is not None
    assert early.again
    turns.answered(act(2, "other", "1"), early)
    turns.answered(act(1), Rejected("1", "mark", "it was retracted"))
    left = turns.too_early(act(2, "other", "1"))
    assert left is not None
    assert (left.code, left.again) == ("mark", False)
    turns.answered(act(2, "other", "1"), left)
    assert turns.too_early(act(3, "third", "2")) is not None
    assert turns.too_early(act(4, "fourth", "3")) is None  # nobody knows of it: it was done, or is not of this socket
    assert len(turns) == 0


@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=8),
    st.lists(st.booleans(), max_size=20),
    st.randoms(use_true_random=False),
)
def test_each_marks_acts_are_done_in_the_order_in_which_they_came(
    marks: Sequence[str], fails: list[bool], chance: object
) -> None:
    turns, done = Turns(), list[tuple[str, int]]()
    waiting = [act(number, mark) for number, mark in enumerate(marks)]
    fails = fails.copy()
    first = True
    while waiting:
        if not first:
            chance.shuffle(waiting)  # type: ignore[attr-defined]
        first, again = False, []
        for it in waiting:
            answer: Accepted | Rejected | None = turns.too_early(it)
            if answer is None:
                failed = bool(fails) and fails.pop()
                answer = Rejected(it.act, "log", "full", again=True) if failed else Accepted(it.act, "0:0")
            turns.answered(it, answer)
            if isinstance(answer, Accepted):
                done.append((it.mark, int(it.act)))
            else:
                again.append(it)
        waiting = again
    for mark in "ab":
        numbers = [number for of, number in done if of == mark]
        assert numbers == sorted(numbers)
    assert len(done) == len(marks)
    assert len(turns) == 0
