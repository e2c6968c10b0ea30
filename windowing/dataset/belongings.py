"""What belongs to a dataset, so that what is missing is missed.

`belongs/` in the dataset's folder has a copy of each operator's genesis and the head of each ledger; beside each chain,
`heads/` says how far it has surely come. Each says what must be there of the others, so that no single file or folder
can go unseen. Copies of the `heads/` in `belongs/` tell an operator's folder of yesterday, which is whole in itself.
Datasets of before there was `belongs/` are believed as far as their chains go, until the next run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ingest.engine.genesis import NAME as GENESIS
from ingest.engine.genesis import Genesis, decode_genesis, heads_name, kept_name
from ingest.engine.heads import HEADS, NOTHING, ChainHead, decode_head, decode_heads_copy, head_name
from ingest.engine.history import newest_entry
from ingest.engine.ledger import BELONGS, has_ledger
from ingest.engine.manifest import chain_folder, decode_entry, entry_name
from ingest.errors import CorruptError
from windowing.dataset.configs import CONFIGS

WINDOWS: Final = "windows"
LABELS: Final = "labels"
RULES: Final = "rules"
REMEDY: Final = "restore it from a backup, or rebuild the dataset from the log into another folder"
RUN_MENDS: Final = "the next `sensorloom window run` writes it again"


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing or damaged of that which belongs to a dataset."""

    file: Path
    problem: str
    vital: bool
    """Without it labels could be wrong, or nothing is left to open."""

    @property
    def text(self) -> str:
        """For an error."""
        return f"{self.file}: {self.problem}"


@dataclass(slots=True)
class Belongings:
    """What must be there, as far as it is said."""

    root: Path
    geneses: dict[Path, Genesis] = field(default_factory=dict)
    """By the operator's folder."""
    heads: dict[Path, dict[str, ChainHead]] = field(default_factory=dict)
    """By the operator's folder: how far its chains have surely come, by `manifest/<topic>-<partition>`."""
    missing: list[Missing] = field(default_factory=list)

    def heads_of(self, folder: Path) -> Mapping[str, ChainHead]:
        """How far the chains in an operator's folder have surely come."""
        return self.heads.get(folder, {})

    def note(self, file: Path, problem: str, *, vital: bool = False) -> None:
        """Something is missing or damaged."""
        self.missing.append(Missing(file, problem, vital))


def operator_folder(root: Path, operator: str, spec: str) -> Path:
    """Where an operator's chains lie."""
    return root / LABELS if operator == LABELS else root / operator / spec


def operator_folders(root: Path) -> list[Path]:
    """The operators' folders that there are."""
    found = [*sorted((root / WINDOWS).glob("*/")), root / LABELS, *sorted((root / RULES).glob("*/"))]
    return [folder for folder in found if folder.is_dir()]


def read_belongings(root: Path) -> Belongings:
    """What must be there in the dataset at `root`, and what of it is not. Read it before anything else: it is a bound
    from below."""
    belongings = Belongings(root)
    for path in sorted((root / BELONGS).glob("*-*.json")):
        try:
            genesis = decode_genesis(path.read_bytes(), str(path))
        except CorruptError as error:
            belongings.note(path, str(error).removeprefix(f"{path}: "))
            continue
        if path.name != Path(kept_name(genesis.operator, genesis.spec)).name:
            belongings.note(path, f"is the copy of {kept_name(genesis.operator, genesis.spec)}; a file was renamed")
        belongings.geneses[operator_folder(root, genesis.operator, genesis.spec)] = genesis
    copies = _read_copies(belongings)
    for folder, genesis in belongings.geneses.items():
        _look_into(belongings, folder, genesis)
        for chain, known in copies.get(folder, {}).items():
            _look_for_age(belongings, folder, chain, known, vital=genesis.operator == LABELS)
    for folder in operator_folders(root):
        if (folder / HEADS).exists() and folder not in belongings.geneses:
            _note_copy(belongings, folder)
    if belongings.geneses and not has_ledger(root, CONFIGS):
        belongings.note(root / CONFIGS, f"is missing; {RUN_MENDS}", vital=True)
    _look_for_kin(belongings)
    return belongings


def _read_copies(belongings: Belongings) -> dict[Path, Mapping[str, ChainHead]]:
    """The copies of the heads, by the operator's folder. Where one operator has one, each has."""
    copies: dict[Path, Mapping[str, ChainHead]] = {}
    absent: list[Path] = []
    for folder, genesis in belongings.geneses.items():
        path = belongings.root / heads_name(genesis.operator, genesis.spec)
        try:
            copies[folder] = decode_heads_copy(path.read_bytes(), str(path))
        except FileNotFoundError:
            absent.append(path)
        except CorruptError as error:
            belongings.note(path, f"{str(error).removeprefix(f'{path}: ')}; {RUN_MENDS}")
    for path in absent if len(absent) < len(belongings.geneses) else ():
        belongings.note(path, f"is missing; {RUN_MENDS}")
    return copies


