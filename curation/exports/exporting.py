"""An export: what goes out is chosen, written, read again, compared bit by bit, and only then there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from curation.consent import require_consent
from curation.exports.anonymity import require_anonymity
from curation.exports.checksums import describe
from curation.exports.content import WHOLE, Batch, Content, Part, Signal, content_of
from curation.exports.places import Places, drawn
from curation.exports.pseudonyms import Pseudonyms
from curation.exports.publishing import published
from ingest.errors import CorruptError, UsageError
from ingest.settings import suggest
from windowing.dataset.reader import Dataset

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Read = tuple[str, Iterator[tuple[str, Iterator[Batch]]]]


class Format(NamedTuple):
    """How windows are written, and read again by another program's library."""

    write: Callable[[Content, Path], None]
    read: Callable[[Content, Path], Read]


_FORMATS: Final = {
    "parquet": ("parquet", "write", "read"),
    "hf": ("parquet", "write", "read"),
    "tfrecord": ("tfrecord", "write", "read"),
    "webdataset": ("webdataset", "write", "read"),
    "npz": ("arrays", "write_npz", "read_npz"),
    "numpy": ("arrays", "write_folder", "read_folder"),
    "csv": ("csvfiles", "write", "read"),
}
FORMATS: Final = (*_FORMATS, "edge-impulse")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants."""

    format: str
    out: Path
    attributes: tuple[str, ...] | None = None
    """Of recordings; None: all, under pseudonyms none but the subject."""
    pseudonyms: Pseudonyms | None = None
    places: Places | None = None
    k: int | None = None
    unlabelled: bool = False
    """Windows without a label go out too."""
    hmac_key: bytes | None = None
    """Edge Impulse's."""
    cbor: bool = False


class Exported(msgspec.Struct, frozen=True):
    """What went out."""

    out: str
    format: str
    windows: dict[str, int]
    """By part."""
    left_out: dict[str, int]
    """Windows that did not go out, by reason."""
    read_again_by: str
    """What read it again, and found every value's bits and every label as they are here."""
    notes: tuple[str, ...] = ()
    """What somebody should know."""


def export(
    dataset: Dataset,
    parts: Mapping[str, Dataset] | None,
    asked: Asked,
    document: Callable[[Content, Path], object] | None = None,
) -> Exported:
    """Write an export of `parts` (None: all of `dataset`), read it again, let `document` write beside it, and give it
    its name.

    Raises:
        UsageError: what is asked cannot be, or people's consent or k-anonymity is missing.
        CorruptError: the dataset is damaged, or what was read again is not what was written.
    """
    chosen = _format(asked)
    require_consent(dataset.contents.config, "export")
    content, left_out, notes = _content(dataset, parts, asked)
    if not len(content):
        raise UsageError(f"export: no window is left to go out ({_told(left_out)})")
    with published(asked.out, "export") as folder:
        chosen.write(content, folder)
        by = check(content, *chosen.read(content, folder))
        if document is not None:
            document(content, folder)
        describe(folder, {**content.describe(), "format": asked.format, "left_out": left_out, "read_again_by": by})
    windows = {part.name: len(part) for part in content.parts}
    return Exported(str(asked.out), asked.format, windows, left_out, by, tuple(notes))


def _told(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in left_out.items()) or "there is none"


def _format(asked: Asked) -> Format:
    if asked.format == "edge-impulse":
        from curation.exports.edgeimpulse import EdgeImpulse

        written = EdgeImpulse(asked.hmac_key, asked.cbor)
        return Format(written.write, written.read)
    if asked.format not in _FORMATS:
        raise UsageError(f'export: --format: found "{asked.format}"{suggest(asked.format, FORMATS)}')
    if asked.hmac_key is not None or asked.cbor:
        raise UsageError(f"export: --hmac-key and --cbor are for edge-impulse, not for {asked.format}")
    name, write, read = _FORMATS[asked.format]
    module = import_module(f"curation.exports.{name}")
    return Format(getattr(module, write), getattr(module, read))


