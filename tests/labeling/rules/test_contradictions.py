"""What no stream can make true, and what no event can come of; and no alarm where rules are as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

import labeling.rules
from labeling.rules.compile import compile_rules
from labeling.rules.contradictions import doubts
from tests.labeling.rules.test_falls import EVERY
from tests.support.nab import OVERHEATING

README = (Path(labeling.rules.__file__).parent / "README.md").read_text().split("```yaml\n")[1].split("```")[0]


def told(when: str, until: str | None = None) -> list[str]:
    lines = f"    when: {when}\n" + ("" if until is None else f"    until: {until}\n")
    text = f"version: 1\nlet: {{mag: 'norm(acc.x, acc.y)'}}\nrules:\n  - label: x\n{lines}"
    return [str(doubt) for doubt in doubts(compile_rules(text, "rules.yaml").rules)]


@pytest.mark.parametrize(
    "when",
    [
        "acc.x > 2g and acc.x < 1g",
        "1g < acc.x < 0.5g",
        "acc.x == 1g and acc.x == 2g",
        "acc.x >= 1g and acc.x < 1g",
        "acc.x > 80m/s2 and acc.x < 1g",
        "mag < 1g and (mag > 2g or mag > 3g)",
        "not (acc.x > 1g or acc.x < 2g)",
        "max(acc.x, 1s) > 2 and max(acc.x, 1s) < 1",
    ],
)
def test_a_condition_that_is_never_true_is_told(when: str) -> None:
    (doubt,) = told(when)
    assert "is never true" in doubt


@pytest.mark.parametrize(
    "when",
    [
        "acc.x > 1g and acc.x < 2g",
        "acc.x >= 1g and acc.x <= 1g",
        "acc.x > 1g or acc.x < 0.5g",
        "acc.x > 2g and acc.y < 1g",
        "acc.x > 2g and max(acc.x, 1s) < 1g",
        "acc.x != 1g and acc.x != 2g",
        "acc.x > 9 and acc.x < 1g",
        "acc.x > acc.y and acc.y > acc.x",
        "2g > acc.x and not acc.x < 1g",
    ],
)
def test_a_condition_that_may_be_true_is_not(when: str) -> None:
    assert told(when) == []


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("motor.temp > 80degC", "motor.temp < 85degC"),
        ("motor.temp > 80degC", "motor.temp < 185degF"),
        ("motor.temp >= 80degC", "motor.temp <= 80degC"),
        ("motor.temp > 80", "motor.temp > 90"),
        ("motor.temp != 80", "motor.temp > 90"),
        ("85degC < motor.temp", "90degC > motor.temp"),
        ("motor.temp > 80degC and motor.load > 3", "motor.temp < 85degC or motor.load < 1"),
        ("not motor.temp < 80degC", "motor.temp < 85degC"),
    ],
)
def test_what_goes_on_and_off_at_each_sample_is_told(when: str, until: str) -> None:
    (doubt,) = told(when, until)
    assert '"when" and "until" are both true of some values of motor.' in doubt


@pytest.mark.parametrize(
    ("when", "until"),
    [
        ("motor.temp > 80degC", "motor.temp < 75degC"),
        ("motor.temp > 80degC", "motor.temp < 80degC"),
        ("motor.temp > 80degC", "motor.temp <= 176degF"),
        ("motor.temp > 80", "motor.load < 85"),
        ("motor.temp > 80degC and motor.load > 3", "motor.temp < 75degC or motor.load < 1"),
        ("motor.temp > 80degC or motor.load > 3", "motor.temp < 75degC"),
        ("max(motor.temp, 1s) > 80degC", "min(motor.temp, 1s) < 85degC"),
        ("motor.temp > 353K", "motor.temp < 80"),
    ],
)
def test_hysteresis_is_no_contradiction(when: str, until: str) -> None:
    assert told(when, until) == []


@pytest.mark.parametrize("text", [README, EVERY, OVERHEATING])
def test_rules_at_work_raise_no_doubt(text: str) -> None:
    assert doubts(compile_rules(text, "rules.yaml").rules) == []


def test_a_condition_of_very_many_alternatives_is_left_alone() -> None:
    many = " and ".join(f"(acc.x != {n}g or acc.y != {n}g)" for n in range(12))
    assert told(many) == []
