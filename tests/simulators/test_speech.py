from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from edge.decoders.csv.decoder import CsvDecoder
from edge.decoders.json.decoder import JsonDecoder
from edge.protocol import Decoder, Frame, SourceConfig
from ingest.chunker import Limits
from ingest.records import Chunk, Gap, RecordingEnd, RecordingStart, schema_id
from ingest.times import sample_times
from ingest.wire import decode
from simulators import accelerometer
from simulators.recording import Recording
from simulators.speech import Format, Style, records, speak

T0 = 1_767_600_000_000_000_000


def recording(rate: Fraction = Fraction(100), seconds: float = 120.0) -> Recording:
    return accelerometer.simulate(np.random.default_rng(1), accelerometer.Sensor(rate=rate), T0, seconds)


def decoder(format_: Format, stamped: bool) -> Decoder:
    key = {"csv": "time_column", "json": "time_field"}[format_]
    config = SourceConfig(
        where="agent.toml: source[0]",
        base=".",
        name="imu",
        type="serial",
        decoder=format_,
        device="pump-7",
        stream="acc",
        channels=dict.fromkeys("xyz", "g"),
        options={key: "t", "time_unit": "ns"} if stamped else {},
    )
    return CsvDecoder.from_config(config) if format_ == "csv" else JsonDecoder.from_config(config)


@pytest.mark.parametrize("format_", ["csv", "json"])
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("stamped", [True, False])
def test_the_agents_decoders_hear_every_digit(format_: Format, raw: bool, stamped: bool) -> None:
    made = recording(seconds=20)
    said = list(speak(made, Style(format_, raw, stamped)))
    assert [utterance.t_ns for utterance in said] == made.times.tolist()
    assert sum(utterance.samples for utterance in said) == len(made.times)
    listener = decoder(format_, stamped)
    frames = [*listener.feed(b"".join(utterance.data for utterance in said)), *listener.reset()]
    assert all(isinstance(frame, Frame) for frame in frames)
    heard = np.concatenate([frame.values for frame in frames if isinstance(frame, Frame)])
    assert (heard == made.counts * (1.0 if raw else 1 / 4096)).all()
    if stamped:
        times = [frame.times_ns for frame in frames if isinstance(frame, Frame) and frame.times_ns is not None]
        assert np.concatenate(times).tolist() == made.times.tolist()


@pytest.mark.parametrize("rate", [Fraction(100), Fraction(104)])
def test_records_hold_the_recording_and_announce_its_gaps(rate: Fraction) -> None:
    made = recording(rate)
    said = list(records(made, "pump-7", Limits()))
    told = [decode(utterance.data) for utterance in said]
    assert isinstance(told[0], RecordingStart)
    assert isinstance(told[-1], RecordingEnd)
    chunks = [record for record in told if isinstance(record, Chunk)]
    gaps = [record for record in told if isinstance(record, Gap)]
    assert [chunk.seq for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.schema for chunk in chunks} == {schema_id(made.description)}
    assert np.concatenate([sample_times(chunk) for chunk in chunks]).tolist() == made.times.tolist()
    assert b"".join(chunk.values for chunk in chunks) == made.counts.tobytes()
    assert [(gap.start_ns, gap.end_ns, gap.samples) for gap in gaps] == [
        (gap.start_ns, gap.end_ns, gap.samples) for gap in made.gaps
    ]
    assert gaps
    assert [utterance.t_ns for utterance in said] == sorted(utterance.t_ns for utterance in said)
    assert sum(utterance.samples for utterance in said) == len(made.times)
    assert said == list(records(made, "pump-7", Limits()))
