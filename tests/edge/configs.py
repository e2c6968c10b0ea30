"""Source configurations for tests."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from edge.protocol import ClockKind, SourceConfig


def source_config(
    decoder: str = "csv",
    channels: tuple[str, ...] = ("x", "y", "z"),
    *,
    units: dict[str, str] | None = None,
    rate: int | None = None,
    dtype: Any = "float64",
    clock: ClockKind = "arrival",
    stream: str = "acc",
    kind: str = "serial",
    **options: Any,
) -> SourceConfig:
    return SourceConfig(
        where="agent.toml: source[0]",
        base=".",
        name=stream,
        type=kind,
        decoder=decoder,
        device="pump",
        stream=stream,
        channels={name: (units or {}).get(name, "g") for name in channels},
        rate=None if rate is None else Fraction(rate),
        dtype=dtype,
        clock=clock,
        options=options,
    )
