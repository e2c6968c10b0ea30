"""Large datasets for benchmarks, sealed by the engine's own steps: windows of noise, and marks over them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from ingest.engine import partition as work
from ingest.engine.disk import DiskFiles
from ingest.engine.genesis import FORMAT, Genesis, encode_genesis
from ingest.engine.operator import Operator, Output, State
from ingest.engine.store import FileStore
from ingest.log.protocol import LogBatch
from ingest.records import MarkAdd, StreamDescription
from ingest.wire import encode
from labeling.sink import LabelsOperator
from windowing.config import DatasetConfig
from windowing.fold.cutting import Block, Finished, Origin
from windowing.fold.shards import encode_output

_SECOND: Final = 10**9
_BLOCK: Final = 1_000


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """The windows `[k, k + count)` of a device's recording."""

    device: str
    k: int
    count: int
    cells: tuple[int, int]
    """Steps and channels."""


@dataclass
class Pieces:
    """An operator whose records are many windows each."""

    name = "windows"
    code = 1
    spec: str

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """See `Operator`; windows need no schema."""

    def start(self, saved: State | None) -> PiecesRunning:
        """See `Operator`."""
        return PiecesRunning()


@dataclass
class PiecesRunning:
    """See `Running`."""

    missing_schema: bytes | None = None
    pending_bytes: int = 0
    urgent: bool = False
    pieces: list[Piece] = field(default_factory=list)

    def feed(self, batch: LogBatch) -> int:
        """See `Running`."""
        self.pieces += [msgspec.msgpack.decode(value, type=Piece) for value in batch.values]
        return len(batch)

    def skip(self, wanted: int, begin: int) -> None:
        """See `Running`; nothing is lost."""

    def take(self, tag: str = "") -> Output:
        """See `Running`."""
        finished = Finished()
        for piece in self.pieces:
            finished.add(_block(piece))
        self.pieces = []
        return encode_output(finished, tag)

    def snapshot(self) -> State:
        """See `Running`."""
        return (b"a state",)


def _block(piece: Piece) -> Block:
    rng = np.random.default_rng([piece.k, *piece.device.encode()])
    signal = rng.random((piece.count, *piece.cells), np.float32)
    k = np.arange(piece.k, piece.k + piece.count)
    ends = (k + 1) * piece.cells[0] * _SECOND
    prefix = f"{abs(hash_of(piece.device)):016x}"
    whole = np.ones(piece.count, np.float32)
    return Block(
        Origin(piece.device, "r", "epoch", prefix), k, k * piece.cells[0] * _SECOND, ends, signal, whole, None, piece.k
    )


def hash_of(text: str) -> int:
    """A number of 64 bits that is the same in every process."""
    return int.from_bytes(text.encode().ljust(8, b"-")[-8:], "big")


def build(root: Path, windows: int, *, steps: int, channels: int, devices: int, marks: int, seals: int) -> Path:
    """A dataset of so many windows in one chain of so many seals."""
    root.mkdir(parents=True)
    names = ", ".join(f'"acc.c{channel}"' for channel in range(channels))
    toml = f'name = "bench"\n[window]\nlength = {steps}\nrate = "1Hz"\nchannels = [{names}]\n'
    (root / "dataset.toml").write_text(toml)
    spec = DatasetConfig.load(root / "dataset.toml").window.id
    each = windows // devices
    pieces = [
        Piece(f"dev-{device:03}", k, min(_BLOCK, each - k), (steps, channels))
        for k in range(0, each, _BLOCK)
        for device in range(devices)
    ]
    values = [msgspec.msgpack.encode(piece) for piece in pieces]
    _seal(root / "windows" / spec, Pieces(spec), "readings", values, seals)
    span = each * steps
    events = [
        MarkAdd(f"dev-{n % devices:03}", f"m{n:08}", at, at + 8 * steps * _SECOND, f"l{n % 5}", "ann", "operator")
        for n in range(marks)
        for at in [n // devices * (span * devices // max(marks, 1)) * _SECOND]
    ]
    _seal(root / "labels", LabelsOperator(), "marks", [encode(event) for event in events], 1)
    return root


def _seal(folder: Path, operator: Operator, topic: str, values: Sequence[bytes], seals: int) -> None:
    folder.mkdir(parents=True)
    genesis = Genesis(FORMAT, operator.name, topic, 1, "the log", operator.spec, operator.code, "id")
    (folder / "genesis.json").write_bytes(encode_genesis(genesis))
    store = FileStore(DiskFiles(folder), "b")

    async def run() -> None:
        part = await work.recover(store, operator, topic, 0, 0)
        every = -(-len(values) // seals) if values else 1
        for begin in range(0, len(values), every):
            few = list(values[begin : begin + every])
            offsets = range(begin, begin + len(few))
            part.running.feed(LogBatch(topic, 0, offsets, offsets, [b""] * len(few), few, offsets.stop))
            part.position = offsets.stop
            seal = work.prepare(part, operator)
            note = await work.write_files(store, seal)
            await work.commit(store, part, seal)
            await store.delete((*work.move_on(part, seal), note))

    asyncio.run(run())
