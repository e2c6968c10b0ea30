"""Who looks at a site by another server: servers that share a folder of people tell one another in it.

It is no matter for the log: who looked where is worth nothing a minute later. Each server has one small file, written
anew when somebody moves and every few seconds, and believed for a little longer than that: whoever dies is gone soon.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ingest.files import make_folder
from timeline.protocol import Person

EVERY_S: Final = 1.0
"""So often servers look at one another at most."""
BEAT_NS: Final = 5 * 10**9
BELIEVED_NS: Final = 15 * 10**9
PEOPLE_MAX: Final = 200
"""So many of its people a server tells of."""
SERVERS_MAX: Final = 32
BYTES_MAX: Final = 512 << 10
_SUFFIX: Final = ".json"


class _Told(msgspec.Struct, frozen=True):
    """What one server says."""

    until_ns: int
    people: tuple[Person, ...]


class Neighbours:
    """The other servers of a site. Every method waits for a disk; time comes in."""

    def __init__(self, people: Path, site: str, server: str) -> None:
        name = hashlib.sha256(site.encode()).hexdigest()[:16]
        self._folder = people / "presence" / name
        self._own = f"{server}{_SUFFIX}"
        self._said: tuple[Person, ...] = ()
        self._beat_ns = 0

    def exchange(self, people: Iterable[Person], now_ns: int) -> tuple[Person, ...]:
        """Say who looks here, where it is news; who looks elsewhere. Raises `OSError`."""
        said = tuple(people)[:PEOPLE_MAX]
        if said != self._said or now_ns - self._beat_ns >= BEAT_NS:
            self._say(_Told(now_ns + BELIEVED_NS, said))
            self._said, self._beat_ns = said, now_ns
        here = {it.tab for it in said}
        return tuple(it for it in self._others(now_ns) if it.tab not in here)

    def leave(self) -> None:
        """Say nothing any more."""
        with contextlib.suppress(OSError):
            (self._folder / self._own).unlink()

    def _say(self, told: _Told) -> None:
        if not self._folder.is_dir():
            make_folder(self._folder)
            for folder in (self._folder, self._folder.parent):
                folder.chmod(0o700)
        temporary = self._folder / f".{self._own}.tmp"
        temporary.write_bytes(msgspec.json.encode(told))  # a power cut may take it
        temporary.replace(self._folder / self._own)

    def _others(self, now_ns: int) -> Iterable[Person]:
        others = sorted(it for it in self._folder.glob(f"[!.]*{_SUFFIX}") if it.name != self._own)
        for path in others[:SERVERS_MAX]:
            try:
                with path.open("rb") as file:
                    told = msgspec.json.decode(file.read(BYTES_MAX), type=_Told)
            except (FileNotFoundError, msgspec.MsgspecError):
                continue
            if told.until_ns > now_ns:
                yield from told.people[:PEOPLE_MAX]
            elif told.until_ns + BELIEVED_NS < now_ns:
                path.unlink(missing_ok=True)
