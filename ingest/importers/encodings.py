"""Text in other encodings as UTF-8. What a file says itself is believed (a byte order mark, or the zeros of UTF-16);
any other encoding has to be said: a wrong guess is another name, or another label. Pure.
"""

from __future__ import annotations

import codecs
from typing import Final

from ingest.errors import UsageError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT: Final = 4096
REPLACED: Final = "\ufffd"
"""What stands for bytes that are no UTF-8."""
ADVICE: Final = "say --encoding cp1252, latin-1 or what it is, or save the file as UTF-8"


def check_encoding(name: str | None) -> None:
    """Raise `UsageError` for an encoding of texts that nobody knows."""
    try:
        if name is not None:
            "".encode(name)
    except (LookupError, ValueError):
        raise UsageError(f'--encoding: found "{name}", expected one such as utf-16, latin-1 or cp1252') from None


def as_utf8(path: str, data: bytes, encoding: str | None = None) -> bytes:
    """A text as UTF-8, without a byte order mark. What nothing says to be another encoding is as it was.

    Raises:
        UsageError: it is not what it, or `encoding`, says, with the line.
    """
    said = encoding or _said(data)
    if said is None:
        return data
    if codecs.lookup(said).name == "utf-8":
        return data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(said).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data[:at].decode(said, "ignore").count("\n") + 1
        raise UsageError(f"{path}: line {line}: is not {said}: {error}") from None


def decoded(path: str, data: bytes, encoding: str | None = None) -> str:
    """A text all of which is meant. Raises `UsageError` as `as_utf8`, and where nothing says what it is."""
    data = as_utf8(path, data, encoding)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line}: byte {data[error.start]:#x} is not UTF-8; {ADVICE}") from None


def is_utf8(data: bytes) -> bool:
    """Whether all of it is UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _said(data: bytes) -> str | None:
    """What a text says itself."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    first = data[:_LOOKED_AT]
    # Letters, digits and separators of UTF-16 have a zero for their other byte, and UTF-8 has none.
    for name, zeros, others in (("utf-16-le", first[1::2], first[::2]), ("utf-16-be", first[::2], first[1::2])):
        if len(first) > 1 and 2 * zeros.count(0) > len(zeros) and not others.count(0):
            return name
    return None
