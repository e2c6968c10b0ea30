"""A queue of the spool: full disks, its bound for every kind of record, folders that somebody deletes."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge.spool import closed as closed_module
from edge.spool import limits as limits_module
from edge.spool.closed import ClosedSegments
from edge.spool.draining import DAMAGE, Drain
from edge.spool.entries import MARK, STATUS, end_of, identities, reading, urgent
from edge.spool.spool import Queue, SpoolLimits
from ingest import files
from ingest.errors import StoreFullError
from ingest.log.protocol import Entry
from ingest.records import Chunk, Gap, Heartbeat, MarkAdd, Progress, Record, RecordingEnd, RecordingStart
from ingest.wire import decode
from tests.edge.spool.spooling import BOOT, SECOND, T0, accounted, chunk, entry, quick, read_all
from tests.support.syncs import Syncs

__all__ = ["quick"]
SMALL = SpoolLimits(max_bytes=64_000)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spools a sixteenth as great as the smallest that may be."""
    monkeypatch.setattr(limits_module, "SEGMENT_BYTES", (4_000, 4_000_000))


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A tmpfs; False where nobody may mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


class NarrowDisk:
    """Refuses what would make the files of a folder greater than `room` bytes, as a full disk does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, room: int) -> None:
        self.room = room
        self._folder = folder
        pwrite, fsync, fallocate = os.pwrite, os.fsync, os.posix_fallocate

        def limited_pwrite(fd: int, data: bytes, position: int) -> int:
            self._check(max(0, position + len(data) - os.fstat(fd).st_size))
            return pwrite(fd, data, position)

        def limited_fsync(fd: int) -> None:
            self._check(0)
            fsync(fd)

        def limited_fallocate(fd: int, offset: int, size: int) -> None:
            self._check(size)
            fallocate(fd, offset, size)

        monkeypatch.setattr(os, "pwrite", limited_pwrite)
        monkeypatch.setattr(os, "fsync", limited_fsync)
        monkeypatch.setattr(os, "posix_fallocate", limited_fallocate)

    def _check(self, more: int) -> None:
        taken = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        if taken + more > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(queue: Queue, count: int = 300) -> int:
    """Commit until the disk is full; how many seconds of samples there are."""
    seq = 0
    with contextlib.suppress(StoreFullError):
        while True:
            queue.commit([entry(seq, count), identities([seq.to_bytes(8, "big")])])
            seq += 1
    return seq


def check_it_works_again(queue: Queue, folder: Path, count: int, limits: SpoolLimits) -> None:
    """Once the log has all, commits succeed, for ever; and the next start knows what it must."""
    committed = seq = fill(queue, count)
    assert [record.seq for record in read_all(queue) if isinstance(record, Chunk)] == list(range(committed))
    for _ in range(3):
        queue.acknowledge(2 * seq)
        for _ in range(committed // 2):
            queue.commit([entry(seq, count), identities([seq.to_bytes(8, "big")])])
            seq += 1
        assert len(read_all(queue)) == committed // 2
    queue.acknowledge(2 * seq)
    queue.close()
    again = Queue(folder, limits)
    assert read_all(again) == []
    tail = again.tail()
    assert tail.devices["pump"].reach_ns == end_of(chunk(seq - 1, count))
    assert tail.devices["pump"].is_open
    assert {int.from_bytes(found, "big") for found in tail.identities[b""]} >= set(range(seq - 50, seq))
    again.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root; the test below meets the same refusals without")
@pytest.mark.parametrize("limits", [SpoolLimits(), SpoolLimits(max_bytes=20_000_000)], ids=["2 GB", "20 MB"])
def test_a_spool_on_a_full_disk_works_again_when_the_log_has_what_it_held(tmp_path: Path, limits: SpoolLimits) -> None:
    with small_disk(tmp_path / "small", "4m") as is_mounted:
        if not is_mounted:
            pytest.skip("nobody may mount here; the test below meets the same refusals without")
        folder = tmp_path / "small" / "q"
        check_it_works_again(Queue(folder, limits), folder, 5_000, limits)


def test_a_full_disk_is_freed_of_what_the_log_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "q", SpoolLimits())
    NarrowDisk(monkeypatch, tmp_path, sum(path.stat().st_size for path in (tmp_path / "q").iterdir()) + 300_000)
    check_it_works_again(queue, tmp_path / "q", 1_000, SpoolLimits())


def test_what_the_log_has_not_is_not_given_up_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    NarrowDisk(monkeypatch, tmp_path, 30_000)
    committed = fill(queue)
    queue.acknowledge(2 * (committed // 2))
    is_full = False
    for seq in range(committed, 2 * committed):
        try:
            queue.commit([entry(seq, 300)])
        except StoreFullError:
            is_full = True
    assert is_full
    queue.rewind()
    seqs = [record.seq for record in read_all(queue) if isinstance(record, Chunk)]
    assert seqs[: committed - committed // 2] == list(range(committed // 2, committed))
    queue.close()


def test_the_last_commit_may_take_what_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    NarrowDisk(monkeypatch, tmp_path, 20_000)
    seq = fill(queue)
    with pytest.raises(StoreFullError):
        queue.commit([entry(seq, 300)])
    queue.commit([entry(seq, 300)], last=True)
    queue.close()
    again = Queue(tmp_path / "q", SMALL)
    assert [record.seq for record in read_all(again) if isinstance(record, Chunk)] == list(range(seq + 1))
    again.close()


def test_a_commit_that_is_there_does_not_raise_where_the_bound_cannot_be_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was reported as failed, and committed again: each sample twice."""
    queue, real = Queue(tmp_path / "q", SMALL), files.write_synced

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(closed_module, "write_synced", full)
    for seq in range(80):
        queue.commit([entry(seq, 500)])
    assert "cannot be kept within its bound" in queue.trouble
    assert "No space left on device" in queue.trouble
    assert not list((tmp_path / "q").glob("*.tmp"))
    assert queue.size_bytes > SMALL.max_bytes
    monkeypatch.setattr(closed_module, "write_synced", real)
    queue.commit([entry(80, 500)])
    assert not queue.trouble
    assert queue.size_bytes <= SMALL.max_bytes
    found = read_all(queue)
    assert accounted(found) == 81 * 500
    seqs = [record.seq for record in found if isinstance(record, Chunk)]
    assert seqs == list(range(seqs[0], 81))
    queue.close()


