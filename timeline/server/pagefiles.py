"""What the page is made of: every file as it was when the server began, under addresses that name all of them together.

A page is whole or not there: an address names the version of everything that the page is made of, and a server that has
another version has no such file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

WORKER: Final = "sw.js"
PAGE: Final = "index.html"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_BASE: Final = "/static/"
_SCRIPTS: Final = re.compile(rf'<script type="module" src="{_BASE}(.+?)">')
_IMPORTS: Final = re.compile(r'^import .*from "\./(.+?)";$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is served."""

    content: bytes
    media_type: str


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
    """The page that a folder `static` holds. Raises `OSError`."""
    found = {
        path.relative_to(static).as_posix(): path.read_bytes()
        for path in sorted(static.rglob("*"))
        if path.suffix in _KINDS
    }
    worker = found.pop(WORKER)
    page = (static / PAGE).read_bytes()
    named = sorted((name, _hash(content)) for name, content in (found | {PAGE: page}).items())
    version = _hash(msgspec.json.encode(named))[:16]
    files = {
        f"{_BASE}{version}/{name}": PageFile(content, _KINDS[Path(name).suffix]) for name, content in found.items()
    }
    first = _imported({name: content.decode() for name, content in found.items()}, _SCRIPTS.findall(page.decode()))
    modules = (f'<link rel="modulepreload" href="{_BASE}{version}/{name}">\n' for name in first)
    head = "".join(modules) + "</head>"  # all at once: imports by imports they would be asked for in six rounds
    page = page.replace(_BASE.encode(), f"{_BASE}{version}/".encode()).replace(b"</head>", head.encode())
    hashes = {path: _hash(file.content) for path, file in files.items()} | {"/": _hash(page)}
    told = msgspec.json.encode({"version": version, "files": hashes})
    return PageFiles(version, page, files, b"self.page = " + told + b";\n" + worker)


def _imported(found: Mapping[str, str], scripts: Sequence[str]) -> list[str]:
    """The modules of a page's scripts, in the order in which they can be used: those of the first script first."""
    needed: dict[str, None] = {}
    for script in scripts:
        asked = [script]
        for name in asked:
            asked += [near for it in _IMPORTS.findall(found[name]) if (near := f"js/{it}") not in asked]
        needed |= dict.fromkeys(asked)
    return list(needed)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
