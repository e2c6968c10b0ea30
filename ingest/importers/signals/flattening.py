"""Messages as rows of numbers: what is nested gets the names on the way to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

LIST_MAX: Final = 64
"""Longer lists of numbers (pictures, scans, point clouds) are no channels."""
_DEPTH_MAX: Final = 16


def flat(message: Any) -> Iterator[tuple[str, float | None]]:
    """The numbers of a message: `a.b` of what is nested, `a[0]` of lists. What is no number: its name, and None.

    `message` is of mappings, lists and numbers, or an object with such attributes (as decoders of ROS make), or a
    message of protobuf's. A `float | None` that is None was left out.
    """
    yield from _flat("", message, 0)


def _flat(name: str, value: Any, depth: int) -> Iterator[tuple[str, float | None]]:
    if isinstance(value, bool | int | float):
        yield name, value
        return
    parts = _parts(value) if depth < _DEPTH_MAX else None
    if parts is not None:
        for key, part in parts:
            yield from _flat(f"{name}.{key}" if name else key, part, depth + 1)
    elif _is_list(value) and 0 < len(value) <= LIST_MAX:
        for number, part in enumerate(value):
            yield from _flat(f"{name}[{number}]", part, depth + 1)
    elif value is not None:
        yield name, None


def _is_list(value: Any) -> bool:
    return (not isinstance(value, str | bytes | bytearray | memoryview) and isinstance(value, Sequence)) or (
        hasattr(value, "__len__") and hasattr(value, "__getitem__") and not isinstance(value, str | bytes | Mapping)
        and hasattr(value, "__iter__")
    )  # fmt: skip


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    """What is in a message, by name; None where it is none."""
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if hasattr(value, "DESCRIPTOR"):  # protobuf
        return [(field.name, getattr(value, field.name)) for field in value.DESCRIPTOR.fields]
    if _is_list(value):
        return None
    slots = getattr(type(value), "__slots__", None)
    if slots:
        return [(name, getattr(value, name)) for name in slots if not name.startswith("_")]
    own = getattr(value, "__dict__", None)
    return [(name, part) for name, part in own.items() if not name.startswith("_")] if own else None
