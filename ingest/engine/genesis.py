"""The genesis of a chain folder: what its first worker found, create-if-absent, and every later one must find again.

Partition counts, the log and the pinned marks decide which windows there are. Were they to change under a dataset,
records would be cut twice or never; so a worker compares before it begins, and one that finds a difference refuses.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ingest.engine.manifest import encode_document, open_document
from ingest.engine.operator import Operator
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, LogConfigError, StateVersionError, UsageError
from ingest.log.protocol import MARKS, Log

FORMAT: Final = 1
NAME: Final = "genesis.json"
"""Its name in the operator's folder."""


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the chains of one operator rest on."""

    format: int
    operator: str
    topic: str
    partitions: int
    """The topic's partition count: keys are hashed over it."""
    log: str
    """The log's identity."""
    spec: str
    """The operator's spec hash."""
    code: int
    id: str
    """Drawn by the first worker; names the consumer group, so that two datasets never share one."""
    window: str = ""
    """The `[window]` table that `spec` is the hash of, as JSON: to write a lost dataset.toml again."""
    pinned: tuple[tuple[int, int, int], ...] = ()
    """For windows anchored at marks, `(partition, begin, end)` of `marks`: the marks in these offsets are anchors."""


def encode_genesis(genesis: Genesis) -> bytes:
    """The document's bytes."""
    return encode_document(genesis)


def decode_genesis(data: bytes, where: str) -> Genesis:
    """The genesis in `data`; `where` names it in errors. Raises `CorruptError`."""
    try:
        genesis = msgspec.json.decode(open_document(data, where), type=Genesis)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CorruptError(f"{where}: not a genesis: {error}; restore it from a backup") from None
    if genesis.format != FORMAT:
        raise CorruptError(f"{where}: found format {genesis.format}, expected {FORMAT}; upgrade sensorloom")
    return genesis


def check_genesis(found: Genesis, now: Genesis, where: str) -> None:
    """Raise where a worker that would write `now` must not go on with chains that began as `found`.

    The id and the pinned marks may differ: the first worker's count, for every worker.

    Raises:
        UsageError: another spec or another log.
        LogConfigError: the topic's partition count has changed.
        StateVersionError: another version of the code.
    """
    if (found.operator, found.topic, found.spec) != (now.operator, now.topic, now.spec):
        raise UsageError(
            f"{where}: this is {found.operator} of {found.topic} with spec {found.spec}, the run asks for "
            f"{now.operator} of {now.topic} with {now.spec}; use another --out"
        )
    if found.log != now.log:
        raise UsageError(
            f"{where}: began with the log {found.log}, this one is {now.log}: offsets of one mean nothing in the "
            "other; use the first log, or another --out"
        )
    if found.partitions != now.partitions:
        raise LogConfigError(
            f"{where}: topic {found.topic} had {found.partitions} partitions, now it has {now.partitions}: devices "
            f"have moved between partitions; use another --out, with a log that has all data in {now.partitions}"
        )
    if found.code != now.code:
        raise StateVersionError(
            f"{where}: written by code version {found.code}, this is version {now.code}; "
            "rebuild into another --out from the log"
        )


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
