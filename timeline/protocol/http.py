"""What is asked and answered over HTTP: signing in, the gallery, ranges taken out."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from timeline.protocol.fields import STREAMS_MAX, Name, Ns, Role


class Login(msgspec.Struct, frozen=True):
    """A person's name and password."""

    user: Annotated[str, Meta(max_length=200)]
    password: Annotated[str, Meta(max_length=1_000)]


class Session(msgspec.Struct, frozen=True):
    """Who is signed in."""

    user: str
    role: Role
    csrf: str
    """Goes into the header `X-CSRF-Token` of every request that is no GET."""
    expires_ns: Ns
    by_link: bool = False
    """Made by the one-time link, which opens once: who signs out comes in by another one alone."""


class GalleryRow(msgspec.Struct, frozen=True):
    """A recording."""

    device: str
    recording: str
    start_ns: Ns
    end_ns: Ns | None
    """None: it goes on."""
    until_ns: Ns
    """Its end, or its last sample so far."""
    samples: int
    spark: tuple[tuple[float, float] | None, ...]
    """Lowest and highest value of the first stream's first channel in equal spans; None: nothing there."""
    labels: dict[str, float]
    """The share of its length that each label covers."""
    coverage: float
    """The share that any mark covers."""
    flags: tuple[Literal["gap", "still", "jerky", "clock unsure", "unlabelled", "live", "no end"], ...]


class Gallery(msgspec.Struct, frozen=True):
    """All recordings, the newest first."""

    rows: tuple[GalleryRow, ...]
    truncated: bool = False
    palette: tuple[str, ...] = ()
    """Labels in the order of the timeline's palette: each has the same colour there and here."""


class TakeQuery(msgspec.Struct, frozen=True, rename={"from_ns": "from", "to_ns": "to"}):
    """What `GET /api/take` and `GET /api/take/plan` are asked."""

    device: Name
    streams: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=STREAMS_MAX)]
    """As often in the address as there are streams."""
    from_ns: Ns
    to_ns: Ns
    format: Literal["csv", "npz", "parquet"]


class TakePlan(msgspec.Struct, frozen=True):
    """What a file of a range would hold."""

    file: str
    """Its name."""
    samples: int
    """About so many, of all streams."""
    most: int
    """So many are given at once."""
    too_much: bool
    words: str
    """What stands in the way; "": nothing."""
    python: str
    """The line that reads the file."""
    columns: tuple[str, ...]
    """Of CSV and Parquet."""
    gaps: int
    """Ranges whose samples will never come; the file has nothing in their place."""


class Problem(msgspec.Struct, frozen=True):
    """Any answer that is no success."""

    error: str
    """A word for programs: "session", "csrf", "rate", "role", "request", "missing", "busy", "log"."""
    words: str
