"""`sensorloom dataset exclude`: what is asked, checked against the dataset, written, and shown."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ingest.engine.disk import DiskFiles
from ingest.engine.store import FileStore
from ingest.errors import UsageError
from ingest.settings import suggest
from ingest.showing import counted
from ingest.units import exact_time, format_time
from ingest.who import who
from windowing.dataset.exclusions import Exclusion, exclude, read_exclusions, take_back
from windowing.dataset.reading import read_contents


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be taken out, or put back."""

    device: str | None
    start_ns: int | None
    end_ns: int | None
    recording: str | None
    reason: str
    undo: int | None


class ListedExclusion(msgspec.Struct, frozen=True):
    """An exclusion as it is shown."""

    number: int
    device: str
    recording: str | None
    start_ns: int | None
    start: str | None
    end_ns: int | None
    end: str | None
    reason: str
    author: str
    time_ns: int
    time: str
    undone: bool
    windows: int
    """How many it takes out, as the dataset is now."""


def list_exclusions(path: str | Path) -> list[ListedExclusion]:
    """Every exclusion of a dataset, also those that were taken back. Raises `UsageError`, `CorruptError`."""
    contents = read_contents(path)
    counts = {each.number: count for each, count in contents.exclusions.items()}
    return [
        ListedExclusion(
            number=each.number,
            device=each.what.device,
            recording=each.what.recording,
            start_ns=each.what.start_ns,
            start=None if each.what.start_ns is None else exact_time(each.what.start_ns),
            end_ns=each.what.end_ns,
            end=None if each.what.end_ns is None else exact_time(each.what.end_ns),
            reason=each.what.reason,
            author=each.author,
            time_ns=each.time_ns,
            time=exact_time(each.time_ns),
            undone=each.undone,
            windows=counts.get(each.number, 0),
        )
        for each in read_exclusions(contents.root)
    ]


async def change(path: str | Path, asked: Asked) -> ListedExclusion:
    """Take out or put back what is asked; the exclusion as it is then.

    Raises:
        UsageError: nothing is named to be taken out, no window has the device or recording, no reason is given, or no
            such exclusion stands.
        CorruptError: the dataset is damaged.
    """
    contents = read_contents(path)
    store = FileStore(DiskFiles(contents.root), secrets.token_hex(8))
    time_ns, author = time.time_ns(), who()
    if asked.undo is not None:
        number = (
            await take_back(store, contents.root, asked.undo, asked.reason, time_ns=time_ns, author=author)
        ).number
    else:
        assert asked.device is not None, "the command asks for a device or --undo"
        if asked.start_ns is None and asked.end_ns is None and asked.recording is None:
            raise UsageError("exclude: say what of the device: --from and --to, or --recording")
        known = set(contents.index["device"]) | {each.what.device for each in contents.exclusions}
        _check_known("device", asked.device, known)
        if asked.recording is not None:
            recordings = set(contents.index.filter(device=asked.device)["recording"])
            _check_known("recording", asked.recording, recordings)
        what = Exclusion(asked.device, asked.reason, asked.start_ns, asked.end_ns, asked.recording)
        number = await exclude(store, contents.root, what, time_ns=time_ns, author=author)
    return next(each for each in list_exclusions(contents.root) if each.number == number)


def _check_known(kind: str, name: str, known: set[str]) -> None:
    if name not in known:
        raise UsageError(f'exclude: no window has the {kind} "{name}"{suggest(name, known)}')


def render_exclusions(listed: Sequence[ListedExclusion]) -> str:
    """Exclusions as lines for people."""
    if not listed:
        return "nothing is excluded"
    lines = []
    for each in listed:
        since = "its begin" if each.start_ns is None else format_time(each.start_ns)
        until = "its end" if each.end_ns is None else format_time(each.end_ns)
        of = each.device if each.recording is None else f"{each.device}, recording {each.recording}"
        state = "taken back" if each.undone else counted(each.windows, "window")
        lines.append(f"{each.number}: {of}, {since} to {until}: {state} ({each.reason}; {each.author})")
    return "\n".join(lines)
