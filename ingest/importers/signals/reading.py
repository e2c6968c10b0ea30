"""Which files describe themselves, by their first bytes, and what reads them; and those of which somebody should know
what else to do. Each reader is imported when a file needs it."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from ingest.errors import UsageError
from ingest.importers.signals.contents import Asked, Contents
from ingest.importers.source import Source

HEAD_BYTES: Final = 4096
"""So much of a file says what it is."""


class _Format(NamedTuple):
    module: str
    test: str
    read: str


_FORMATS: Final = (
    _Format("xdf", "is_xdf", "read_xdf"),
    _Format("mcapfile", "is_mcap", "read_mcap"),
    _Format("edf", "is_edf", "read_edf"),
    _Format("wav", "is_wav", "read_wav"),
    _Format("gpx", "is_gpx", "read_gpx"),
    _Format("edgeimpulse", "is_edge_impulse", "read_edge_impulse"),
)
_OTHERS: Final = (
    (b"MDF     ", "an ASAM MDF file (.mf4, .mdf)", "asammdf INPUT -f parquet, or its export to CSV"),
    (b"#ROSBAG V2.0", "a bag of ROS 1", "mcap convert IN.bag OUT.mcap, after rosbags-convert to ROS 2"),
    (
        b"SQLite format 3\0",
        "a database of SQLite (a bag of ROS 2 is one)",
        "ros2 bag convert to MCAP, or a SELECT to CSV",
    ),
    (b"TDSm", "a TDMS file of LabVIEW", "nptdms's tdmsinfo and as_dataframe().to_parquet(...)"),
    (b"ULog\x01\x12\x35", "a ULog of PX4", "ulog2csv FILE.ulg, which makes a CSV of each topic"),
    (b"Brain Vision ", "a header of BrainVision", "mne.io.read_raw_brainvision(...).export('out.edf')"),
    (b"GDF ", "a GDF file", "mne.io.read_raw_gdf(...).export('out.edf')"),
    (b"ARROW1\0\0", "an Arrow or Feather file", "polars.read_ipc(...).write_parquet(...)"),
    (b"Obj\x01", "an Avro file", "polars.read_avro(...).write_parquet(...)"),
    (b"BZh", "packed by bzip2", "bunzip2 FILE, or gzip"),
    (b"\xfd7zXZ\0", "packed by xz", "unxz FILE, or gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "unzstd FILE, or gzip"),
    (b"7z\xbc\xaf\x27\x1c", "an archive of 7-Zip", "unpack it: folders and patterns are read"),
    (b"ORC", "an ORC file", "pyarrow.orc.read_table(...), and write it as Parquet"),
    (b"fLaC", "FLAC audio", "ffmpeg -i IN.flac OUT.wav"),
    (b"ID3", "MP3 audio", "ffmpeg -i IN.mp3 OUT.wav"),
    (b"OggS", "Ogg audio", "ffmpeg -i IN.ogg OUT.wav"),
    (b"\x80\x04\x95", "a Python pickle, which could run anything", "numpy.save, or to_parquet, where it came from"),
    (b"\x80\x05\x95", "a Python pickle, which could run anything", "numpy.save, or to_parquet, where it came from"),
)
"""First bytes, what that is, what makes something of it that is read."""
_JSON: Final = re.compile(rb"\s*(\{\s*\"|\[\s*[\[{])")
_OTHERS_AT: Final = (
    (8, b".FIT", "a FIT file of a watch", "its export to GPX, or fitdump to CSV"),
    (
        4,
        b"ftyp",
        "a video or sound (MP4, MOV)",
        "the sound: ffmpeg -i IN OUT.wav; GoPro's sensors: gopro-telemetry to CSV",
    ),
    (8, b"AVI ", "a video (AVI)", "its sound: ffmpeg -i IN OUT.wav"),
)


def _found(head: bytes) -> _Format | None:
    """The format of a file that begins so."""
    for form in _FORMATS:
        is_one: Callable[[bytes], bool] = getattr(import_module(f"{__package__}.{form.module}"), form.test)
        if is_one(head):
            return form
    return None


def describes_itself(path: str) -> bool:
    """Whether a file says itself what is in it; one that cannot be read does not."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEAD_BYTES)
            if head[:2] == b"\x1f\x8b":
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as packed:
                    head = packed.read1(HEAD_BYTES)
    except (OSError, EOFError, zlib.error):
        return False
    return _found(head) is not None


def is_described(source: Source) -> bool:
    """As `describes_itself`."""
    return _found(source.data[:HEAD_BYTES]) is not None


def read_contents(source: Source, asked: Asked) -> Contents:
    """What a file says that describes itself. Raises `UsageError`."""
    form = _found(source.data[:HEAD_BYTES])
    assert form is not None
    read: Callable[[Source, Asked], Contents] = getattr(import_module(f"{__package__}.{form.module}"), form.read)
    return read(source, asked)


def check_readable(source: Source) -> None:
    """Raise `UsageError` for files that are known, and not read: with what to do."""
    others = [(0, *other) for other in _OTHERS] + list(_OTHERS_AT)
    for at, magic, what, advice in others:
        if source.data[at : at + len(magic)] == magic:
            raise UsageError(f"{source.path}: is {what}, which is not read here; make something else of it: {advice}")
    if _JSON.match(source.data[:HEAD_BYTES]) and not is_described(source):
        raise UsageError(
            f"{source.path}: is JSON, but no file of Edge Impulse, and is not read here; make something else of it: "
            "polars.read_ndjson(...) of a value a line, or polars.read_json(...), and .write_parquet(...)"
        )
