"""The rule file that the package's page shows is one."""

from __future__ import annotations

from pathlib import Path

from labeling.rules import compile as compiling
from labeling.rules.trials import run_trial


def test_the_example_compiles_and_its_tests_hold() -> None:
    page = (Path(compiling.__file__).parent / "README.md").read_text()
    rules = compiling.compile_rules(page.split("```yaml\n")[1].split("```")[0], "README.md")
    assert [rule.label for rule in rules.rules] == ["free_fall", "overheating"]
    assert [run_trial(rules, test).holds for test in rules.tests] == [True]
