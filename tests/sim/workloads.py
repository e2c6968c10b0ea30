"""What the workers of a storm do: which records come, which operator folds them, and what must come of it."""

from __future__ import annotations

import functools
import io
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Protocol

import msgspec
import numpy as np
import polars as pl

from ingest.archive.merging import ArchiveMerger
from ingest.archive.operator import ArchiveOperator
from ingest.archive.rows import Row
from ingest.archive.tables import read_table, record_values, rows_in
from ingest.engine.keeping import FILES, RECORDS
from ingest.engine.manifest import FileRef, Manifest
from ingest.engine.merging import Merger, Untouched
from ingest.engine.operator import Draft, Operator, Output, Running
from ingest.log.protocol import READINGS, Entry, LogBatch
from ingest.records import (
    Channel,
    Chunk,
    Gap,
    Mark,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    Progress,
    Record,
    RecordingEnd,
    StreamDescription,
    schema_id,
)
from ingest.times import advance
from ingest.wire import decode, encode
from labeling.marks import fold as fold_marks
from labeling.merging import TableMerger, by_folder
from labeling.rules.compile import compile_rules
from labeling.rules.operator import RulesOperator
from labeling.rules.ruleset import RuleSet
from labeling.sink import LabelsOperator, read_events
from simulators.sim.files import SimDisk
from simulators.sim.log import EPOCH_NS
from tests.sim.oracle import LogRecord, expected_rows
from tests.sim.rulelike import IdleLike, RuleLike, UntaggedLike, anonymous, encode_row
from tests.sim.verify import compare, demand, read_rows
from windowing.dataset.digest import digest_line
from windowing.dataset.merging import WindowsMerger
from windowing.fold.operator import WindowOperator
from windowing.spec import StreamRule, WindowSpec

RULES = """version: 1
defaults: {max_gap: 100ms, coverage: 0.5}
rules:
  - {label: high, when: acc.x > 200g, until: acc.x < -200g, hold: 30ms, for: 40ms}
  - {label: calm, when: "max(acc.x, 80ms) - min(acc.x, 80ms) < 900g", cooldown: 200ms, pad: 10ms}
  - {label: rough, when: "std(acc.x, 1500ms) > 580g", for: 100ms}
"""
DROPPED = ("device", "recording", "k", "windows", "reason")
Lost = Sequence[tuple[int, int]]


class Workload(Protocol):
    def descriptions(self) -> list[Entry]:
        """The records of `streams`."""
        ...

    def records(self, device: str, count: int, rng: random.Random) -> Iterator[Entry]:
        """About `count` records of a device, in order."""
        ...

    def operator(self) -> Operator: ...

    def merger(self) -> Merger: ...

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        """Compare a chain's output with what a partition's records demand. Raises `WrongError`."""
        ...


class LinesMerger(TableMerger):
    """The lines of files, one behind the other."""

    def merge(self, files: Sequence[tuple[FileRef, bytes]], tag: str) -> Sequence[Draft]:
        return [
            Draft.of(
                few[0][0].name.partition("/")[0],
                "r",
                ".jsonl",
                [data for _, data in few],
                sum(ref.rows for ref, _ in few),
                tag,
            )
            for few in by_folder(files)
        ]


class RuleLikeWork:
    """The rule-like operator against its independent oracle."""

    def __init__(self) -> None:
        described = [StreamDescription("s", (Channel("x", "1", scale=float(f)),), "int16") for f in (1, 2)]
        self._described = {schema_id(description).hex().encode(): description for description in described}
        self.factors = {name: int(d.channels[0].scale) for name, d in self._described.items()}

    def descriptions(self) -> list[Entry]:
        return [Entry(name, encode(description)) for name, description in self._described.items()]

    def records(self, device: str, count: int, rng: random.Random) -> Iterator[Entry]:
        schemas, boot, level = list(self.factors), b"%08x" % rng.getrandbits(32), 500
        for seq in range(count):
            level = 900 - level if rng.random() < 0.15 else level
            x = 0 if rng.random() < 0.1 else level + rng.randint(-300, 400)
            yield Entry(device.encode(), b"%s|%s|%d|%d" % (schemas[seq % 7 == 3], boot, seq, x))

    def operator(self) -> Operator:
        return RuleLike()

    def merger(self) -> Merger:
        return LinesMerger()

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        expected = expected_rows(records, self.factors, entries[0].begin, lost)
        compare(read_rows(disk, [ref.name for entry in entries for ref in entry.files]), expected, where)
        for row in expected:
            demand(row[0] != "flip" or encode_row(row) in published, f"{where}: {row} was not published")


