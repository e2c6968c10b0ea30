"""WAV: RIFF with a "fmt " and a "data" chunk (Microsoft, Multiple Channel Audio Data and WAVE Files), RF64 (EBU 3306).

Whole numbers stay as they are; a scale makes full scale 1.0, as audio software has it.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import UsageError
from ingest.importers.signals.contents import LOST_BYTES, Asked, Contents, Signal
from ingest.importers.source import Source

_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE
_HEAD: Final = struct.Struct("<4sI")
_FORMAT: Final = struct.Struct("<HHIIHH")
_UNKNOWN: Final = 0xFFFF_FFFF
"""A length that is said elsewhere (RF64), or that a program that streams could not know."""
_OTHERS: Final = {2: "ADPCM", 6: "A-law", 7: "mu-law", 0x11: "ADPCM", 0x50: "MPEG", 0x55: "MP3"}


class _Format(NamedTuple):
    """How samples lie."""

    code: int
    channels: int
    rate: int
    block_bytes: int
    bits: int


def is_wav(data: bytes) -> bool:
    """Whether it begins as one."""
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def read_wav(source: Source, asked: Asked) -> Contents:
    """The channels of a file; one that is cut off has what is there.

    Raises:
        UsageError: it is packed, has no samples, or is no such file.
    """
    data, path = source.data, source.path
    form: _Format | None = None
    at, long_size = 12, 0
    while at + _HEAD.size <= len(data):
        name, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if name == b"ds64" and size >= 16 and at + 16 <= len(data):
            long_size = struct.unpack_from("<Q", data, at + 8)[0]
        elif name == b"fmt ":
            form = _format(path, data[at : at + size])
        elif name == b"data":
            if form is None:
                raise UsageError(f"{path}: a WAV file whose samples come before their format; it is damaged")
            return _contents(path, form, data[at:], long_size if size == _UNKNOWN and long_size else size)
        at += size + size % 2
    raise UsageError(f"{path}: a WAV file that ends before its samples begin; it is cut off")


def _format(path: str, data: bytes) -> _Format:
    if len(data) < _FORMAT.size:
        raise UsageError(f"{path}: a WAV file that ends before its samples begin; it is cut off")
    code, channels, rate, _, block, bits = _FORMAT.unpack_from(data)
    if code == _EXTENSIBLE and len(data) >= 26:
        code = struct.unpack_from("<H", data, 24)[0]
    if code not in (_PCM, _FLOAT):
        word = _OTHERS.get(code, f"format {code:#x}")
        raise UsageError(
            f"{path}: samples are packed as {word}; save the file as PCM: ffmpeg -i IN -c:a pcm_s16le OUT.wav"
        )
    known = (8, 16, 24, 32) if code == _PCM else (32, 64)
    width = -(-bits // 8)
    if not channels or not rate or 8 * width not in known or block != width * channels:
        raise UsageError(
            f"{path}: {channels} channels of {bits} bits in {block} bytes at {rate} Hz: is the file damaged?"
        )
    return _Format(code, channels, rate, block, 8 * width)


def _contents(path: str, form: _Format, raw: bytes, promised: int) -> Contents:
    there = min(len(raw), promised)
    frames = there // form.block_bytes
    lost = 0 if promised == _UNKNOWN else max(promised - len(raw), 0)
    torn = there % form.block_bytes
    if not frames:
        raise UsageError(f"{path}: a WAV file without samples")
    values, scale = _values(raw[: frames * form.block_bytes], form)
    names = ("left", "right") if form.channels == 2 else tuple(f"ch{n}" for n in range(1, form.channels + 1))
    notes = []
    if lost or torn:
        seconds = lost // form.block_bytes / form.rate
        notes.append(f"the file is cut off: {lost + torn} bytes of samples are not there, {seconds:g} s of them")
    signal = Signal(
        "audio", names if form.channels > 1 else ("audio",), values, np.zeros(1, np.int64), Fraction(form.rate),
        scales=(scale,) * form.channels if scale != 1.0 else (),
    )  # fmt: skip
    gone = {LOST_BYTES: lost + torn} if lost or torn else {}
    return Contents("WAV", (signal,), "none", fallback_unit="1", lost=gone, notes=tuple(notes))


def _values(raw: bytes, form: _Format) -> tuple[NDArray[Any], float]:
    """`(frames, channels)`, and what one is of full scale."""
    values: NDArray[Any]
    if form.code == _FLOAT:
        values, scale = np.frombuffer(raw, f"<f{form.bits // 8}"), 1.0
    elif form.bits == 8:  # unsigned, alone of all
        values, scale = np.frombuffer(raw, np.uint8).astype(np.int16) - 128, 2.0**-7
    elif form.bits == 24:
        values, scale = from_24_bits(raw), 2.0**-23
    else:
        values, scale = np.frombuffer(raw, f"<i{form.bits // 8}"), 2.0 ** (1 - form.bits)
    return values.reshape(-1, form.channels), scale


def from_24_bits(raw: bytes) -> NDArray[np.int32]:
    """Little-endian two's complement numbers of three bytes each."""
    parts = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
    numbers: NDArray[np.int32] = (parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) >> 8
    return numbers
