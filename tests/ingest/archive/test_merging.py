"""Small outputs of an archive as one: what one seal would have written."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.archive.merging import ArchiveMerger
from ingest.archive.tables import TILES, read_table, record_values, rows_in
from ingest.engine.manifest import FileRef, sha256_of
from ingest.engine.operator import Draft
from ingest.records import Chunk
from ingest.wire import encode
from tests.ingest.archive.test_operator import acc, batch, begun, temp


def outputs(chunks: Sequence[Chunk]) -> list[tuple[FileRef, bytes]]:
    """The files of a seal for each chunk, by folder."""
    running, files = begun(), list[tuple[FileRef, bytes]]()
    for number, chunk in enumerate(chunks):
        running.feed(batch([chunk], first=2 * number))
        files += map(as_file, running.take(f"0-{number}").drafts)
    return sorted(files, key=lambda file: file[0].name.rpartition("/")[0])


def as_file(draft: Draft) -> tuple[FileRef, bytes]:
    data = b"".join(bytes(part) for part in draft.parts)
    return FileRef(draft.name, draft.sha256, draft.size, draft.rows), data


def with_room_for_null(ref: FileRef, data: bytes) -> tuple[FileRef, bytes]:
    """A file as it was written before its columns said that nothing is null there."""
    table = read_table(data)
    table = table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))
    file = io.BytesIO()
    pq.write_table(table, file)
    return FileRef(ref.name, sha256_of(file.getvalue()), len(file.getvalue()), ref.rows), file.getvalue()


def tiles_of(files: Sequence[tuple[FileRef, bytes]]) -> pa.Table:
    (table,) = (read_table(data) for ref, data in files if ref.name.startswith(TILES))
    return table


def test_a_level_that_one_output_lacks_is_in_none_that_they_are_merged_to() -> None:
    """A stream without a described rate: fine tiles of one hour alone would leave a hole where the others are."""
    fast, slow = list(range(500)), list(range(1_000_000, 1_500_000, 5000))
    files = outputs([temp(0, fast), temp(1, slow), acc(0), acc(1)])
    levels = [set(read_table(data)["level"].to_pylist()) for ref, data in files if ref.name.startswith(TILES)]
    merged = tiles_of([as_file(draft) for draft in ArchiveMerger().merge(files, "m")])
    found: dict[str, dict[int, int]] = {}
    for row in merged.select(["stream", "level", "samples", "channel"]).to_pylist():
        if not row["channel"]:
            by_level = found.setdefault(row["stream"], {})
            by_level[row["level"]] = by_level.get(row["level"], 0) + row["samples"]
    assert min(levels[0]) < min(levels[1]), "else this shows nothing"
    assert min(found["temp"]) == min(levels[1])
    assert set(found["temp"].values()) == {len(fast) + len(slow)}
    assert min(found["acc"]) == min(levels[2]), "another stream keeps what all outputs have of it"


def test_older_files_are_merged_with_newer_ones() -> None:
    chunks = [acc(0, "b"), temp(0, [0, 4], device="a"), acc(0, "a"), acc(1, "b"), temp(1, [8], device="a")]
    files = [with_room_for_null(*file) if number % 2 else file for number, file in enumerate(outputs(chunks))]
    merged = dict(file for file in ((ref.name, data) for ref, data in map(as_file, ArchiveMerger().merge(files, "m"))))
    (records,) = (name for name in merged if name.startswith("records/"))
    values = record_values(rows_in(read_table(merged[records])), merged.__getitem__)
    assert values == [encode(chunk) for chunk in chunks]
    assert len(merged) == 4, "records, tiles, and samples of two streams"
