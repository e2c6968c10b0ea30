"""The mutants of rules: bounds that are off by one, ends that leave samples out, and what depends on batches."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_PACE: Final = "ingest/pace.py"
_TRACKER: Final = "labeling/rules/tracker.py"
_JOINING: Final = "labeling/rules/joining.py"
_LOOKAHEAD: Final = "labeling/rules/lookahead.py"
_KERNELS: Final = "labeling/rules/kernels.py"
_PANES: Final = "labeling/rules/panes.py"
_STATE: Final = "labeling/rules/state.py"
_ANCHORS: Final = "service/anchors.py"
_SOURCE: Final = "windowing/dataset/source.py"
_T_CORRECTIONS: Final = "tests/service/test_corrections.py"
_T_RULES_RUN: Final = "tests/service/test_rules_run.py"
_T_PACE: Final = "tests/ingest/test_pace.py"
_T_STATE: Final = "tests/labeling/rules/test_state.py"
_T_KERNELS: Final = "tests/labeling/rules/test_kernels.py"
_T_MEANS: Final = "tests/labeling/rules/test_meaning.py::test_a_rule_marks_what_it_means"
_T_STREAMED: Final = "tests/labeling/rules/test_meaning.py::test_streamed_is_batch_byte_by_byte"

RULES: Final[list[Mutant]] = [
    # --- whose marks count
    Mutant(
        "windows begin at the marks of every rule",
        _ANCHORS,
        "    counting = choice.count(standing)",
        "    counting = Choice(None, everything=True).count(standing)",
        f"{_T_RULES_RUN}::test_windows_begin_at_marks_of_the_rules_that_the_dataset_was_founded_with",
    ),
    Mutant(
        "a dataset counts the marks of every rule",
        "labeling/counting.py",
        "        if mark.by_person or _is_of(mark, revisions.get(mark.label, ())):",
        "        if True:",
        _T_CORRECTIONS,
    ),
    Mutant(
        "a change that is delivered again overrules a later one",
        "labeling/marks.py",
        "    if event.client_ns and any(_is_again(told.event, event) for told in history.changes):",
        "    if False:",
        "tests/labeling/test_marks.py",
    ),
    Mutant(
        "nothing is undone",
        "labeling/marks.py",
        "        if not undo and (told.event.author, told.event.client_ns) not in undone",
        "        if not undo",
        _T_CORRECTIONS,
    ),
    Mutant(
        "datasets opened as one are labelled by the last one's rules",
        _SOURCE,
        "    if len({part.choice.name for part in contents.parts}) == 1:",
        "    if True:",
        f"{_T_RULES_RUN}::test_datasets_that_are_opened_as_one_are_labelled_by_the_rules_of_each",
    ),
    # --- exact bounds
    Mutant(
        "a sample right at max_gap is behind a gap",
        _TRACKER,
        "np.flatnonzero(times - before > max_gaps)",
        "np.flatnonzero(times - before >= max_gaps)",
        f"{_T_STATE}::test_unknown_samples_count_towards_a_gap_to_the_nanosecond",
    ),
    Mutant(
        "the quick way takes a gap of one nanosecond too much",
        _TRACKER,
        "batch.steady and int(times[0]) - state.known_ns <= max_gaps",
        "batch.steady and int(times[0]) - state.known_ns <= max_gaps + 1",
        f"{_T_STATE}::test_a_gap_is_longer_than_max_gap_by_a_nanosecond_at_least",
    ),
    Mutant(
        "progress right to max_gap ends the event",
        _TRACKER,
        "complete_to_ns - state.known_ns > self._max_gap_ns(pace)",
        "complete_to_ns - state.known_ns >= self._max_gap_ns(pace)",
        f"{_T_STATE}::test_a_gap_is_longer_than_max_gap_by_a_nanosecond_at_least",
    ),
    Mutant(
        "an off stretch as long as hold is not bridged",
        _TRACKER,
        "onset_ns - state.waiting.end_ns > self._timing.hold_ns",
        "onset_ns - state.waiting.end_ns >= self._timing.hold_ns",
        f"{_T_STATE}::test_every_limit_is_met_by_what_equals_it",
    ),
    Mutant(
        "progress right to hold gives the event up",
        _TRACKER,
        "complete_to_ns - state.waiting.end_ns > self._timing.hold_ns",
        "complete_to_ns - state.waiting.end_ns >= self._timing.hold_ns",
        f"{_T_STATE}::test_timers_run_on_progress",
    ),
    Mutant(
        "what lasts as long as for is no event",
        _TRACKER,
        "event.end_ns - event.start_ns < timing.for_ns",
        "event.end_ns - event.start_ns <= timing.for_ns",
        f"{_T_STATE}::test_every_limit_is_met_by_what_equals_it",
    ),
    Mutant(
        "as many samples as for says are too few",
        _TRACKER,
        "event.samples < timing.for_samples",
        "event.samples <= timing.for_samples > 0",
        f"{_T_STATE}::test_every_limit_is_met_by_what_equals_it",
    ),
    Mutant(
        "what begins right after the cooldown is none",
        _TRACKER,
        "event.start_ns < state.calm_ns",
        "event.start_ns <= state.calm_ns",
        f"{_T_STATE}::test_every_limit_is_met_by_what_equals_it",
    ),
    Mutant(
        "a sample as old as max_age is too old",
        _JOINING,
        "(times - buffer.times[places] <= longest)",
        "(times - buffer.times[places] < longest)",
        f"{_T_STATE}::test_a_sample_stands_in_for_its_streams_next_for_max_age_and_no_longer",
    ),
    Mutant(
        "a step as long as max_gap covers nothing",
        _KERNELS,
        "np.where(axis.steps <= (longest",
        "np.where(axis.steps < (longest",
        f"{_T_MEANS}[own-gaps-rolling]",
    ),
    Mutant(
        "coverage that is met is too little",
        _KERNELS,
        "out[sums[last] - sums[last - np.minimum(counts, TAIL)] < spec.needed_ns] = np.nan",
        "out[sums[last] - sums[last - np.minimum(counts, TAIL)] <= spec.needed_ns] = np.nan",
        f"{_T_STATE}::test_coverage_is_met_by_what_equals_it",
    ),
    Mutant(
        "a silent stream is given up a nanosecond early",
        _JOINING,
        "self.horizon_ns = max(self.horizon_ns, complete_to_ns - WAIT_NS)",
        "self.horizon_ns = max(self.horizon_ns, complete_to_ns - WAIT_NS + 1)",
        f"{_T_STATE}::test_a_silent_stream_is_given_up_after_a_day_to_the_nanosecond_and_told",
    ),
    # --- where a mark ends
    Mutant(
        "a mark leaves its last sample out",
        _TRACKER,
        "end_ns = max(known_ns + 1, min(known_ns + min(pace.period_ns, max_gap_ns), limit_ns))",
        "end_ns = known_ns",
        f"{_T_STATE}::test_a_gap_and_an_end_close_one_period_behind_the_last_known_sample",
    ),
    Mutant(
        "a mark reaches into what follows another description",
        _TRACKER,
        "min(known_ns + min(pace.period_ns, max_gap_ns), limit_ns)",
        "known_ns + min(pace.period_ns, max_gap_ns)",
        f"{_T_STATE}::test_what_another_description_ends_does_not_reach_into_what_follows",
    ),
    Mutant(
        "a mark ends behind a given max_gap",
        _TRACKER,
        "min(pace.period_ns, max_gap_ns)",
        "pace.period_ns",
        f"{_T_STATE}::test_a_given_max_gap_below_the_measured_period_bounds_the_end",
    ),
    Mutant(
        "bridged stretches are not counted",
        _TRACKER,
        "state.samples += state.waiting.samples + 1",
        "state.samples = state.waiting.samples + 1",
        f"{_T_STATE}::test_every_limit_is_met_by_what_equals_it",
    ),
    # --- a stream's own period
    Mutant("a gap is four periods", _PACE, "GAP_PERIODS: Final = 5", "GAP_PERIODS: Final = 4", _T_PACE),
    Mutant(
        "the upper median",
        _PACE,
        "first + (known - 1) // 2",
        "first + known // 2",
        _T_PACE,
    ),
    Mutant(
        "an instant's own step tells whether it is a gap",
        _KERNELS,
        "measured_periods(self.times_all[TAIL - 1 - STEPS :])",
        "np.append(measured_periods(self.times_all[TAIL - 1 - STEPS :])[1:], 1)",
        f"{_T_MEANS}[own-gaps]",
    ),
    Mutant(
        "a join goes by its slowest stream",
        _JOINING,
        "np.min([gaps for _, gaps in paces], axis=0)",
        "np.max([gaps for _, gaps in paces], axis=0)",
        f"{_T_STATE}::test_a_join_goes_by_its_quickest_stream",
    ),
    # --- what looks ahead
    Mutant(
        "looks ahead by half a span too little",
        _STATE,
        "state.complete_to - plan.ahead_ns, given_up_ns",
        "state.complete_to - plan.ahead_ns // 2, given_up_ns",
        f"{_T_STREAMED}[centred-mean]",
    ),
    Mutant(
        "keeps too little of what lies behind",
        _LOOKAHEAD,
        "next_ns - plan.behind_ns",
        "next_ns - plan.behind_ns // 2",
        f"{_T_STREAMED}[long-centred-mean]",
    ),
    Mutant(
        "forgets at a recording's end what still waits",
        _STATE,
        "limit_ns = state.complete_to if to_end else",
        "limit_ns = state.complete_to - plan.ahead_ns if to_end else",
        f"{_T_STATE}::test_a_centred_value_has_no_half_at_a_gap_or_an_end",
    ),
    Mutant(
        "what is given up looks at what came later",
        _STATE,
        "reach_ns = 0 if ahead is None else ahead.ahead_ns",
        "reach_ns = 0",
        f"{_T_STATE}::test_what_is_given_up_does_not_look_at_what_comes_later",
    ),
    Mutant(
        "a join does not wait for what looks ahead",
        _STATE,
        "return self.complete_to if ahead is None else ahead.done_ns",
        "return self.complete_to",
        f"{_T_STREAMED}[joined-centred]",
    ),
    Mutant(
        "the pane of an instant is that of its last sample",
        _PANES,
        "own = groups.indexes[groups.of[newest]] == indexes",
        "own = indexes == indexes",
        _T_KERNELS,
    ),
    # --- batches
    Mutant(
        "the tail is one sample short",
        _KERNELS,
        "return self.times_all[-TAIL:].copy()",
        "return np.append(self.times_all[-TAIL:-1], self.times_all[-2])",
        f"{_T_STREAMED}[max]",
    ),
    Mutant(
        "a pane is begun anew by each batch",
        _PANES,
        "bool(carried.indexes[-1] == self.indexes[0])",
        "False",
        f"{_T_STREAMED}[long-mean]",
    ),
    Mutant(
        "an unknown value counts as one",
        _KERNELS,
        "known = np.isfinite(values)\n    whole = every(known)",
        "known = np.ones(len(values), dtype=np.bool_)\n    whole = every(known)",
        f"{_T_MEANS}[mean]",
    ),
]
