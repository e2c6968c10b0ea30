"""The mutants of windows and of what counts: bounds of memory, and what must be there once."""

from __future__ import annotations

from typing import Final

from tests.mutants.harness import Mutant

_FILES: Final = "ingest/files.py"
_INTAKE: Final = "ingest/intake.py"
_STREAMS: Final = "windowing/fold/streams.py"
_WINDOWER: Final = "windowing/fold/windower.py"
_INDEX: Final = "windowing/dataset/index.py"
_VERIFY: Final = "windowing/dataset/verify.py"
_T_INTAKE: Final = "tests/ingest/test_intake.py"
_T_BOUNDS: Final = "tests/windowing/fold/test_bounds.py"
_T_READER: Final = "tests/windowing/dataset/test_reader.py"
_T_VERIFY: Final = "tests/windowing/dataset/test_verify.py"
_T_PARTITION: Final = "tests/ingest/log/test_partition.py"

WINDOWS: Final[list[Mutant]] = [
    # --- bounds of memory
    Mutant(
        "late samples are no output",
        _WINDOWER,
        "            finished.bytes += physical.nbytes + times.nbytes + 64\n",
        "            pass\n",
        f"{_T_BOUNDS}::test_late_samples_are_told_before_they_are_taken",
    ),
    Mutant(
        "a flood of late samples does not stop the feeding",
        _WINDOWER,
        "        return self._left or self._finished.bytes >= self._bound_bytes",
        "        return self._left",
        f"{_T_BOUNDS}::test_a_flood_of_late_samples_is_output_to_be_sealed",
    ),
    Mutant(
        "a run begins whose times do not fit into 64 bits",
        _STREAMS,
        "self._room = min(COLLECT_SAMPLES - self._collected, (_MAX_SPAN_NS - den) // num) - count",
        "self._room = COLLECT_SAMPLES - self._collected - count",
        f"{_T_BOUNDS}::test_a_run_ends_before_its_times_overflow",
    ),
    Mutant(
        "a run goes on until its times do not fit into 64 bits",
        _STREAMS,
        "            self._room = min(COLLECT_SAMPLES, (_MAX_SPAN_NS - self._den) // self._num)",
        "            self._room = COLLECT_SAMPLES",
        f"{_T_BOUNDS}::test_a_run_ends_before_its_times_overflow",
    ),
    # --- what is remembered
    Mutant(
        "the ended recordings of a device that restarts are all known",
        _INTAKE,
        "        if len(self.ended) > MAX_OVER:",
        "        if len(self.ended) < 0:",
        _T_INTAKE,
    ),
    Mutant(
        "the boots of a device that restarts are all known",
        _INTAKE,
        "        if self.over > MAX_OVER:",
        "        if self.over < 0:",
        _T_INTAKE,
    ),
    Mutant(
        "the boot of a recording that goes on is forgotten",
        _INTAKE,
        "for name, boot in self.boots.items() if not boot.holders]",
        "for name, boot in self.boots.items()]",
        _T_INTAKE,
    ),
    Mutant(
        "a restart forgets how many boots are over",
        _INTAKE,
        "            known.over = sum(not found.holders for found in known.boots.values())\n",
        "",
        _T_INTAKE,
    ),
    # --- what is there once
    Mutant(
        "a window that was cut again is there twice",
        _INDEX,
        "    return index.filter(pl.Series(kept)), len(again)",
        "    return index, len(again)",
        _T_READER,
    ),
    Mutant(
        "windows anchored at a recording that began anew are there twice",
        _INDEX,
        """    code = index.select(PLACE).hash_rows()""",
        """    code = index.select(*PLACE, "t0_ns").hash_rows()""",
        _T_READER,
    ),
    Mutant(
        "a window that the engine wrote twice is taken for samples that came again",
        _VERIFY,
        "    if len(twice):",
        "    if False:",
        _T_VERIFY,
    ),
    # --- names of folders
    Mutant(
        "the name of a folder that another process made and died may be lost",
        _FILES,
        """    with suppress(PermissionError):  # who may not read the folder above did not make this one
        sync_folder(folder.parent)
""",
        "",
        _T_PARTITION,
    ),
]
