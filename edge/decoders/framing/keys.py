"""What a table says of frames, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from edge.decoders.checksums import CHECKSUMS
from edge.decoders.framing.ended import EndedFrames, cobs, slip
from edge.decoders.framing.shape import Endian, Framing, Shape
from edge.decoders.framing.synced import FixedFrames, LengthFrames
from edge.protocol import Key, SourceConfig
from ingest.errors import UsageError
from ingest.settings import suggest

MAX_FRAME: Final = 65_536
_KINDS: Final = ("fixed", "length", "cobs", "slip")
_LENGTHS: Final[Mapping[str, int]] = {"u8": 1, "u16": 2, "u32": 4}

FRAME_KEYS: Final[Mapping[str, Key]] = {
    "frame": Key(
        "one of fixed, length, cobs, slip",
        "How a port's bytes are cut into frames: records of one length, a length before each, COBS (a 0 ends a frame) "
        "or SLIP (RFC 1055).",
        '"fixed"',
        "none: a message is a frame",
        ("frames", "packet", "packets", "protocol_framing"),
    ),
    "sync": Key(
        "bytes in hexadecimal",
        "The sync word with which each frame of a fixed or said length begins.",
        '"AA 55"',
        "none",
        ("sync_word", "preamble", "magic", "start", "header"),
    ),
    "checksum": Key(
        "one of sum8, xor8, crc8, crc8-maxim, crc16-ccitt, crc16-xmodem, crc16-kermit, crc16-x25, crc16-modbus, crc32",
        "What a frame's last bytes are.",
        '"crc16-ccitt"',
        "none",
        ("crc", "check", "crc16", "crc32"),
    ),
    "checksum_skips": Key(
        "whole number",
        "How many bytes at a frame's beginning the checksum leaves out.",
        "0",
        "those of the sync word",
        ("crc_skips", "crc_from", "crc_start"),
    ),
    "checksum_endian": Key(
        "one of little, big",
        "The checksum's byte order, where it is not that of the rest.",
        '"big"',
        "that of endian",
        ("crc_endian",),
    ),
    "endian": Key(
        "one of little, big",
        "The byte order of all numbers of more than a byte: the least significant byte comes first, or last.",
        '"big"',
        "little",
        ("endianness", "byte_order", "byteorder", "word_order", "register_order"),
    ),
    "length_type": Key(
        "one of u8, u16, u32", "The type of the length, behind the sync word.", '"u16"', "u8", ("length_bytes",)
    ),
    "length_adds": Key(
        "whole number",
        "How many bytes follow the length besides those that it counts: 0 where it counts the checksum too, -3 where "
        "it also counts itself and a sync word of 2.",
        "0",
        "those of the checksum",
        ("length_offset", "length_bias"),
    ),
    "max_frame": Key(
        "whole number", "How long a frame may be at most, in bytes.", "4096", "1024", ("max_length", "frame_max")
    ),
}
"""The keys that say how frames are told apart."""


def framing_of(config: SourceConfig, size: int | None) -> Framing | None:
    """What the keys say of frames; None: a message is one. `size` is that of a record, None where frames differ.

    Raises:
        UsageError: a key says what cannot be, or frames could not be told apart.
    """
    where, kind = config.where, config.option("frame", str, "")
    if kind and kind not in _KINDS:
        raise UsageError(f'{where}: frame: unknown value "{kind}"{suggest(kind, _KINDS)}')
    if not kind:
        for key in FRAME_KEYS.keys() - {"frame", "endian"}:
            if key in config.options:
                raise UsageError(f'{where}: {key}: says something of frames; say frame = "fixed", or another kind')
        if config.type in ("serial", "exec"):
            raise UsageError(f"{where}: frame is missing: how are the port's bytes cut into frames? One of {_LISTED}")
        return None
    shape, most = _shape(config, kind), config.option("max_frame", int, 1024)
    if not 8 <= most <= MAX_FRAME:
        raise UsageError(f"{where}: max_frame: {most} is not in 8..{MAX_FRAME}")
    if kind == "cobs":
        return EndedFrames(shape, 0x00, cobs, kind, most)
    if kind == "slip":
        return EndedFrames(shape, 0xC0, slip, kind, most)
    if shape.check_size < 2 and not (len(shape.sync) > 1 or (shape.sync and shape.check_size)):
        raise UsageError(
            f'{where}: frame: "{kind}" needs a sync word and a checksum, or one of both that has two bytes: '
            "nobody knows else where a frame begins"
        )
    if kind == "fixed":
        if size is None:
            raise UsageError(f'{where}: frame: "fixed" is for the decoder binary; say one of length, cobs, slip')
        return FixedFrames(shape, len(shape.sync) + size + shape.check_size)
    text = config.option("length_type", str, "u8")
    if text not in _LENGTHS:
        raise UsageError(f'{where}: length_type: unknown value "{text}"{suggest(text, _LENGTHS)}')
    adds = config.option("length_adds", int, shape.check_size)
    return LengthFrames(shape, _LENGTHS[text], endian_of(config), adds, most)


_LISTED: Final = ", ".join(_KINDS)


def endian_of(config: SourceConfig, key: str = "endian", default: str = "little") -> Endian:
    """A byte order. Raises `UsageError`."""
    found = config.option(key, str, default)
    if found not in ("little", "big"):
        raise UsageError(f'{config.where}: {key}: found "{found}", expected "little" or "big"')
    return cast(Endian, found)


def _shape(config: SourceConfig, kind: str) -> Shape:
    where, text, name = config.where, config.option("sync", str, ""), config.option("checksum", str, "")
    try:
        sync = bytes.fromhex(text)
    except ValueError:
        raise UsageError(f'{where}: sync: found "{text}", expected bytes in hexadecimal, as in "AA 55"') from None
    if sync and kind in ("cobs", "slip"):
        raise UsageError(f'{where}: sync: frame = "{kind}" has no sync word: take it out')
    if name and name not in CHECKSUMS:
        raise UsageError(f'{where}: checksum: unknown checksum "{name}"{suggest(name, CHECKSUMS)}')
    endian = endian_of(config)
    skips = config.option("checksum_skips", int, len(sync))
    if not 0 <= skips <= 64:
        raise UsageError(f"{where}: checksum_skips: {skips} is not in 0..64")
    return Shape(
        sync,
        CHECKSUMS.get(name),
        skips,
        endian_of(config, "checksum_endian", endian),
        is_torn_at_start=config.type == "serial",
    )
