"""The mutants of the engine: what it writes, what it holds, which log it goes on with."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_DISK: Final = "ingest/engine/disk.py"
_STORE: Final = "ingest/engine/store.py"
_WORKER: Final = "ingest/engine/worker.py"
_CONTINUITY: Final = "ingest/engine/continuity.py"
_LEFTOVERS: Final = "ingest/engine/leftovers.py"
_ENGINE_PARTITION: Final = "ingest/engine/partition.py"
_STATES: Final = "ingest/engine/states.py"
_T_STATES: Final = "tests/ingest/engine/test_states.py"
_T_CRASHES: Final = "tests/sim/test_every_crash.py::test_a_crash_at_every_operation[0]"
_T_DISK: Final = "tests/ingest/engine/test_disk.py"
_T_WORKER: Final = "tests/ingest/engine/test_worker.py tests/ingest/engine/test_worker_logs.py"
_T_TWINS: Final = "tests/sim/test_every_crash.py::test_a_crash_while_two_partitions_seal_equal_files"

ENGINE: Final[list[Mutant]] = [
    # --- the engine: what it writes, what it holds, which log it goes on with
    Mutant(
        "a base is deleted while deltas need it",
        _ENGINE_PARTITION,
        "needed = {name for names in kept[-2:] for name in names}",
        "needed = {names[-1] for names in kept[-2:]}",
        _T_CRASHES,
    ),
    Mutant(
        "a delta forgets its last part",
        _STATES,
        "return _pieces(base.ref.sha256, _runs(places, len(base.parts)), own), True",
        "return _pieces(base.ref.sha256, _runs(places[:-1], len(base.parts)), own), True",
        _T_CRASHES,
    ),
    Mutant(
        "a part is known by how it begins",
        _STATES,
        "hashlib.sha256(part).digest()",
        "hashlib.sha256(part[:12]).digest()",
        _T_CRASHES,
    ),
    Mutant(
        "who recovers takes a delta's places for its base's",
        _ENGINE_PARTITION,
        "base_of(entry.base, decode_parts(whole, entry.base.name))",
        "base_of(entry.base, parts)",
        _T_STATES,
    ),
    Mutant(
        "a copy of a chain leaves out the base",
        "ingest/engine/copying.py",
        "for entry in entries for ref in entry.states))",
        "for entry in entries for ref in (entry.state,)))",
        _T_STATES,
    ),
    Mutant(
        "the engine's files are not fsynced",
        _DISK,
        """                sync_and_close(written.pop(path), self._root / path)
""",
        """                os.close(written.pop(path))
""",
        _T_DISK,
    ),
    Mutant(
        "two acts share a temporary file",
        _STORE,
        """        return f"{self._token}-{next(self._acts)}"
""",
        """        return self._token
""",
        _T_DISK,
    ),
    Mutant(
        "a slow disk does not hold up feeding",
        _WORKER,
        """        if full or fed.running.pending_bytes >= max(2 * self._limits.seal_bytes, self._due_bytes(fed)):
""",
        """        if full:
""",
        _T_WORKER,
    ),
    Mutant(
        "all partitions together hold what they like",
        _WORKER,
        """<= self._limits.held_bytes:
""",
        """< 1 << 62:
""",
        _T_WORKER,
    ),
    Mutant(
        "a hole may end beyond the log",
        _WORKER,
        """        if begin > end:
""",
        """        if begin > end + (1 << 62):
""",
        _T_WORKER,
    ),
    Mutant(
        "an entry a minute of nothing but numbers",
        _WORKER,
        """        if long or much or part.lost or not work.is_hollow(output):
""",
        """        if part.dirty or long or much:
""",
        _T_WORKER,
    ),
    Mutant(
        "any record at the same offset will do",
        _CONTINUITY,
        """    if another or (found.sha256 != last.sha256 and not stands_in_one):
""",
        """    if found.offset != last.offset and not stands_in_one:
""",
        _T_WORKER,
    ),
    Mutant(
        "a shorter log is gone on with",
        _CONTINUITY,
        """    if bounds.end < through:
""",
        """    if bounds.end < 0:
""",
        _T_WORKER,
    ),
    Mutant(
        "who left a seal unfinished is not fenced",
        _WORKER,
        """        if part.haunted and part.position == part.begin:
""",
        """        if part.haunted and part.position < part.begin:
""",
        _T_TWINS,
    ),
    Mutant(
        "what an entry names is swept away",
        _LEFTOVERS,
        """for name in listed if name not in kept)""",
        """for name in listed)""",
        _T_TWINS,
    ),
]