# --- interrupted swaps


def test_a_swap_that_is_interrupted_anywhere_is_ended_or_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every state of the folder between two steps, as a kill leaves it: no sample twice, none lost."""
    folder, states = tmp_path / "q", list[Path]()
    queue = Queue(folder, SMALL)
    for seq in range(0, 500, 5):
        queue.commit([entry(at) for at in range(seq, seq + 5)])
    committed = 500

    def noted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **more: object) -> object:
            if queue.size_bytes > SMALL.max_bytes - 3_000:
                states.append(Path(shutil.copytree(folder, tmp_path / f"state-{len(states)}")))
            return real(*args, **more)

        return step

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", noted(Path.replace))
        patched.setattr(Path, "unlink", noted(Path.unlink))
        patched.setattr(closed_module, "sync_folder", noted(files.sync_folder))
        while len(states) < 24:
            queue.commit([entry(at) for at in range(committed, committed + 5)])
            committed += 5
    queue.close()
    leftovers = set[str]()
    for state in states:
        leftovers |= {path.suffix for path in state.iterdir()} - {".log", ""}
        again = Queue(state, SMALL)
        found = read_all(again)
        assert accounted(found) % (5 * 100) == 0
        chunks = [record.seq for record in found if isinstance(record, Chunk)]
        assert chunks == list(range(chunks[0], chunks[-1] + 1))
        assert accounted(found) == (chunks[-1] + 1) * 100
        assert {path.suffix for path in state.iterdir()} == {".log", ""}
        again.close()
    assert leftovers == {".tmp", ".condensed"}


def test_a_condensed_segment_is_durable_before_it_takes_another_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    seq = 0
    while queue.stats.dropped_chunks == 0:
        if queue.size_bytes > SMALL.max_bytes - 4_000:
            syncs = Syncs(monkeypatch)
        queue.commit([entry(at) for at in range(seq, seq + 5)])
        seq += 5
    monkeypatch.undo()
    done = syncs.take()
    whole = next(step[2] for step in done if step[:2] == ("replace", "condensed.tmp"))
    at = done.index(("fsync", "condensed.tmp"))
    assert done[at : at + 3] == [("fsync", "condensed.tmp"), ("replace", "condensed.tmp", whole), ("fsync", "q")]
    first = f"{int(whole.partition('-')[0]):020d}.log"
    end = done.index(("replace", whole, first))
    assert all(step[0] == "unlink" for step in done[at + 3 : end])
    assert done[end + 1] == ("fsync", "q")
    queue.close()


# --- the bound, for every kind of record


def gaps_of_a_second(second: int, boot: bytes = BOOT) -> list[Entry]:
    """Of four unplugged sensors."""
    at = T0 + second * SECOND
    return [
        found
        for stream in ("acc", "gyro", "mag", "temp")
        for found in (
            reading("pump", Gap("pump", "r", stream, boot, at - SECOND, at, -1, "port_lost")),
            reading("pump", Progress("pump", "r", stream, boot, at)),
        )
    ]


def recording_of_a_second(second: int) -> list[Entry]:
    """A loose wire: noise begins a recording that ends at once."""
    at, name = T0 + second * SECOND, f"r{second}"
    records: list[Record] = [
        RecordingStart("pump", name, BOOT, at, "restart"),
        Gap("pump", name, "acc", BOOT, at, at + 1, 1, "columns"),
        RecordingEnd("pump", name, BOOT, at + 1, "silence"),
    ]
    return [reading("pump", record) for record in records]


def mark(number: int, tool: str = "rule") -> Entry:
    at = T0 + number * SECOND
    return urgent(MARK, "pump", MarkAdd("pump", f"{number:032x}", at, at, "high", "rules", tool, evidence={"x": 0.5}))


def beat(number: int) -> Entry:
    return urgent(STATUS, "pump", Heartbeat("pump", "a", BOOT, number, {f"figure {n}": 0.5 for n in range(20)}))


KINDS: dict[str, Callable[[int], list[Entry]]] = {
    "gaps": gaps_of_a_second,
    "gaps of many boots": lambda second: gaps_of_a_second(second, (second // 20).to_bytes(16, "big")),
    "recordings": recording_of_a_second,
    "marks": lambda second: [mark(4 * second + n) for n in range(4)],
    "status": lambda second: [beat(second)],
    "unreadable": lambda second: [Entry(b"rpump", b"\xff" * 200)],
    "descriptions": lambda second: [Entry(b"s" + b"0123456789abcdef", b"described" * 20)],
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_holds_for_every_kind_of_record_and_a_commit_costs_the_same_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    read_bytes, real = [0], ClosedSegments.read

    def counted(closed: ClosedSegments, group: list[closed_module.Closed]) -> object:
        read_bytes[0] += sum(item.size for item in group)
        return real(closed, group)

    monkeypatch.setattr(ClosedSegments, "read", counted)
    queue, taken, costs = Queue(tmp_path / "q", SMALL), 0, list[float]()
    for second in range(1_500):
        queue.commit(KINDS[kind](second))
        taken = max(taken, sum(path.stat().st_size for path in (tmp_path / "q").iterdir()) if second % 50 == 0 else 0)
        if second % 500 == 499:
            costs.append(read_bytes[0])
            read_bytes[0] = 0
    assert taken <= SMALL.max_bytes + 1_000
    assert costs[-1] <= 1.2 * costs[-2] + SMALL.segment_bytes
    assert costs[-1] <= 2 * queue.stats.payload_bytes, "of three parts: what is read again is bounded"
    assert len(list((tmp_path / "q").glob("*.log"))) < 50
    queue.close()


@pytest.mark.usefixtures("quick")
def test_an_outage_is_one_growing_gap_for_each_stream(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    for second in range(800):
        queue.commit(gaps_of_a_second(second))
    gaps = [record for record in read_all(queue) if isinstance(record, Gap) and record.stream == "acc"]
    assert gaps[0].start_ns == T0 - SECOND
    assert all(before.end_ns == after.start_ns for before, after in itertools.pairwise(gaps))
    assert gaps[-1].end_ns == T0 + 799 * SECOND
    assert {gap.samples for gap in gaps} == {-1}
    assert gaps[0].end_ns - gaps[0].start_ns > 300 * SECOND
    queue.close()


@pytest.mark.usefixtures("quick")
def test_people_are_kept_before_rules_and_rules_before_status(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    people = 0
    for number in range(1_200):
        is_persons = number % 100 == 0
        people += is_persons
        queue.commit([beat(number), mark(number, "button" if is_persons else "rule")])
    found = [decode(value) for batch in iter(queue.read, None) for value in batch.values]
    marks = [record for record in found if isinstance(record, MarkAdd)]
    dropped = queue.stats.dropped_records
    assert sum(record.tool == "button" for record in marks) == people
    assert len(marks) + dropped["rule marks"] == 1_200
    assert sum(isinstance(record, Heartbeat) for record in found) + dropped["status"] == 1_200
    assert (dropped["rule marks"] > 0, dropped["status"] > 0, dropped["marks"]) == (True, True, 0)
    queue.close()


def test_where_nothing_else_is_left_people_s_marks_and_recordings_go_too(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    for number in range(400):
        queue.commit([mark(number, "button"), *recording_of_a_second(number)])
    assert queue.size_bytes <= SMALL.max_bytes
    found = [decode(value) for batch in iter(queue.read, None) for value in batch.values]
    dropped = queue.stats.dropped_records
    assert sum(isinstance(record, MarkAdd) for record in found) + dropped["marks"] == 400
    assert sum(isinstance(record, RecordingEnd) for record in found) + dropped["recordings"] == 400
    assert dropped["recordings"] > dropped["marks"] > 0
    assert isinstance(found[-1], RecordingEnd)
    queue.close()


def test_the_newest_go_where_the_oldest_are_to_stay(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SpoolLimits(max_bytes=64_000, drop="newest"))
    for seq in range(0, 500, 5):
        queue.commit([entry(at) for at in range(seq, seq + 5)])
    found = read_all(queue)
    assert accounted(found) == 500 * 100
    assert found[:100] == [chunk(seq) for seq in range(100)]
    queue.close()


# --- what is read, and what is acknowledged


def test_no_sample_is_both_delivered_and_announced_when_its_segment_is_condensed(tmp_path: Path) -> None:
    """What is being read is condensed under the reader, in the middle of a segment."""
    queue, delivered, seq = Queue(tmp_path / "q", SMALL), list[Record](), 0
    for seq in range(0, 50, 5):
        queue.commit([entry(at) for at in range(seq, seq + 5)])
    seq = 50
    for turn in range(60):
        batch = queue.read() if turn % 7 == 0 else None
        if batch is not None:
            delivered += [decode(bytes(value)) for value in batch.values]
        for _ in range(5):
            queue.commit([entry(at, 120) for at in range(seq, seq + 5)])
            seq += 5
    assert queue.stats.dropped_chunks
    delivered += read_all(queue)
    assert accounted(delivered) == 50 * 100 + (seq - 50) * 120
    seqs = [record.seq for record in delivered if isinstance(record, Chunk)]
    assert len(seqs) == len(set(seqs))
    queue.close()


def test_a_segment_that_is_condensed_while_it_is_read_is_read_on_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "SEGMENT_BYTES", (64_000, 4_000_000))  # what is read goes on in its segment
    queue, seq = Queue(tmp_path / "q", SMALL), 10
    queue.commit([entry(at, 120) for at in range(seq)])
    begun = queue.read()
    assert begun is not None
    assert len(begun.values) == seq
    for _ in range(100):
        queue.commit([entry(at, 120) for at in range(seq, seq + 5)])
        seq += 5
    batch = queue.read()
    assert batch is not None
    rest = [decode(bytes(value)) for value in batch.values] + read_all(queue)
    dropped = sum(record.samples for record in rest if isinstance(record, Gap))
    delivered = sum(record.count for record in rest if isinstance(record, Chunk))
    assert dropped == queue.stats.dropped_samples
    assert dropped + delivered == (seq - 10) * 120
    queue.close()


def test_a_mark_that_lies_beyond_the_end_is_not_believed(tmp_path: Path) -> None:
    """It is another spool's: what lies here would never be published."""
    mine, other = Queue(tmp_path / "mine", SMALL), Queue(tmp_path / "other", SMALL)
    for seq in range(20):
        other.commit([entry(seq)])
        mine.commit([entry(seq)]) if seq < 5 else None
    read_all(other)
    other.acknowledge(20)
    for queue in (mine, other):
        queue.close()
    shutil.copy(tmp_path / "other" / "acknowledged", tmp_path / "mine" / "acknowledged")
    again = Queue(tmp_path / "mine", SMALL)
    assert (again.backlog, len(read_all(again))) == (5, 5)
    again.close()


