"""What real sensors said, damaged: byte by byte, field by field, with checksums that are right all the same."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from binascii import crc_hqx
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import xor
from random import Random
from typing import Any

from edge.decoders import decoder_type
from edge.decoders.nmea.decoder import UNITS
from edge.decoders.ubx.decoder import UNITS as UBX_UNITS
from edge.decoders.ubx.frames import sums
from edge.protocol import Decoder
from simulators.doubles.suite import mutated, run
from tests.edge.configs import source_config
from tests.edge.decoders.cases import UNITS_OF
from tests.edge.decoders.receivers import LOGS, read
from tests.edge.decoders.splitting import samples
from tests.support.data import data_dir

WORDS = [
    *(b"", b"nan", b"-nan", b"inf", b"1e999", b"-1e-999", b"0x1F", b"1_000", b"--1", b"+1", b".5", b"5.", b"1,5", b"-"),
    *(b"9" * 40, b"NaN", b"null", b"true", b'"', b'"7"', b"[", b"]", b"{}", b"[[1],[2]]", b'{"x":1}', b"\\", b'"\\u00'),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\r", b"\x1b[2J", b"A" * 300, b"N", b"S", b"9900.0"),
    *(b"235960", b"240000.00", b"000000", b"310226", b"000000.000000000001", b"1767225600123", b"2026-13-01T00:00:00Z"),
    *(b"2026-01-01T00:00:00+25:00", b"2026-01-01T00:00:00", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:60.9Z"),
    *("１２".encode(), "٣".encode(), b"1 2", b"\t7", b"1e", b"e1", b"1.2.3", b"Infinity", b"N/A", b"#"),
]
FIELD = re.compile(rb"[^,;:\s\[\]{}]+|(?<=[,;:])(?=[,;\r\n])")
SENTENCE = re.compile(rb"[$!][^$!*\r\n]*\*[0-9A-Fa-f]{2}")


@dataclass(frozen=True)
class Kind:
    """A decoder as it is configured for some sensors, what they said, and a last word that it must understand."""

    decoder: str
    name: str
    new: Callable[[], Decoder]
    channels: int
    seeds: list[bytes]
    good: bytes

    @cached_property
    def wanted(self) -> tuple[float, ...]:
        """What the last word says."""
        return samples(run(self.new(), [self.good + b"\n"]))[-1][0]


def kinds() -> list[Kind]:
    data = data_dir()
    cars = unpacked(sorted((data / "driver_behavior").glob("*/aceleracaoLinear_terra.csv.gz"))[0])
    plain = re.sub(rb"(?m)^[^,\n]*,[^,\n]*,", b"", cars)
    valves = unpacked(data / "skab" / "anomaly-free" / "anomaly-free.csv.gz")
    air = unpacked(data / "beijing_air" / "PRSA_Data_Huairou_20130301-20170228.csv.gz")
    header = air.split(b"\n", 1)[0].replace(b'"', b"").decode().strip().split(",")
    names = valves.split(b"\n", 1)[0].decode().strip().split(";")
    lora = unpacked(data / "lorawan_campusiot" / "helium_ems_B1C1.ndjson.gz")
    senml = [path.read_bytes() for path in sorted((data / "senml").glob("*.json"))]
    packs = [re.sub(rb"\s+", b" ", pack) + b"\n" for pack in senml]
    items = [piece(path.read_bytes()) for path in sorted((data / "senml").glob("*.cbor"))]
    logs = [read(path) for path in LOGS] + [
        path.read_bytes() for path in sorted((data / "pynmeagps_logs").glob("*.log")) if path.stat().st_size
    ]
    return [
        kind("csv", "plain", ("x", "y", "z"), pieces([plain], 6), b"1,2,3"),
        kind(
            *("csv", "local time", (names[3], names[1]), pieces([valves], 4), b"2020-02-08 13:30:47" + b";1" * 8),
            columns=names,
            separator=";",
            time_column=names[0],
            timezone="Europe/Moscow",
        ),
        kind("csv", "quotes", ("CO", "O3"), pieces([air], 4), b",".join([b"1"] * len(header)), columns=header),
        kind("json", "lines", ("x", "y"), pieces([lora], 1), b'{"fcnt":1}', fields={"x": "fcnt", "y": "port.or.else"}),
        kind(
            "json", "pretty", ("v", "t"), senml, b'{"v":1,"bt":1}', time_field="bt", time_unit="s", numbers_as_text=True
        ),
        kind("keyvalue", "pairs", ("x", "y", "z"), pieces([as_pairs(plain)], 2), b"x=1 y=2 z=3"),
        kind(
            *("regex", "text", ("x", "y", "z"), pieces([as_pairs(plain)], 2), b"x=1,y=2 z=3"),
            pattern=r"x=(?P<x>\S+),y=(?P<y>\S+) z=(?P<z>\S+)",
        ),
        kind("binary", "fixed", ("x", "y", "z"), records(plain, 3, b"\xaa\x55"), record(b"\xaa\x55", 1, 2, 3), **FIXED),
        kind(
            *(
                "binary",
                "COBS",
                ("x", "y", "z"),
                records(plain, 3, b"", stuffed),
                b"\0" + stuffed(record(b"", 1, 2, 3)),
            ),
            **(FIXED | {"sync": "", "frame": "cobs", "kind": "fed"}),
        ),
        kind(
            "cbor",
            "pieces",
            ("x", "y"),
            [piece(b"\xa2axa\x01ay\xfb@" + bytes(7)), *items],
            piece(b"\x82\1\2"),
            **PIECES,
        ),
        kind("senml", "texts", ("voltage", "current"), packs, PACK, prefix=NAME, clock="device"),
        kind("senml", "pieces", ("voltage", "current"), items, piece(PACK), prefix=NAME, clock="device", **PIECES),
        kind("nmea", "receivers", tuple(UNITS), pieces(logs, 7), GOOD),
        kind("ubx", "frames", tuple(UBX_UNITS), [ubx(line) + line for line in pieces(logs[:4], 1)], ubx(b"good")),
    ]


def kind(decoder: str, name: str, channels: tuple[str, ...], seeds: list[bytes], good: bytes, **options: Any) -> Kind:
    config = source_config(decoder, channels, units=UNITS_OF, **options)
    made = decoder_type(decoder, "")
    return Kind(decoder, f"{decoder}: {name}", lambda: made.from_config(config), len(channels), seeds, good)


def sentence(body: bytes) -> bytes:
    return b"$%b*%02X" % (body, reduce(xor, body, 0))


GOOD = b"\r\n".join(
    sentence(b"GPGGA,%b,5203.0000,N,00436.0000,E,1,08,0.9,12.5,M,40.0,M,," % at) for at in (b"121212.12", b"121212.13")
)


def ubx(seed: bytes) -> bytes:
    """A NAV-PVT of a fix whose other fields are anything, of another UBX message behind it."""
    when = struct.pack("<IHBBBBBBIiBBBB", 0, 2026, 11, 24, 12, 0, len(seed) % 60, 7, 20, 0, 3, 1, 0, 12)
    payload = (when + struct.pack("<ii", 46_000_000, 520_500_000) + seed[:40]).ljust(92, b"\0")
    return framed(b"\1\7", payload) + framed(b"\1\3", bytes(16))


def framed(kind: bytes, payload: bytes) -> bytes:
    body = kind + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + sums(body)


def as_pairs(lines: bytes) -> bytes:
    """Lines of three cells as names and values."""
    return re.sub(rb"(?m)^([^,\n]*),([^,\n]*),([^,\n]*)$", rb"x=\1,y=\2 z=\3", lines)


FIXED: dict[str, Any] = {
    "fields": [{"name": name, "type": "f32"} for name in "xyz"],
    "frame": "fixed",
    "sync": "AA 55",
    "checksum": "crc16-xmodem",
}


PIECES: dict[str, Any] = {"frame": "length", "sync": "AA 55", "checksum": "crc32", "length_type": "u16", "kind": "fed"}
NAME = "urn:dev:ow:10e2073a0108006:"
PACK = b'[{"n":"%b","t":1320067464,"v":1}]' % (NAME + "current").encode()


def piece(payload: bytes) -> bytes:
    """A frame that says its length."""
    body = len(payload).to_bytes(2, "little") + payload
    return b"\xaa\x55" + body + zlib.crc32(body).to_bytes(4, "little")


def record(sync: bytes, *values: float) -> bytes:
    packed = struct.pack("<3f", *values)
    return sync + packed + crc_hqx(packed, 0).to_bytes(2, "little")


def records(lines: bytes, count: int, sync: bytes, framed: Callable[[bytes], bytes] = bytes) -> list[bytes]:
    """Lines of three numbers as packed records, so many at a time."""
    rows = [line.split(b",") for line in lines.split(b"\n")[1:-1]]
    packed = [framed(record(sync, *map(float, row))) for row in rows if len(row) == 3]
    return [b"".join(packed[at : at + count]) for at in range(0, len(packed), count)]


def stuffed(data: bytes) -> bytes:
    """COBS, of less than 254 bytes."""
    return b"".join(bytes([len(block) + 1]) + block for block in data.split(b"\0")) + b"\0"


def unpacked(path: object) -> bytes:
    with gzip.open(str(path)) as file:
        return file.read(60_000)


def pieces(logs: Iterable[bytes], lines: int) -> list[bytes]:
    """So many lines at a time."""
    found = []
    for log in logs:
        whole = log[:60_000].splitlines(keepends=True)
        found += [b"".join(whole[at : at + lines]) for at in range(0, len(whole), lines)]
    return found


def damaged(seeds: list[bytes], chance: Random) -> bytes:
    """One of them, or two, no longer what it was."""
    data = chance.choice(seeds)
    if chance.random() < 0.1:
        data += chance.choice(seeds)
    if chance.random() < 0.6:
        data = with_other_fields(data, chance)
    if chance.random() < 0.5:
        data = mutated(data, chance)
    if chance.random() < 0.7:
        data = SENTENCE.sub(lambda match: sentence(match[0][1:-3]), data)
    return data


def with_other_fields(data: bytes, chance: Random) -> bytes:
    fields = list(FIELD.finditer(data))
    chosen = chance.sample(fields, min(len(fields), chance.randint(1, 3)))
    for match in sorted(chosen, key=re.Match.start, reverse=True):
        word = chance.choice(WORDS) if chance.random() < 0.7 else chance.choice(fields)[0]
        data = data[: match.start()] + word + data[match.end() :]
    return data
