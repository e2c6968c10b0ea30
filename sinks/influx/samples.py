"""A chunk's samples as lines, each a point: measurement the stream, tag the device, a field a channel. Pure.

Values are physical ones, `raw * scale + offset` in float64, and always floats: a field that was once written as an
integer would refuse them for ever. A channel with named states has its codes like that, and their names in a field of
texts beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.errors import WireError
from ingest.records import Chunk, StreamDescription
from ingest.times import Times
from sinks.influx.lines import field_names, head, line, text

Values = NDArray[np.float64]


class Words(NamedTuple):
    """A field that names a channel's state, and its values by code, as the protocol writes them."""

    key: str
    names: Mapping[float, str]


class StreamLines:
    """Writes the samples of one device's stream under one schema."""

    __slots__ = ("_dtype", "_fields", "_head", "_offset", "_scale", "_scaled", "_template", "_words", "states")

    def __init__(self, device: str, description: StreamDescription) -> None:
        channels = description.channels
        self._head = head(description.stream, {"device": device})
        named = [channel for channel in channels if channel.states]
        keys = field_names([*(it.name for it in channels), *(f"{it.name}_state" for it in named)])
        self._fields = keys[: len(channels)]
        self.states = frozenset(number for number, channel in enumerate(channels) if channel.states)
        """The channels whose values are codes of named states, by number: a mean of them means nothing."""
        words = (
            Words(key, {code: text(name) for code, name in it.states})
            for key, it in zip(keys[len(channels) :], named, strict=True)
        )
        self._words = dict(zip(sorted(self.states), words, strict=True))
        self._dtype = np.dtype(description.dtype).newbyteorder("<")
        self._scale = np.array([channel.scale for channel in channels])
        self._offset = np.array([channel.offset for channel in channels])
        self._scaled = bool((self._scale != 1.0).any() or (self._offset != 0.0).any())
        pairs = ",".join(f"{name.replace('%', '%%')}=%r" for name in self._fields)
        self._template = f"{self._head.replace('%', '%%')} {pairs} %d"

    @property
    def head(self) -> str:
        """What stands before the fields."""
        return self._head

    @property
    def fields(self) -> list[str]:
        """The channels' keys."""
        return self._fields

    def values(self, chunk: Chunk) -> Values:
        """The chunk's physical values, `(samples, channels)`. Raises `WireError` where they do not fit its schema."""
        if len(chunk.values) != chunk.count * len(self._fields) * self._dtype.itemsize:
            raise WireError("its values do not fit its schema")
        raw = np.frombuffer(chunk.values, dtype=self._dtype).reshape(chunk.count, len(self._fields))
        values = raw.astype(np.float64)
        return values * self._scale + self._offset if self._scaled else values

    def lines(self, times: Times, values: Values, counts: Counter[str]) -> list[str]:
        """A line a sample. What is missing in it is left out: the protocol has no word for that."""
        finite = np.isfinite(values)
        if finite.all() and not self.states:
            template = self._template
            return [template % row for row in zip(*values.T.tolist(), times.tolist(), strict=True)]
        if not finite.all():
            counts["missing.values"] += int(np.count_nonzero(~finite))
        found: list[str] = []
        for t_ns, row, known in zip(times.tolist(), values.tolist(), finite.tolist(), strict=True):
            pairs = [(k, repr(v)) for k, v, ok in zip(self._fields, row, known, strict=True) if ok]
            pairs += [(key, names[row[at]]) for at, (key, names) in self._words.items() if row[at] in names]
            if pairs:
                found.append(line(self._head, pairs, t_ns))
            else:
                counts["missing.samples"] += 1
        return found
