"""What the tabs of a server are told of one another."""

from __future__ import annotations

import asyncio

import pytest

from simulators.doubles.log import ListLog
from timeline import protocol
from timeline.marks.acts import Who
from timeline.protocol import Hello, Person, Presence
from timeline.site import Settings, Timeline
from timeline.tabs.hub import PEOPLE_TICKS, PEOPLE_TOLD_MAX, Company, Hub
from timeline.tabs.tab import Tab


def person(number: int, device: str) -> Person:
    return Person(f"5ff3c1a0-0000-4000-8000-{number:012d}", f"op-{number}", device)


def test_a_tab_hears_of_all_others() -> None:
    people = [person(number, "pump-7") for number in range(3)]
    assert Company(people).of(people[1]) == (people[0], people[2])


def test_of_very_many_a_tab_hears_of_some_and_of_those_at_its_device_first() -> None:
    far = [person(number, "pump-8") for number in range(2 * PEOPLE_TOLD_MAX)]
    near = [person(1_000 + number, "pump-7") for number in range(5)]
    told = Company([*far, *near]).of(near[0])
    assert len(told) == PEOPLE_TOLD_MAX
    assert told[:4] == tuple(near[1:])


def test_however_often_people_move_the_others_are_told_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred tabs that pan were sent 400 lists of people a second, of a hundred people each."""
    heard: list[tuple[Tab, protocol.People]] = []

    def say(tab: Tab, message: protocol.ToPage) -> None:
        if isinstance(message, protocol.People):
            heard.append((tab, message))

    async def run() -> None:
        timeline = Timeline(Settings("site", "segments:log"), ListLog())
        await timeline.open()
        hub, who = Hub(timeline), Who("anna", "viewer")
        tabs = [Tab(hub, who, lambda: who) for _ in range(3)]
        hub.tabs.update(tabs)
        for number, tab in enumerate(tabs):
            tab.take(Hello(1, person(number, "").tab))
        hub.tick()
        assert len(heard) == len(tabs), "who comes is told at once"
        for moves in range(1, 2 * PEOPLE_TICKS + 1):
            tabs[0].take(Presence("pump-7", str(moves), str(moves + 1)))
            hub.tick()
        assert len(heard) == 3 * len(tabs)
        newest = {it.tab: it for it in dict(heard)[tabs[1]].people}
        assert newest[person(0, "").tab].from_ns == str(2 * PEOPLE_TICKS), "the last one says where they are by now"
        for tab in tabs:
            await tab.close()
        await timeline.close()

    monkeypatch.setattr(Tab, "say", say)
    asyncio.run(run())
