"""Label resolution against an oracle that looks at every nanosecond."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.marks import ResolvedMark
from labeling.resolve import POLICIES, LabelPolicy, Policy, WindowLabels, WindowTimes, resolve

Window = tuple[str, int, int, str]
"""Device, start, end, and the id of the mark that it is anchored at."""
Answer = tuple[str | None, float, str | None]


def mark(
    start: int, end: int, label: str, *, tool: str = "operator", name: str = "", device: str = "d"
) -> ResolvedMark:
    return ResolvedMark(name or f"{label}{start}-{end}{tool}", device, start, end, label, "ann", tool, 1.0)


def times(windows: list[Window], marks: list[ResolvedMark]) -> WindowTimes:
    devices = tuple(sorted({window[0] for window in windows}))
    place = {(m.device, m.id): index for index, m in enumerate(marks)}
    return WindowTimes(
        devices,
        np.array([devices.index(device) for device, _, _, _ in windows], np.int64),
        np.array([t0 for _, t0, _, _ in windows], np.int64),
        np.array([t1 for _, _, t1, _ in windows], np.int64),
        np.array([place.get((device, anchor), -1) for device, _, _, anchor in windows], np.int64),
    )


def answers(found: WindowLabels, marks: list[ResolvedMark]) -> list[Answer]:
    return [
        (found.classes[label] if label >= 0 else None, float(share), marks[index].id if index >= 0 else None)
        for label, share, index in zip(found.label, found.share, found.mark, strict=True)
    ]


def resolved(windows: list[Window], marks: list[ResolvedMark], policy: LabelPolicy) -> list[Answer]:
    return answers(resolve(times(windows, marks), marks, policy), marks)


def oracle(window: Window, marks: list[ResolvedMark], policy: LabelPolicy) -> Answer:
    device, t0, t1, anchor = window
    mine = [m for m in marks if m.device == device]
    hidden = {t for m in mine if m.by_person for t in range(m.start_ns, m.end_ns)}
    seen = {m.id: {t for t in range(m.start_ns, m.end_ns) if m.by_person or t not in hidden} for m in mine}
    inside = {m.id: seen[m.id] & set(range(t0, t1)) for m in mine}
    points = {
        m.id
        for m in mine
        if m.start_ns == m.end_ns and t0 <= m.start_ns < t1 and (m.by_person or m.start_ns not in hidden)
    }
    touching = [m for m in mine if inside[m.id] or m.id in points]
    if not touching and policy.background:
        return policy.background, 1.0, None
    best: list[tuple[tuple[int, int, bool, int, str], Answer]] = []
    for label in {m.label for m in touching}:
        group = [m for m in touching if m.label == label and (inside[m.id] or policy.policy == "any")]
        covered = set().union(*(inside[m.id] for m in group))
        share = len(covered) / (t1 - t0)
        allowed = {
            "majority": bool(covered) and share >= policy.min_share,
            "any": bool(group),
            "centre": t0 + (t1 - t0) // 2 in covered,
            "end": t1 - 1 in covered,
        }[policy.policy]
        if not allowed:
            continue
        chief = min(group, key=lambda m: (-len(inside[m.id]), m.start_ns, m.id))
        rank = 0 if policy.policy != "any" or any(m.by_person for m in group) else 1
        foreign = label not in {m.label for m in mine if m.id == anchor}
        key = (rank, -len(covered), foreign, min(m.start_ns for m in group), label)
        best.append((key, (label, share, chief.id)))
    return min(best)[1] if best else (None, 0.0, None)


devices = st.sampled_from(["d", "e", "unmarked"])
anchors = st.sampled_from(["epoch", "m0", "m1", "m2", "m3"])
windows = st.lists(
    st.builds(lambda d, t, n, m: (d, t, t + n, m), devices, st.integers(0, 30), st.integers(1, 14), anchors), max_size=8
)
spans = st.tuples(st.integers(0, 40), st.integers(0, 12))


@st.composite
def mark_lists(draw: st.DrawFn) -> list[ResolvedMark]:
    found = []
    for index in range(draw(st.integers(0, 7))):
        start, length = draw(spans)
        label, tool = draw(st.sampled_from("abc")), draw(st.sampled_from(["rule", "operator", "button", "import"]))
        device = draw(st.sampled_from(["d", "e"]))
        found.append(mark(start, start + length, label, tool=tool, name=f"m{index}", device=device))
    return draw(st.permutations(found))


policies = st.builds(
    LabelPolicy, st.sampled_from(POLICIES), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([None, "none", "a"])
)


@settings(max_examples=600)
@given(windows, mark_lists(), policies)
def test_agrees_with_the_oracle(windows: list[Window], marks: list[ResolvedMark], policy: LabelPolicy) -> None:
    assert resolved(windows, marks, policy) == [oracle(window, marks, policy) for window in windows]


@pytest.mark.parametrize("policy", POLICIES)
def test_agrees_with_the_oracle_where_marks_are_dense(policy: Policy) -> None:
    rng = np.random.default_rng(POLICIES.index(policy))
    for _ in range(400):
        marks = []
        for index in range(int(rng.integers(1, 9))):
            start, length = int(rng.integers(0, 24)), int(rng.integers(0, 16))
            label, tool = "abc"[rng.integers(3)], ("rule", "operator")[rng.integers(2)]
            marks.append(mark(start, start + length, label, tool=tool, name=f"m{rng.integers(100)}-{index}"))
        begins = rng.integers(0, 24, 6).tolist()
        windows = [("d", t0, t0 + int(rng.integers(4, 12)), marks[rng.integers(len(marks))].id) for t0 in begins]
        how = LabelPolicy(policy, float(rng.choice([0.0, 0.3, 0.5])), None if rng.integers(2) else "none")
        assert resolved(windows, marks, how) == [oracle(window, marks, how) for window in windows], (windows, marks)


@given(windows, mark_lists(), policies, st.randoms(use_true_random=False))
def test_the_order_of_windows_and_marks_does_not_matter(
    windows: list[Window], marks: list[ResolvedMark], policy: LabelPolicy, random: object
) -> None:
    shuffle = random.shuffle  # type: ignore[attr-defined]
    order, shuffled = list(range(len(windows))), list(marks)
    shuffle(order)
    shuffle(shuffled)
    expected = resolved(windows, marks, policy)
    assert resolved([windows[i] for i in order], shuffled, policy) == [expected[i] for i in order]


@pytest.mark.parametrize("policy", POLICIES)
def test_a_person_hides_a_rule(policy: Policy) -> None:
    marks = [mark(0, 10, "rule's", tool="rule"), mark(4, 10, "person's")]
    assert resolved([("d", 0, 10, "")], marks, LabelPolicy(policy))[0][0] == "person's"


def test_half_the_window_is_enough_and_a_little_less_is_not() -> None:
    windows = [("d", 0, 10, ""), ("d", 1, 11, "")]
    assert [a[0] for a in resolved(windows, [mark(0, 5, "a")], LabelPolicy())] == ["a", None]


def test_instants_matter_only_for_any() -> None:
    instant = [mark(3, 3, "tap")]
    for policy in POLICIES:
        found = resolved([("d", 0, 10, "")], instant, LabelPolicy(policy, min_share=0.0))
        assert found == ([("tap", 0.0, instant[0].id)] if policy == "any" else [(None, 0.0, None)])


def test_a_touched_window_is_not_background() -> None:
    windows = [("d", 0, 10, ""), ("d", 10, 20, ""), ("d", 20, 30, "")]
    marks = [mark(9, 10, "a"), mark(15, 15, "tap")]
    found = resolve(times(windows, marks), marks, LabelPolicy(background="none"))
    assert [a[0] for a in answers(found, marks)] == [None, None, "none"]
    assert found.classes == ("none",)


def test_a_window_has_its_anchors_label_where_another_covers_as_much() -> None:
    marks = [mark(0, 60, "walk"), mark(10, 20, "stumble", name="m")]
    windows = [("d", 10, 20, "m"), ("d", 10, 20, ""), ("d", 5, 25, "m")]
    assert [a[0] for a in resolved(windows, marks, LabelPolicy())] == ["stumble", "walk", "walk"]


def test_nothing_at_all() -> None:
    found = resolve(times([], []), [], LabelPolicy(background="none"))
    assert (len(found.label), found.classes) == (0, ())


def test_policies_are_named_once() -> None:
    assert get_args(Policy) == POLICIES


def test_a_million_windows_and_ten_thousand_marks() -> None:
    rng = np.random.default_rng(3)
    count, hop = 1_000_000, 64
    start = np.arange(count, dtype=np.int64) * hop
    windows = WindowTimes(("d",), np.zeros(count, np.int64), start, start + 2 * hop)
    begins = rng.integers(0, count * hop, 10_000).tolist()
    marks = [
        mark(b, b + 9_000, "abc"[i % 3], tool=("rule", "operator")[i % 2], name=str(i)) for i, b in enumerate(begins)
    ]
    found = resolve(windows, marks, LabelPolicy())
    for index in rng.integers(0, count, 200).tolist():
        t0 = int(start[index])
        near = [m for m in marks if m.start_ns < t0 + 2 * hop + 9_000 and m.end_ns > t0 - 9_000]
        expected = oracle(("d", t0, t0 + 2 * hop, ""), near, LabelPolicy())
        assert (found.classes[found.label[index]] if found.label[index] >= 0 else None) == expected[0]
