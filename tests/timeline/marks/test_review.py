"""The queue of marks to review: the same as sorting all of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labeling.marks import ResolvedMark
from timeline.marks.review import ReviewQueue

ids, starts, tools = st.sampled_from("abcdef"), st.integers(0, 9), st.sampled_from(["rule", "operator"])


def mark(name: str, start_ns: int, tool: str) -> ResolvedMark:
    return ResolvedMark(name, "pump", start_ns, start_ns + 1, "run", "somebody", tool, 1.0)


changes = st.tuples(ids, st.none() | st.tuples(starts, tools))


@given(st.lists(st.tuples(changes, st.none() | st.tuples(starts, st.integers(1, 4)))))
def test_what_waits_comes_by_start_from_an_instant_on_and_then_from_the_first(
    steps: list[tuple[tuple[str, tuple[int, str] | None], tuple[int, int] | None]],
) -> None:
    queue = ReviewQueue()
    standing: dict[str, ResolvedMark] = {}
    for (name, change), question in steps:
        standing.pop(name, None)
        if change is not None:
            standing[name] = mark(name, *change)
        queue.put(name, standing.get(name))
        waiting = sorted((it.start_ns, it.id) for it in standing.values() if it.tool == "rule")
        assert len(queue) == len(waiting)
        if question is not None:
            from_ns, most = question
            later = [it for it in waiting if it[0] >= from_ns]
            expected = [*later, *(it for it in waiting if it not in later)][:most]
            assert queue.next(from_ns, most) == [name for _, name in expected]
