"""How a worker begins on a dataset: its configuration, the genesis of its chains, the marks that anchor windows.

All of it is create-if-absent: of several workers that start at once on a new dataset, one founds it, and the others
find what it founded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import TYPE_CHECKING, Final

import msgspec

from ingest.draining import drain
from ingest.engine.operator import Operator
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, TruncatedLogError, UsageError, WireError
from ingest.log.protocol import MARKS, Bounds, Log
from ingest.records import Mark, MarkAdd, MarkEdit, MarkRetract
from ingest.wire import decode
from labeling.marks import fold
from labeling.rulefile import read_rules
from windowing.anchors import AnchorMark
from windowing.config import FILE, DatasetConfig
from windowing.genesis import FORMAT, NAME, Genesis, check_genesis, decode_genesis, encode_genesis

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet

_MARK_KINDS: Final = (MarkAdd, MarkEdit, MarkRetract)


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file: its bytes, and what they mean."""

    data: bytes
    config: DatasetConfig
    rules: RuleSet | None = None
    """The rules that it names, checked."""

    @classmethod
    def read(cls, path: str | Path) -> Source:
        """The file at `path`, and the rule file beside it that it names. Raises `UsageError`."""
        config = DatasetConfig.load(path)
        rules = None if config.rules is None else read_rules(Path(path).parent / config.rules)
        return cls(Path(path).read_bytes(), config, rules)

    @property
    def window(self) -> str:
        """The `[window]` table as JSON."""
        return msgspec.json.encode(loads(self.data.decode())["window"], order="sorted").decode()


async def claim_config(store: Store, source: Source, out: Path) -> None:
    """Put the dataset's own copy of its configuration; one that is there must have the same windows.

    What says how windows are labelled may change from run to run: the copy is replaced.

    Raises:
        UsageError: the dataset has windows of another specification.
    """
    try:
        await store.create(FILE, source.data)
        return
    except Exists:
        found = await store.read(FILE)
    if found == source.data:
        return
    try:
        before = DatasetConfig.parse(loads(found.decode()), str(out / FILE)).window.id
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{out / FILE}: not TOML: {error}; restore it, or use another --out") from None
    if before != source.config.window.id:
        raise UsageError(
            f"{out}: holds windows with the spec {before}, this [window] table has {source.config.window.id}; "
            "use another --out"
        )
    await store.put([(FILE, (source.data,))])


async def claim_genesis(
    store: Store,
    log: Log,
    operator: Operator,
    topic: str,
    new_id: str,
    *,
    where: str = NAME,
    window: str = "",
    pin: bool = False,
) -> Genesis:
    """The genesis of an operator's folder, `store`; written if nothing is there, else compared with what is now.

    `where` names it in errors; `window` is the `[window]` table as JSON; `pin`: the windows are anchored at the marks
    that are there now.

    Raises:
        UsageError, LogConfigError, StateVersionError: it rests on something else (see `check_genesis`).
        CorruptError: it is damaged, or missing where there are chains.
    """
    chains = await store.names("manifest")  # asked first: whoever made them had made the genesis before
    if chains and not await store.exists(NAME):
        raise CorruptError(f"{where}: is missing, but there are chains; restore it from a backup, or use another --out")
    partitions = await log.ensure(topic)
    pinned: tuple[tuple[int, int, int], ...] = ()
    if pin:
        await log.ensure(MARKS)
        bounds = await log.bounds(MARKS)
        pinned = tuple((partition, *bounds[partition]) for partition in sorted(bounds))
    identity = await log.identity()
    now = Genesis(
        FORMAT, operator.name, topic, partitions, identity, operator.spec, operator.code, new_id, window, pinned
    )
    try:
        await store.create(NAME, encode_genesis(now))
        return now
    except Exists:
        found = decode_genesis(await store.read(NAME), where)
    check_genesis(found, now, where)
    return found


async def read_anchors(log: Log, pinned: tuple[tuple[int, int, int], ...]) -> tuple[AnchorMark, ...]:
    """The marks that stand after the pinned offsets; what is no mark is the labels operator's to report.

    Raises:
        TruncatedLogError: the log no longer has all of them.
    """
    bounds = await log.bounds(MARKS)
    ranges: Mapping[int, Bounds] = {partition: Bounds(begin, end) for partition, begin, end in pinned}
    for partition, wanted in ranges.items():
        if wanted.begin < wanted.end and bounds[partition].begin > wanted.begin:
            raise TruncatedLogError(
                f"{MARKS}-{partition}: the log begins at {bounds[partition].begin}, but the windows are anchored at "
                f"marks from {wanted.begin} on; use another --out"
            )
    events: dict[int, list[Mark]] = {}
    async for batch in drain(log, MARKS, ranges):
        kept = events.setdefault(batch.partition, [])
        for value in batch.values:
            try:
                record = decode(value)
            except WireError:
                continue
            if isinstance(record, _MARK_KINDS):
                kept.append(record)
    standing = fold(event for partition in sorted(events) for event in events[partition]).marks
    return tuple(AnchorMark(mark.id, mark.device, mark.start_ns, mark.end_ns) for mark in standing)
