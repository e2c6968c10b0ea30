"""Parquet as LeRobot and Hugging Face write it, and files that describe themselves, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

import sensorloom
from ingest.records import RecordingStart
from ingest.times import sample_times
from tests.ingest.importers import making
from tests.ingest.importers.test_batch import Bring, bring
from tests.support.logs import read_log

__all__ = ["bring"]
START = 1_767_225_600 * 10**9


def write_robot(path: Path, episodes: tuple[int, ...] = (0, 1)) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Two episodes of 5 and 4 frames at 10 Hz, as LeRobot's data/chunk-000/file-000.parquet."""
    lengths = [5 - number for number in range(len(episodes))]
    count = sum(lengths)
    state = np.random.default_rng(3).normal(size=(count, 3)).astype(np.float32)
    features = {"info": {"features": {"label": {"names": ["rest", "grasp"], "_type": "ClassLabel"}}}}
    table = pa.table(
        {
            "observation.state": pa.FixedSizeListArray.from_arrays(pa.array(state.ravel()), 3),
            "action": pa.array((state[:, :2] * 2).tolist(), pa.list_(pa.float32())),
            "timestamp": np.concatenate([np.arange(length) / 10 for length in lengths]).astype(np.float32),
            "episode_index": np.repeat(episodes, lengths),
            "label": pa.array([0, 0, 1, 1, -1, 1, 1, 0, 0][:count]),
            "task": ["pick"] * count,
        }
    ).replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, path)
    return state


WORDS = (
    "--device", "arm", "--stream", "joints", "--unit", "rad", "--recording-column", "episode_index",
    "--start", "2026-01-01T00:00Z",
)  # fmt: skip


