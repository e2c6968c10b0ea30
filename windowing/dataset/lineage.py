"""Where a window comes from: the log's records, the marks over it, and what was configured when it was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import polars as pl

from ingest.engine.manifest import chain_folder
from ingest.errors import UsageError
from ingest.log.protocol import partition_of
from ingest.units import exact_time
from windowing.dataset.contents import Contents

if TYPE_CHECKING:
    from windowing.dataset.selected import Selected

_OF_WINDOW: Final = ("window", "device", "recording", "anchor", "k", "t0_ns", "t1_ns", "shard", "row", "coverage")
_TOUCHING_MAX: Final = 100


class MarkOver(msgspec.Struct, frozen=True):
    """A mark that touches the window."""

    id: str
    label: str
    start_ns: int
    end_ns: int
    author: str
    tool: str
    revision: str
    """Of the rule that made it; "": a person's."""
    marked_ns: int
    """When the log took what made it so."""
    overlap: float
    """The share of the window's time that it covers."""
    counts: bool
    """Whether it may label: a person's, or of the rules that count."""
    decides: bool
    """Whether the window's label is this one's."""


class Explanation(msgspec.Struct, frozen=True):
    """The lineage of a window; `str()` of it is for people, `msgspec.to_builtins` or `msgspec.json` for others."""

    window: str
    device: str
    recording: str
    anchor: str
    k: int
    t0_ns: int
    t1_ns: int
    coverage: float
    label: str | None
    share: float
    attributes: dict[str, str]
    """What its recording says of itself."""
    dataset: str
    """The folder."""
    shard: str
    """The signal's file."""
    row: int
    """Its place there."""
    hash: str
    """The XXH3-128 of its bytes, in hexadecimal digits."""
    log: str
    """The log's identity."""
    topic: str
    partition: int
    offset: int
    """All its data lie at or before this offset of the partition."""
    cut: int
    """The newest entry of the partition's chain at opening."""
    streams: list[dict[str, Any]]
    """How the recording's streams were described: stream, offset, rate_hz, channels, units."""
    marks: list[MarkOver]
    marks_more: int
    """So many touch it besides."""
    policy: str
    """`[labels] policy`"""
    rules: str
    """The revision of the rules whose marks count, "none" or "all"."""
    spec: str
    """The window specification's hash."""
    semantics: int
    """Of the specification: see `windowing.spec.SEMANTICS`."""
    code: int
    """The version of the windows operator that cut it."""
    config_author: str
    """Who ran the configuration that counts first; "": a dataset of before this was kept."""
    config_since_ns: int

    def __str__(self) -> str:
        """Some lines for people."""
        lines = [
            f"window {self.window} of {self.device}, recording {self.recording}, {exact_time(self.t0_ns)} to "
            f"{exact_time(self.t1_ns)}",
            f"  label     {self.label or 'none'}" + (f" over {self.share:.0%} of it" if self.label else "")
            + f", by {self.policy}; rules that count: {self.rules}",
        ]  # fmt: skip
        for mark in self.marks:
            how = "decides" if mark.decides else "counts" if mark.counts else "does not count: of other rules"
            by = f"rule {mark.revision}" if mark.revision else f"{mark.author or 'nobody named'} with {mark.tool}"
            lines.append(f"  mark      {mark.label} {mark.id} by {by}, {mark.overlap:.0%} of the window; {how}")
        if self.marks_more:
            lines.append(f"            and {self.marks_more} more")
        lines += [
            f"  data      offsets to {self.offset} of {self.topic}-{self.partition} in the log {self.log}",
            *(
                f"  stream    {each['stream']}: {', '.join(map(' in '.join, zip(each['channels'], each['units'])))}"  # noqa: B905
                for each in self.streams
            ),
            f"  bytes     {self.shard}, row {self.row}, XXH3-128 {self.hash}",
            f"  cut by    specification {self.spec} (semantics {self.semantics}), operator code {self.code}",
        ]
        if self.config_author:
            lines.append(f"  config    of {self.config_author}, since {exact_time(self.config_since_ns)}")
        return "\n".join(lines)


def explain(selected: Selected, window: int | str) -> Explanation:
    """See `Dataset.explain`. Raises `UsageError`, `IndexError`."""
    place = _place(selected, window)
    source = selected._source
    row = np.array([place if selected._rows is None else selected._rows[place]])
    found = {name: source.column(name, row)[0] for name in (*_OF_WINDOW, "label", "share", "mark", "hash", "offset")}
    attributes = {name: source.column(name, row)[0] for name in selected.attributes}
    part = next(it for it in selected.contents.parts if found["shard"] in it.shards)
    genesis, current = part.windows.genesis, source.current(part.root)
    assert genesis is not None
    partition = partition_of(found["device"].encode(), genesis.partitions)
    chain = chain_folder(genesis.topic, partition).rpartition("/")[2]
    marks = _marks(part, found)
    streams = part.streams.filter(pl.col("named"), device=found["device"], recording=found["recording"])
    return Explanation(
        **{name: found[name] for name in _OF_WINDOW},
        label=found["label"],
        share=float(found["share"] or 0),
        attributes={name: value for name, value in attributes.items() if value is not None},
        dataset=str(part.root),
        hash=found["hash"].hex(),
        log=genesis.log,
        topic=genesis.topic,
        partition=partition,
        offset=found["offset"],
        cut=part.windows.cut.get(chain, -1),
        streams=streams.select("stream", "offset", "rate_hz", "channels", "units").to_dicts(),
        marks=marks[:_TOUCHING_MAX],
        marks_more=max(0, len(marks) - _TOUCHING_MAX),
        policy=part.config.labels.policy,
        rules=part.choice.name,
        spec=genesis.spec,
        semantics=part.config.window.semantics,
        code=genesis.code,
        config_author=current.author,
        config_since_ns=current.since_ns,
    )


def _place(selected: Selected, window: int | str) -> int:
    if isinstance(window, str):
        found = np.flatnonzero((selected.columns(("window",))["window"] == window).to_numpy())
        if not len(found):
            raise UsageError(f'explain: no window "{window}" among these {len(selected):,}')
        return int(found[0])
    if not -len(selected) <= window < len(selected):
        raise IndexError(f"window {window} of {len(selected):,}")
    return window % len(selected)


def _marks(part: Contents, found: dict[str, Any]) -> list[MarkOver]:
    """The marks that touch the window: what decides first, then by how much of it they cover."""
    counting = {mark.id for mark in part.choice.count(part.marks.marks).marks}
    begin, end = found["t0_ns"], found["t1_ns"]
    touching = [
        MarkOver(
            mark.id, mark.label, mark.start_ns, mark.end_ns, mark.author, mark.tool, mark.revision, mark.marked_ns,
            max(0, min(end, mark.end_ns) - max(begin, mark.start_ns)) / (end - begin),
            mark.id in counting, mark.id == found["mark"],
        )
        for mark in part.marks.marks
        if mark.device == found["device"] and mark.start_ns < end and max(mark.end_ns, mark.start_ns + 1) > begin
    ]  # fmt: skip
    return sorted(touching, key=lambda mark: (not mark.decides, -mark.overlap, mark.id))