def _look_for_age(belongings: Belongings, folder: Path, chain: str, known: ChainHead, *, vital: bool) -> None:
    """Is the chain as far as it was known to be? One that was made again may be so with fewer entries."""
    if known.through <= belongings.heads_of(folder).get(chain, NOTHING).through:
        return  # and the entry that this names is there, or noted
    newest = newest_entry(folder, chain)
    try:
        entry = folder / entry_name(chain, newest)
        through = decode_entry(entry.read_bytes(), str(entry)).through if newest >= 0 else 0
    except (FileNotFoundError, CorruptError):
        return  # noted by who reads the chain
    if through < known.through:
        problem = (
            f"goes to offset {through:,} only, it was at {known.through:,}: it is of an older copy than the rest; "
            "restore all of the dataset from one backup, or let `sensorloom window run` make again what is missing"
        )
        belongings.note(folder / chain, problem, vital=vital)


def _note_copy(belongings: Belongings, folder: Path) -> None:
    operator = LABELS if folder.name == LABELS else folder.parent.name
    known = {path.name for path in (belongings.root / BELONGS).glob(f"{operator}-*.json")}
    if operator == LABELS and known:
        return  # damaged, and noted so
    name = f"{operator}-*.json" if operator == LABELS else f"{operator}-{folder.name}.json"
    if name not in known:
        belongings.note(belongings.root / BELONGS / name, f"is missing, but there is {folder}; {RUN_MENDS}")


def _look_into(belongings: Belongings, folder: Path, genesis: Genesis) -> None:
    vital = genesis.operator != RULES
    if not folder.is_dir():
        belongings.note(folder, f"is missing, with all that {genesis.operator} had made; {REMEDY}", vital=vital)
        return
    path = folder / GENESIS
    try:
        if decode_genesis(path.read_bytes(), str(path)) != genesis:
            belongings.note(path, f"is another than {kept_name(genesis.operator, genesis.spec)}; {REMEDY}", vital=vital)
    except FileNotFoundError:
        copy = belongings.root / kept_name(genesis.operator, genesis.spec)
        belongings.note(path, f"is missing; the next `sensorloom window run` puts {copy} there", vital=vital)
    except CorruptError as error:
        belongings.note(path, str(error).removeprefix(f"{path}: "), vital=vital)
    heads = belongings.heads.setdefault(folder, {})
    for partition in range(genesis.partitions):
        chain = chain_folder(genesis.topic, partition)
        where = folder / head_name(chain)
        try:
            heads[chain] = decode_head(where.read_bytes(), str(where))
        except FileNotFoundError:
            problem = f"is missing: whether {chain} has all its entries is not known; {RUN_MENDS}"
            belongings.note(where, problem, vital=genesis.operator == LABELS)
        except CorruptError as error:
            problem = str(error).removeprefix(f"{where}: ")
            belongings.note(where, f"{problem}; {RUN_MENDS}", vital=genesis.operator == LABELS)
        else:
            _look_for_newest(belongings, folder, chain, heads[chain], vital=genesis.operator == LABELS)


def _look_for_newest(belongings: Belongings, folder: Path, chain: str, head: ChainHead, *, vital: bool) -> None:
    """Is the newest entry there that is known of?"""
    if head.seq >= 0 and not (folder / entry_name(chain, head.seq)).exists():
        # A missing one is missed by reading the chain as well, but a chain of no entries has nothing to read.
        path = folder / entry_name(chain, head.seq)
        belongings.note(path, f"is missing, but the chain went on to it; {REMEDY}", vital=vital)


def _look_for_kin(belongings: Belongings) -> None:
    """Windows and labels are founded together, before either has an entry: also in datasets without `belongs/`."""
    root = belongings.root
    for name, other in ((LABELS, WINDOWS), (WINDOWS, LABELS)):
        if any(root.glob(f"{_PLACES[name]}/{GENESIS}")) or any(missing.vital for missing in belongings.missing):
            continue
        if any(root.glob(f"{_PLACES[other]}/manifest/*/*.json")):
            belongings.note(root / name, f"is missing, but there are {other}; {REMEDY}", vital=True)


_PLACES: Final = {WINDOWS: f"{WINDOWS}/*", LABELS: LABELS}
