"""Times for programs that cannot hold them: JavaScript and jq round whole numbers of 19 digits. Pure."""

from __future__ import annotations

from typing import Any, Final

from ingest.units import exact_time

INSTANTS: Final = frozenset(
    f"{name}_ns"
    for name in (
        "append",
        "begun",
        "client",
        "complete_to",
        "end",
        "last",
        "previous_reach",
        "sealed",
        "server",
        "start",
        "t0",
        "time",
        "times",
    )
)
"""Names of instants; others that end so are stretches of time."""


def with_exact_times(value: Any) -> Any:
    """Plain data with ISO text of nine decimals beside each instant: `end` beside `end_ns`, `times` beside `times_ns`.

    0, which says that an instant is not known, is null.
    """
    if isinstance(value, dict):
        told: dict[Any, Any] = {}
        for name, one in value.items():
            told[name] = with_exact_times(one)
            if name in INSTANTS and (short := name.removesuffix("_ns")) not in value:
                told[short] = (
                    [exact_time(t) for t in one] if isinstance(one, list) else exact_time(one) if one else None
                )
        return told
    if isinstance(value, list | tuple):
        return [with_exact_times(one) for one in value]
    return value
