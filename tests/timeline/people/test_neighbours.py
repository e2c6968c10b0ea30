"""Servers that tell one another who looks, by files that are small and soon forgotten."""

from __future__ import annotations

from pathlib import Path

from timeline.people.neighbours import BEAT_NS, BELIEVED_NS, PEOPLE_MAX, Neighbours
from timeline.protocol import Person

NOW = 10**18


def person(number: int, device: str | None = None) -> Person:
    return Person(f"5ff3c1a0-0000-4000-8000-{number:012d}", f"op-{number}", device)


def files(folder: Path) -> list[Path]:
    return sorted(it for it in folder.rglob("*") if it.is_file())


def test_each_hears_of_the_others_and_of_nobody_at_another_site(tmp_path: Path) -> None:
    first, second, third = (Neighbours(tmp_path, "site", name) for name in "abc")
    assert first.exchange([person(1)], NOW) == ()
    assert second.exchange([person(2, "pump-7")], NOW) == (person(1),)
    assert first.exchange([person(1)], NOW) == (person(2, "pump-7"),)
    assert third.exchange([], NOW) == (person(1), person(2, "pump-7"))
    assert Neighbours(tmp_path, "elsewhere", "d").exchange([], NOW) == ()
    assert all(path.parent.stat().st_mode & 0o77 == 0 for path in files(tmp_path))
    second.leave()
    assert third.exchange([], NOW) == (person(1),)


def test_whoever_came_over_is_told_of_once(tmp_path: Path) -> None:
    first, second = (Neighbours(tmp_path, "site", name) for name in "ab")
    first.exchange([person(1)], NOW)
    assert second.exchange([person(1)], NOW) == ()


def test_a_server_that_died_is_forgotten_with_its_file(tmp_path: Path) -> None:
    first, second = (Neighbours(tmp_path, "site", name) for name in "ab")
    first.exchange([person(1)], NOW)
    assert second.exchange([], NOW + BELIEVED_NS - 1) == (person(1),)
    assert second.exchange([], NOW + BELIEVED_NS) == ()
    second.exchange([], NOW + 3 * BELIEVED_NS)
    assert [path.name for path in files(tmp_path)] == ["b.json"]


def test_a_quiet_server_writes_now_and_then_and_stays_believed(tmp_path: Path) -> None:
    first, second = (Neighbours(tmp_path, "site", name) for name in "ab")
    written = set()
    for step in range(40):
        first.exchange([person(1)], NOW + step * 10**9)
        written.add(files(tmp_path)[0].read_bytes())
        assert second.exchange([], NOW + step * 10**9) == (person(1),)
    assert len(written) == 40 * 10**9 // BEAT_NS


def test_what_is_told_is_bounded_and_what_is_no_message_passed_over(tmp_path: Path) -> None:
    first, second = (Neighbours(tmp_path, "site", name) for name in "ab")
    first.exchange([person(number) for number in range(2 * PEOPLE_MAX)], NOW)
    assert len(second.exchange([], NOW)) == PEOPLE_MAX
    files(tmp_path)[0].write_bytes(b"{")
    assert second.exchange([], NOW) == ()