def test_a_commit_is_fsynced_and_a_new_segment_has_a_durable_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue(tmp_path / "q", SMALL)
    queue.commit([entry(0)])
    syncs = Syncs(monkeypatch)
    queue.commit([entry(1)])
    assert syncs.take() == [("fsync", f"{0:020d}.log")], "one fsync a commit"
    queue.commit([entry(seq) for seq in range(2, 40)])
    assert syncs.take() == [("fsync", f"{0:020d}.log"), ("fsync", "q"), ("fsync", f"{2:020d}.log")]
    queue.close()


# --- folders that somebody deletes


@pytest.mark.parametrize("how", ["deleted", "emptied", "moved", "segments deleted", "open segment deleted"])
def test_a_folder_that_is_deleted_is_made_anew_with_what_is_still_open(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "q"
    queue = Queue(folder, SMALL)
    for seq in range(5):
        queue.commit([entry(seq)])
    if how == "deleted":
        shutil.rmtree(folder)
    elif how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        for path in folder.iterdir() if how == "emptied" else folder.glob("*.log"):
            path.unlink()
    queue.commit([entry(5)])
    assert queue.renewals == ("segment" not in how)
    assert queue.stats.lost_records == 0
    assert read_all(queue) == [chunk(seq) for seq in range(6)]
    queue.acknowledge(3)
    queue.close()
    again = Queue(folder, SMALL)
    assert read_all(again) == [chunk(seq) for seq in range(3, 6)]
    again.close()


def test_what_is_lost_with_a_deleted_folder_is_counted_and_announced(tmp_path: Path) -> None:
    folder, drain = tmp_path / "q", Drain(b"k" * 16)
    queue = Queue(folder, SMALL)
    queue.commit([entry(0)])
    batch = queue.read()
    assert batch is not None
    drain.plan(batch, {})
    queue.acknowledge(1)
    for seq in range(1, 61):
        queue.commit([entry(seq)])
    assert len(list(folder.glob("*.log"))) > 1
    shutil.rmtree(folder)
    assert queue.read() is not None, "who reads makes it anew as well"
    queue.rewind()
    queue.commit([entry(61)])
    batches = list(iter(queue.read, None))
    steps = [step for batch in batches for step in drain.plan(batch, {}).steps]
    records = [decode(found.value) for step in steps for found in step.entries]
    gap, *chunks = records
    seqs = [record.seq for record in chunks if isinstance(record, Chunk)]
    assert queue.stats.lost_records == seqs[0] - 1 > 0
    assert seqs == list(range(seqs[0], 62))
    assert isinstance(gap, Gap)
    assert (gap.reason, gap.start_ns, gap.end_ns) == (DAMAGE, chunk(1).t0_ns, chunk(seqs[0]).t0_ns)
    queue.close()


def test_thinning_twice_forgets_no_sample(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", SpoolLimits(max_bytes=64_000, drop="thin"))
    for seq in range(0, 450, 5):
        queue.commit([replace_missing(at) for at in range(seq, seq + 5)])
    found = read_all(queue)
    assert accounted(found) == 450 * 103
    assert min(record.count for record in found if isinstance(record, Chunk)) <= 25
    queue.close()


def replace_missing(seq: int) -> Entry:
    return reading("pump", replace(chunk(seq), missing=3, missing_reason="line"))


def test_segments_that_were_closed_early_are_not_the_whole_story(tmp_path: Path) -> None:
    """A full disk closes segments that have hardly begun: who may come again was known no more."""
    queue = Queue(tmp_path / "q", SpoolLimits())
    for number in range(5):
        queue.commit([entry(number), identities([number.to_bytes(8, "big")])])
        queue._close_open_one()
        read_all(queue)
        queue.acknowledge(2 * number + 2)
    assert [int.from_bytes(found, "big") for found in queue.tail().identities[b""]] == list(range(5))
    queue.close()
