"""The genesis of a chain folder: what its first worker found, create-if-absent, and every later one must find again.

Partition counts, the log and the pinned marks decide which windows there are. Were they to change under a dataset,
records would be cut twice or never; so a worker compares before it begins, and one that finds a difference refuses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from ingest.engine.chain import read_head
from ingest.engine.heads import begin_heads, copy_heads
from ingest.engine.ledger import BELONGS
from ingest.engine.manifest import LastRecord, chain_folder, encode_document, open_document
from ingest.engine.operator import Operator
from ingest.engine.store import Exists, Store
from ingest.errors import CorruptError, LogConfigError, StateVersionError, UsageError
from ingest.formats import newer_format
from ingest.log.protocol import MARKS, Log

FORMAT: Final = 1
NAME: Final = "genesis.json"
"""Its name in the operator's folder."""


class Ending(msgspec.Struct, frozen=True):
    """Where a chain of another dataset ends, and one of this goes on."""

    partition: int
    through: int
    last: LastRecord | None = None
    """The last record that was read there."""


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
    after: tuple[Ending, ...] = ()
    """The chains begin where those of another dataset ended: its records were cut there."""
    after_id: str = ""
    """The other one's `id`."""
    anchor_rules: tuple[tuple[str, str], ...] | msgspec.UnsetType = msgspec.UNSET
    """Label and revision of the rules whose marks are anchors, beside people's; unset: every rule's, as in datasets of
    before there was this field."""


def encode_genesis(genesis: Genesis) -> bytes:
    """The document's bytes."""
    return encode_document(genesis)


def decode_genesis(data: bytes, where: str) -> Genesis:
    """The genesis in `data`; `where` names it in errors. Raises `CorruptError`."""
    body = open_document(data, where)
    try:
        genesis = msgspec.json.decode(body, type=Genesis)
    except (msgspec.MsgspecError, ValueError) as error:
        problem = newer_format(body, FORMAT) or f"not a genesis: {error}; restore it from a backup"
        raise CorruptError(f"{where}: {problem}") from None
    if genesis.format != FORMAT:
        raise CorruptError(f"{where}: found format {genesis.format}, expected {FORMAT}; upgrade sensorloom")
    return genesis


