"""Label resolution against an oracle that looks at every nanosecond."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.lines import WindowTimes
from labeling.marks import ResolvedMark
from labeling.resolve import POLICIES, LabelPolicy, Policy, WindowLabels, label_shares, resolve

Window = tuple[str, int, int, str]
"""Device, start, end, and the id of the mark that it is anchored at."""
Answer = tuple[str | None, float, str | None]


def mark(
    start: int,
    end: int,
    label: str,
    *,
    tool: str = "operator",
    name: str = "",
    device: str = "d",
    author: str = "ann",
    order: int = 0,
) -> ResolvedMark:
    name = name or f"{label}{start}-{end}{tool}"
    return ResolvedMark(name, device, start, end, label, author, tool, 1.0, order=order)


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
    within = {m.id: range(max(t0, m.start_ns), min(t1, m.end_ns)) for m in mine}
    hidden = {t for m in mine if m.by_person for t in within[m.id]}
    inside = {m.id: {t for t in within[m.id] if m.by_person or t not in hidden} for m in mine}
    points = {
        m.id
        for m in mine
        if m.start_ns == m.end_ns and t0 <= m.start_ns < t1 and (m.by_person or m.start_ns not in hidden)
    }
    touching = [m for m in mine if inside[m.id] or m.id in points]
    if not touching and policy.background:
        return policy.background, 1.0, None
    said = {m.id: m.order if m.by_person else 0 for m in mine}
    anchors = [m for m in mine if m.id == anchor]
    restated = [m for m in mine for a in anchors if _place(m) == _place(a) and m.by_person and a.by_person]
    anchored = {max(restated, key=lambda m: m.order).label if restated else m.label for m in anchors}
    best: list[tuple[tuple[int, int, bool], str, tuple[int, str], ResolvedMark, Answer]] = []
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
        chief = min(group, key=lambda m: (-len(inside[m.id]), -said[m.id], m.start_ns, m.id))
        rank = 0 if policy.policy != "any" or any(m.by_person for m in group) else 1
        author = chief.author if chief.by_person else f"rule {label}"
        last = min(m.start_ns for m in group), label
        best.append(((rank, -len(covered), label not in anchored), author, last, chief, (label, share, chief.id)))
    tied = [row for row in best if row[0] == min(best)[0]]
    newest = {author: max(said[row[3].id] for row in tied if row[1] == author) for _, author, *_ in tied}
    final = [row for row in tied if said[row[3].id] == newest[row[1]]]
    return min(final, key=lambda row: row[2])[4] if final else (None, 0.0, None)


def _place(item: ResolvedMark) -> tuple[str, int, int]:
    return item.author, item.start_ns, item.end_ns


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
        device, author = draw(st.sampled_from(["d", "e"])), draw(st.sampled_from(["ann", "bob"]))
        name = f"m{index}"
        found.append(mark(start, start + length, label, tool=tool, name=name, device=device, author=author))
    orders = draw(st.permutations(range(len(found))))
    return [msgspec.structs.replace(item, order=order) for item, order in zip(found, orders, strict=True)]


policies = st.builds(
    LabelPolicy, st.sampled_from(POLICIES), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([None, "none", "a"])
)


@pytest.mark.parametrize("examples", [250, pytest.param(10_000, marks=pytest.mark.soak)])
def test_agrees_with_the_oracle(examples: int) -> None:
    @settings(max_examples=examples)
    @given(windows, mark_lists(), policies)
    def agrees(windows: list[Window], marks: list[ResolvedMark], policy: LabelPolicy) -> None:
        assert resolved(windows, marks, policy) == [oracle(window, marks, policy) for window in windows]

    agrees()


@pytest.mark.parametrize("rounds", [200, pytest.param(10_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("policy", POLICIES)
def test_agrees_with_the_oracle_where_marks_are_dense(policy: Policy, rounds: int) -> None:
    rng = np.random.default_rng(POLICIES.index(policy))
    for _ in range(rounds):
        marks = []
        for index in range(int(rng.integers(1, 9))):
            start, length = int(rng.integers(0, 24)), int(rng.integers(0, 16))
            label, tool = "abc"[rng.integers(3)], ("rule", "operator")[rng.integers(2)]
            author, order = ("ann", "bob")[rng.integers(2)], int(rng.integers(0, 5))
            name = f"m{rng.integers(100)}-{index}"
            marks.append(mark(start, start + length, label, tool=tool, name=name, author=author, order=order))
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


@pytest.mark.parametrize("policy", POLICIES)
def test_a_persons_range_hides_a_rules_instant(policy: Policy) -> None:
    """Beyond the person's label it would touch the window, and under `any` win in it."""
    marks = [mark(0, 4, "person's"), mark(2, 2, "rule's", tool="rule"), mark(4, 4, "seen", tool="rule")]
    windows = [("d", 2, 3, ""), ("d", 4, 10, "")]
    assert resolved(windows[:1], marks, LabelPolicy(policy))[0][0] == "person's"
    shown = [a[0] for a in resolved(windows, marks[1:], LabelPolicy(policy, background="calm"))]
    assert shown == (["rule's", "seen"] if policy == "any" else [None, None])
    person = resolve(times(windows, marks), marks, LabelPolicy(policy))
    assert [item for item in person.mark.tolist() if item >= 0 and marks[item].label == "rule's"] == []


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("old", "new"), [("wrong", "right"), ("alarm", "normal")])
def test_what_a_person_said_later_wins_a_tie(policy: Policy, old: str, new: str) -> None:
    marks = [mark(0, 100, old, order=3), mark(0, 100, new, order=8)]
    assert resolved([("d", 0, 10, "")], marks, LabelPolicy(policy))[0][0] == new
    assert resolved([("d", 0, 10, "")], marks[::-1], LabelPolicy(policy))[0][0] == new


