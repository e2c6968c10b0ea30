"""The mutants of named states, of trims, and of labels' spelling: what must never be made up, kept or counted twice."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_CUTTING: Final = "windowing/fold/cutting.py"
_RESAMPLE: Final = "windowing/fold/resample.py"
_STREAMS: Final = "windowing/fold/streams.py"
_EXCLUSIONS: Final = "windowing/dataset/exclusions.py"
_MARKS: Final = "labeling/marks.py"
_STATES: Final = "ingest/states.py"
_T_STATES: Final = "tests/ingest/test_states.py"
_T_RESAMPLE: Final = "tests/windowing/fold/test_resample.py"
_T_WINDOWER: Final = "tests/windowing/fold/test_windower.py"
_T_NAMED_LATER: Final = f"{_T_WINDOWER}::test_states_that_are_named_later_hold_from_there_on"
_T_SAMPLES: Final = "tests/sinks/influx/test_samples.py"
_T_MARKS: Final = "tests/labeling/test_marks.py"
_T_TRIMS: Final = "tests/windowing/dataset/test_trims.py"
_T_CLASSING: Final = "tests/service/test_classing.py"

STATES: Final[list[Mutant]] = [
    # --- states are held
    Mutant(
        "states are interpolated as quantities are",
        "windowing/spec.py",
        """return self if self.interpolation == "none" else replace(self, interpolation="hold")""",
        "return self",
        f"{_T_RESAMPLE} {_T_NAMED_LATER}",
    ),
    Mutant(
        "windows do not know which channels have states",
        "windowing/fold/convert.py",
        "        self.held = frozenset(at for at, c in enumerate(wanted) if channels[c].states)",
        "        self.held: frozenset[int] = frozenset()",
        "tests/service/test_states.py",
    ),
    Mutant(
        "states that a later description does not name are interpolated",
        _STREAMS,
        "        self.hold(self.held | converter.held)",
        "        self.hold(converter.held)",
        _T_NAMED_LATER,
    ),
    Mutant(
        "a restart forgets which channels have states",
        "windowing/fold/state.py",
        "        held=sorted(stream.held),",
        "        held=[],",
        _T_NAMED_LATER,
    ),
    Mutant(
        "a stream of states alone waits and drops as quantities do",
        _STREAMS,
        "        return rule.of_states if len(self.held) == len(self.plan.channels) else rule",
        "        return rule",
        f"{_T_WINDOWER}::test_a_stream_of_states_alone_drops_as_held_ones_do",
    ),
    Mutant(
        "beside quantities a state ends with the row's own neighbours",
        _CUTTING,
        "                    if not same or at in source.held:",
        "                    if not same:",
        f"{_T_WINDOWER}::test_a_state_holds_where_the_quantity_beside_it_has_no_neighbour",
    ),
    Mutant(
        "a sample just behind its instant is not the state at it",
        _RESAMPLE,
        "    near = np.abs(instants - times.take(before)) <= samples.tolerance_ns",
        "    near = np.ones(len(instants), np.bool_)",
        _T_RESAMPLE,
    ),
    Mutant(
        "an empty cell is bridged between two states",
        _RESAMPLE,
        "    rule = samples.rule.of_states if column in samples.held else samples.rule",
        "    rule = samples.rule",
        _T_RESAMPLE,
    ),
    # --- states are named
    Mutant(
        "streams without states get another id",
        "ingest/records.py",
        "[fields if fields[-1] else fields[:-1] for fields in content[channels]]",
        "[fields for fields in content[channels]]",
        "tests/ingest/test_records.py tests/ingest/test_wire.py",
    ),
    Mutant(
        "a value without a name is kept",
        "edge/recording/batching.py",
        "        if self._enumeration.is_needed:",
        "        if False:",
        "tests/edge/recording/test_recorder.py::test_a_value_that_names_no_state_is_refused_and_counted",
    ),
    Mutant(
        "a missing value is refused as one without a name",
        _STATES,
        """    return wrong & ~np.isnan(values) if values.dtype.kind == "f" else wrong""",
        "    return wrong",
        _T_STATES,
    ),
    Mutant(
        "two codes have one name",
        _STATES,
        "        if code in found or name in found.values():",
        "        if code in found:",
        _T_STATES,
    ),
    Mutant(
        "an import takes values without a name",
        "ingest/importers/readings.py",
        "_check_named(table, options)\n",
        "pass\n",
        "tests/ingest/importers/test_readings.py",
    ),
    Mutant(
        "codes are averaged for the database",
        "sinks/influx/thinning.py",
        "[] if number in stream.states else",
        "[] if number < 0 else",
        _T_SAMPLES,
    ),
    # --- trims
    Mutant(
        "a window that ends where a trim begins leaves",
        _EXCLUSIONS,
        """np.searchsorted(t1, start_ns, side="right")""",
        "np.searchsorted(t1, start_ns)",
        _T_TRIMS,
    ),
    Mutant(
        "a window that begins where a trim ends leaves",
        _EXCLUSIONS,
        "np.searchsorted(t0, end_ns))",
        """np.searchsorted(t0, end_ns, side="right"))""",
        _T_TRIMS,
    ),
    Mutant(
        "an instant that trims touches no window",
        _EXCLUSIONS,
        "max(trims[place].end_ns, trims[place].start_ns + 1)",
        "trims[place].end_ns",
        _T_TRIMS,
    ),
    Mutant(
        "a trim is of every device",
        _EXCLUSIONS,
        """        rows = np.flatnonzero((index["device"] == device).to_numpy())""",
        "        rows = np.arange(len(index))",
        _T_TRIMS,
    ),
    Mutant(
        "a trim gets the label that somebody gives it",
        _MARKS,
        """        "" if add.trim else normal(label),""",
        "        normal(label),",
        _T_MARKS,
    ),
    # --- one spelling
    Mutant(
        "two spellings of a label are two",
        _MARKS,
        """        "" if add.trim else normal(label),""",
        """        "" if add.trim else label,""",
        _T_MARKS,
    ),
    Mutant(
        "a rule has another revision where its label is spelled otherwise",
        "labeling/rules/ruleset.py",
        "                self.spelled or self.label,",
        "                self.label,",
        "tests/labeling/test_counting.py",
    ),
    Mutant(
        "a class takes the number of another one's second spelling",
        "windowing/dataset/labelled.py",
        """    return numbered(label for page in pages for label in page.body["labels"])""",
        """    return tuple(dict.fromkeys(normal(label) for page in pages for label in page.body["labels"]))""",
        _T_CLASSING,
    ),
    Mutant(
        "an imported mark has another id where its label is spelled otherwise",
        "ingest/importers/marks.py",
        "    known = mark_id(device, start_ns, end_ns, label, author)",
        "    known = mark_id(device, start_ns, end_ns, normal(label), author)",
        "tests/labeling/test_markcommands.py",
    ),
]