def check_genesis(found: Genesis, now: Genesis, where: str) -> None:
    """Raise where a worker that would write `now` must not go on with chains that began as `found`.

    The id, the pinned marks and whose they are may differ: the first worker's count, for every worker. So does what it
    goes on after, where this run names nothing.

    Raises:
        UsageError: another spec or another log, or it goes on after another dataset.
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
            "other; use the first log, or another --out. If it is the first log and has lost its file `identity`, "
            f"write {found.log} into it"
        )
    if now.after_id and found.after_id != now.after_id:
        begun = f"goes on after the dataset {found.after_id}" if found.after_id else "goes on after none"
        raise UsageError(f"{where}: {begun}, not after {now.after_id}; use another --out, or leave --after out")
    if now.after_id and found.after != now.after:
        raise UsageError(
            f"{where}: the dataset {found.after_id} went on after this one began at its end, so that records are cut "
            "twice; begin anew with another --out, and let nobody go on with the older one"
        )
    if found.partitions != now.partitions:
        raise LogConfigError(
            f"{where}: topic {found.topic} had {found.partitions} partitions, now it has {now.partitions}: devices "
            f"have moved between partitions; use another --out, with a log that has all data in {now.partitions}"
        )
    if found.code != now.code:
        raise StateVersionError(
            f"{where}: written by code version {found.code}, this is version {now.code}; "
            "go on into another --out with --after and this dataset, or rebuild there from the log"
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
    pin: Iterable[tuple[str, str]] | None = None,
    root: Store | None = None,
    tell: Callable[[str], None] = lambda text: None,
    old: Store | None = None,
    old_where: str = "",
) -> Genesis:
    """The genesis of an operator's folder, `store`; written if nothing is there, else compared with what is now.

    `where` names it in errors; `window` is the `[window]` table as JSON; `pin`: the windows are anchored at the marks
    that are there now, of people and of these rules (label and revision). `root` is the dataset's folder, which keeps a
    copy: what is missing here is missed by that, and made again where that can be; `tell` is told so. `old` is another
    dataset's folder of the operator, after which this one goes on; `old_where` names it.

    Raises:
        UsageError, LogConfigError, StateVersionError: it rests on something else (see `check_genesis`).
        CorruptError: it is damaged, or missing where there are chains; or all of the folder is, and the log has not
            all that was in it.
    """
    chains = await store.names("manifest")  # asked first: whoever made them had made the genesis before
    if not await store.exists(NAME):
        lost = await _kept(root, operator)
        if lost is not None:
            await _put_back(store, log, lost, where, chains, tell)
        elif chains:
            raise CorruptError(
                f"{where}: is missing, but there are chains; restore it from a backup, or use another --out"
            )
    partitions = await log.ensure(topic)
    pinned: tuple[tuple[int, int, int], ...] = ()
    if pin is not None:
        await log.ensure(MARKS)
        bounds = await log.bounds(MARKS)
        pinned = tuple((partition, *bounds[partition]) for partition in sorted(bounds))
    identity = await log.identity()
    now = Genesis(
        FORMAT, operator.name, topic, partitions, identity, operator.spec, operator.code, new_id, window, pinned
    )
    if old is not None:
        after_id, after = await read_endings(old, now, old_where)
        now = msgspec.structs.replace(now, after=after, after_id=after_id)
    if pin is not None:
        now = msgspec.structs.replace(now, anchor_rules=tuple(pin))
    try:
        await store.create(NAME, encode_genesis(now))
        found = now
        await _tell_begin(log, now, tell)
    except Exists:
        found = decode_genesis(await store.read(NAME), where)
    check_genesis(found, now, where)
    if root is not None:
        await _keep(store, root, found)
    return found


async def _tell_begin(log: Log, now: Genesis, tell: Callable[[str], None]) -> None:
    """Tell where a new dataset begins behind records that the log no longer has, and none before it had read."""
    read = {ending.partition: ending.through for ending in now.after}
    gone = {
        number: bound.begin
        for number, bound in (await log.bounds(now.topic)).items()
        if bound.begin > read.get(number, 0)
    }
    if gone:
        where = ", ".join(f"{now.topic}-{number} up to offset {begin}" for number, begin in sorted(gone.items()))
        tell(
            f"the log no longer has {where}: what {now.operator} would have made of it is not in this dataset; an "
            "older dataset that has it can be opened together with this one"
        )


async def read_endings(old: Store, now: Genesis, where: str) -> tuple[str, tuple[Ending, ...]]:
    """The id of an older genesis of the same operator, and where its chains end. Their states are not looked at: a
    later version may understand none of them.

    Raises:
        UsageError: there is none, or it is of another log.
        LogConfigError: it had another number of partitions.
        CorruptError: it, or an entry, is damaged.
    """
    try:
        found = decode_genesis(await old.read(NAME), where)
    except FileNotFoundError:
        raise UsageError(f"--after: {where} is missing: there are no {now.operator} to go on after") from None
    check_genesis(msgspec.structs.replace(found, spec=now.spec, code=now.code), now, where)
    endings = {ending.partition: ending for ending in found.after}
    for number in range(found.partitions):
        head = await read_head(old, chain_folder(found.topic, number))
        if head is not None:
            endings[number] = Ending(number, head.entry.through, head.entry.last)
    return found.id, tuple(endings[number] for number in sorted(endings))


def kept_name(operator: str, spec: str) -> str:
    """The name of the copy of an operator's genesis in the dataset's folder."""
    return f"{BELONGS}/{operator}-{spec}.json"


def heads_name(operator: str, spec: str) -> str:
    """The name of the copy of the heads of an operator's chains in the dataset's folder: see `ingest.engine.heads`."""
    return f"{BELONGS}/{operator}.{spec}.json"


async def keep_heads(store: Store, root: Store, genesis: Genesis) -> None:
    """Copy the heads of an operator's chains into the dataset's folder."""
    folders = [chain_folder(genesis.topic, number) for number in range(genesis.partitions)]
    await copy_heads(store, root, heads_name(genesis.operator, genesis.spec), folders)


async def _kept(root: Store | None, operator: Operator) -> Genesis | None:
    """The copy of the operator's genesis; None where there is none."""
    name = kept_name(operator.name, operator.spec)
    if root is None or not await root.exists(name):
        return None
    return decode_genesis(await root.read(name), name)


async def _keep(store: Store, root: Store, genesis: Genesis) -> None:
    """Keep a copy in the dataset's folder: from then on the operator's folder belongs to the dataset, with all its
    chains and their heads."""
    name = kept_name(genesis.operator, genesis.spec)
    if await root.exists(name):
        return
    await begin_heads(store, [chain_folder(genesis.topic, number) for number in range(genesis.partitions)])
    await keep_heads(store, root, genesis)
    with contextlib.suppress(Exists):
        await root.create(name, encode_genesis(genesis))


async def _put_back(
    store: Store, log: Log, lost: Genesis, where: str, chains: Sequence[str], tell: Callable[[str], None]
) -> None:
    """Put back a genesis that the dataset's folder has a copy of; with nothing else of its folder, if all can be made
    again."""
    if not chains:
        begins = {number: bound.begin for number, bound in (await log.bounds(lost.topic)).items()}
        if any(begins.values()):
            raise CorruptError(
                f"{where}: is missing with all that {lost.operator} had made, and the log has lost the begin of "
                f"{lost.topic}; restore the folder from a backup, or use another --out"
            )
        tell(f"{where}: is missing with all that {lost.operator} had made; it is made again from the log")
        await begin_heads(store, [chain_folder(lost.topic, number) for number in range(lost.partitions)])
    else:
        tell(f"{where}: is missing; it is put back from the copy {kept_name(lost.operator, lost.spec)}")
    with contextlib.suppress(Exists):
        await store.create(NAME, encode_genesis(lost))
