"""What fields of many messages are: instants, names, numbers and their limits."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

STREAMS_MAX: Final = 64
COLUMNS_MAX: Final = 8_192
Ns: TypeAlias = Annotated[str, Meta(pattern="^(0|-?[1-9][0-9]{0,18})$")]
"""Nanoseconds UTC, or a difference of two, as a decimal number in a string."""
Uuid: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
Role: TypeAlias = Literal["viewer", "annotator", "reviewer", "admin"]
"""Viewers see; annotators mark, and change their own marks and rules'; reviewers change everybody's."""
