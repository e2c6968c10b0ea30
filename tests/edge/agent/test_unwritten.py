from __future__ import annotations

import pytest

from edge.agent.unwritten import Unwritten, Write
from edge.recording.terms import Held
from edge.spool.entries import IDENTITIES, SEEN, Identities, key_of
from ingest.log.protocol import Entry
from ingest.records import Chunk, Gap, Progress, RecordingEnd, RecordingStart
from ingest.wire import decode

BOOT, KERNEL = b"\1" * 16, b"\2" * 16
START = RecordingStart("pump", "r", BOOT, 0, "start")
CHUNK = Chunk("pump", "r", "acc", BOOT, 0, b"s", 0, 10, 1, 0, 0, b"", 4, b"12345678")
PROGRESS = Progress("pump", "r", "acc", BOOT, 40)
END = RecordingEnd("pump", "r", BOOT, 40, "stopped")


def unwritten(first: list[Entry] | None = None) -> tuple[Unwritten, Identities]:
    identities = Identities()
    return Unwritten(first or [], identities, KERNEL), identities


def fresh(held: Unwritten, *records: RecordingStart | Chunk | Progress | RecordingEnd) -> list[Write]:
    return [held.write(Held(record, held=False)) for record in records]


def found(writes: list[Write]) -> list[object]:
    return [decode(write.entry.value) for write in writes if not write.entry.key.startswith(IDENTITIES)]


def test_what_comes_first_goes_first_and_once() -> None:
    held, _ = unwritten([Entry(b"s", b"described")])
    writes = held.collect(fresh(held, START), is_full=False)
    assert writes[0].entry.value == b"described"
    held.written()
    assert held.collect([], is_full=False) == []


def test_identities_go_with_their_data() -> None:
    held, identities = unwritten()
    identities.note("s", b"one")
    writes = held.collect(fresh(held, CHUNK), is_full=False)
    assert [key_of(write.entry.key).kind for write in writes] == [b"r", IDENTITIES]


def test_what_samples_are_known_by_goes_with_them_and_is_forgotten_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    held, identities = unwritten()
    assert not identities.repetitions("s").is_known(("node", 1))
    writes = held.collect(fresh(held, START, CHUNK), is_full=False)
    assert [key_of(write.entry.key).kind for write in writes] == [b"r", b"r", SEEN]
    assert held.keep(writes, "disk_full")
    assert [key_of(write.entry.key).kind for write in held.collect([], is_full=False)] == [b"r", b"r", SEEN]
    monkeypatch.setattr("edge.agent.unwritten.UNWRITTEN_BYTES", 10)
    assert not held.keep(writes, "disk_full")
    left = held.collect([], is_full=False)
    assert [key_of(write.entry.key).kind for write in left] == [b"r", b"r"]
    assert not identities.repetitions("s").is_known(("node", 1))


def test_what_the_disk_refused_is_kept_in_front_of_what_is_new() -> None:
    held, _ = unwritten()
    writes = held.collect(fresh(held, START, CHUNK), is_full=False)
    assert held.keep(writes, "disk_full")
    assert found(held.collect(fresh(held, PROGRESS), is_full=False)) == [START, CHUNK, PROGRESS]


def test_beyond_its_memory_chunks_become_a_gap_and_what_is_delivered_again_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.agent.unwritten.UNWRITTEN_BYTES", 10)
    held, identities = unwritten()
    identities.note("s", b"one")
    assert not held.keep(held.collect(fresh(held, START, CHUNK, PROGRESS), is_full=False), "disk_full")
    assert not identities.is_known("s", b"one")
    assert held.refused_samples == 4
    left = found(held.collect(fresh(held, END), is_full=False))
    assert left == [START, Gap("pump", "r", "acc", BOOT, 0, 40, 4, "disk_full"), END]


def test_a_full_spool_takes_no_chunk_and_no_progress_and_an_end_only_behind_the_gap() -> None:
    held, _ = unwritten()
    writes = held.collect(fresh(held, START, CHUNK, PROGRESS, END), is_full=True)
    assert found(writes) == [START, Gap("pump", "r", "acc", BOOT, 0, 40, 4, "spool_full"), END]


def test_what_waits_for_the_clock_names_the_kernels_boot() -> None:
    held, _ = unwritten()
    write = held.write(Held(CHUNK, held=True))
    assert key_of(write.entry.key).kernel_boot == KERNEL
