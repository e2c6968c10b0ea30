"""What a user does about a file that may not be opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.sources.access import Ownership, advice, way_in

CHOWN = "sudo chown pi /dev/gpiochip0 gives it to this user until the next boot, rules for good"
JOIN = "join its group: sudo usermod -aG gpio pi, and log in anew (restart a service)"


@pytest.mark.parametrize(
    ("group", "mode", "writes", "told"),
    [
        ("gpio", 0o660, True, JOIN),
        ("gpio", 0o640, True, CHOWN),
        ("gpio", 0o640, False, JOIN),
        ("root", 0o660, True, CHOWN),
        ("root", 0o600, False, CHOWN),
    ],
)
def test_who_joins_a_group_that_may_open_it_needs_nothing_else(group: str, mode: int, writes: bool, told: str) -> None:
    assert advice("/dev/gpiochip0", Ownership(group, mode), "pi", "rules", writes=writes) == told


def test_a_path_is_quoted_and_a_folder_given_as_a_whole() -> None:
    owned = Ownership("root", 0o600)
    assert advice("/sys/a b/", owned, "pi", "rules").startswith("sudo chown -R pi '/sys/a b/' gives it")


def test_a_closed_folder_is_shown(tmp_path: Path) -> None:
    assert way_in(tmp_path / "none", "rules").endswith(f"namei -l {tmp_path}/none shows which")