class IdleWork(RuleLikeWork):
    """Idle devices: what partitions put out at about the same time are equal bytes."""

    def records(self, device: str, count: int, rng: random.Random) -> Iterator[Entry]:
        schema, boot = next(iter(self.factors)), b"%08x" % rng.getrandbits(32)
        for seq in range(count):
            yield Entry(device.encode(), b"%s|%s|%d|500" % (schema, boot, seq))

    def operator(self) -> Operator:
        return IdleLike()

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        expected = [anonymous(row) for row in expected_rows(records, self.factors, entries[0].begin, lost)]
        compare(read_rows(disk, [ref.name for entry in entries for ref in entry.files]), expected, where)


class UntaggedWork(IdleWork):
    def operator(self) -> Operator:
        return UntaggedLike()


class WindowsWork:
    """The windower itself with tiny windows: in seals, crashes and restarts as in one batch."""

    PERIOD = Fraction(20_000_000)

    def __init__(self) -> None:
        self._description = StreamDescription("acc", (Channel("x", "g", scale=0.5),), "int16")
        self._schema = schema_id(self._description)

    def descriptions(self) -> list[Entry]:
        return [Entry(self._schema, encode(self._description))]

    def records(self, device: str, count: int, rng: random.Random) -> Iterator[Entry]:
        for record in self._recording(device, count, rng):
            yield Entry(device.encode(), encode(record))

    def _recording(self, device: str, count: int, rng: random.Random) -> Iterator[Record]:
        boot, t_ns, recording = rng.randbytes(16), EPOCH_NS + rng.randrange(10**9), f"{device}-r"
        identity = (device, recording, "acc", boot)
        num, den = self.PERIOD.numerator, self.PERIOD.denominator
        for seq in range(count):
            if rng.random() < 0.1:
                missing = rng.randint(1, 30)
                end_ns, _ = advance(t_ns, 0, num, den, missing)
                yield Gap(*identity, t_ns, end_ns, missing, "dropped")
                t_ns = end_ns
            samples = rng.randint(1, 12)
            values = np.array([rng.randint(-2000, 2000) for _ in range(samples)], dtype="<i2").tobytes()
            yield Chunk(*identity, seq, self._schema, t_ns, num, den, 0, 1, b"", samples, values)
            t_ns, _ = advance(t_ns, 0, num, den, samples)
            if rng.random() < 0.1:
                yield Progress(*identity, t_ns)
        yield RecordingEnd(device, recording, boot, t_ns, "end")

    SPEC = WindowSpec(
        8,
        4,
        Fraction(50),
        ("acc.x",),
        rule=StreamRule(max_gap_ns=100_000_000),
        min_coverage=Fraction(1, 2),
    )

    def operator(self) -> Operator:
        return WindowOperator(self.SPEC)

    def merger(self) -> Merger:
        return WindowsMerger(self.SPEC)

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        found = {ref.name: disk.read(ref.name) for entry in entries for ref in entry.files}
        output = self._at_once(where, entries, lost, records)
        expected = {draft.name: b"".join(draft.parts) for draft in output.drafts}
        got, want = Counter(window_lines(found)), Counter(window_lines(expected))
        demand(got == want, f"{where}: windows: surplus {got - want}, missing {want - got}")

    def _at_once(self, where: str, entries: Sequence[Manifest], lost: Lost, records: Sequence[LogRecord]) -> Output:
        """What comes of all records in one go; the chain must have counted the same."""
        operator = self.operator()
        operator.learn(self._schema, self._description)
        output = fold(operator.start(None), records, entries[0].begin, lost).take()
        totals, counts = Counter(entries[-1].totals), output.counts
        for name in (FILES, RECORDS):  # the engine's own
            del totals[name]
        demand(totals == counts, f"{where}: totals are {totals}, expected {counts}")  # as Counters: no 0 is a 0
        return output


