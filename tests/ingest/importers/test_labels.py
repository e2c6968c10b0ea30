"""A column of labels becomes runs, or is refused with what to say."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ingest.errors import UsageError
from ingest.importers.labels import LabelColumn, Span, labels_of, parse_label_column


def runs(said: str, *values: str) -> list[tuple[int, int, str]]:
    labels = labels_of(parse_label_column(said), pl.Series(values), lambda row: f"row {row}")
    spans = labels.runs(np.arange(len(values)))
    assert all(isinstance(span, Span) for span in spans)
    return [(span.first, span.behind, span.label) for span in spans]


def test_runs_of_equal_values_are_labels() -> None:
    assert runs("state", "walk", "walk", "", "run", "walk") == [(0, 2, "walk"), (3, 4, "run"), (4, 5, "walk")]
    assert runs("anomaly=fault", "0.0", "1.0", "1", "", "true") == [(1, 3, "fault"), (4, 5, "fault")]
    assert runs("state:0=,1=walk,2=run", "0", "1", "1", "2") == [(1, 3, "walk"), (3, 4, "run")]


def test_two_codes_of_one_label_are_one_run_and_rows_may_be_left_out() -> None:
    labels = labels_of(LabelColumn("s", names={"1": "a", "2": "a", "3": ""}), pl.Series(["1", "2", "3", "1"]), str)
    assert labels.runs(np.array([0, 1, 3])) == (Span(0, 3, "a"),)
    assert labels.runs(np.array([2])) == ()


@pytest.mark.parametrize(
    ("said", "value", "message"),
    [
        ("anomaly=fault", "2", 'row 1: "anomaly" is "2": it is neither 0 nor 1; say anomaly:0=,2=fault'),
        ("state:1=walk", "2", 'row 1: "state" is "2": --label-column does not name it; known: 1'),
        ("state", "a\x07", "which nobody can read"),
    ],
)
def test_a_value_that_nobody_named_is_refused(said: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        runs(said, "1", value)


def test_a_column_of_measurements_is_none_of_labels() -> None:
    with pytest.raises(UsageError, match="1,001 values; is it one of labels"):
        runs("x", *map(str, range(1001)))


@pytest.mark.parametrize("said", ["", "=a", "c=", "c:1=a,1=b", "c:1=a,b"])
def test_an_option_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="--label-column"):
        parse_label_column(said)
