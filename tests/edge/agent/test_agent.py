"""The agent with a source fed by hand and a log in memory."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from edge.agent.committer import Marker
from edge.errors import UnwrittenError
from edge.protocol import Arrival, Interruption
from edge.recording.terms import ClockState
from edge.spool.spool import Queue, Spool, SpoolLimits
from ingest.errors import PermanentError, StoreFullError
from ingest.log.protocol import LIVE, STATUS, STREAMS, Entry
from ingest.records import (
    Birth,
    Chunk,
    Death,
    Gap,
    Heartbeat,
    Progress,
    RecordingEnd,
    RecordingStart,
    StreamDescription,
)
from tests.edge.feeding import WALL, FlakyLog, S, fed, fed_config, running

pytestmark = pytest.mark.usefixtures("fed")
__all__ = ["fed"]


def test_samples_arrive_in_the_log_between_start_and_end(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n2\n", 1)
            agent.source.feed(b"oops\n3\n", 2)
            await agent.until(lambda: len(log.values()) == 3)
        assert log.values() == [1, 2, 3]
        records = log.records()
        assert isinstance(records[0], RecordingStart)
        assert isinstance(records[-1], RecordingEnd)
        assert records[-1].reason == "stopped"
        assert [(gap.reason, gap.samples) for gap in log.gaps()] == [("number", 1)]
        assert {type(record) for record in log.records(STREAMS)} == {StreamDescription}
        kinds = [type(record) for record in log.records(STATUS)]
        assert (kinds.count(Birth), kinds.count(Death), Heartbeat in kinds) == (1, 1, True)
        assert agent.source.closed

    asyncio.run(main())


def test_descriptions_are_in_the_log_before_the_first_chunk(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n", 1)
            await agent.until(lambda: bool(log.values()))
        topics = [topic for topic, _ in log.calls]
        assert topics.index("streams") < topics.index("readings")

    asyncio.run(main())


def test_a_token_is_acknowledged_only_after_its_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable: list[bytes] = []
    real = Queue.commit

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        real(queue, entries)
        durable.extend(entry.value for entry in entries)

    monkeypatch.setattr(Queue, "commit", commit)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            before = agent.source.ack

            def ack(token: object) -> None:
                assert any(b"acc" in value and b"\x00\x00\xe0\x40" in value for value in durable)  # 7.0 as float32
                before(token)

            agent.source.ack = ack  # type: ignore[method-assign]
            agent.source.feed(b"7\n", 1, "t1")
            agent.source.feed(b"8\n", 2, "t2")
            await agent.until(lambda: agent.source.acknowledged == ["t1", "t2"])

    asyncio.run(main())


def test_an_urgent_arrival_is_acknowledged_long_before_the_next_fsync_is_due(tmp_path: Path) -> None:
    async def main() -> None:
        config = fed_config(tmp_path)
        config.write_text(config.read_text().replace('"20ms"', '"60s"'))
        async with running(config, FlakyLog()) as agent:
            agent.source.feed(b"7\n", 1, "t1")
            agent.source.feed(b"8\n", 2, "t2", urgent=True)
            await agent.until(lambda: agent.source.acknowledged == ["t1", "t2"])

    asyncio.run(main())


@pytest.mark.parametrize(("decoder", "one"), [("cbor", b"\x81\x01"), ("json", b"1"), ("csv", b"1\n")])
def test_an_empty_message_says_nothing_whatever_the_decoder(tmp_path: Path, decoder: str, one: bytes) -> None:
    async def main() -> None:
        config, log = fed_config(tmp_path), FlakyLog()
        config.write_text(config.read_text().replace('"csv"', f'"{decoder}"'))
        async with running(config, log) as agent:
            for number, data in enumerate((one, b"", one)):
                at_ns = (number + 1) * S
                agent.source.items.put_nowait(Arrival(data, at_ns, WALL + at_ns, f"t{number}", is_message=True))
            await agent.until(lambda: agent.source.acknowledged == ["t0", "t1", "t2"])
            assert not agent.agent.pipelines[0].hearing.faults
            await agent.until(lambda: log.values() == [1.0, 1.0])
        assert not [record for record in log.records() if isinstance(record, Gap)]

    asyncio.run(main())


def test_a_redelivery_after_a_crash_is_known_acknowledged_and_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), fed_config(tmp_path)
        async with running(config, log, killed=True) as agent:
            agent.source.feed(b"7\n", 1, "t1", identity=b"id7")
            await agent.until(lambda: agent.source.acknowledged == ["t1"])
        async with running(config, log, boot=2) as agent:
            agent.source.feed(b"7\n", 2, "t1", identity=b"id7", redelivered=True)
            agent.source.feed(b"8\n", 3, "t2", identity=b"id8", redelivered=True)
            agent.source.feed(b"7\n", 4, "t3", identity=b"id7")
            await agent.until(lambda: agent.source.acknowledged == ["t1", "t2", "t3"])
            assert agent.agent.figures()["repeated"] == 1
        assert log.values() == [7, 8, 7]

    asyncio.run(main())


def test_a_boot_that_died_is_ended_and_named_by_the_next(tmp_path: Path) -> None:
    async def main() -> None:
        log, config = FlakyLog(), fed_config(tmp_path)
        config.write_text(config.read_text().replace('"20ms"', '"60s"'))  # a second commit would reach further
        log.away = True
        async with running(config, log, killed=True) as agent:
            agent.source.feed(b"1\n", 1, "t1", urgent=True)
            await agent.until(lambda: agent.source.acknowledged == ["t1"])
        log.away = False
        async with running(config, log, boot=2) as agent:
            agent.source.feed(b"2\n", 9, urgent=True)
            await agent.until(lambda: len(log.values()) == 2)
        starts = [record for record in log.records() if isinstance(record, RecordingStart)]
        ends = [record for record in log.records() if isinstance(record, RecordingEnd)]
        reach = WALL + S + 1
        assert (ends[0].reason, ends[0].boot[0], ends[0].end_ns) == ("agent_died", 1, reach)
        assert ends[0].recording == starts[0].recording != starts[1].recording
        assert (starts[1].previous_boot, starts[1].previous_reach_ns) == (bytes([1]) * 16, reach)
        order = [(type(record).__name__, getattr(record, "boot", b"?")[0]) for record in log.records()]
        assert order.index(("RecordingEnd", 1)) < order.index(("RecordingStart", 2))

    asyncio.run(main())


def test_a_log_that_is_away_loses_nothing_and_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        log.away = True
        async with running(fed_config(tmp_path), log) as agent:
            for second in range(1, 20):
                agent.source.feed(b"%d\n" % second, second)
            await agent.until(lambda: any("nobody answers" in line for line in agent.said))
            assert agent.agent.publisher is not None
            assert "nobody answers" in agent.agent.publisher.waiting_for
            log.away = False
            await agent.until(lambda: len(log.values()) == 19)
            assert agent.agent.publisher.waiting_for == ""
        assert log.values() == list(range(1, 20))

    asyncio.run(main())


def test_a_disk_that_takes_nothing_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = Queue.commit, [False]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        if full[0]:
            raise StoreFullError("spool: No space left on device")
        real(queue, entries)

    monkeypatch.setattr(Queue, "commit", commit)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            full[0] = True
            agent.source.feed(b"1\n", 1, "t1", identity=b"1")
            await agent.until(lambda: any("No space left" in line for line in agent.said))
            agent.source.feed(b"2\n", 2, "t2", identity=b"2")
            await asyncio.sleep(0.05)
            assert agent.source.acknowledged == []
            full[0] = False
            await agent.until(lambda: agent.source.acknowledged == ["t1", "t2"])
        assert log.values() == [1, 2]

    asyncio.run(main())


def test_what_memory_cannot_keep_is_announced_and_may_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Queue.commit, [False]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        if full[0]:
            raise StoreFullError("spool: No space left on device")
        real(queue, entries)

    monkeypatch.setattr(Queue, "commit", commit)
    monkeypatch.setattr("edge.agent.unwritten.UNWRITTEN_BYTES", 100)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            full[0] = True
            agent.source.feed(b"1\n2\n", 1, "t1", identity=b"1")
            await agent.until(lambda: any("No space left" in line for line in agent.said))
            assert agent.source.asked_again == 0
            full[0] = False
            await agent.until(lambda: agent.source.asked_again == 1)
            agent.source.feed(b"1\n2\n", 2, "t2", identity=b"1", redelivered=True)
            await agent.until(lambda: agent.source.acknowledged == ["t2"])
            assert agent.source.asked_again == 1
        assert log.values() == [1, 2]
        assert [(gap.reason, gap.samples) for gap in log.gaps()] == [("disk_full", 2)]

    asyncio.run(main())


def test_a_full_spool_that_keeps_the_oldest_refuses_and_announces(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        log.away = True
        config = fed_config(tmp_path, 'drop = "newest"\nmax_bytes = "1MB"')
        async with running(config, log) as agent:
            lines = b"".join(b"%d\n" % value for value in range(100_000))
            for second in range(1, 7):
                agent.source.feed(lines, second)
            await agent.until(lambda: agent.agent.figures().get("acc.samples") == 600_000)
            await agent.until(lambda: agent.agent.publisher is not None and bool(agent.agent.publisher.waiting_for))
            log.away = False
            await agent.until(lambda: agent.agent.figures()["spool.backlog"] == 0)
            agent.source.feed(b"5\n", 8)
            await agent.until(lambda: log.values()[-1:] == [5])
        lost = sum(gap.samples for gap in log.gaps() if gap.reason == "spool_full")
        assert lost > 0
        assert len(log.values()) + lost == 600_001

    asyncio.run(main())


def test_without_a_clock_data_wait_and_say_so_and_come_dated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = [ClockState(False, "system")]
    monkeypatch.setattr("edge.agent.clock.system_clock", lambda trust: state[0])
    monkeypatch.setattr("edge.agent.clock.offset_ns", lambda: WALL)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n", 5)
            await agent.until(lambda: any("clock to be set" in line for line in agent.said))
            assert log.chunks() == []
            state[0] = ClockState(True, "system")
            await agent.until(lambda: len(log.chunks()) == 1)
            agent.source.feed(b"2\n", 6)
            await agent.until(lambda: len(log.chunks()) == 2)
        first, second = log.chunks()
        assert (first.t0_ns, first.clock and first.clock.source) == (WALL + 5 * S, "late")
        assert second.t0_ns == WALL + 6 * S
        assert first.recording != second.recording

    asyncio.run(main())


def test_two_agents_with_one_device_are_noticed_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.status.HEARTBEAT_S", 0.05)

    async def main() -> None:
        log = FlakyLog()
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        async with (
            running(fed_config(tmp_path / "one"), log) as one,
            running(fed_config(tmp_path / "two"), log, boot=2) as two,
        ):
            for agent, other in ((one, "020202020202"), (two, "010101010101")):
                await agent.until(lambda a=agent, o=other: any(o in line for line in a.said))  # type: ignore[misc]
                assert sum("another agent" in line for line in agent.said) == 1
        assert one.agent.clones.conflicts == 1

    asyncio.run(main())


def test_an_interruption_and_a_source_that_breaks_are_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.pipeline.RESTART_S", (0.01, 0.01))

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n2", 1)
            agent.source.items.put_nowait(Interruption("port_lost", 5 * S, WALL + 5 * S))
            agent.source.feed(b"3\n", 6)
            await agent.until(lambda: len(log.values()) == 2)
            agent.source.items.put_nowait(OSError("gone"))
            await agent.until(lambda: agent.source.closed == 1)
            agent.source.feed(b"4\n", 9)
            await agent.until(lambda: len(log.values()) == 3)
        assert log.values() == [1, 3, 4]
        assert {"torn", "port_lost", "source_failed"} <= {gap.reason for gap in log.gaps()}

    asyncio.run(main())


def test_a_loss_is_announced_while_it_lasts(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log, killed=True) as agent:
            agent.source.items.put_nowait(Arrival(b"1\n", time.monotonic_ns(), time.time_ns()))
            await agent.until(lambda: log.values() == [1])
            agent.source.missing = "port_lost"
            await agent.until(lambda: len(log.gaps()) >= 2)
        first, second = log.gaps()[:2]
        before = log.records()[: log.records().index(first)]
        heard_ns = max([record.complete_to_ns for record in before if isinstance(record, Progress)], default=0)
        begin_ns = max(log.chunks()[0].t0_ns + 1, heard_ns)  # a tick may have come before it was missing
        assert (first.reason, first.start_ns, first.samples) == ("port_lost", begin_ns, -1)
        assert (second.reason, second.start_ns) == ("port_lost", first.end_ns)

    asyncio.run(main())


def test_a_loss_is_announced_up_to_the_end_that_a_stop_makes(tmp_path: Path) -> None:
    async def main() -> None:
        log, path = FlakyLog(), fed_config(tmp_path)
        path.write_text(path.read_text().replace("20ms", "60s"))
        async with running(path, log) as agent:
            agent.source.items.put_nowait(Arrival(b"1\n", time.monotonic_ns(), time.time_ns()))
            await agent.until(lambda: agent.agent.figures().get("acc.samples") == 1)
            agent.source.missing = "port_lost"
            await asyncio.sleep(0.05)
        *_, gap, end = [record for record in log.records() if isinstance(record, Gap | RecordingEnd)]
        assert isinstance(gap, Gap)
        assert isinstance(end, RecordingEnd)
        assert (gap.reason, gap.start_ns, gap.end_ns) == ("port_lost", log.chunks()[0].t0_ns + 1, end.end_ns)
        assert gap.end_ns - gap.start_ns >= 50_000_000

    asyncio.run(main())


def test_a_source_that_cannot_work_ends_the_agent_with_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.items.put_nowait(PermanentError("no such register"))
            await agent.until(lambda: any("no such register" in line for line in agent.said))

    with pytest.raises(PermanentError, match="fed: no such register"):
        asyncio.run(main())


def test_live_shows_the_newest_thinned_while_a_backlog_drains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.publisher.LIVE_LAG_S", 0.0)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"".join(b"%d\n" % value for value in range(100)), 1)
            await agent.until(lambda: bool(log.records(LIVE)))
        (shown,) = [record for record in log.records(LIVE) if isinstance(record, Chunk)]
        assert shown.count <= 10 < 100 == len(log.values())

    asyncio.run(main())


def test_a_file_that_ends_ends_the_agent(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n", 1)
            agent.source.items.put_nowait(None)
            await agent.until(lambda: any(isinstance(record, RecordingEnd) for record in log.records()))
        ends = [record.reason for record in log.records() if isinstance(record, RecordingEnd)]
        assert ends == ["end_of_file"]

    asyncio.run(main())


def test_nothing_passes_a_gap_that_was_not_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = Queue.commit, [False]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        if full[0]:
            raise StoreFullError("spool: No space left on device")
        real(queue, entries)

    monkeypatch.setattr(Queue, "commit", commit)
    monkeypatch.setattr("edge.agent.unwritten.UNWRITTEN_BYTES", 100)

    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            agent.source.feed(b"1\n", 1)
            await agent.until(lambda: len(log.values()) == 1)
            full[0] = True
            agent.source.feed(b"2\n", 2)
            await agent.until(lambda: agent.agent.figures()["spool.refused_samples"] == 1)
            agent.source.items.put_nowait(None)
            await agent.until(lambda: agent.agent.pipelines[0].ended)
            full[0] = False
        names = [type(record).__name__ for record in log.records()]
        assert names.index("Gap") < names.index("RecordingEnd")
        assert names[-1] == "RecordingEnd"
        assert sum(gap.samples for gap in log.gaps()) == 1

    asyncio.run(main())


@pytest.mark.parametrize("comes_back", [False, True])
def test_what_no_disk_took_up_to_the_end_is_said_and_the_next_start_says_how_far_this_one_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    """`comes_back`: for what is small, for the last try. Then the gap is in the log, with its number.
    What is fed comes at the agent's own time: where that passes, it looks how far it is."""
    real, is_full, tries = Queue.commit, [False], [0]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        tries[0] += last
        if is_full[0] and queue.folder.name == "readings" and not (comes_back and tries[0] > 25):
            raise StoreFullError("spool: No space left on device")
        real(queue, entries, last=last)

    monkeypatch.setattr(Queue, "commit", commit)
    monkeypatch.setattr("edge.agent.agent.FAREWELL_S", 2.0)
    config = fed_config(tmp_path)

    async def first(log: FlakyLog) -> None:
        async with running(config, log) as agent:
            agent.source.feed(b"1\n2\n", time.monotonic())
            await agent.until(lambda: len(log.values()) == 2)
            is_full[0] = True
            agent.source.feed(b"3\n4\n5\n", time.monotonic())
            await agent.until(lambda: agent.agent.figures()["acc.samples"] == 5)

    async def main() -> None:
        log = FlakyLog()
        with pytest.raises(UnwrittenError, match=r"spool: 3 samples could not be written and are lost: fed 3; .*free"):
            await first(log)
        if comes_back:
            assert [(gap.samples, gap.reason) for gap in log.gaps()] == [(3, "disk_full")]
        is_full[0] = False
        async with running(config, log, boot=2) as agent:
            agent.source.feed(b"6\n", time.monotonic())
            await agent.until(lambda: 6 in log.values())
        ends = [record for record in log.records() if isinstance(record, RecordingEnd)]
        *_, start = [record for record in log.records() if isinstance(record, RecordingStart)]
        assert ends[0].reason == ("stopped" if comes_back else "agent_died")
        assert start.previous_boot == bytes([1]) * 16
        assert ends[0].end_ns <= start.previous_reach_ns < start.start_ns
        assert log.values() == [1, 2, 6]

    asyncio.run(main())


