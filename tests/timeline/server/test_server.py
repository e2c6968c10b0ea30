"""The server as a process: history and the live end, marks that are durable before they are accepted, several tabs."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ingest.log.protocol import MARKS, READINGS, Entry
from ingest.opening import open_log
from ingest.records import Clock, Gap, Mark, MarkAdd, MarkEdit, Record
from ingest.wire import encode
from tests.support.logs import read_log
from tests.timeline.site import START_NS, Frame, S, Served, boot, chunk, recording, write, write_site
from timeline import protocol
from timeline.protocol import Accepted, Changed, Label, Labels, LiveNews, Rejected


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("timeline") / "site", recording(30))


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[Served]:
    with Served(str(site), "--as", "anna") as server:
        yield server.open()


def test_what_was_recorded_is_shown_sample_by_sample(served: Served) -> None:
    async def look() -> None:
        async with served.tab() as tab:
            welcome = await tab.hello()
            (device,) = welcome.devices
            assert (device.id, [stream.name for stream in device.streams]) == ("pump-7", ["acc"])
            assert device.first_ns == str(START_NS)
            frames, shown = await tab.look(1, START_NS + S, START_NS + 3 * S)
            (samples,) = [frame for frame in frames if not frame.flags & 2]
            assert samples.times.tolist() == [START_NS + S + number * S // 100 for number in range(200)]
            assert samples.values.tolist() == [list(range(100, 300)), [-it for it in range(100, 300)]]
            (before,) = [frame for frame in frames if frame.flags & 2]
            assert (before.times.tolist(), before.values[0].tolist()) == ([START_NS + 99 * S // 100], [99.0])
            assert [(it.id, it.reason) for it in shown.recordings] == [("r1", "stopped")]
            assert shown.nearest_ns is None

    asyncio.run(look())


def test_what_is_too_much_for_the_columns_comes_as_tiles_that_hold_every_peak(served: Served) -> None:
    async def look() -> None:
        async with served.tab() as tab:
            await tab.hello()
            ((tiles,), _) = await tab.look(1, START_NS, START_NS + 30 * S, columns=40)
            assert tiles.kind == 2
            assert tiles.count <= 82
            values = np.arange(3000.0)
            bounds = np.append(tiles.times, 1 << 62) - START_NS
            for number in range(tiles.count):
                first, last = (-(-int(bounds[number + it]) * 100 // S) for it in (0, 1))
                own = values[max(0, first) : max(0, last)]
                x = tiles.values[0, :, number].tolist()
                assert x == [own.min(), own.max(), own[0], own[-1]]
                assert tiles.values[1, :2, number].tolist() == [-own.max(), -own.min()]

    asyncio.run(look())


def test_where_there_is_nothing_the_nearest_is_told(served: Served) -> None:
    async def look() -> None:
        async with served.tab() as tab:
            await tab.hello()
            frames, shown = await tab.look(1, START_NS - 90 * S, START_NS - 60 * S)
            assert (frames, shown.nearest_ns) == ([], str(START_NS))

    asyncio.run(look())


def test_new_samples_and_gaps_come_to_who_follows(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(2, end=False))

    async def follow(served: Served) -> None:
        log = open_log(f"segments:{site}/log")
        async with served.tab() as tab, served.tab() as other:
            await tab.hello()
            await other.hello()
            await tab.look(7, START_NS, START_NS + 60 * S, follow=True)
            await other.look(7, START_NS, START_NS + 60 * S)
            gap = Gap("pump-7", "r1", "acc", boot("r1"), START_NS + 2 * S, START_NS + 3 * S, 100, "overrun")
            new: list[Record] = [gap, chunk(START_NS + 3 * S, 100, 2)]
            await log.append(READINGS, [Entry(b"pump-7", encode(record)) for record in new])
            live = await tab.hear(Frame, lambda it: bool(it.flags & 1))
            assert (live.view, live.times[0], live.count) == (7, START_NS + 3 * S, 100)
            news = await tab.hear(LiveNews)
            assert [(it.reason, it.samples) for it in news.gaps] == [("overrun", 100)]
            _, shown = await other.look(8, START_NS, START_NS + 60 * S)
            assert [it.reason for it in shown.gaps] == ["overrun"]
            assert not [it for it in other.seen if isinstance(it, Frame) and it.flags & 1]
        await log.close()

    with Served(str(site)) as served:
        asyncio.run(follow(served.open()))


def test_a_device_that_comes_later_is_announced(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(1))

    async def wait(served: Served) -> None:
        log = open_log(f"segments:{site}/log")
        async with served.tab() as tab:
            await tab.hello()
            await write(log, recording(1, device="pump-8"), "pump-8")
            await tab.hear(protocol.Devices, lambda it: [device.id for device in it.devices] == ["pump-7", "pump-8"])
        await log.close()

    with Served(str(site)) as served:
        asyncio.run(wait(served.open()))


def test_a_mark_is_in_the_log_when_it_is_accepted_and_seen_by_the_others(served: Served, site: Path) -> None:
    async def mark() -> None:
        async with served.tab() as tab, served.tab() as other:
            await tab.hello()
            await other.hello()
            for it in (tab, other):
                await it.say("marks", request=1, device="pump-7", from_ns=str(START_NS), to_ns=str(START_NS + 60 * S))
                await it.hear(protocol.MarksOf)
            name = "5ff3c1a0-0000-4000-8000-000000000001"
            answer = await tab.act("add", mark=name, client_ns=17)
            assert isinstance(answer, Accepted)
            told = await asyncio.to_thread(read_log, f"segments:{site}/log", MARKS)
            (add,) = [it for it in told if isinstance(it, MarkAdd) and it.id == name]
            assert (add.start_ns, add.end_ns, add.label) == (START_NS + S, START_NS + 2 * S, "run")
            assert (add.author, add.tool, add.client_ns) == ("anna", "operator", 17)
            for it in (tab, other):
                changed = await it.hear(Changed, lambda it: it.mark.id == name)
                assert (changed.event.kind, changed.event.author, changed.event.client_ns) == ("add", "anna", "17")
            edited = await tab.act("edit", mark=name, end_ns=START_NS + 3 * S, client_ns=18)
            assert isinstance(edited, Accepted)
            changed = await other.hear(Changed, lambda it: it.event.kind == "edit")
            assert (changed.mark.end_ns, changed.event.fields) == (str(START_NS + 3 * S), ("end_ns",))
            await tab.act("undo", mark=name, undoes_ns=18, client_ns=19)
            changed = await other.hear(Changed, lambda it: it.event.kind == "undo")
            assert (changed.mark.end_ns, changed.mark.stands) == (str(START_NS + 2 * S), True)
            await tab.act("undo", mark=name, client_ns=20)
            changed = await other.hear(Changed, lambda it: it.event.client_ns == "20")
            assert not changed.mark.stands
            await tab.act("undo", mark=name, undoes_ns=20, client_ns=21)
            changed = await other.hear(Changed, lambda it: it.event.client_ns == "21")
            assert changed.mark.stands

    asyncio.run(mark())


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"device": "pump-9"}, "device", '"pump-9" has sent no samples'),
        ({"label": " "}, "label", "is empty"),
        ({"label": "ru\u200bn"}, "label", "a character that nobody sees"),
        ({"start_ns": START_NS + S, "end_ns": START_NS}, "range", "before the start"),
        ({"start_ns": START_NS - 9 * S, "end_ns": START_NS - 8 * S}, "range", "has samples from 2026-01-01T00:00:00"),
        ({"start_ns": 1 << 61, "end_ns": 1 << 61}, "range", "ahead of the clock"),
        ({"end_ns": None}, "range", "a start and an end"),
        ({"client_ns": 0}, "range", "client_ns"),
    ],
)
def test_what_is_impossible_is_rejected_with_words(
    served: Served, site: Path, fields: dict[str, object], code: str, words: str
) -> None:
    async def mark() -> None:
        async with served.tab() as tab:
            await tab.hello()
            answer = await tab.act("add", mark="impossible", **fields)
            assert isinstance(answer, Rejected)
            assert (answer.code, answer.again) == (code, False)
            assert words in answer.words
            assert isinstance(await tab.act("edit", mark="impossible", label="run"), Rejected)

    asyncio.run(mark())
    assert "impossible" not in [it.id for it in read_log(f"segments:{site}/log", MARKS) if isinstance(it, MarkAdd)]


def test_where_a_clock_is_unsure_is_told_for_each_stream(tmp_path: Path) -> None:
    def unsure(second: int, uncertainty_ns: int) -> Record:
        found = chunk(START_NS + second * S, 100, second)
        return msgspec.structs.replace(found, clock=Clock("ntp", 0, 0.0, uncertainty_ns))

    ms = 10**6
    known = [ms, 4 * ms, 5 * ms, 3 * ms, ms // 2, 2 * ms, 90 * ms]
    site = write_site(tmp_path / "site", [unsure(second, it) for second, it in enumerate(known)])
    last_ns = 99 * S // 100

    async def look(served: Served) -> None:
        log = open_log(f"segments:{site}/log")
        async with served.tab() as tab:
            await tab.hello()
            _, shown = await tab.look(1, START_NS, START_NS + 60 * S, follow=True)
            seconds = [(1, 3, 4), (5, 5, 2), (6, 6, 90)]
            assert [(it.stream, it.start_ns, it.end_ns, it.uncertainty_ns) for it in shown.unsure] == [
                ("acc", str(START_NS + first * S), str(START_NS + last * S + last_ns), str(most * ms))
                for first, last, most in seconds
            ]
            await log.append(READINGS, [Entry(b"pump-7", encode(unsure(7, 91 * ms)))])
            live = await tab.hear(LiveNews)
            assert [(it.start_ns, it.uncertainty_ns) for it in live.unsure] == [(str(START_NS + 7 * S), str(91 * ms))]
            _, shown = await tab.look(2, START_NS + 7 * S, START_NS + 60 * S)
            assert [it.start_ns for it in shown.unsure] == [str(START_NS + 6 * S)]
        await log.close()

    with Served(str(site)) as served:
        asyncio.run(look(served.open()))


def test_a_trim_and_a_note_are_kept_with_what_the_clocks_were(served: Served, site: Path) -> None:
    async def mark() -> None:
        async with served.tab() as tab:
            await tab.hello()
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns="1")
            clocks = {"offset_ns": -250_000_000, "round_trip_ns": 5_000_000}
            assert isinstance(await tab.act("add", mark="noted", reason="a door", **clocks), Accepted)
            refused = await tab.act("add", mark="trim", trim=True, label="run")
            assert isinstance(refused, Rejected)
            refused = await tab.act("edit", mark="noted", reason="x" * 2_001)  # and the socket stays open
            assert isinstance(refused, Rejected)
            assert refused.words == "reason: found 2,001 characters, expected no more than 2,000"
            answer = await tab.act("add", mark="trim", trim=True, label=None, reason="sensor fell off")
            assert isinstance(answer, Accepted)
            changed = await tab.hear(Changed, lambda it: it.mark.id == "trim")
            assert (changed.mark.trim, changed.mark.label, changed.mark.reason) == (True, "", "sensor fell off")
            refused = await tab.act("edit", mark="trim", label="run")
            assert isinstance(refused, Rejected)

    asyncio.run(mark())
    told = {it.id: it for it in read_log(f"segments:{site}/log", MARKS) if isinstance(it, MarkAdd)}
    assert (told["trim"].trim, told["trim"].label, told["noted"].reason) == (True, "", "a door")
    assert told["noted"].evidence == {"clock offset s": -0.25, "clock round trip s": 0.005}


def test_a_mark_is_not_taken_back_into_one_that_another_person_took_back(served: Served) -> None:
    async def mark() -> None:
        async with served.tab() as tab:
            await tab.hello()
            for name in ("first", "second"):
                assert isinstance(await tab.act("add", mark=name), Accepted)
            assert isinstance(await tab.act("retract", mark="first"), Accepted)
            edit = str(uuid.uuid4())
            left = await tab.act("edit", act=edit, mark="first", end_ns=START_NS + 4 * S)
            assert isinstance(left, Rejected)
            left = await tab.act("retract", mark="second", behind=edit)
            assert isinstance(left, Rejected)
            assert (left.code, left.again, left.words) == ("mark", False, "what it belongs to was refused")
            assert isinstance(await tab.act("edit", mark="second", end_ns=START_NS + 4 * S), Accepted)

    asyncio.run(mark())


def test_edits_retracts_and_undos_say_what_the_clocks_were_too(served: Served, site: Path) -> None:
    async def mark() -> None:
        async with served.tab() as tab:
            await tab.hello()
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns="1")
            clocks = {"mark": "clocks", "offset_ns": -250_000_001, "round_trip_ns": 5_000_000}
            acts: list[tuple[str, dict[str, object]]] = [
                ("add", {}), ("edit", {"end_ns": START_NS + 3 * S}), ("edit", {"reason": "a note alone"}),
                ("undo", {"undoes_ns": 42}), ("retract", {}), ("undo", {"undoes_ns": 45}), ("undo", {}),
            ]  # fmt: skip
            for number, (kind, fields) in enumerate(acts):
                answer = await tab.act(kind, client_ns=41 + number, **clocks | fields)
                assert isinstance(answer, Accepted), answer
                changed = await tab.hear(Changed, lambda it: it.mark.id == "clocks")
                assert (changed.event.kind, changed.event.offset_ns) == (kind, "-250000001")
                assert changed.event.round_trip_ns == "5000000"

    asyncio.run(mark())
    told = [it for it in read_log(f"segments:{site}/log", MARKS) if getattr(it, "id", "") == "clocks"]
    assert len(told) == 7
    clock = {"clock offset s": -0.250000001, "clock round trip s": 0.005}
    assert [it.evidence for it in told if isinstance(it, Mark)] == [clock] * 7


def test_rules_marks_wait_for_review_and_an_accept_says_who_looked(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(20))

    async def fill() -> None:
        log = open_log(f"segments:{site}/log")
        spans = [(f"r{number}", START_NS + number * S) for number in range(4)]
        about = "run", "rules.yaml", "rule"
        adds = [MarkAdd("pump-7", name, at, at + S // 2, *about, revision="r1") for name, at in spans]
        await log.append(MARKS, [Entry(b"pump-7", encode(add)) for add in adds])
        await log.close()

    async def review(served: Served) -> None:
        async with served.tab() as tab, served.tab() as other:
            await tab.hello()
            await other.hello()
            await other.say("queue", request=1, device="pump-7", most=1)
            assert (await other.hear(protocol.QueueOf)).total == 4
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns="1")
            await tab.say("queue", request=2, device="pump-7", from_ns=str(START_NS + 2 * S), most=3)
            queue = await tab.hear(protocol.QueueOf)
            assert ([it.id for it in queue.marks], queue.total) == (["r2", "r3", "r0"], 4)
            assert isinstance(await tab.act("accept", mark="r2", client_ns=51), Accepted)
            changed = await tab.hear(Changed)
            assert (changed.event.kind, changed.event.fields) == ("accept", ())
            mark = changed.mark
            assert (mark.author, mark.tool, mark.reviewed_by) == ("anna", "operator", "anna")
            assert (mark.rule, mark.revision) == ("rules.yaml", "r1")  # which made it, whosever it is
            again = await tab.act("accept", mark="r2", client_ns=52)
            assert isinstance(again, Rejected)
            assert "has accepted the mark" in again.words
            assert isinstance(await tab.act("accept", mark="r2", client_ns=51), Accepted)  # sent again
            assert isinstance(await tab.act("retract", mark="r0", client_ns=53, reason="rejected"), Accepted)
            await other.hear(protocol.Queued, lambda it: it.total == 2)
            assert isinstance(await tab.act("undo", mark="r2", undoes_ns=51, client_ns=54), Accepted)
            undone = await tab.hear(Changed, lambda it: it.event.kind == "undo")
            assert (undone.mark.tool, undone.mark.reviewed_by, undone.mark.revision) == ("rule", "", "r1")
            await other.hear(protocol.Queued, lambda it: it.total == 3)

    asyncio.run(fill())
    with Served(str(site), "--as", "anna") as served:
        asyncio.run(review(served.open()))
    accepts = [it for it in read_log(f"segments:{site}/log", MARKS) if isinstance(it, MarkEdit) and it.accept]
    assert [(it.author, it.label, it.start_ns) for it in accepts] == [("anna", "run", None)]


def test_what_is_sent_again_is_done_once_at_any_server(served: Served, site: Path) -> None:
    """A tab that heard no answer tries the next server: the same act, which is in the log already."""

    async def send_twice(other: Served) -> None:
        acts = [
            {"kind": "add", "mark": "twice", "client_ns": 31, "act": "5ff3c1a0-0000-4000-8000-000000000031"},
            {
                "kind": "edit",
                "mark": "twice",
                "client_ns": 32,
                "act": "5ff3c1a0-0000-4000-8000-000000000032",
                "label": "stop",
            },
        ]
        for server, positioned in ((served, True), (other, False), (served, False)):
            async with server.tab() as tab:
                await tab.hello()
                for act in acts:
                    answer = await tab.act(**act)  # type: ignore[arg-type]
                    assert isinstance(answer, Accepted)
                    assert bool(answer.position) == positioned

    with Served(str(site), "--as", "anna") as other:
        other.cookie = served.cookie  # whoever signed in at one is signed in at the other
        asyncio.run(send_twice(other))
    told = [
        it for it in read_log(f"segments:{site}/log", MARKS) if isinstance(it, MarkAdd | MarkEdit) and it.id == "twice"
    ]
    assert [type(it) for it in told] == [MarkAdd, MarkEdit]


def test_marks_are_found_by_range_and_counted_by_column(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(30))

    async def mark(served: Served) -> None:
        async with served.tab() as tab:
            await tab.hello()
            for number in range(5):
                start_ns = START_NS + 2 * number * S
                label = "run" if number < 4 else "stop"
                answer = await tab.act("add", mark=f"m{number}", start_ns=start_ns, end_ns=start_ns + S, label=label)
                assert isinstance(answer, Accepted)
            span = {"from_ns": str(START_NS + 3 * S), "to_ns": str(START_NS + 7 * S)}
            await tab.say("marks", request=1, device="pump-7", **span)
            found = await tab.hear(protocol.MarksOf)
            if found.total < 5:  # the last ones were still on their way from the log
                await tab.hear(Changed, lambda it: it.mark.id == "m4")
                await tab.say("marks", request=2, device="pump-7", **span)
                found = await tab.hear(protocol.MarksOf)
            assert ([it.id for it in found.marks], found.complete, found.total) == (["m2", "m3"], True, 5)
            await tab.say("marks", request=3, device="pump-7", from_ns="0", to_ns=str(1 << 61), most=2)
            found = await tab.hear(protocol.MarksOf)
            assert ([it.id for it in found.marks], found.complete) == (["m0", "m1"], False)
            span = {"from_ns": str(START_NS), "to_ns": str(START_NS + 10 * S)}
            await tab.say("density", request=4, device="pump-7", columns=5, **span)
            density = await tab.hear(protocol.DensityOf)
            assert density.labels == ("run", "stop")
            assert density.cells == ((0, 0, 1), (1, 0, 1), (2, 0, 1), (3, 0, 1), (4, 1, 1))

    with Served(str(site)) as served:
        asyncio.run(mark(served.open()))


def test_a_signal_goes_before_the_marks_and_an_overview_beside_a_view_ends_none(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(10, end=False))

    async def work(served: Served) -> None:
        async with served.tab() as tab:
            await tab.hello()
            whole = {"from_ns": str(START_NS), "to_ns": str(START_NS + 20 * S)}
            about = {"device": "pump-7", "streams": ["acc"], "columns": 800} | whole
            await tab.say("view", view=1, follow=True, **about)
            await tab.say("marks", request=1, device="pump-7", **whole)
            await tab.say("view", view=2, beside=True, **about)
            await tab.hear(protocol.MarksOf)
            assert any(isinstance(it, protocol.Shown) and it.view == 1 for it in tab.seen), "its frames and their end"
            await tab.hear(protocol.Shown, lambda it: it.view == 2)
            assert {it.view for it in tab.seen if isinstance(it, Frame)} == {1, 2}
            log = open_log(f"segments:{site}/log")
            await write(log, [chunk(START_NS + 10 * S, 100, 10)])
            await log.close()
            new = await tab.hear(Frame, lambda it: bool(it.flags & 1))
            assert (new.view, int(new.times[0])) == (1, START_NS + 10 * S)

    with Served(str(site), "--as", "anna") as served:
        asyncio.run(work(served.open()))


def test_people_see_where_the_others_look(served: Served) -> None:
    async def look() -> None:
        async with served.tab() as tab, served.tab() as other:
            await tab.hello()
            await other.hello()
            pending = {"start_ns": str(START_NS), "end_ns": str(START_NS + S), "label": "run"}
            await other.say(
                "presence", device="pump-7", from_ns=str(START_NS), to_ns=str(START_NS + S), pending=pending
            )
            people = await tab.hear(protocol.People, lambda it: any(person.pending for person in it.people))
            (person,) = [it for it in people.people if it.tab == other.name]
            assert (person.user, person.device, person.pending and person.pending.label) == ("anna", "pump-7", "run")
            await other.socket.close()
            await tab.hear(protocol.People, lambda it: other.name not in [person.tab for person in it.people])

    asyncio.run(look())


def test_people_see_who_looks_by_another_server(served: Served, site: Path) -> None:
    async def look(other: Served) -> None:
        async with served.tab() as tab, other.tab() as far:
            await tab.hello()
            await far.hello()
            await far.say("presence", device="pump-7", from_ns=str(START_NS), to_ns=str(START_NS + S))
            people = await tab.hear(protocol.People, lambda it: any(person.tab == far.name for person in it.people))
            while not (person := next(it for it in people.people if it.tab == far.name)).device:
                people = await tab.hear(protocol.People)
            assert (person.user, person.device, person.to_ns) == ("anna", "pump-7", str(START_NS + S))
            await far.hear(protocol.People, lambda it: tab.name in [person.tab for person in it.people])
            await far.socket.close()
            await tab.hear(protocol.People, lambda it: far.name not in [person.tab for person in it.people])

    with Served(str(site), "--as", "anna") as other:
        other.cookie = served.cookie
        asyncio.run(look(other))
    assert read_log(f"segments:{site}/log", "status") == []


def test_the_gallery_has_a_row_a_recording(tmp_path: Path) -> None:
    bursts = [chunk(START_NS + (120 + at) * S, 20, at, recording="r3", values=np.arange(20)) for at in range(10)]
    site = write_site(
        tmp_path / "site", [*recording(10), *recording(4, start_ns=START_NS + 60 * S, name="r2", end=False), *bursts]
    )

    async def mark(served: Served) -> tuple[Label, ...]:
        async with served.tab() as tab:
            await tab.hello()
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns="1")
            for label in ("run", "run", "bump"):  # by how often they are used, not by name
                await tab.act("add", start_ns=START_NS, end_ns=START_NS + 5 * S, label=label)
                await tab.hear(Changed)
            return (await tab.hear(Labels, lambda it: len(it.labels) == 2)).labels

    with Served(str(site)) as served:
        palette = asyncio.run(mark(served.open()))
        with served.client() as client:
            told = client.get("/api/gallery").json()
            rows = told["rows"]
            assert told["palette"] == [label.name for label in palette]  # of one colour there and here
    assert [(row["recording"], row["samples"], row["flags"]) for row in rows] == [
        ("r3", 200, ["jerky", "unlabelled", "no end"]),
        ("r2", 400, ["unlabelled", "no end"]),
        ("r1", 1000, []),
    ]
    assert rows[2]["labels"]["run"] == pytest.approx(0.5, abs=0.01)
    assert (rows[2]["spark"][0][0], rows[2]["spark"][-1][1]) == (0.0, 999.0)
