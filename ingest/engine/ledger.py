"""Ledgers: what people decide about a dataset, page by page, never changed: `<name>/<number>.json`.

Each page names the SHA-256 of the one before it, and `belongs/<name>.json` how many there surely are (a bound from
below, as `heads` is for chains): a page that is damaged, swapped or removed is missed, the newest and all of them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from ingest.engine.heads import FORMAT as HEAD_FORMAT
from ingest.engine.heads import NOTHING, ChainHead, decode_head
from ingest.engine.manifest import encode_document, open_document, sha256_of
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError
from ingest.formats import newer_format

FORMAT: Final = 1
BELONGS: Final = "belongs"
"""The folder, in the dataset's, that says what else belongs to it."""
REDACTED: Final = "redacted"
"""In a page whose words were erased: the SHA-256 of what it was."""
RESTORE: Final = "restore the dataset from a backup"


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision."""

    format: int
    number: int
    previous: str
    """SHA-256 of the page before this one, "" for the first."""
    time_ns: int
    """When it was written, by the clock of who wrote it."""
    author: str
    body: dict[str, Any]


def page_name(name: str, number: int) -> str:
    """The name of a page: six digits, so that names sort as numbers do."""
    return f"{name}/{number:06d}.json"


def belongs_name(name: str) -> str:
    """The name of the document that says how many pages a ledger has."""
    return f"{BELONGS}/{name}.json"


def decode_page(data: bytes, where: str) -> Page:
    """The page in `data`; `where` names it in errors. Raises `CorruptError`."""
    body = open_document(data, where)
    try:
        page = msgspec.json.decode(body, type=Page)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = newer_format(body, FORMAT) or f"not a page of a ledger: {error}; {RESTORE}"
        raise CorruptError(f"{where}: {problem}") from None
    if page.format != FORMAT:
        raise CorruptError(f"{where}: found format {page.format}, expected {FORMAT}; upgrade sensorloom")
    return page


def has_ledger(root: Path, name: str) -> bool:
    """Is there anything of the ledger, or the word that there should be?"""
    return (root / belongs_name(name)).exists() or (root / name).exists()


def read_ledger(root: Path, name: str) -> list[Page]:
    """The pages in order; none where the ledger was never begun.

    Raises:
        CorruptError: a page, or what says how many there are, is damaged or missing.
    """
    if not has_ledger(root, name):
        return []
    return _read_pages(root, name, _known(root, name))  # that first: a page may come at any time


def _read_pages(root: Path, name: str, known: ChainHead) -> list[Page]:
    pages: list[Page] = []
    previous = ""
    for number in range(_count(root, name, known)):
        path = root / page_name(name, number)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            anew = f"; without one, remove {root / belongs_name(name)}, and it begins anew" if not pages else ""
            raise CorruptError(f"{path}: is missing; {RESTORE}{anew}") from None
        page = decode_page(data, str(path))
        if page.number != number or page.previous != previous:
            raise CorruptError(f"{path}: does not follow the page before it; {RESTORE}")
        previous = page.body.get(REDACTED) or sha256_of(data)
        if number == known.seq and previous != known.sha256:
            raise CorruptError(f"{path}: is another page than {belongs_name(name)} names; {RESTORE}")
        pages.append(page)
    return pages


def _known(root: Path, name: str) -> ChainHead:
    path = root / belongs_name(name)
    try:
        return decode_head(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise CorruptError(f"{path}: is missing, but there is {root / name}; {RESTORE}") from None


def _count(root: Path, name: str, known: ChainHead) -> int:
    """How many pages there are, or should be."""
    found = [int(path.stem) for path in (root / name).glob("[0-9]*.json") if path.stem.isdecimal()]
    return max(known.seq, *found, -1) + 1


def is_redacted(page: Page) -> bool:
    """Was what a page said erased?"""
    return REDACTED in page.body


async def redact_page(store: Store, root: Path, name: str, number: int) -> None:
    """Erase what a page says; its hash, which the next one names, stays. Raises `CorruptError`."""
    page = read_ledger(root, name)[number]
    if not is_redacted(page):
        before = sha256_of((root / page_name(name, number)).read_bytes())
        stub = msgspec.structs.replace(page, author="", body={REDACTED: before})
        await store.put([(page_name(name, number), (encode_document(stub),))])


async def mend_head(store: Store, root: Path, name: str) -> bool:
    """Write again, where it is missing, how many pages a ledger has, as far as is seen; was it missing?

    For ledgers whose newest page is written again by whoever mends: it may have been lost as well.

    Raises:
        CorruptError: the pages that there are do not follow one another.
    """
    if (root / belongs_name(name)).exists() or not (root / name).exists():
        return False
    pages = _read_pages(root, name, NOTHING)
    last = _sha256_of_page(root, name, pages[-1]) if pages else ""
    head = ChainHead(HEAD_FORMAT, len(pages) - 1, sha256=last) if pages else NOTHING
    await store.put([(belongs_name(name), (encode_document(head),))])
    return True


def _sha256_of_page(root: Path, name: str, page: Page) -> str:
    own: str = page.body.get(REDACTED) or sha256_of((root / page_name(name, page.number)).read_bytes())
    return own


async def append_page(
    store: Store,
    root: Path,
    name: str,
    body: Mapping[str, Any],
    *,
    time_ns: int,
    author: str,
    number: int | None = None,
) -> Page:
    """Write the next page, durably, behind whatever others have written by now; `store` is of `root`.

    With `number`, only as that page: what it says rests on the pages before it.

    Raises:
        Exists: others have written the page of that number by now.
        CorruptError: the ledger is damaged.
    """
    try:
        await store.create(belongs_name(name), encode_document(NOTHING))
    except Exists:
        await store.settle(BELONGS)
    while True:
        pages = read_ledger(root, name)
        previous = _sha256_of_page(root, name, pages[-1]) if pages else ""
        if number is not None and number != len(pages):
            raise Exists(page_name(name, number))
        page = Page(FORMAT, len(pages), previous, time_ns, author, dict(body))
        document = encode_document(page)
        try:
            await store.create(page_name(name, page.number), document)
        except Exists:
            continue
        known = ChainHead(HEAD_FORMAT, page.number, sha256=sha256_of(document))
        await store.put([(belongs_name(name), (encode_document(known),))])
        return page
