"""The mutants of the embedded log: what is durable, and what a power cut or a full disk leaves."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_FILES: Final = "ingest/files.py"
_COMPACTION: Final = "ingest/log/segments/compaction.py"
_PARTITION: Final = "ingest/log/segments/partition.py"
_SEGMENT: Final = "ingest/log/segments/segment.py"
_RECOVERY: Final = "ingest/log/segments/recovery.py"
_INDEX: Final = "ingest/log/segments/index.py"
_T_INDEX: Final = "tests/ingest/log/test_index.py"
_T_QUEUE: Final = "tests/edge/spool/test_queue.py"
_T_PARTITION: Final = "tests/ingest/log/test_partition.py tests/ingest/log/test_partition_damage.py"

SEGMENTS: Final[list[Mutant]] = [
    # --- segments: each fsync
    Mutant(
        "rolls before the old segment is durable",
        _PARTITION,
        """                os.ftruncate(fd, head.position)
            os.fdatasync(fd)
""",
        """                os.ftruncate(fd, head.position)
""",
        _T_PARTITION,
    ),
    Mutant(
        "rolls to a segment whose name is not durable",
        _PARTITION,
        """        sync_folder(self.folder)
        return self._put(head._replace(base=base, position=0, durable=base, durable_position=0))
""",
        """        return self._put(head._replace(base=base, position=0, durable=base, durable_position=0))
""",
        _T_PARTITION,
    ),
    Mutant(
        "recovers to what is not durable",
        _PARTITION,
        "        os.fdatasync(self._active_fd(found.head.base))\n        sync_folder(self.folder)\n",
        "        sync_folder(self.folder)\n",
        _T_PARTITION,
    ),
    Mutant(
        "recovers to a name that is not durable",
        _PARTITION,
        "        os.fdatasync(self._active_fd(found.head.base))\n        sync_folder(self.folder)\n",
        "        os.fdatasync(self._active_fd(found.head.base))\n",
        _T_PARTITION,
    ),
    Mutant(
        "takes a copy's head for a bound of what was durable",
        _RECOVERY,
        "if old is not None and not (is_copy and _is_beginning(data, found)):",
        "if old is not None:",
        _T_PARTITION,
    ),
    Mutant(
        "takes every head for a copy's",
        _PARTITION,
        "is_copy = old is not None and old.is_copy(boot_id(), self._home)",
        "is_copy = old is not None",
        _T_PARTITION,
    ),
    Mutant(
        "takes a damaged end of a copy for a torn one",
        _RECOVERY,
        "bool(offset == found.next_offset and PREFIX_BYTES + length > len(rest))",
        "bool(offset == found.next_offset)",
        _T_PARTITION,
    ),
    Mutant(
        "forgets a segment whose last record is just young enough",
        _PARTITION,
        "self._begin_ns(after, head) < before_ns",
        "self._begin_ns(after, head) <= before_ns",
        _T_PARTITION,
    ),
    Mutant(
        "closes a segment whose last record is just young enough",
        _PARTITION,
        "head.position and head.append_ns < before_ns:",
        "head.position and head.append_ns <= before_ns:",
        _T_PARTITION,
    ),
    Mutant(
        "keeps a segment more than the bound",
        _PARTITION,
        "total - size < keep_bytes",
        "total - size <= keep_bytes",
        _T_PARTITION,
    ),
    Mutant(
        "keeps a segment that ends where it is trimmed",
        _PARTITION,
        "if after <= before]",
        "if after < before]",
        _T_PARTITION,
    ),
    Mutant(
        "takes a record that is a byte too long for a segment",
        _SEGMENT,
        "        if room < 0:\n",
        "        if room < -1:\n",
        "tests/ingest/log/test_segment.py",
    ),
    Mutant(
        "believes the index of another file",
        _INDEX,
        "if found.home == head.home and",
        "if",
        _T_INDEX,
    ),
    Mutant(
        "begins to read behind a time",
        _INDEX,
        "if spot.append_ns < append_ns]",
        "if spot.append_ns <= append_ns]",
        _T_INDEX,
    ),
    Mutant(
        "gives a spot's record without a look at its checksum",
        _INDEX,
        "if frame is not None and frame.offset == spot.offset:",
        "if frame is not None:",
        _T_INDEX,
    ),
    Mutant(
        "commits without an fsync",
        _PARTITION,
        "            os.fdatasync(written.fd)\n",
        "            pass\n",
        f"{_T_QUEUE} {_T_PARTITION}",
    ),
    Mutant(
        "compacts to what is not durable",
        _COMPACTION,
        "    write_synced(temporary, merged)\n",
        "    temporary.write_bytes(merged)\n",
        _T_PARTITION,
    ),
    Mutant(
        "deletes before the merged segment's name is durable",
        _COMPACTION,
        "        sync_folder(partition.folder)\n        for base",
        "        for base",
        _T_PARTITION,
    ),
    Mutant(
        "writes a file without an fsync",
        _FILES,
        "        file.flush()\n        os.fsync(file.fileno())\n",
        "        file.flush()\n",
        _T_PARTITION,
    ),
]