def test_a_spool_that_is_deleted_is_made_anew_and_that_is_said_once(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            for number in range(1, 6):
                agent.source.feed(b"%d\n" % number, number)
                await agent.until(lambda: len(log.values()) == number)  # noqa: B023 - it is waited for here
                if number == 2:
                    shutil.rmtree(tmp_path / "spool", ignore_errors=True)
        assert log.values() == [1, 2, 3, 4, 5]
        told = [line for line in agent.said if "somebody deleted or replaced this folder" in line]
        assert len([line for line in told if "readings" in line]) == 1
        assert len(agent.said) <= len(told) + 2
        assert (tmp_path / "spool" / "format").exists()

    asyncio.run(main())


def test_marks_that_a_full_disk_leaves_in_memory_are_bounded_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agent.committer.MARKS_KEPT", 3)
    spool = Spool(tmp_path / "spool", SpoolLimits())
    real, is_full = Queue.commit, [True]

    def commit(queue: Queue, entries: list[Entry], *, last: bool = False) -> None:
        if is_full[0]:
            raise StoreFullError("spool: No space left on device")
        real(queue, entries)

    class Rules:
        def feed(self, entries: list[Entry], now_ns: int) -> list[Entry]:
            return entries

    monkeypatch.setattr(Queue, "commit", commit)

    async def main() -> None:
        marker = Marker(spool, Rules(), [])  # type: ignore[arg-type]
        await marker.see([Entry(b"mpump", b"%d" % number) for number in range(5)])
        is_full[0] = False
        await marker.see([Entry(b"mpump", b"5")])

    asyncio.run(main())
    assert spool.urgent.stats.dropped_records == {"rule marks": 2}
    batch = spool.urgent.read()
    assert batch is not None
    assert batch.values == [b"2", b"3", b"4", b"5"]
    spool.close()


def test_what_a_log_remarks_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        log = FlakyLog()
        async with running(fed_config(tmp_path), log) as agent:
            log.remarks = ("readings keeps records for 7 days only",)
            await agent.until(lambda: any("7 days only" in text for text in agent.said))
            log.remarks += ("marks are compacted",)
            await agent.until(lambda: any("marks are compacted" in text for text in agent.said))
            assert sum("7 days only" in text for text in agent.said) == 1

    asyncio.run(main())
