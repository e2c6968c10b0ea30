"""Commits to disk as data: which operations come in which order, so that a test can stop after each.

A path is relative to the store's root, with `/` between its parts. Nothing is visible under its name before all of
its bytes are fsynced, and a name that is visible is made durable by an fsync of its folder before anything rests on it
(see "All File Systems Are Not Created Equal", Pillai et al., OSDI 2014).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ingest.engine.operator import Buffer


@dataclass(frozen=True, slots=True)
class Write:
    """Write the parts to a new file under `path`, a name that nobody had before."""

    path: str
    parts: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class Fsync:
    """Make the bytes of `path` durable."""

    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    """Put `path` under the name `to`, replacing what was there."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Link:
    """Give `path` the further name `to`; fails where that name exists. This is the commit."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class SyncFolder:
    """Make the names in a folder durable, and the folder's own name up to the root."""

    path: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove a name; one that is gone already is no error."""

    path: str


Op: TypeAlias = Write | Fsync | Rename | Link | SyncFolder | Unlink


def folder_of(path: str) -> str:
    """The folder part of a relative path; "" is the root."""
    return path.rpartition("/")[0]


def put_plan(files: Iterable[tuple[str, Sequence[Buffer]]], token: str) -> tuple[Op, ...]:
    """Durable files under their names: bytes before names, all names of a folder with one fsync of it.

    `token` makes the temporary names this plan's own: of two that put the same file at once (same hash, same bytes),
    neither may rename what the other is still writing.
    """
    ops: list[Op] = []
    folders: dict[str, None] = {}
    for name, parts in files:
        temporary = f"{name}.{token}.tmp"
        ops += [Write(temporary, tuple(parts)), Fsync(temporary), Rename(temporary, name)]
        folders[folder_of(name)] = None
    return (*ops, *(SyncFolder(folder) for folder in folders))


def create_plan(name: str, data: bytes, token: str) -> tuple[Op, ...]:
    """A durable file under a name that must be free: `link()` succeeds for exactly one of all who try."""
    temporary = f"{name}.{token}.tmp"
    return (
        Write(temporary, (data,)),
        Fsync(temporary),
        Link(temporary, name),
        SyncFolder(folder_of(name)),
        Unlink(temporary),
    )


def delete_plan(names: Iterable[str]) -> tuple[Op, ...]:
    """Names that nothing refers to any more; their going need not be durable."""
    return tuple(Unlink(name) for name in names)
