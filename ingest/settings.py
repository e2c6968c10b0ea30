"""Strict configuration: an unknown key is an error that names its path and the key that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ingest.errors import UsageError

_NEAR: Final = 0.65
"""Of two names less alike than this (`server` and `username` are by 0.57) neither is the other's slip of the pen."""
_NOTHING: Final[Mapping[str, str]] = {}


def suggest(word: str, known: Iterable[str], synonyms: Mapping[str, str] = _NOTHING) -> str:
    """`; known: a, b. Did you mean "b"?` for an error message; `synonyms` are other names of what is known."""
    names = sorted(known)
    near = meant(word, names, synonyms)
    return f"; known: {', '.join(names)}." + (f' Did you mean "{near}"?' if near else "")


def meant(word: str, known: Iterable[str], synonyms: Mapping[str, str] = _NOTHING) -> str:
    """The known name that `word` was meant to be: another name's first, then the nearest; empty where none is near."""
    plain = {_plain(name): name for name in known}
    others = {_plain(name): other for name, other in synonyms.items() if _plain(other) in plain}
    given = _plain(word)
    if given in plain:
        return plain[given]
    if given in others:
        return others[given]
    near = difflib.get_close_matches(given, [*plain, *others], n=1, cutoff=_NEAR)
    return plain.get(near[0]) or others[near[0]] if near else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())


def check_keys(
    table: Mapping[str, Any], known: Iterable[str], where: str, synonyms: Mapping[str, str] = _NOTHING
) -> None:
    """Raise `UsageError` for the first key of `table` that is not known; `where` is its path, as in `file: window`."""
    names = set(known)
    for key in table:
        if key not in names:
            raise UsageError(f'{where}: unknown key "{key}"{suggest(key, names, synonyms)}')
