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
_T_PARTITION: Final = "tests/ingest/log/test_partition.py tests/ingest/log/test_partition_damage.py"

_MERGING: Final = "ingest/engine/merging.py"
_T_MERGING: Final = "tests/ingest/engine/test_merging.py"
_T_MERGED: Final = "tests/windowing/dataset/test_merging.py"

WINDOWS: Final[list[Mutant]] = [
    # --- merging
    Mutant(
        "what was merged is swept with the note that announced it",
        "ingest/engine/leftovers.py",
        "            kept |= {entry.merged.name,",
        "            _ = {entry.merged.name,",
        f"{_T_MERGING}::test_what_was_merged_outlives_the_note_that_announced_it",
    ),
    Mutant(
        "merged files go while somebody reads them",
        _MERGING,
        "if retired.time_ns <= until_ns]",
        "if retired.time_ns]",
        f"{_T_MERGED}::test_who_opened_before_reads_on_until_the_grace_is_over",
    ),
    Mutant(
        "a damaged file is merged",
        _MERGING,
        "    return data if len(data) == ref.bytes and sha256_of(data) == ref.sha256 else None",
        "    return data",
        f"{_T_MERGED}::test_a_damaged_file_and_what_was_sealed_with_it_stay_as_they_are",
    ),
    Mutant(
        "older rows come behind newer ones",
        _MERGING,
        "            run.insert(0, ref)",
        "            run.append(ref)",
        f"{_T_MERGING}::test_of_each_folder_new_files_are_chosen_and_no_single_one",
    ),
    Mutant(
        "a window is looked for where it was before",
        "windowing/dataset/merging.py",
        """row=table["row"] + moved""",
        """row=table["row"]""",
        f"{_T_MERGED}::test_merged_files_hold_the_same_windows_and_labels",
    ),
    Mutant(
        "a record of a merged archive has the samples of another device",
        "ingest/archive/merging.py",
        "            at[rows] = moved[name].rows[at[rows]]",
        "            pass",
        "tests/ingest/archive/test_log.py",
    ),
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
        "            self._room = min(COLLECT_SAMPLES - self._collected, (_MAX_SPAN_NS - self._den) // self._num)",
        "            self._room = COLLECT_SAMPLES - self._collected",
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
