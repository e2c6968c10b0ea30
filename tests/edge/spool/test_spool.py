"""The spool against power cuts, bit flips, full disks and its own bounds."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.errors import SpoolBusyError, SpoolFormatError
from edge.spool.draining import DAMAGE, Drain
from edge.spool.entries import identities
from edge.spool.spool import FORMAT, Queue, Spool, SpoolLimits
from ingest.errors import CorruptError, StoreFullError, UsageError
from ingest.log.protocol import Entry
from ingest.log.segments.head import Head
from ingest.log.segments.partition import Partition
from ingest.log.segments.segment import HEADER, frames
from ingest.records import Chunk, Gap
from ingest.wire import decode
from tests.edge.spool.spooling import accounted, chunk, entry, quick, read_all

__all__ = ["quick"]
SMALL = SpoolLimits(max_bytes=1_000_000)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    opened = Queue(tmp_path / "q", SMALL)
    yield opened
    opened.close()


def reopened(queue: Queue, folder: Path, limits: SpoolLimits = SMALL) -> Queue:
    queue.close()
    return Queue(folder, limits)


def test_what_was_committed_is_read_in_order_until_it_is_acknowledged(tmp_path: Path, queue: Queue) -> None:
    for seq in range(0, 10, 2):
        queue.commit([entry(seq), entry(seq + 1)])
    assert read_all(queue) == [chunk(seq) for seq in range(10)]
    assert queue.read() is None
    queue.acknowledge(4)
    assert queue.backlog == 6
    again = Queue(tmp_path / "q", SMALL)
    assert read_all(again) == [chunk(seq) for seq in range(4, 10)]
    again.close()


def test_acknowledged_segments_are_deleted_but_the_newest_story_stays(tmp_path: Path) -> None:
    limits = SpoolLimits(max_bytes=10_000_000)
    queue = Queue(tmp_path / "q", limits)
    for seq in range(0, 10_000, 100):
        queue.commit([entry(at) for at in range(seq, seq + 100)])
    before = queue.size_bytes
    read_all(queue)
    queue.acknowledge(10_000)
    assert queue.size_bytes < before / 2
    assert queue.size_bytes <= 2 * limits.segment_bytes
    assert queue.tail().devices["pump"].reach_ns == chunk(10_000).t0_ns
    queue.close()


def test_what_may_be_delivered_again_is_known_also_where_a_segment_has_just_begun(queue: Queue) -> None:
    for number in range(150):
        queue.commit([entry(number, 1000), identities([number.to_bytes(8, "big")])])
        while queue.read() is not None:
            pass
        queue.acknowledge(2 * number + 2)
        known = {int.from_bytes(found, "big") for found in queue.tail().identities[b""]}
        assert known >= set(range(max(0, number - 25), number + 1))
    assert queue.size_bytes <= 2 * SMALL.segment_bytes


def test_two_agents_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", SMALL)
    with pytest.raises(SpoolBusyError, match="another agent"):
        Spool(tmp_path / "spool", SMALL)
    spool.close()
    Spool(tmp_path / "spool", SMALL).close()


def test_a_folder_of_a_newer_format_is_refused_and_one_without_a_format_is_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    Spool(folder, SMALL).close()
    file = folder / "format"
    assert file.read_text() == f"sensorloom spool, format {FORMAT}\n"
    file.unlink()
    Spool(folder, SMALL).close()
    assert file.read_text() == f"sensorloom spool, format {FORMAT}\n"
    file.write_text(f"sensorloom spool, format {FORMAT + 1}\n")
    with pytest.raises(SpoolFormatError, match="a newer sensorloom wrote it.* let that version empty it, or give"):
        Spool(folder, SMALL)
    file.write_text("nonsense")
    with pytest.raises(CorruptError, match="found 'nonsense', expected"):
        Spool(folder, SMALL)
    file.unlink()
    Spool(folder, SMALL).close()


def test_a_deleted_spool_is_held_again_against_others(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, SMALL)
    spool.readings.commit([entry(0)])
    shutil.rmtree(folder)
    spool.readings.commit([entry(1)])
    with pytest.raises(SpoolBusyError):
        Spool(folder, SMALL)
    spool.urgent.commit([Entry(b"tpump", b"status")])
    spool.close()
    again = Spool(folder, SMALL)
    assert read_all(again.readings) == [chunk(0), chunk(1)]
    assert again.urgent.backlog == 1
    again.close()


@pytest.mark.parametrize(("drop", "count"), [("oldest", 12_000), ("thin", 4000)])
def test_a_full_spool_stays_within_its_bound_and_loses_nothing_silently(tmp_path: Path, drop: str, count: int) -> None:
    limits = SpoolLimits(max_bytes=1_000_000, drop=drop)  # type: ignore[arg-type]
    queue = Queue(tmp_path / "q", limits)
    for seq in range(0, count, 50):
        queue.commit([entry(at) for at in range(seq, seq + 50)])
        assert queue.size_bytes <= limits.max_bytes
    queue = reopened(queue, tmp_path / "q", limits)
    found = read_all(queue)
    assert accounted(found) == count * 100
    chunks = [record for record in found if isinstance(record, Chunk)]
    assert chunks[-1] == chunk(count - 1)
    if drop == "oldest":
        assert [record.seq for record in chunks] == list(range(chunks[0].seq, count))
    else:
        assert [record.seq for record in chunks] == list(range(count))
        assert min(record.count for record in chunks) < 100
    queue.close()


def test_what_was_read_is_not_dropped_any_more(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    queue.commit([entry(seq) for seq in range(200)])
    first = read_all(queue)
    for seq in range(200, 12_000, 50):
        queue.commit([entry(at) for at in range(seq, seq + 50)])
    assert first == [chunk(seq) for seq in range(200)]
    assert accounted(first + read_all(queue)) == 12_000 * 100
    queue.close()


def test_old_data_go_but_a_clock_that_was_never_set_makes_nothing_old(tmp_path: Path) -> None:
    now = [50 * 365 * 86_400 * 10**9]
    limits = SpoolLimits(max_bytes=1_000_000, max_age_ns=3600 * 10**9)
    queue = Queue(tmp_path / "q", limits, lambda: now[0])
    queue.commit([entry(seq) for seq in range(500)])
    now[0] = 1_800_000_000 * 10**9
    queue.commit([entry(seq) for seq in range(500, 1000)])
    assert queue.stats.dropped_samples == 0
    now[0] += 2 * 3600 * 10**9
    for seq in range(1000, 2000, 100):
        queue.commit([entry(at) for at in range(seq, seq + 100)])
        now[0] += 600 * 10**9
    assert accounted(read_all(queue)) == 2000 * 100
    queue.close()


# --- power cuts and rot


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A queue of ten commits."""
    folder = tmp_path_factory.mktemp("written") / "q"
    queue = Queue(folder, SMALL)
    for seq in range(10):
        queue.commit([entry(seq, 8)])
    queue.close()
    return folder


