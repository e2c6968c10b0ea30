"""What comes from outside, made fit to be shown: without control characters, without secrets. Pure."""

from __future__ import annotations

import re
from typing import Final

_SECRET: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^\s/@\"']*@")
_BARE_SECRET: Final = re.compile(r"(?P<user>[^\s/@:\"',]+):[^\s/@\"',]+@(?=[\w\[.-])")
"""A name and a password without a scheme before them: a piece of an address that was taken apart."""


def masked(text: str) -> str:
    """The text with `***` for the user and the password of each URL in it."""
    return _BARE_SECRET.sub("***@", _SECRET.sub(r"\g<scheme>***@", text)) if "@" in text else text


def printable(text: str) -> str:
    """The text on one line, each control character and what else a terminal may act upon as an escape (`\\x1b`)."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


def counted(number: int, thing: str) -> str:
    """`1 mark`, `2 marks`, `1,000 marks`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def shown_bytes(data: bytes, most: int) -> str:
    """Bytes as an example for people, in at most `most` characters: text as it is, all else as escapes."""
    try:
        pieces = list(map(_escaped, data.decode()))
    except UnicodeDecodeError:
        pieces = [_escaped(chr(byte)) if byte < 0x80 else f"\\x{byte:02x}" for byte in data]
    if sum(map(len, pieces)) <= most:
        return "".join(pieces)
    shown = ""
    for piece in pieces:
        if len(shown) + len(piece) >= most:
            break
        shown += piece
    return shown + "…"
