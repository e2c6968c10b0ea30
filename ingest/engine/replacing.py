"""An entry of the chain by which files take others' place, or leave it; beside it a document of all files. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.engine.chain import Head
from ingest.engine.manifest import FORMAT_MERGED, FileRef, Manifest, Merged, encode_document
from ingest.engine.operator import Draft

MERGED: Final = "merged"
"""The folder of the documents, in the operator's folder."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A merging, ready to be written."""

    entry: Manifest
    document: bytes
    merged: Merged
    drafts: Sequence[Draft]
    """The new files, and the document that names them."""


def ready_of(
    head: Head, merged: Merged, tag: str, drafts: Sequence[Draft] = (), counts: Mapping[str, int] | None = None
) -> Ready:
    """The entry behind `head` by which a chain has the files that `merged` says, `drafts` among them."""
    draft = Draft.of(MERGED, "m", ".json", [encode_document(merged)], 0, tag)
    entry = _entry_behind(head, FileRef(draft.name, draft.sha256, draft.size), counts or {})
    return Ready(entry, encode_document(entry), merged, [*drafts, draft])


def _entry_behind(head: Head, merged: FileRef, counts: Mapping[str, int]) -> Manifest:
    """The entry of a merging: of no record, with the state of the one before it."""
    totals = Counter(head.entry.totals)
    totals.update(counts)
    return msgspec.structs.replace(
        head.entry,
        format=FORMAT_MERGED,
        seq=head.entry.seq + 1,
        begin=head.entry.through,
        files=(),
        counts=dict(counts),
        totals=dict(totals),
        lost=(),
        previous=head.sha256,
        merged=merged,
    )