def test_episodes_are_recordings_lists_are_channels_and_classes_labels(bring: Bring) -> None:
    state = write_robot(bring.folder / "f.parquet")
    words = [*WORDS, "--columns", "observation.state,action", "--time-column", "timestamp", "--time-unit", "s"]
    told = bring(bring.folder / "f.parquet", *words, "--label-column", "label")
    starts = [record for record in read_log(bring.url) if isinstance(record, RecordingStart)]
    assert [(it.recording, it.start_ns) for it in starts] == [
        ("episode_index-0", START), ("episode_index-1", START + 2 * 10**9),
    ]  # fmt: skip
    chunks = bring.chunks()
    values = np.concatenate([np.frombuffer(c.values, "<f4").reshape(c.count, 5) for c in chunks])
    assert (values[:, :3] == state).all()
    assert (values[:, 3:] == state[:, :2] * 2).all()
    assert sample_times(chunks[0]).tolist() == [START + k * 10**8 for k in range(5)]
    tenths = {((start - START) // 10**8, (end - START) // 10**8, label) for _, start, end, label in bring.marks()}
    assert tenths == {(0, 2, "rest"), (2, 4, "grasp"), (20, 22, "grasp"), (22, 24, "rest")}
    assert told["marks"] == 4
    again = bring(bring.folder / "f.parquet", *words, "--label-column", "label")
    assert (again["imported"], again["there_already"]) == (0, 1)


def test_a_list_that_is_no_channel_says_what_to_do(bring: Bring) -> None:
    pl.DataFrame({"x": [[1.0] * 300] * 2, "label": ["a", "b"]}).write_parquet(bring.folder / "w.parquet")
    words = ["--device", "d", "--stream", "s", "--unit", "g", "--rate", "10Hz", "--start", "2026-01-01T00:00Z"]
    bring(bring.folder / "w.parquet", *words, "--columns", "x", code=2)
    assert '"x" holds lists of 300 numbers: that is no channel' in bring.err
    pl.DataFrame({"x": [[1.0, 2.0], [1.0]]}).write_parquet(bring.folder / "u.parquet")
    bring(bring.folder / "u.parquet", *words, "--columns", "x", code=2)
    assert "row 1: 'x' has 1 values, row 0 has 2" in bring.err


def test_many_recordings_that_describe_themselves_are_one_command(bring: Bring) -> None:
    for name, data in (("run/a.wav", making.wav(np.arange(8).reshape(8, 1), 4, 16)), ("rest/b.json", b"")):
        path = bring.write(f"in/{name}", "")
        path.write_bytes(data or json.dumps(making.EDGE_IMPULSE).encode())
    words = ["--path", "{label}/{recording}.{_}", "--device", "d", "--start", "2026-01-01T00:00Z"]
    shown = bring(bring.folder / "in", *words, "--dry-run")
    assert (shown["first"]["stream"], shown["first"]["rate_hz"]) == ("sensors", 62.5)
    told = bring(bring.folder / "in", *words)
    placed = {it["recording"]: (it["stream"], it["start_ns"] - START) for it in told["recordings"]}
    assert placed == {"b": ("sensors", 0), "a": ("audio", 2 * 10**9)}
    assert [(start - START, end - START, label) for _, start, end, label in bring.marks()] == [
        (0, 64 * 10**6, "rest"), (2 * 10**9, 4 * 10**9, "run"),
    ]  # fmt: skip
    assert bring(bring.folder / "in", *words)["there_already"] == 2


def test_a_file_of_several_signals_is_one_recording_and_what_was_lost_is_told(bring: Bring) -> None:
    path = bring.write("s.xdf", "")
    path.write_bytes(making.xdf()[:-40])
    told = bring(path, "--device", "d", "--recording", "r", "--dry-run")
    assert [it["stream"] for it in told["signals"]] == ["EEG", "Acc"]
    assert not told["chunks"]
    told = bring(path, "--device", "d", "--recording", "r")
    assert told["lost"]["bytes"] > 0
    assert "the file is cut off" in bring.err
    assert {(chunk.recording, chunk.stream) for chunk in bring.chunks()} == {("r", "EEG"), ("r", "Acc")}
    starts = [record.recording for record in read_log(bring.url) if isinstance(record, RecordingStart)]
    assert set(starts) == {"r"}
    assert len(bring.marks()) == told["marks"]
    before = len(bring.chunks())
    assert bring(path, "--device", "d", "--recording", "r")["there_already"] == 1
    assert len(bring.chunks()) == before


@pytest.mark.parametrize(("words", "said"), [
    (("--device", "d"), "a file of WAV that does not say when it begins; say --start TIME"),
    (("--start", "2026-01-01T00:00Z"), "whose stream is it? Say --device D"),
    (("--device", "d", "--start", "2026-01-01T00:00Z", "--stream", "a.b"), "has a dot"),
])  # fmt: skip
def test_what_is_missing_is_asked_for(bring: Bring, words: tuple[str, ...], said: str) -> None:
    path = bring.write("a.wav", "")
    path.write_bytes(making.wav(np.arange(8).reshape(8, 1), 4, 16))
    bring(path, *words, code=2)
    assert said in bring.err


def scored(start: str = "02.01.2613.04.05") -> bytes:
    """What somebody scored, without a signal, as sleep's data sets have it."""
    channel = {"label": "EDF Annotations", "low": -1, "high": 1, "samples": 60}
    head = making.edf_header([channel], 1, "0", "EDF+C", start=start)
    return head + making.tal("+0||", "+0|30|Sleep stage W", "+30|30|Sleep stage 1", "+61.5||cough", size=120)


def test_annotations_in_a_file_of_their_own_are_marks(bring: Bring, capsys: pytest.CaptureFixture[str]) -> None:
    path = bring.write("h.edf", "")
    path.write_bytes(scored())
    bring(path, "--device", "p", "--timezone", "UTC", code=2)
    assert "3 annotations and no signal: sensorloom import marks FILE --field device=D brings them in" in bring.err
    words = ["import", "marks", str(path), "--log", bring.url]
    assert sensorloom.main([*words, "--timezone", "Europe/Brussels"]) == 2
    assert "of one device say --field device=NAME" in capsys.readouterr().err
    assert sensorloom.main([*words, "--field", "device=p"]) == 2
    assert "names no zone" in capsys.readouterr().err
    assert sensorloom.main([*words, "--field", "device=p", "--timezone", "Europe/Brussels"]) == 0
    noon = START + (86_400 + 12 * 3600 + 4 * 60 + 5) * 10**9
    second = 10**9
    assert bring.marks() == [
        ("p", noon, noon + 30 * second, "Sleep stage W"),
        ("p", noon + 30 * second, noon + 60 * second, "Sleep stage 1"),
        ("p", noon + 61_500_000_000, noon + 61_500_000_000, "cough"),
    ]  # fmt: skip
    path.write_bytes(scored("01.01.8500.00.00"))
    capsys.readouterr()
    zero = ["--field", "device=q", "--time-unit", "s", "--origin", "0=2026-01-01T00:00Z"]
    assert sensorloom.main([*words, *zero]) == 0
    assert ("q", START + 30 * second, START + 60 * second, "Sleep stage 1") in bring.marks()
