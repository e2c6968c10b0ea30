"""Files of formats that describe themselves, as bytes: each format's smallest writer, or its own library."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")


# --- XDF: github.com/sccn/xdf, Specifications -------------------------------------------------------------------------


def _chunk(tag: int, body: bytes) -> bytes:
    body = struct.pack("<H", tag) + body
    return b"\x04" + struct.pack("<I", len(body)) + body


def xdf_header(date: str | None = None) -> bytes:
    told = f"<datetime>{date}</datetime>" if date else ""
    return b"XDF:" + _chunk(1, f"<?xml version='1.0'?><info><version>1.0</version>{told}</info>".encode())


def xdf_stream(
    number: int, name: str, rate: float, form: str, channels: Sequence[tuple[str, str]], kind: str = "EEG"
) -> bytes:
    described = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label, unit in channels)
    info = (
        f"<info><name>{name}</name><type>{kind}</type><channel_count>{len(channels)}</channel_count>"
        f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
        f"<desc><channels>{described}</channels></desc></info>"
    )
    return _chunk(2, struct.pack("<I", number) + info.encode())


def xdf_samples(number: int, stamps: Sequence[float | None], rows: Sequence[Any]) -> bytes:
    """`rows`: bytes of each sample's values, or a tuple of texts."""
    body = struct.pack("<I", number) + b"\x04" + struct.pack("<I", len(rows))
    for stamp, row in zip(stamps, rows, strict=True):
        body += b"\0" if stamp is None else b"\x08" + struct.pack("<d", stamp)
        body += row if isinstance(row, bytes) else b"".join(bytes([1, len(t.encode())]) + t.encode() for t in row)
    return _chunk(3, body)


def xdf_offset(number: int, at: float, offset: float) -> bytes:
    return _chunk(4, struct.pack("<Idd", number, at, offset))


def xdf_boundary() -> bytes:
    return _chunk(5, BOUNDARY)


def xdf(*, synced: bool = True, date: str | None = "2026-01-01T00:00:00+0000") -> bytes:
    """Two signals, one of markers: 3 s of 100 Hz in chunks of a second, and texts."""
    data = xdf_header(date)
    data += xdf_stream(1, "EEG", 100, "float32", [("Fp1", "microvolts"), ("Fp2", "microvolts")])
    data += xdf_stream(2, "Acc", 50, "int16", [("x", "m/s2")])
    data += xdf_stream(3, "Events", 0, "string", [("m", "")], "Markers")
    for second in range(3):
        base = 1000.0 + second
        if synced:
            data += b"".join(xdf_offset(number, base, 5.0 if number == 2 else 0.0) for number in (1, 2, 3))
        rows = [struct.pack("<2f", second * 100 + k, -k) for k in range(100)]
        data += xdf_samples(1, [base if not k else None for k in range(100)], rows)
        rows = [struct.pack("<h", second * 50 + k) for k in range(50)]
        data += xdf_samples(2, [base - 5.0 + k / 50 for k in range(50)], rows)
        data += xdf_samples(3, [base + 0.5], [(f"tap {second}",)])
        data += xdf_boundary()
    return data


# --- EDF --------------------------------------------------------------------------------------------------------------


def edf_header(
    channels: Sequence[Mapping[str, Any]], records: int, seconds: str, reserved: str = "", *, bdf: bool = False,
    start: str = "02.01.2613.04.05",
) -> bytes:  # fmt: skip
    """edfplus.info/specs/edf.html; `start` is dd.mm.yyhh.mm.ss."""
    version = b"\xffBIOSEMI" if bdf else b"0       "
    head = f"{'X X X X':80}{'Startdate X X X X':80}{start}{256 * (len(channels) + 1):<8}{reserved:44}"
    head += f"{records:<8}{seconds:8}{len(channels):<4}"
    digits = ((-8388608, 8388607) if bdf else (-32768, 32767),) * len(channels)
    names = ("label", "transducer", "unit", "low", "high", "least", "most", "filter", "samples", "reserved")
    for name, width in zip(names, (16, 80, 8, 8, 8, 8, 8, 80, 8, 32), strict=True):
        for channel, (least, most) in zip(channels, digits, strict=True):
            head += f"{ {'least': least, 'most': most, **channel}.get(name, ''):<{width}}"[:width]
    return version + head.encode("latin-1")


