"""Edge Impulse's data acquisition format, as JSON and as CBOR (docs.edgeimpulse.com, "Data acquisition format").

The signature is HMAC-SHA256 over the file's bytes with zeros in the place of the signature itself.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from fractions import Fraction
from typing import Any, Final

import msgspec
import numpy as np

from ingest.errors import MissingLibraryError, UsageError
from ingest.importers.signals.contents import LOST_BYTES, Asked, Contents, Signal, file_unit, unique
from ingest.importers.source import Source

_HEX: Final = 64
_WORD: Final = b"protected"
_TAIL: Final = re.compile(rb"\]\s*,?\s*(\[[^\[\]]*)?$")


def is_edge_impulse(data: bytes) -> bool:
    """Whether it begins as one, in either form."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith(b"{"):
        return b'"protected"' in head and (b'"signature"' in head or b'"payload"' in head)
    return bool(head) and 0xA0 <= head[0] <= 0xBF and _WORD in head[:64]


def read_edge_impulse(source: Source, asked: Asked) -> Contents:
    """The sensors of a file. Of JSON that is cut off, the rows before the tear.

    Raises:
        UsageError: it is no such file, is damaged, or its signature is not what the key makes.
        MissingLibraryError: it is CBOR, and the library for that is not installed.
    """
    path, lost = source.path, 0
    if source.data.lstrip()[:1] in (b"{", b"\xef"):
        document, lost = _json(path, source.data.removeprefix(b"\xef\xbb\xbf"))
    else:
        document = _cbor(path, source.data)
    notes = [_signature(path, source.data, document, asked.key, torn=bool(lost))]
    payload = document.get("payload")
    if not isinstance(payload, dict):
        raise UsageError(f'{path}: has no "payload"; is it a file of Edge Impulse?')
    sensors, values, period_ms = payload.get("sensors"), payload.get("values"), payload.get("interval_ms")
    if not isinstance(sensors, list) or not sensors or not all(isinstance(it, dict) for it in sensors):
        raise UsageError(f"{path}: names no sensors")
    if not isinstance(period_ms, int | float) or not math.isfinite(period_ms) or period_ms <= 0:
        raise UsageError(f"{path}: interval_ms is {period_ms!r}, expected more than 0; of samples without one make CSV")
    signal = Signal(
        "sensors",
        unique([str(sensor.get("name", "")) for sensor in sensors], "sensor"),
        _values(path, values, len(sensors)),
        np.zeros(1, np.int64),
        1000 / Fraction(repr(period_ms)),
        units=tuple(file_unit(str(sensor.get("units") or "")) for sensor in sensors),
    )
    if lost:
        notes.append(f"the file is cut off: {lost} bytes behind its last whole row were not read")
    device = payload.get("device_name") or payload.get("device_type") or ""
    gone = {LOST_BYTES: lost} if lost else {}
    kept = tuple(note for note in notes if note)
    return Contents("Edge Impulse", (signal,), "none", device=str(device), lost=gone, notes=kept)


def _values(path: str, rows: Any, count: int) -> Any:
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: has no values")
    if count == 1 and not isinstance(rows[0], list):
        rows = [[row] for row in rows]
    if not isinstance(rows[0], list) and isinstance(rows[0], str):
        raise UsageError(
            f"{path}: its values are {rows[0][:40]!r}, an attachment; fetch the data with their values in it"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != count:
            raise UsageError(f"{path}: row {number} has not {count} values, one of each sensor")
        if not all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in row):
            raise UsageError(f"{path}: row {number} holds what is no number")
    return np.array([[math.nan if value is None else float(value) for value in row] for row in rows])


def _json(path: str, data: bytes) -> tuple[dict[str, Any], int]:
    """The document, and how many bytes of it were lost."""
    lost = 0
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document, lost = _mended(data)
        if not lost:
            raise UsageError(f"{path}: damaged: {error}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}: is no file of Edge Impulse")
    return document, lost


def _mended(data: bytes) -> tuple[Any, int]:
    """A document that was cut off in its values, which come last, without the row that is torn; and how many bytes that
    lost, at least one: 0 where it is damaged otherwise."""
    found = _TAIL.search(data)
    whole = b"" if found is None else data[: found.start() + 1]
    if b'"values"' not in whole and not data.endswith(b"}"):
        return None, 0
    for kept, end in ((whole, b"]}}"), (data, b"}}"), (data, b"}")):
        try:
            return msgspec.json.decode(kept + end), max(len(data) - len(kept), 1)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return None, 0


def _cbor(path: str, data: bytes) -> dict[str, Any]:
    try:
        import cbor2
    except ImportError as error:
        raise MissingLibraryError(f"{path}: a file of Edge Impulse in CBOR", error.name, "formats") from None
    try:
        document = cbor2.loads(data)
    except Exception as error:  # what a damaged file makes the library raise is its to choose
        raise UsageError(f"{path}: damaged or cut off: {error or type(error).__name__}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path}: is no file of Edge Impulse")
    return document


def _signature(path: str, data: bytes, document: dict[str, Any], key: bytes, *, torn: bool) -> str:
    """What to say of the signature. Raises `UsageError` where it is not what `key` makes of the file."""
    said = document.get("signature")
    said = said.hex() if isinstance(said, bytes) else said
    signed = isinstance(said, str) and len(said) == _HEX and set(said) != {"0"}
    if not key:
        return ""
    if torn or not signed:
        raise UsageError(f"{path}: is {'cut off' if torn else 'not signed'}, and a key was given to check signatures")
    assert isinstance(said, str)
    for written, zeros in ((said.encode(), b"0" * _HEX), (bytes.fromhex(said), b"\0" * (_HEX // 2))):
        made = hmac.new(key, data.replace(written, zeros, 1), hashlib.sha256).hexdigest()
        if written in data and hmac.compare_digest(made, said):
            return ""
    raise UsageError(f"{path}: its signature is not what the key makes of it: it was changed, or the key is another")
