"""What a worker tells: for eyes and counters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ingest.engine.manifest import Manifest
from ingest.engine.operator import Output
from ingest.engine.partition import Partition

Kind: TypeAlias = Literal["recovered", "fed", "sealed", "fenced", "revoked", "lost", "waiting", "noted"]
NOTED_MAX: Final = 1000
"""How many different notes are told: texts with names in them that others make up have no end."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a worker did, for eyes and counters."""

    kind: Kind
    partition: int
    position: int
    text: str = ""
    entry: Manifest | None = None


class Teller:
    """Tells what happens, each note once."""

    def __init__(self, observe: Callable[[Notice], None]) -> None:
        self._observe = observe
        self._noted: set[str] = set()
        """What people were told already: no partition tells it again."""

    def tell(self, kind: Kind, partition: int, position: int, text: str = "", entry: Manifest | None = None) -> None:
        """Says what was done."""
        self._observe(Notice(kind, partition, position, text, entry))

    def wait(self, partition: int, text: str, position: int = 0) -> None:
        """Says what is waited for."""
        self.tell("waiting", partition, position, text)

    def note(self, number: int, position: int, text: str) -> None:
        """Says what people should know, unless they were told."""
        if text not in self._noted and len(self._noted) < NOTED_MAX:
            self._noted.add(text)
            self.tell("noted", number, position, text)

    def notes(self, part: Partition, output: Output) -> None:
        """What an output says of itself."""
        for text in output.notes:
            self.note(part.number, part.position, text)