def content(folder: Path) -> bytes:
    """The frames of the only segment, without what fills its last sector."""
    data = (folder / f"{0:020d}.log").read_bytes()
    return data[: max(frame.end for frame in frames(data, 0))]


def after_power_cut(folder: Path, target: Path, data: bytes, *, head: bool = False) -> Queue:
    """The queue as another kernel boot finds it: the segment has `data`, the head file is lost or stale."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    (target / f"{0:020d}.log").write_bytes(data)
    if not head:
        (target / "head").write_bytes(b"")
    return Queue(target, SMALL)


@pytest.mark.usefixtures("quick")
def test_every_truncation_point_leaves_whole_records_and_starts_unaided(written: Path, tmp_path: Path) -> None:
    data = content(written)
    size = len(data) // 10
    for cut in [*range(0, 6 * size, 7), *range(6 * size, len(data) + 1)]:
        queue = after_power_cut(written, tmp_path / "cut", data[:cut])
        found = read_all(queue)
        assert found == [chunk(seq, 8) for seq in range(cut // size)]
        queue.commit([entry(99, 8)])
        assert read_all(queue) == [chunk(99, 8)]
        queue.close()


@pytest.mark.usefixtures("quick")
def test_a_commit_is_whole_or_absent_at_every_truncation_point(tmp_path: Path) -> None:
    """A sample that is there without the identity of its message would come a second time."""
    queue = Queue(tmp_path / "q", SMALL)
    commits = [[entry(2 * n, 8), entry(2 * n + 1, 8), identities([b"%08d" % n])] for n in range(3)]
    sizes = [0]
    for commit in commits:
        queue.commit(commit)
        sizes.append(queue.size_bytes)
    queue.close()
    data = content(tmp_path / "q")
    assert sizes[-1] == len(data)
    for cut in range(len(data) + 1):
        queue = after_power_cut(tmp_path / "q", tmp_path / "cut", data[:cut])
        whole = sum(size <= cut for size in sizes) - 1
        assert read_all(queue) == [chunk(seq, 8) for seq in range(2 * whole)], cut
        assert queue.tail().identities.get(b"", []) == [b"%08d" % n for n in range(whole)], cut
        queue.commit([entry(99, 8)])
        assert read_all(queue) == [chunk(99, 8)]
        queue.close()


@pytest.mark.usefixtures("quick")
def test_a_commit_lies_in_one_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill between two segments leaves half of it."""
    queue, writes = Queue(tmp_path / "q", SMALL), []
    real = Partition._write

    def counted(partition: Partition, head: Head, data: bytes, count: int, now_ns: int) -> Head:
        writes.append(count)
        return real(partition, head, data, count, now_ns)

    monkeypatch.setattr(Partition, "_write", counted)
    for seq in range(0, 2000, 2):
        queue.commit([entry(seq, 300), entry(seq + 1, 300)])
    assert writes == [2] * 1000
    assert len(list((tmp_path / "q").glob("*.log"))) > 3
    queue.commit([entry(seq, 300) for seq in range(2000, 2400)])  # more than a segment
    assert writes[1000:] == [400]
    assert [record.seq for record in read_all(queue) if isinstance(record, Chunk)][-400:] == list(range(2000, 2400))
    queue.close()