def test_of_two_people_the_earlier_start_wins_and_later_words_of_rules_are_none() -> None:
    people = [mark(0, 100, "b", order=3), mark(1, 100, "a", order=8, author="bob")]
    assert resolved([("d", 1, 10, "")], people, LabelPolicy())[0][0] == "b"
    rules = [mark(0, 100, "b", tool="rule", order=3), mark(0, 100, "c", tool="rule", order=8)]
    assert resolved([("d", 1, 10, "")], rules, LabelPolicy())[0][0] == "b"


def test_a_larger_share_goes_before_a_later_word() -> None:
    marks = [mark(0, 10, "most", order=1), mark(0, 9, "later", order=2)]
    assert resolved([("d", 0, 10, "")], marks, LabelPolicy())[0][0] == "most"


def test_the_mark_that_gave_the_label_is_the_one_said_last() -> None:
    marks = [mark(0, 10, "a", order=1, name="first"), mark(0, 10, "a", order=2, name="second")]
    assert resolved([("d", 0, 10, "")], marks, LabelPolicy())[0][2] == "second"


def test_an_anchor_whose_range_was_given_another_label_since_has_that_one() -> None:
    marks = [mark(0, 60, "wrong", name="m", order=1), mark(0, 60, "right", order=2)]
    assert resolved([("d", 10, 20, "m")], marks, LabelPolicy())[0][0] == "right"
    wider = [mark(0, 60, "walk", name="m", order=1), mark(5, 60, "turn", order=2)]
    assert resolved([("d", 10, 20, "m")], wider, LabelPolicy())[0][0] == "walk"


def test_marks_of_ten_thousand_labels() -> None:
    """One label's pieces are told from another's in one pass over all."""
    rng = np.random.default_rng(5)
    begins = rng.integers(0, 400_000, 20_000).tolist()
    marks = [mark(b, b + 90, f"l{i % 10_000}", name=str(i), order=i) for i, b in enumerate(begins)]
    windows = [("d", t0, t0 + 40, "") for t0 in rng.integers(0, 400_000, 60).tolist()]
    for window, answer in zip(windows, resolved(windows, marks, LabelPolicy()), strict=True):
        near = [m for m in marks if m.start_ns < window[2] and m.end_ns > window[1]]
        assert answer == oracle(window, near, LabelPolicy())


@pytest.mark.parametrize("apart", [0, 1 << 20, 1 << 58, 1 << 60, 1 << 62])
def test_devices_together_are_what_each_is_alone(apart: int) -> None:
    """Their times are laid on one line, or on several where they are too far apart."""
    rng = np.random.default_rng(apart % 1009)
    everything: tuple[list[Window], list[ResolvedMark]] = ([], [])
    alone = []
    for number in range(7):
        device = f"d{number}"
        base = (number % 3 - 1) * apart
        bases = [base, -base]  # a device may be heard of twice, centuries apart
        marks = [
            mark(
                b,
                b + int(rng.integers(0, 12)),
                "abc"[rng.integers(3)],
                tool=("rule", "button")[i % 2],
                name=f"{i}",
                device=device,
                order=i,
            )
            for i in range(12)
            for b in [bases[i % 2] + int(rng.integers(0, 40))]
        ]
        windows = [(device, t0, t0 + 7, str(i)) for i in range(12) for t0 in [bases[i % 2] + int(rng.integers(0, 40))]]
        alone += resolved(windows, marks, LabelPolicy("any", background="none"))
        everything[0].extend(windows)
        everything[1].extend(marks)
    assert resolved(*everything, LabelPolicy("any", background="none")) == alone


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


@pytest.mark.parametrize("policy", POLICIES)
def test_the_readme_shows_what_each_policy_gives(policy: Policy) -> None:
    marks = [mark(10, 60, "run"), mark(70, 90, "stop"), mark(100, 100, "tap")]
    windows = [("d", start, start + 40, "") for start in (0, 40, 80, 120)]
    labels = [a[0] or "-" for a in resolved(windows, marks, LabelPolicy(policy, background="background"))]
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (row,) = (line for line in readme.splitlines() if line.startswith(f"| `{policy}` |"))
    assert [cell.strip() for cell in row.split("|")[3:7]] == labels


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


@settings(max_examples=200)
@given(windows, mark_lists())
def test_shares_of_all_labels_agree_with_every_nanosecond(windows: list[Window], marks: list[ResolvedMark]) -> None:
    found = label_shares(times(windows, marks), marks)
    told = {
        (window, found.classes[label]): share
        for window, label, share in zip(found.window.tolist(), found.label.tolist(), found.share.tolist(), strict=True)
    }
    assert len(told) == len(found.window)
    wanted: dict[tuple[int, str], float] = {}
    for number, (device, t0, t1, _) in enumerate(windows):
        mine = [m for m in marks if m.device == device]
        within = {m.id: range(max(t0, m.start_ns), min(t1, m.end_ns)) for m in mine}
        hidden = {t for m in mine if m.by_person for t in within[m.id]}
        covered: dict[str, set[int]] = {}
        for m in mine:
            seen = {t for t in within[m.id] if m.by_person or t not in hidden}
            covered.setdefault(m.label, set()).update(seen)
        wanted |= {(number, label): len(seen) / (t1 - t0) for label, seen in covered.items() if seen}
    assert told == wanted