def _content(
    dataset: Dataset, parts: Mapping[str, Dataset] | None, asked: Asked
) -> tuple[Content, dict[str, int], list[str]]:
    """What goes out, what does not and why, and what to tell."""
    attributes, notes = _attributes(dataset, asked)
    chosen = {WHOLE: dataset} if parts is None else dict(parts)
    left_out = {"no part": len(dataset) - sum(map(len, chosen.values()))}
    facts: dict[str, Any] = {
        "spec": dataset.contents.config.window.id,
        "cut": dict(dataset.cut),
        "privacy": _privacy(asked),
    }
    facts["version"] = dataset.version
    content = content_of(dataset, chosen, attributes, facts)
    if not asked.unlabelled:
        content, gone = _filtered(content, lambda part: part.kept(np.flatnonzero(part.table["y"].to_numpy() >= 0)))
        left_out["unlabelled"] = gone
    if asked.format == "edge-impulse":
        from curation.exports.edgeimpulse import whole_only

        content, left_out["missing values"] = _filtered(content, whole_only)
    if asked.k is not None:
        import polars as pl

        notes.append(require_anonymity(pl.concat([part.table for part in content.parts]), attributes, asked.k))
    if asked.places is not None:
        content = replace(content, parts=_placed(content, asked.places, asked.pseudonyms))
    if asked.pseudonyms is not None:
        names = asked.pseudonyms
        content = replace(content, parts=tuple(replace(part, table=names.table(part.table)) for part in content.parts))
    elif dataset.contents.config.privacy.personal:
        notes.append("dataset.toml says personal = true, and names go out as they are: see --pseudonyms")
    return content, {reason: count for reason, count in left_out.items() if count}, notes


def _attributes(dataset: Dataset, asked: Asked) -> tuple[tuple[str, ...], list[str]]:
    known = dataset.attributes
    if asked.attributes is not None:
        for name in asked.attributes:
            if name not in known:
                raise UsageError(f'export: --attributes: found "{name}"{suggest(name, known)}')
        return asked.attributes, []
    if asked.pseudonyms is None:
        return known, []
    kept = tuple(name for name in known if name == "subject")
    gone = [name for name in known if name not in kept]
    told = [f"left out under pseudonyms: {', '.join(gone)}; --attributes names what may go out"] if gone else []
    return kept, told


def _privacy(asked: Asked) -> dict[str, Any]:
    return {
        "pseudonyms": asked.pseudonyms is not None,
        "k": asked.k,
        "places": None if asked.places is None else asked.places.told,
    }


def _filtered(content: Content, kept: Callable[[Part], Part]) -> tuple[Content, int]:
    parts = tuple(kept(part) for part in content.parts)
    return replace(content, parts=parts), len(content) - sum(map(len, parts))


def _placed(content: Content, places: Places, pseudonyms: Pseudonyms | None) -> tuple[Part, ...]:
    """The parts with positions changed. The budget of a recording is shared by its windows in all parts."""
    import polars as pl

    if places.level is not None and pseudonyms is None:
        raise UsageError("export: noise on places is drawn from a key, so that nobody averages it away: --pseudonyms")
    columns = content.channels.index(places.latitude), content.channels.index(places.longitude)
    keys = ("device", "recording")
    counts = pl.concat([part.table.select(keys) for part in content.parts]).group_by(keys).len()
    placed = []
    for part in content.parts:
        of = part.table.select(keys).join(counts, keys, "left", maintain_order="left")["len"].to_numpy()
        epsilon, ids = places.budget(of.astype(np.int64)), part.table["window"].to_list()

        def read(rows: Ints, part: Part = part, epsilon: Any = epsilon, ids: Sequence[str] = ids) -> Signal:
            few = [ids[row] for row in rows.tolist()]
            draws = np.ones((len(few), 3)) if pseudonyms is None else drawn(pseudonyms, few)
            return places.changed(part.read(rows), columns, epsilon[rows], draws)

        placed.append(replace(part, read=read))
    return tuple(placed)


def check(content: Content, by: str, parts: Iterator[tuple[str, Iterator[Batch]]]) -> str:
    """What read it again, whose every value has the bits, every window the label and the place that it has here.

    Raises:
        CorruptError: it has not.
    """
    try:
        for part, (name, batches) in zip(content.parts, parts, strict=True):
            _check_part(part, name, batches)
    except (ValueError, KeyError, OSError, IndexError) as error:
        raise CorruptError(f"export: read again by {by}: {error}; nothing was given out, run it again") from error
    return by


def _check_part(part: Part, name: str, batches: Iterator[Batch]) -> None:
    ours, place = _single(part.batches()), 0
    for batch in batches:
        for X, y, window in zip(batch.X, batch.y.tolist(), batch.windows, strict=True):
            mine = next(ours, None)
            if mine is None:
                raise ValueError(f"{name}: more windows than the {len(part):,} that were written")
            if X.dtype != np.float32 or X.shape != mine[0].shape or X.tobytes() != mine[0].tobytes():
                raise ValueError(f"{name}: window {place} has other values")
            if (y, window) != mine[1:]:
                raise ValueError(f"{name}: window {place} is {window} of class {y}, expected {mine[2]} of {mine[1]}")
            place += 1
    if place != len(part):
        raise ValueError(f"{name}: {place:,} windows of {len(part):,}")


def _single(batches: Iterator[Batch]) -> Iterator[tuple[Signal, int, str]]:
    return itertools.chain.from_iterable(zip(each.X, each.y.tolist(), each.windows, strict=True) for each in batches)
