"""Calibration and axes: what agent.toml says of them, and what is recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge.config import load_config
from edge.corrections import calibrated_ahead
from edge.protocol import SourceConfig
from edge.recording.batching import describe
from edge.recording.correcting import Corrector, physical
from ingest.errors import UsageError
from ingest.records import Correction, StreamDescription, schema_id
from ingest.wire import decode, encode

AGENT = """
device = "arm"
log = "segments:log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "serial"
decoder = "csv"
port = "/dev/ttyUSB0"
stream = "acc"
channels = { x = "g", y = "g", z = "g", t = "degC" }
"""


def source(folder: Path, more: str) -> SourceConfig:
    path = folder / "agent.toml"
    path.write_text(AGENT + more)
    (config,) = load_config(path).sources
    return config


def test_a_calibrated_stream_is_recorded_in_its_units(tmp_path: Path) -> None:
    config = source(
        tmp_path,
        """
scale = { x = 0.001, y = 0.001, z = 0.001, t = 0.5 }
offset = { t = -40 }
[source.calibration]
channels = ["x", "y", "z"]
bias = [0.1, 0.2, 0.3]
matrix = [[1, 0, 0], [0.5, 2, 0], [0, 0, 1]]
date = 2026-11-20
reference = "gravity, six positions"
""",
    )
    raw = np.array([[1100.0, 1200.0, 1300.0, 100.0], [100.0, np.nan, 300.0, 0.0]])
    wanted = [[1.0, 2.5, 1.0, 10.0], [0.0, np.nan, 0.0, -40.0]]
    np.testing.assert_allclose(Corrector(config).apply(raw), wanted, atol=1e-12)
    np.testing.assert_allclose(physical(config, raw), wanted, atol=1e-12)
    description = describe(config)
    assert {(channel.scale, channel.offset) for channel in description.channels} == {(1.0, 0.0)}
    assert description.correction is not None
    assert description.correction.date == "2026-11-20"
    assert description.correction.bias == (0.1, 0.2, 0.3, 0.0)
    assert decode(encode(description)) == description


def test_axes_are_turned_also_in_whole_counts(tmp_path: Path) -> None:
    config = source(tmp_path, 'dtype = "int16"\nscale = 0.5\naxes = { x = "-y", y = "x" }\n')
    raw = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert Corrector(config).apply(raw).tolist() == [[-2.0, 1.0, 3.0, 4.0]]
    assert physical(config, raw).tolist() == [[-1.0, 0.5, 1.5, 2.0]]
    assert describe(config).correction == Correction(axes=("-y", "x", "z", "t"))
    assert describe(config).channels[0].scale == 0.5


def test_what_is_calibrated_is_turned_afterwards(tmp_path: Path) -> None:
    config = source(
        tmp_path, 'axes = { x = "-y", y = "x" }\ncalibration = { bias = [1, 2, 0, 0], date = "2026-11-20" }\n'
    )
    assert Corrector(config).apply(np.array([[5.0, 5.0, 0.0, 0.0]])).tolist() == [[-3.0, 4.0, 0.0, 0.0]]


def test_an_offset_alone_stays_with_the_stream(tmp_path: Path) -> None:
    config = source(tmp_path, "offset = { t = -40 }\n")
    assert [channel.offset for channel in describe(config).channels] == [0.0, 0.0, 0.0, -40.0]
    assert physical(config, np.array([[0.0, 0.0, 0.0, 100.0]]))[0, 3] == 60.0


def test_limits_are_of_the_values_that_are_recorded(tmp_path: Path) -> None:
    from edge.recording.plausibility import Plausibility

    config = source(tmp_path, "offset = { t = -40 }\nmax = { t = 50 }\n")
    assert Plausibility(config).sift(np.array([[0.0, 0.0, 0.0, 80.0], [0.0, 0.0, 0.0, 95.0]])).tolist() == [True, False]


def test_a_day_that_has_begun_nowhere_yet_is_told_where_the_clock_was_ever_set(tmp_path: Path) -> None:
    one = source(tmp_path, "calibration = { bias = [1, 2, 3, 0], date = 2026-11-20 }")
    day = 86_400 * 1_000_000_000
    at_ns = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1_000_000_000
    assert calibrated_ahead([one], at_ns) == calibrated_ahead([one], at_ns - day) == calibrated_ahead([one], 0) == {}
    assert "2026-11-20 is yet to come" in calibrated_ahead([one], at_ns - day - 1)["imu"]


def test_streams_that_are_not_corrected_keep_their_ids() -> None:
    plain = StreamDescription("acc", (), "float32")
    assert schema_id(plain).hex() == "3895cded598f105983e1e77a48cbb984"
    assert encode(plain)[-1:] == b"\xa0"  # the mounting, as ever


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('axes = { x = "y" }', "x and y are both"),
        ('axes = { x = "q" }', 'axes: x: unknown channel "q"'),
        ('axes = { q = "x" }', 'axes: unknown channel "q"'),
        ('axes = { x = "t", t = "x" }', "t is in degC, x in g"),
        ("axes = { x = 1 }", "x = 1; expected a channel"),
        ("axes = 3", "axes: found 3, expected a table"),
        ('axes = { x = "-y", y = "x" }\nscale = { x = 2 }', "their counts mean other values"),
        ('axes = { x = "-x" }\noffset = { x = 2 }', "no offset"),
        ("calibration = 3", "calibration: found 3, expected a table"),
        ("calibration = { date = 2026-11-20 }", 'neither "matrix" nor "bias"'),
        ("calibration = { bias = [1, 2, 3, 4] }", '"date" is missing'),
        ('calibration = { bias = [1, 2, 3, 4], date = "soon" }', "date: found 'soon', expected a day"),
        ("calibration = { bias = [1, 2], date = 2026-11-20 }", "bias: found 2 numbers, expected a list of 4"),
        ('calibration = { bias = [1, "a"], channels = ["x", "y"], date = 2026-11-20 }', "bias: 'a' is no number"),
        ('calibration = { bias = [1], channels = ["x", "x"], date = 2026-11-20 }', "one comes twice"),
        ('calibration = { bias = [1], channels = ["w"], date = 2026-11-20 }', 'channels: unknown channel "w"'),
        (
            'calibration = { matrix = [[1, 2], [2, 4]], channels = ["x", "y"], date = 2026-11-20 }',
            "depend on one another",
        ),
        ("calibration = { matrix = [[1, 2]], date = 2026-11-20 }", "found 1 rows, expected 4 rows of 4"),
        ("calibration = { offsets = [1], date = 2026-11-20 }", 'did you mean "bias"|bias'),
        ('dtype = "int16"\ncalibration = { bias = [1, 2, 3, 4], date = 2026-11-20 }', 'which "int16" refuses'),
        ('values = { t = { 0 = "off" } }\noffset = { t = 1 }', "t has named states; leave its offset out"),
        (
            'values = { t = { 0 = "off" } }\ncalibration = { bias = [1], channels = ["t"], date = 2026-11-20 }',
            "t has named states",
        ),
        ("bias = [1, 2, 3]", "calibration"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        source(tmp_path, more + "\n")
