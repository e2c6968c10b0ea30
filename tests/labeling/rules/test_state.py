"""What a rule state keeps, promises and refuses, beside the meaning of its rules."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.errors import CorruptError, StateVersionError
from ingest.records import Channel, MarkAdd, StreamDescription
from labeling.rules.compile import compile_rules
from labeling.rules.joining import WAIT_NS
from labeling.rules.ruleset import RuleSet
from labeling.rules.saving import restore, save
from labeling.rules.state import RuleState

MS = 1_000_000
T0 = 1_700_000_000 * 10**9
ACC = StreamDescription("acc", (Channel("x", "g", 0.01),), "int16", 100)
UNRATED = StreamDescription("acc", (Channel("x", "g"),), "float32")
GPS = StreamDescription("gps", (Channel("speed", "m/s"),), "float32", 1)


def rules_of(*lines: str, defaults: str = "max_gap: 500ms") -> RuleSet:
    listed = "".join(f"  - {{label: event, {line}}}\n" for line in lines)
    return compile_rules(f"version: 1\ndefaults: {{{defaults}}}\nrules:\n{listed}", "rules.yaml")


def feed(state: RuleState, x: list[float], first: int = 0, description: StreamDescription = ACC) -> None:
    """Samples 10 ms apart, `x` in g."""
    times = T0 + (first + np.arange(len(x))) * 10 * MS
    raw = np.round(np.array(x)[:, None] / description.channels[0].scale)
    state.feed("d", "r", description.stream, times, raw.astype(description.dtype), description)


def spans(marks: list[MarkAdd]) -> list[tuple[float, float]]:
    """In units of 10 ms since the first sample."""
    return [((mark.start_ns - T0) / MS / 10, (mark.end_ns - T0) / MS / 10) for mark in marks]


def test_a_mark_says_what_opened_and_closed_it() -> None:
    rules = rules_of("when: acc.x > 2m/s2, until: acc.x < 0.1g, pad: [20ms, 30ms]")
    state = RuleState(rules)
    feed(state, [0, 0.5, 0.3, 0.05, 0])
    (mark,) = state.take()
    assert spans([mark]) == [(-1, 6)]
    assert (mark.label, mark.author, mark.tool, mark.confidence) == ("event", "rules.yaml", "rule", 1.0)
    assert mark.evidence == {
        "opened by acc.x [g]": 0.5,
        "opened by 2m/s2 [g]": pytest.approx(2 / 9.80665),
        "closed by acc.x [g]": 0.05,
        "closed by 0.1g [g]": 0.1,
    }
    names = ["opened by acc.x [g]", "opened by 2m/s2 [g]", "closed by acc.x [g]", "closed by 0.1g [g]"]
    assert list(mark.evidence) == names, "each value before what it was compared with, as people read it"


def test_a_gap_and_an_end_close_one_period_behind_the_last_known_sample() -> None:
    state = RuleState(rules_of("when: acc.x > 1g"))
    feed(state, [2, 2, 2])
    feed(state, [2, 2], first=100)
    (mark,) = state.take()
    assert spans([mark]) == [(0, 3)]
    assert mark.evidence["closed by a gap over max_gap [s]"] == 0.5
    state.end("d", "r")
    (mark,) = state.take()
    assert spans([mark]) == [(100, 102)]
    assert mark.evidence["closed by the end of the recording"] == 1.0


@pytest.mark.parametrize("keys", ["until: acc.x < 0g", "for: 30ms", "for: 3 samples"])
def test_what_a_gap_ends_lasts_as_long_as_what_a_sample_ends(keys: str) -> None:
    ended, left = (RuleState(rules_of(f"when: acc.x > 1g, {keys}")) for _ in range(2))
    feed(ended, [2, 2, 2, -1])
    feed(left, [2, 2, 2])
    for state in (ended, left):
        state.end("d", "r")
        assert spans(state.take()) == [(0, 3)]


def unrated(state: RuleState, times: list[int]) -> None:
    """Samples of 2 g at these seconds of a stream that names no rate."""
    values = np.full((len(times), 1), 2, dtype=np.float32)
    state.feed("d", "r", "acc", T0 + np.array(times) * 10**9, values, UNRATED)


def seconds(marks: list[MarkAdd]) -> list[tuple[float, float]]:
    return [((mark.start_ns - T0) / 1e9, (mark.end_ns - T0) / 1e9) for mark in marks]


def test_a_stream_without_a_rate_ends_a_mark_by_its_measured_period() -> None:
    state = RuleState(rules_of("when: acc.x > 1g", defaults="coverage: 0.8"))
    unrated(state, [0])
    state.progress("d", "r", "acc", T0 + 10**15)
    assert state.take() == [], "nobody knows yet how slow it is"
    state.end("d", "r")
    assert seconds(state.take()) == [(0, 1e-9)]
    unrated(state, [0, 300, 600, 901, 1200, 2401, 2700])
    state.end("d", "r")
    assert seconds(state.take()) == [(0, 3000)], "five periods of 300 s are no gap"
    unrated(state, [0, 300, 600, 900, 2401])
    state.end("d", "r")
    assert seconds(state.take()) == [(0, 1200), (2401, 2701)]


def test_a_given_max_gap_below_the_measured_period_bounds_the_end() -> None:
    state = RuleState(rules_of("when: acc.x > 1g", defaults="max_gap: 500ms"))
    unrated(state, [0, 1, 2])
    state.end("d", "r")
    assert seconds(state.take()) == [(0, 1e-9), (1, 1.5), (2, 2.5)]
    assert state.short_gaps == {("event", "acc"): "d: every 1s"}
    state = RuleState(rules_of("when: acc.x > 1g", defaults="max_gap: 1s"))
    unrated(state, [0, 1, 2])
    state.end("d", "r")
    assert seconds(state.take()) == [(0, 3)]
    assert state.short_gaps == {}


def test_max_gap_is_five_periods_where_nothing_is_said() -> None:
    def marked(second: int) -> list[tuple[float, float]]:
        state = RuleState(rules_of("when: acc.x > 1g", defaults="coverage: 0.8"))
        feed(state, [2])
        feed(state, [2, 0], first=second)
        return spans(state.take())

    assert marked(5) == [(0, 6)]
    assert marked(6) == [(0, 1), (6, 7)]


def test_a_join_goes_by_its_quickest_stream() -> None:
    state = RuleState(rules_of("when: acc.x > 1g and gps.speed < 9m/s", defaults="coverage: 0.8"))
    state.feed("d", "r", "gps", T0 + np.arange(3) * 10**9, np.zeros((3, 1), dtype=np.float32), GPS)
    feed(state, [2, 2])
    feed(state, [2, 2], first=7)
    state.end("d", "r")
    assert spans(state.take()) == [(0, 2), (7, 9)]


def test_a_join_whose_max_gap_is_below_every_period_does_not_run() -> None:
    state = RuleState(rules_of("when: acc.x > 1g and gps.speed < 9m/s", defaults="max_gap: 9ms"))
    feed(state, [2, 2])
    state.feed("d", "r", "gps", T0 + np.arange(3) * 10**9, np.zeros((3, 1), dtype=np.float32), GPS)
    state.end("d", "r")
    assert state.take() == []
    ((_, reason),) = state.faults
    assert "max_gap 0.009s is shorter than the 0.01s between samples of acc" in reason


def test_timers_run_on_progress() -> None:
    state = RuleState(rules_of("when: acc.x > 1g, hold: 200ms"))
    feed(state, [2, 2, 0])
    assert state.take() == []
    state.progress("d", "r", "acc", T0 + 220 * MS)
    assert state.take() == [], "a sample right at the end of hold would bridge it"
    other = restore(state.rules, save(state))
    feed(other, [2, 0], first=22)
    other.end("d", "r")
    assert spans(other.take()) == [(0, 23)]
    state.progress("d", "r", "acc", T0 + 220 * MS + 1)
    assert spans(state.take()) == [(0, 2)]


def test_every_limit_is_met_by_what_equals_it() -> None:
    def marked(keys: str, x: list[float]) -> list[tuple[float, float]]:
        state = RuleState(rules_of(f"when: acc.x > 1g, {keys}"))
        feed(state, x)
        state.end("d", "r")
        return spans(state.take())

    assert marked("for: 20ms", [0, 2, 2, 0, 2, 0]) == [(1, 3)]
    assert marked("for: 2 samples", [0, 2, 2, 0, 2, 0]) == [(1, 3)]
    assert marked("for: 3 samples", [0, 2, 2, 0, 2, 2, 2, 0]) == [(4, 7)]
    assert marked("for: 5 samples, hold: 20ms", [2, 0, 0, 2, 2, 0, 0, 0, 2, 0, 2, 2, 0, 0, 0]) == [(0, 5)]
    assert marked("hold: 20ms", [2, 0, 0, 2, 0, 0, 0, 2, 0]) == [(0, 4), (7, 8)]
    assert marked("cooldown: 20ms", [2, 0, 2, 0, 0, 2, 0]) == [(0, 1), (5, 6)]
    assert marked("cooldown: 20ms", [2, 0, 0, 2, 0]) == [(0, 1), (3, 4)]
    assert marked("max_gap: 10ms", [2, 2, 0]) == [(0, 2)]


def test_a_sample_right_at_max_gap_goes_on() -> None:
    state = RuleState(rules_of("when: acc.x > 1g, max_gap: 40ms"))
    feed(state, [2])
    state.progress("d", "r", "acc", T0 + 40 * MS)
    assert state.take() == []
    feed(state, [2, 0], first=4)
    assert spans(state.take()) == [(0, 5)]


def test_a_gap_is_longer_than_max_gap_by_a_nanosecond_at_least() -> None:
    for late, marked in ((0, [(0, 5)]), (1, [(0, 1), (pytest.approx(4), 5)])):
        state = RuleState(rules_of("when: acc.x > 1g, max_gap: 40ms"))
        times = T0 + np.array([0, 40 * MS + late, 50 * MS])
        state.feed("d", "r", "acc", times, np.array([[200], [200], [0]], dtype=np.int16), ACC)
        assert spans(state.take()) == marked
        state = RuleState(rules_of("when: acc.x > 1g, max_gap: 40ms"))
        before = []
        for at in range(3):
            state.feed("d", "r", "acc", times[at : at + 1], np.array([[200 if at < 2 else 0]], dtype=np.int16), ACC)
            before += state.take()
        assert spans(before) == marked
        state = RuleState(rules_of("when: acc.x > 1g, max_gap: 40ms"))
        feed(state, [2])
        state.progress("d", "r", "acc", T0 + 40 * MS + late)
        assert spans(state.take()) == marked[: late and 1]


def test_unknown_samples_count_towards_a_gap_to_the_nanosecond() -> None:
    for late, marked in ((0, [(0, 600)]), (1, [(0, 100), (pytest.approx(500), 600)])):
        state = RuleState(rules_of("when: gps.speed > 1m/s, max_gap: 5s"))
        times = T0 + np.array([0, 10**9, 5 * 10**9 + late, 6 * 10**9])
        values = np.array([[3], [np.nan], [3], [0]], dtype=np.float32)
        state.feed("d", "r", "gps", times, values, GPS)
        assert spans(state.take()) == marked


def test_a_sample_stands_in_for_its_streams_next_for_max_age_and_no_longer() -> None:
    for late, marked in ((0, [(0, 41)]), (1, [(0, 1)])):
        state = RuleState(rules_of("when: acc.x > 1g and gps.speed > 1m/s, max_age: 400ms, max_gap: 300ms"))
        state.feed("d", "r", "gps", np.array([T0]), np.full((1, 1), 3, dtype=np.float32), GPS)
        times = T0 + np.array([0, 200 * MS, 400 * MS + late])
        if late:
            times = times[[0, 2]]
        state.feed("d", "r", "acc", times, np.full((len(times), 1), 200, dtype=np.int16), ACC)
        state.end("d", "r")
        assert spans(state.take()) == marked


@pytest.mark.parametrize(("coverage", "marked"), [("0.75", [(0, 4)]), ("0.7501", [])])
def test_coverage_is_met_by_what_equals_it(coverage: str, marked: list[tuple[float, float]]) -> None:
    state = RuleState(rules_of(f"when: 'max(acc.x, 40ms) > 1g', until: acc.x < 0g, coverage: {coverage}"))
    times = T0 + np.array([0, 10, 20, 40]) * MS
    values = np.array([[200], [200], [200], [-100]], dtype=np.int16)
    state.feed("d", "r", "acc", times, values, ACC)
    assert spans(state.take()) == [(2, end) for _, end in marked]


def test_a_silent_stream_is_given_up_after_a_day_to_the_nanosecond_and_told() -> None:
    def marked(complete_to: int) -> RuleState:
        state = RuleState(rules_of("when: acc.x > 1g or gps.speed > 1m/s, until: acc.x < 1g, max_gap: 10d"))
        feed(state, [0, 2, 0])
        state.progress("d", "r", "acc", complete_to)
        return state

    third = T0 + 20 * MS
    state = marked(third + WAIT_NS)
    assert state.take() == [], "it may yet say something of the third sample"
    state = marked(third + WAIT_NS + 1)
    assert spans(state.take()) == [(1, 2)]
    assert state.unwaited == {("event", "gps"): "d"}
    state.feed("d", "r", "gps", np.array([T0, third, third + 10**9]), np.full((3, 1), 5, dtype=np.float32), GPS)
    state.end("d", "r")
    assert state.counts["unwaited.samples"] == 2
    assert spans(state.take()) == [(102, 103)]


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_given_up_does_not_look_at_what_comes_later(asked: bool) -> None:
    limits = "coverage: 0.5, max_gap: 10d"
    state = RuleState(rules_of(f"when: 'mean(acc.x, 40ms, centre) > 1g and gps.speed < 9m/s', {limits}"))
    state.feed("d", "r", "gps", np.array([T0]), np.zeros((1, 1), dtype=np.float32), GPS)
    feed(state, [0, 0, 0])
    state.progress("d", "r", "gps", T0 + 30 * MS + WAIT_NS)
    if asked:
        assert state.take() == []
    times = T0 + np.array([35, 50, 60, 70, 80]) * MS
    state.feed("d", "r", "acc", times, np.array([[3000], [0], [0], [0], [0]], dtype=np.int16), ACC)
    state.end("d", "r")
    assert spans(state.take()) == [(3.5, 6)], "the sample at 20 ms was given up before that at 35 ms came"


def test_a_stream_that_is_only_slow_is_not_given_up() -> None:
    state = RuleState(rules_of("when: acc.x > 1g or gps.speed > 1m/s"))
    feed(state, [0, 2, 0])
    state.feed("d", "r", "gps", np.array([T0]), np.zeros((1, 1), dtype=np.float32), GPS)
    state.end("d", "r")
    assert spans(state.take()) == [(1, 2)]
    assert state.unwaited == {}


def test_what_devices_call_their_channels_fills_no_memory() -> None:
    state = RuleState(rules_of("when: acc.x > 1g"))
    for number in range(1500):
        odd = StreamDescription("acc", (Channel(f"c{number}", "g"),), "float32", 100)
        state.feed(f"d{number}", "r", "acc", np.array([T0]), np.zeros((1, 1), dtype=np.float32), odd)
        state.take()
        state.end(f"d{number}", "r")
    assert len(state.faults) == 200
    assert len(state._plans) <= 1000
    assert state.counts["fault.samples"] == 1500


@pytest.mark.parametrize("condition", ["gps.speed > 1m/s", "gps.speed != 7m/s"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_unknown(condition: str, value: float) -> None:
    state = RuleState(rules_of(f"when: {condition}, max_gap: 10s"))
    values = np.array([value, 3, value, 7 if "!=" in condition else 0, value], dtype=np.float32)[:, None]
    state.feed("d", "r", "gps", T0 + np.arange(5) * 10**9, values, GPS)
    state.end("d", "r")
    assert spans(state.take()) == [(100, 300)]


def test_a_centred_value_waits_for_half_of_its_span() -> None:
    state = RuleState(rules_of("when: 'mean(acc.x, 40ms, centre) > 1g'"))
    feed(state, [0, 0, 0, 0, 4, 4, 4, 4, 4, 0, 0])
    assert state.take() == [], "at 9 the mean still waits for 11"
    feed(state, [0], first=11)
    assert spans(state.take()) == [(3, 9)], "a step is where it is, not 20 ms later"


def test_a_centred_value_has_no_half_at_a_gap_or_an_end() -> None:
    state = RuleState(rules_of("when: 'max(acc.x, 40ms, centre) > 1g', coverage: 0.7"))
    feed(state, [2, 2, 2, 2, 2, 2])
    state.progress("d", "r", "acc", T0 + 10**9)
    assert spans(state.take()) == [(0, 5)], "three of four samples are enough, two are not"
    feed(state, [2, 2, 2, 2], first=100)
    state = restore(state.rules, save(state))
    feed(state, [2, 2], first=104)
    state.end("d", "r")
    assert spans(state.take()) == [(100, 105)]


def test_another_description_ends_what_looks_ahead() -> None:
    state = RuleState(rules_of("when: 'max(acc.x, 40ms, centre) > 1g', coverage: 0.5"))
    other = StreamDescription("acc", (Channel("x", "m/s2", 0.01),), "int16", 100)
    feed(state, [2, 2, 2, 2])
    feed(state, [0, 0, 0, 0], first=4, description=other)
    state.end("d", "r")
    assert spans(state.take()) == [(0, 4)]


def test_what_looks_ahead_keeps_no_more_than_it_needs() -> None:
    state = RuleState(rules_of("when: 'mean(acc.x, 1s, centre) > 1g'"))
    for second in range(60):
        feed(state, [0] * 100, first=100 * second)
        state.take()
        kept = state.recordings["d", "r"].streams["acc"].aheads[0]
        assert len(kept.times) <= 250
    assert state.recordings["d", "r"].streams["acc"].pieces == []


def test_ids_depend_on_meaning_device_and_start_alone() -> None:
    one = rules_of("when: acc.x > 1g", "when: acc.x > 3g")
    same = compile_rules(
        "version: 1\nlet: {limit: 1g, x: acc.x}\nrules:\n  - label: event\n    max_gap: 500ms\n    when: (x > limit)\n",
        "other.yaml",
    )
    assert one.rules[0].revision == same.rules[0].revision != one.rules[1].revision
    ids = []
    for rules in (one, same):
        state = RuleState(rules)
        feed(state, [0, 2, 0])
        ids.append([mark.id for mark in state.take()])
    assert ids[0] == ids[1]
    assert len(ids[0][0]) == 32


def test_late_samples_are_left_out_and_counted() -> None:
    state = RuleState(rules_of("when: acc.x > 1g"))
    feed(state, [0, 2, 2, 0])
    feed(state, [0, 0, 0, 0, 0, 2, 0], first=0)
    times = T0 + np.array([20, 19, 21, 21, 22]) * 10 * MS
    state.feed("d", "r", "acc", times, np.array([[0], [300], [300], [0], [0]], dtype=np.int16), ACC)
    assert spans(state.take()) == [(1, 3), (5, 6), (21, 22)]
    assert state.counts["late.samples"] == 4 + 2
    state.progress("d", "r", "acc", T0 + 10**9)
    feed(state, [2, 0], first=99)
    assert state.take() == []


def test_a_description_that_means_other_values_ends_what_is_open() -> None:
    rules = rules_of("when: acc.x > 1g")
    finer = StreamDescription("acc", (Channel("x", "g", 0.001),), "int16", 100)
    other = StreamDescription("acc", (Channel("x", "m/s2", 0.01),), "int16", 100)
    state = RuleState(rules)
    feed(state, [0, 2])
    feed(state, [2, 0], first=2, description=finer)
    assert spans(state.take()) == [(1, 3)]
    feed(state, [2, 2], first=4, description=finer)
    feed(state, [20, 20, 0], first=6, description=other)
    closed, after = state.take()
    assert spans([closed, after]) == [(4, 6), (6, 8)]
    assert closed.evidence["closed by another description of the stream"] == 1.0


def test_what_another_description_ends_does_not_reach_into_what_follows() -> None:
    state = RuleState(rules_of("when: gps.speed > 1m/s", defaults="coverage: 0.8"))
    quick = StreamDescription("gps", (Channel("speed", "m/s"),), "float32", 100)
    state.feed("d", "r", "gps", T0 + np.arange(2) * 10**9, np.full((2, 1), 9, dtype=np.float32), GPS)
    times = T0 + 1_200 * MS + np.arange(2) * 10 * MS
    state.feed("d", "r", "gps", times, np.full((2, 1), 9, dtype=np.float32), quick)
    state.end("d", "r")
    assert spans(state.take()) == [(0, 120), (120, 122)]


def test_late_samples_alone_change_no_description() -> None:
    state = RuleState(rules_of("when: acc.x > 1g"))
    feed(state, [2, 2])
    other = StreamDescription("acc", (Channel("x", "m/s2", 0.01),), "int16", 100)
    feed(state, [20, 20], description=other)
    feed(state, [2, 0], first=2)
    assert spans(state.take()) == [(0, 3)]
    assert state.counts["late.samples"] == 2


def test_a_rule_that_does_not_fit_a_stream_leaves_the_others_alone() -> None:
    state = RuleState(rules_of("when: acc.x > 1degC", "when: acc.x > 1g", "when: acc.y > gps.speed"))
    feed(state, [0, 2, 0])
    assert spans(state.take()) == [(1, 2)]
    assert state.counts["fault.samples"] == 3
    assert state.counts["fault.samples.event"] == 6  # two rules of three
    assert set(state.faults.values()) == {"d/acc"}
    assert [any(words in reason for _, reason in state.faults) for words in ("does not fit", 'has no channel "y"')] == [
        True,
        True,
    ]


def test_a_join_waits_for_a_stream_and_gives_it_up_after_a_day() -> None:
    rules = rules_of("when: acc.x > 1g or gps.speed > 1m/s, max_gap: 10d")
    state = RuleState(rules)
    feed(state, [0, 2, 2, 0])
    state.feed("d", "r", "gps", np.array([T0]), np.zeros((1, 1), dtype=np.float32), GPS)
    state.progress("d", "r", "gps", T0 + 20 * MS)
    assert state.take() == []
    state = restore(rules, save(state))
    later = (WAIT_NS + 50 * MS) // (10 * MS)
    feed(state, [0], first=later)
    assert spans(state.take()) == [(1, 3)]
    times = T0 + np.array([2, 6, later]) * 10 * MS
    state.feed("d", "r", "gps", times, np.array([[5], [5], [5]], dtype=np.float32), GPS)
    state.end("d", "r")
    assert spans(state.take()) == [(6, later + 1)], "nobody waited for the sample at 2"


def test_an_old_or_foreign_state_is_refused() -> None:
    rules = rules_of("when: 'mean(acc.x, 50ms) > 1g'", "when: acc.x > gps.speed * 1g / 1m/s")
    state = RuleState(rules)
    feed(state, [0, 2, 2])
    saved = save(state)
    assert save(restore(rules, saved)) == saved
    with pytest.raises(StateVersionError, match="is that of rules"):
        restore(rules_of("when: acc.x > 1g"), saved)
    for at in range(0, len(saved), 7):
        broken = bytearray(saved)
        broken[at] ^= 1
        with pytest.raises(CorruptError):
            restore(rules, bytes(broken))


def test_forgetting_a_device_drops_its_open_marks() -> None:
    state = RuleState(rules_of("when: acc.x > 1g"))
    feed(state, [0, 2])
    state.forget("d")
    state.end("d", "r")
    assert state.take() == []