def test_an_age_bound_minds_no_young_spool(tmp_path: Path) -> None:
    """With one segment there was nothing to look at, and the first commit broke."""
    queue = Queue(tmp_path / "q", SpoolLimits(max_age_ns=3600 * 10**9))
    queue.commit([entry(0)])
    assert read_all(queue) == [chunk(0)]
    queue.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("stale_head", [False, True])
def test_every_bit_flip_costs_one_record_and_is_counted(written: Path, tmp_path: Path, stale_head: bool) -> None:
    data = content(written)
    size = len(data) // 10
    # All bits of one frame's header and key, and one bit of every byte of the rest of it.
    first = 4 * size
    bits = [first * 8 + bit for bit in range((HEADER.size + 5) * 8)] + [
        8 * at + at % 8 for at in range(first, first + size)
    ]
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        queue = after_power_cut(written, tmp_path / "flip", bytes(flipped), head=stale_head)
        found = read_all(queue)
        assert found == [chunk(seq, 8) for seq in range(10) if seq != 4], bit
        assert queue.stats.damaged_records == 1
        queue.commit([entry(99, 8)])
        assert read_all(queue) == [chunk(99, 8)]
        queue.close()


def test_a_lost_or_damaged_mark_only_costs_repetition(written: Path, tmp_path: Path) -> None:
    for mark in (b"", b"\0" * 20, b"\xff" * 20):
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        shutil.copytree(written, tmp_path / "m")
        (tmp_path / "m/acknowledged").write_bytes(mark)
        queue = Queue(tmp_path / "m", SMALL)
        assert len(read_all(queue)) == 10
        queue.close()


# --- disks that take nothing


def test_a_full_disk_takes_all_or_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.commit([entry(0)])
    real = os.pwrite

    def full(fd: int, data: bytes, position: int) -> int:
        if len(data) > 300:
            real(fd, data[:100], position)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data, position)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreFullError):
        queue.commit([entry(seq) for seq in range(1, 20)])
    monkeypatch.undo()
    assert read_all(queue) == [chunk(0)]
    queue.commit([entry(seq) for seq in range(1, 20)])
    assert read_all(queue) == [chunk(seq) for seq in range(1, 20)]


def test_a_failed_fsync_takes_all_or_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    queue.commit([entry(0)])

    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Exception, match="Input/output error"):
        queue.commit([entry(1)])
    monkeypatch.undo()
    queue.commit([entry(1)])
    assert read_all(queue) == [chunk(0), chunk(1)]


