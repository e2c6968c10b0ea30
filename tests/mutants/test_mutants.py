"""That the mutants fit the code of today: whoever changes a line that one of them changes is told at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.mutants.__main__ import EVERY
from tests.mutants.harness import PROJECT, Mutant, StaleMutantError, mutated

HALVED = Mutant("halves it", "any.py", "x / 1", "x / 2", "tests")


def misfits(mutant: Mutant) -> Iterator[str]:
    """Why it would prove nothing: its code is gone, it is no Python, or the tests that must see it are not there."""
    try:
        ast.parse(mutated((PROJECT / mutant.file).read_text(), mutant))
    except (OSError, StaleMutantError, SyntaxError) as error:
        yield f"{mutant.file}: {mutant.name}: {error}"
    for word in mutant.tests.split():
        path, _, function = word.partition("::")
        lies = PROJECT / path
        name = function.partition("[")[0]
        if not lies.exists() or (name and f"def {name}(" not in lies.read_text()):
            yield f"{mutant.file}: {mutant.name}: no test {word}"


def test_every_mutant_fits_the_code_and_its_tests_are_there() -> None:
    assert len(EVERY) > 100
    assert [why for mutant in EVERY for why in misfits(mutant)] == []


def test_no_two_mutants_are_the_same() -> None:
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in EVERY}) == len(EVERY)


@pytest.mark.parametrize(("text", "times"), [("y = x / 3", 0), ("y = x / 1 + x / 1", 2)])
def test_a_mutant_whose_text_does_not_stand_there_once_is_stale(text: str, times: int) -> None:
    with pytest.raises(StaleMutantError, match=f"any.py: halves it: its text stands there {times} times, not once"):
        mutated(text, HALVED)


def test_a_mutant_changes_its_text_alone() -> None:
    assert mutated("y = x / 1 + x / 3", HALVED) == "y = x / 2 + x / 3"
