"""What is known of an opened dataset, whatever is selected of it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from labeling.counting import Counting
from windowing.dataset.catalog import Damage
from windowing.dataset.contents import Contents
from windowing.dataset.heard import read_dropped, states_of
from windowing.dataset.source import Source

if TYPE_CHECKING:
    import polars as pl

_OF_MARKS: Final = ("device", "id", "label", "start_ns", "end_ns", "author", "tool", "confidence", "revision", "reason")


class Facts:
    """The facts of an opening; a part of `windowing.dataset.reader.Dataset`."""

    def __init__(self, source: Source) -> None:
        self._source: Final = source

    @property
    def source(self) -> Source:
        """What all handles of this opening share."""
        return self._source

    @property
    def contents(self) -> Contents:
        """All that the dataset's folder holds but the signals, whatever is selected."""
        return self._source.contents

    @property
    def counting(self) -> Counting:
        """The marks that count, and how many others stand; of several datasets: in the last one."""
        return self.contents.choice.count(self.contents.marks.marks)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.contents.config.name

    @property
    def rate(self) -> Fraction:
        """The rate of the windows' grid in hertz."""
        return self.contents.config.window.rate

    @property
    def version(self) -> str | None:
        """The number of the version that was opened; None: it was opened at its newest cut."""
        return self._source.opening.version

    @property
    def cut(self) -> Mapping[str, int]:
        """The newest sequence number of every chain when it was opened, by `<topic>-<partition>`; of several datasets,
        each behind its folder."""
        found: dict[str, int] = {}
        for each in self.contents.parts:
            before = f"{each.root}/" if self.contents.joined else ""
            found |= {before + chain: seq for chain, seq in {**each.windows.cut, **each.labels.cut}.items()}
        return found

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """What `damaged="skip"` left out."""
        return tuple(damage for each in self.contents.parts for damage in each.windows.damage)

    @property
    def rules(self) -> str:
        """The revision of the rules whose marks count, "none" or "all"; those of several datasets that differ, each."""
        return self.contents.rules_counted

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels, `stream.channel`, in the order of the last axis of `X`."""
        return self.contents.config.window.channels

    @property
    def states(self) -> Mapping[str, Mapping[int, str]]:
        """What the values of the channels that have named states mean, by channel and code, as in
        `{"gate.position": {0: "raised", 1: "down"}}`. Codes that recordings name otherwise have all their names."""
        return states_of(self.contents.streams, self.channels)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that at least one recording has."""
        return tuple(self.contents.recordings.columns[2:])

    def marks(self) -> pl.DataFrame:
        """The marks that count, by device and start: device, id, label, start_ns and end_ns (exclusive; equal ends are
        an instant), author, tool, confidence, revision (of a rule's), reason, and mark_time_ns, when the log took what
        made it so."""
        import polars as pl

        marks = self.counting.marks
        columns = {name: [getattr(mark, name) for mark in marks] for name in _OF_MARKS}
        columns["mark_time_ns"] = [mark.marked_ns for mark in marks]
        numbers = dict.fromkeys(("start_ns", "end_ns", "mark_time_ns"), pl.Int64) | {"confidence": pl.Float64}
        return pl.DataFrame(columns, schema={name: numbers.get(name, pl.String) for name in columns})

    def dropped(self) -> pl.DataFrame:
        """The windows that were not given out, a row a run of them: device, recording, anchor, k (the first one's
        number), windows (how many), t0_ns and t1_ns (from the first's start to the last's end), and the reason: gap,
        edge, coverage or no_stream. Raises `CorruptError`."""
        import polars as pl

        return pl.concat([read_dropped(each.windows, self._source.opening.damaged) for each in self.contents.parts])