def test_write_amplification_is_below_one_and_a_half(queue: Queue) -> None:
    for seq in range(200):
        queue.commit([entry(seq, 300)])  # as many bytes as three int16 axes at 100 Hz have in a second
        read_all(queue)
        queue.acknowledge(seq + 1)
    assert queue.stats.written_bytes < 1.5 * queue.stats.payload_bytes
    assert queue.stats.fsyncs == 200


# --- against a list


class SpoolMachine(RuleBasedStateMachine):
    """Commits, reads, acknowledgements, restarts, in any order: nothing is lost, nothing is out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.queue = Queue(self.folder / "q", SMALL)
        self.committed = 0
        self.read = 0
        self.acknowledged = 0

    @rule(count=st.integers(1, 300))
    def commit(self, count: int) -> None:
        self.queue.commit([entry(seq) for seq in range(self.committed, self.committed + count)])
        self.committed += count

    @rule()
    def take(self) -> None:
        batch = self.queue.read()
        if batch is None:
            assert self.read == self.committed
        else:
            assert list(batch.offsets) == list(range(self.read, batch.next_offset))
            self.read = batch.next_offset

    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        self.acknowledged += int((self.read - self.acknowledged) * share)
        self.queue.acknowledge(self.acknowledged)

    @rule()
    def rewind(self) -> None:
        self.queue.rewind()
        self.read = self.acknowledged

    @rule()
    def restart(self) -> None:
        self.queue.close()
        self.queue = Queue(self.folder / "q", SMALL)
        self.read = self.acknowledged

    @invariant()
    def backlog(self) -> None:
        assert self.queue.backlog == self.committed - self.acknowledged

    def teardown(self) -> None:
        self.queue.close()
        shutil.rmtree(self.folder)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.soak
class TestSpoolMachineForLong(SpoolMachine.TestCase):  # type: ignore[misc, valid-type]
    """The same, for long."""

    settings = settings(
        max_examples=1_000, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
    )


@given(st.binary(max_size=400))
@settings(max_examples=50)
def test_garbage_in_the_place_of_a_segment_is_stepped_over(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "q"
        Queue(folder, SMALL).close()
        (folder / f"{0:020d}.log").write_bytes(data)
        (folder / "head").write_bytes(b"")
        queue = Queue(folder, SMALL)
        assert read_all(queue) == []
        queue.commit([entry(1)])
        assert read_all(queue) == [chunk(1)]
        queue.close()


@settings(max_examples=25)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_rot_in_a_closed_segment_costs_one_record_and_is_announced(place: int, bit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "q"
        queue = Queue(folder, SMALL)
        for seq in range(0, 600, 50):
            queue.commit([entry(at) for at in range(seq, seq + 50)])
        queue.close()
        first, *others = sorted(folder.glob("*.log"))
        assert others
        data = bytearray(first.read_bytes())
        data[place % len(data)] ^= 1 << bit
        first.write_bytes(data)
        queue, drain = Queue(folder, SMALL), Drain(b"k" * 16)
        found = []
        while (batch := queue.read()) is not None:
            found += [decode(e.value) for step in drain.plan(batch, {}).steps for e in step.entries]
        chunks = [record for record in found if isinstance(record, Chunk)]
        missing = set(range(600)) - {record.seq for record in chunks}
        gaps = [record for record in found if isinstance(record, Gap)]
        assert (len(missing), queue.stats.damaged_records) == (1, 1)
        if missing != {0}:  # before the first, nobody knows what should be there
            assert [(gap.reason, gap.start_ns) for gap in gaps] == [(DAMAGE, chunk(missing.pop()).t0_ns)]
        queue.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="of root")
def test_root_leaves_nothing_in_another_users_spool(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    os.chown(folder, 65_534, 65_534)
    with pytest.raises(UsageError, match=r"spool: is nobody's, .* sudo -u nobody sensorloom …, or let the service"):
        Spool(folder, SpoolLimits())
    assert list(folder.iterdir()) == []
    os.chown(folder, 0, 0)
    Spool(folder, SpoolLimits()).close()