@functools.cache
def _compiled() -> RuleSet:
    """What every worker of every storm runs: compiling it took a third of a storm."""
    return compile_rules(RULES, "rules.yaml")


class RulesWork(WindowsWork):
    """Event rules on the same recordings: every mark is in the log before its seal, and no other is."""

    def operator(self) -> Operator:
        return RulesOperator(_compiled())

    def merger(self) -> Merger:
        return Untouched()

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        output = self._at_once(where, entries, lost, records)
        wanted = {publication.entry.value for publication in output.publications}
        demand(wanted <= set(published), f"{where}: {len(wanted - set(published))} marks were not published")
        if not lost and not entries[0].begin:  # else who had read what the log then forgot may have published more
            devices = {record.key.decode() for record in records}
            marks = {value: mark for value in published if isinstance(mark := decode(value), MarkAdd)}
            surplus = [mark for value, mark in marks.items() if value not in wanted and mark.device in devices]
            demand(not surplus, f"{where}: marks that no rule makes: {surplus}")


class ArchiveWork(WindowsWork):
    """The archive: every record is in it once, at its place, with its bytes, and counts where it counts."""

    gone = 0
    """How many records are not kept any longer."""

    def operator(self) -> Operator:
        return ArchiveOperator(READINGS)

    def merger(self) -> Merger:
        return ArchiveMerger()

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        sealed = [ref.name for entry in entries for ref in entry.files]
        found = archived(sealed, disk.read)
        got = [(row.offset, row.append_ns, row.key, value) for row, value in found]
        holes = [(0, entries[0].begin), *lost]
        wanted = [record for record in records if not any(a <= record.offset < b for a, b in holes)]
        self.gone = entries[-1].totals.get(RECORDS, 0)
        wanted = wanted[self.gone :]  # the oldest; of those who keep all, none
        demand(got == [tuple(record) for record in wanted], f"{where}: {len(got)} records, expected {len(wanted)}")
        whole = self._at_once(where, entries, lost, records)
        files = {draft.name: b"".join(bytes(part) for part in draft.parts) for draft in whole.drafts}
        verdicts = [[row.verdict for row, _ in rows] for rows in (found, archived(files, files.__getitem__))]
        demand(verdicts[0] == verdicts[1][self.gone :], f"{where}: a seal changed what counts")


class KeptArchiveWork(ArchiveWork):
    """The archive that keeps what is younger than some seconds."""

    keep_s = 10.0


def archived(names: Iterable[str], read: Callable[[str], bytes]) -> list[tuple[Row, bytes]]:
    """The records in an archive's files."""
    found: list[tuple[Row, bytes]] = []
    for name in names:
        if name.startswith("records/"):
            rows = rows_in(read_table(read(name)))
            found += zip(rows, record_values(rows, read), strict=True)
    return found


