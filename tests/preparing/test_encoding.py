"""Texts as numbers: by categories of the windows for training alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ingest.errors import UsageError
from preparing.encoding import Encoder, fit_encoder


def test_label_one_hot_and_ordinal() -> None:
    encoder = fit_encoder(["walk", "run", None, "walk"])
    assert encoder.categories == ("run", "walk")
    numbers = encoder(["walk", None, "run"])
    assert numbers.tolist() == [1, -1, 0]
    assert encoder.one_hot(["walk", None, "run"]).tolist() == [[0, 1], [0, 0], [1, 0]]
    assert encoder.inverse(numbers) == ["walk", None, "run"]
    ordinal = fit_encoder(["high", "low"], order=["low", "middle", "high"])
    assert ordinal(["high", "middle", "low"]).tolist() == [2, 1, 0]
    assert Encoder.of(json.loads(json.dumps(ordinal.parameters()))) == ordinal
    assert encoder([]).shape == (0,)


def test_what_train_did_not_have_is_told_or_known_to_be_unknown() -> None:
    with pytest.raises(UsageError, match='"wlak" is not among the categories.*Did you mean "walk"'):
        fit_encoder(["walk", "run"])(["wlak"])
    ignoring = fit_encoder(["walk", "run"], unknown="ignore")
    assert ignoring(["swim", "run"]).tolist() == [-1, 0]
    assert ignoring.one_hot(["swim"]).tolist() == [[0, 0]]
    for wrong, words in (
        (lambda: fit_encoder(["a"], order=["b"]), 'order lacks "a"'),
        (lambda: fit_encoder(["a"], order=["a", "a"]), "twice"),
        (lambda: fit_encoder(["a"], unknown="drop"), "use raise or ignore"),  # type: ignore[arg-type]
        (lambda: Encoder.of({}), "no parameters of an encoder"),
        (lambda: fit_encoder(["a"]).inverse(np.array([3])), "of 1"),
    ):
        with pytest.raises(UsageError, match=words):
            wrong()
