"""Strict configuration: an unknown key is an error that names its path and the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ingest.errors import UsageError


def suggest(word: str, known: Iterable[str]) -> str:
    """`; known: a, b. Did you mean "b"?` for an error message."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"; known: {', '.join(names)}." + (f' Did you mean "{near[0]}"?' if near else "")


def check_keys(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Raise `UsageError` for the first key of `table` that is not known; `where` is its path, as in `file: window`."""
    names = set(known)
    for key in table:
        if key not in names:
            raise UsageError(f'{where}: unknown key "{key}"{suggest(key, names)}')