class MarksWork:
    """Marks and trims that people set, edit, retract and undo: every event is kept once, and what stands is what
    they meant."""

    def descriptions(self) -> list[Entry]:
        return []

    def records(self, device: str, count: int, rng: random.Random) -> Iterator[Entry]:
        said: list[tuple[str, str, int]] = []
        for number in range(count):
            author, now_ns = rng.choice(["ann", "bob"]), EPOCH_NS + number + 1
            trim = rng.random() < 0.2
            said_by = "" if trim else rng.choice("xyz"), author, "operator"
            event: Mark = MarkAdd(device, f"m{number}", now_ns, now_ns + 5, *said_by, trim=trim, reason="off" * trim)
            if said and rng.random() < 0.6:
                known, by, at_ns = rng.choice(said)
                undo = MarkEdit(device, known, by, "operator", client_ns=now_ns, undoes_ns=at_ns)
                edit = MarkEdit(device, known, author, "operator", label=rng.choice("xyz"), client_ns=now_ns)
                retract = MarkRetract(device, known, author, "operator", now_ns, reason="no")
                event = (undo, edit, retract)[rng.randrange(3)]
            said.append((event.id, author, now_ns))
            yield Entry(device.encode(), encode(event))

    def operator(self) -> Operator:
        return LabelsOperator()

    def merger(self) -> Merger:
        return TableMerger()

    def check(
        self,
        where: str,
        disk: SimDisk,
        entries: Sequence[Manifest],
        lost: Lost,
        records: Sequence[LogRecord],
        published: Collection[bytes],
    ) -> None:
        tables = [pl.read_parquet(io.BytesIO(disk.read(ref.name))) for entry in entries for ref in entry.files]
        events, append_ns = read_events(tables)
        wanted = [
            decode(record.value)
            for record in records
            if record.offset >= entries[0].begin and not any(a <= record.offset < b for a, b in lost)
        ]
        demand(events == wanted, f"{where}: {len(events)} mark events, expected {len(wanted)}")
        once = list(dict.fromkeys(record.value for record in records))  # producers append again what may be there
        meant = [event for event in map(decode, once) if isinstance(event, Mark)]
        if not lost and not entries[0].begin:
            found, truth = (
                [msgspec.structs.replace(mark, order=0, marked_ns=0) for mark in (*folded.marks, *folded.trims)]
                for folded in (fold_marks(events, append_ns), fold_marks(meant))
            )
            demand(found == truth, f"{where}: marks stand that nobody meant: {found} for {truth}")


def fold(running: Running, records: Iterable[LogRecord], begin: int, lost: Lost) -> Running:
    """Feed all records from `begin` on in one go, but for the ranges that were lost."""
    holes = [*sorted(lost), (1 << 60, 1 << 60)]
    for start, stop in holes:
        batch = [record for record in records if begin <= record.offset < start]
        if batch:
            offsets, append_ns, keys, values = (list(column) for column in zip(*batch, strict=True))
            taken = running.feed(LogBatch(READINGS, 0, offsets, append_ns, keys, values, offsets[-1] + 1))
            demand(taken == len(batch), f"the fold stopped after {taken} of {len(batch)} records")
        if stop < 1 << 60:
            running.skip(start, stop)
        begin = stop
    return running


def window_lines(files: dict[str, bytes]) -> Iterator[str]:
    """A line for each window (its id, the hashes of signal and mask), for each dropped or late row, and for each
    description of a stream, which may be told again after a restart."""
    described: set[str] = set()
    signals = functools.cache(lambda shard: np.load(io.BytesIO(files[f"signal/{shard}"])))
    for name, data in files.items():
        if not name.endswith(".parquet"):
            continue
        table = pl.read_parquet(io.BytesIO(data))
        if name.startswith("index/"):
            for window, shard, row, mask in table.select("window", "shard", "row", "mask").iter_rows():
                yield digest_line(window, signals(shard)[row], mask)
        elif name.startswith("dropped/"):  # runs of windows, which a seal may cut in two
            for device, recording, k, windows, reason in table.select(DROPPED).iter_rows():
                yield from (f"dropped {device} {recording} {k + i} {reason}" for i in range(windows))
        elif name.startswith("streams/"):
            described |= {f"stream {values}" for values in table.drop("offset").iter_rows()}
        else:
            yield from (f"{name.partition('/')[0]} {values}" for values in table.iter_rows())
    yield from described