def tal(*texts: str, size: int) -> bytes:
    """Time-stamped annotations of one record; `+0.5|1.5|label` and the like."""
    told = b""
    for text in texts:
        onset, length, label = text.split("|")
        told += onset.encode() + (b"\x15" + length.encode() if length else b"") + b"\x14" + label.encode() + b"\x14\0"
    assert len(told) <= size
    return told.ljust(size, b"\0")


# --- WAV --------------------------------------------------------------------------------------------------------------


def wav(
    values: np.ndarray[Any, Any], rate: int, bits: int, *, is_float: bool = False, extensible: bool = False
) -> bytes:
    """`values` `(frames, channels)`, raw numbers."""
    channels = values.shape[1]
    if is_float:
        raw = values.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        raw = (values + 128).astype(np.uint8).tobytes()
    elif bits == 24:
        raw = values.astype("<i4").reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        raw = values.astype(f"<i{bits // 8}").tobytes()
    code, block = 3 if is_float else 1, bits // 8 * channels
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * block, block, bits)
    if extensible:
        form += struct.pack("<HHIH14s", 22, bits, 0, code, bytes.fromhex("000000001000800000aa00389b71"))
    body = b"WAVE" + b"LIST" + struct.pack("<I", 5) + b"hello\0"  # of an odd size, and filled up
    body += b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(raw)) + raw
    return b"RIFF" + struct.pack("<I", len(body)) + body


# --- MCAP -------------------------------------------------------------------------------------------------------------


def mcap_json(
    messages: Sequence[tuple[str, int, Any]], *, units: Mapping[str, str] = {}, chunk_bytes: int = 400, **more: Any
) -> bytes:
    """Messages of topics at times, in JSON."""
    from mcap.writer import Writer

    file = io.BytesIO()
    writer = Writer(file, chunk_size=chunk_bytes, **more)
    writer.start()
    schema = writer.register_schema("any", "jsonschema", b'{"type":"object"}')
    told = {f"unit:{name}": unit for name, unit in units.items()}
    topics = {
        topic: writer.register_channel(topic, "json", schema, told) for topic in dict.fromkeys(it[0] for it in messages)
    }
    for topic, t_ns, message in messages:
        writer.add_message(topics[topic], t_ns, json.dumps(message).encode(), t_ns - 5)
    writer.finish()  # type: ignore[no-untyped-call]
    return file.getvalue()


# --- GPX and Edge Impulse ---------------------------------------------------------------------------------------------

GPX = """<?xml version="1.0"?>
<gpx version="1.1" creator="t" xmlns="http://www.topografix.com/GPX/1/1" xmlns:x="http://example.org/TrackPoint/v1">
<wpt lat="1" lon="2"><time>2026-01-01T00:00:01Z</time><name>bridge</name></wpt>
<trk><name>tour</name><trkseg>
<trkpt lat="47.5" lon="-8.25"><ele>400.5</ele><time>2026-01-01T00:00:00Z</time>
<extensions><x:hr>101</x:hr></extensions></trkpt>
<trkpt lat="47.50001" lon="-8.25001"><time>2026-01-01T00:00:01.5Z</time>
<extensions><x:hr>102</x:hr></extensions></trkpt>
<trkpt lat="47.50002" lon="-8.25002"><ele>401</ele></trkpt>
</trkseg><trkseg>
<trkpt lat="47.6" lon="-8.3"><ele>402</ele><time>2026-01-01T01:05:00+01:00</time></trkpt>
<trkpt lat="47.7" lon="-8.4"><ele>403</ele><time>2026-01-01T00:10:00</time></trkpt>
</trkseg></trk></gpx>
"""

EDGE_IMPULSE = {
    "protected": {"ver": "v1", "alg": "HS256", "iat": 1767225600},
    "signature": "0" * 64,
    "payload": {
        "device_name": "ac:87:a3",
        "device_type": "BOARD",
        "interval_ms": 16.0,
        "sensors": [{"name": "accX", "units": "m/s2"}, {"name": "mic", "units": "wav"}],
        "values": [[-9.81, 1], [-9.5, 2], [0.25, None], [1e-3, 4]],
    },
}
