"""What the page is made of: every file as it was when the server began, its modules as one (`joining`), under addresses
that name all of them together.

A page is whole or not there: an address names the version of everything that the page is made of, and a server that has
another version has no such file.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from timeline.server.joining import joined

WORKER: Final = "sw.js"
PAGE: Final = "index.html"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_BASE: Final = "/static/"
_MODULES: Final = "js/"
_ENTRIES: Final = re.compile(rf'<script type="module" src="{_BASE}{_MODULES}(.+?)">')


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is served."""

    content: bytes
    media_type: str
    packed: bytes
    """The content as gzip, for whoever takes that: a tablet's link is slow."""


@dataclass(frozen=True, slots=True)
class PageFiles:
    """A page by its content: where one byte is another one, so is `version`, and every address but that of the page."""

    version: str
    page: bytes
    """The page itself, served where a person goes."""
    files: dict[str, PageFile]
    """By path: `/static/VERSION/...`."""
    worker: bytes
    """The service worker's script, which begins with the hashes of all that it is to keep."""


def page_files(static: Path) -> PageFiles:
    """The page that a folder `static` holds, its modules joined. Raises `OSError`, and `UsageError` where a module is
    none that can be joined."""
    found = {
        path.relative_to(static).as_posix(): path.read_bytes()
        for path in sorted(static.rglob("*"))
        if path.suffix in _KINDS
    }
    worker = found.pop(WORKER)
    page = (static / PAGE).read_bytes()
    modules = {name.removeprefix(_MODULES): found.pop(name).decode() for name in [*found] if name.startswith(_MODULES)}
    for entry in _ENTRIES.findall(page.decode()):
        found[_MODULES + entry] = joined(modules, entry).encode()
    named = sorted((name, _hash(content)) for name, content in (found | {PAGE: page}).items())
    version = _hash(msgspec.json.encode(named))[:16]
    files = {
        f"{_BASE}{version}/{name}": PageFile(content, _KINDS[Path(name).suffix], gzip.compress(content, mtime=0))
        for name, content in found.items()
    }
    page = page.replace(_BASE.encode(), f"{_BASE}{version}/".encode())
    hashes = {path: _hash(file.content) for path, file in files.items()} | {"/": _hash(page)}
    told = msgspec.json.encode({"version": version, "files": hashes})
    return PageFiles(version, page, files, b"self.page = " + told + b";\n" + worker)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
