"""The windower as an operator of the exactly-once engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ingest.engine.operator import Output, State
from ingest.records import StreamDescription
from windowing.fold.anchors import AnchorMark, Layout
from windowing.fold.remarks import Remarks
from windowing.fold.state import STATE_VERSION, decode_state, encode_state
from windowing.fold.windower import BOUND_BYTES, Windower
from windowing.spec import WindowSpec

_FAR_NS: Final = 1 << 62


class WindowOperator:
    """Cuts the windows of a specification; `marks` are the pinned marks of a mark-anchored run.

    `feed` stops early where there is output of `bound_bytes`.
    """

    def __init__(self, spec: WindowSpec, marks: Iterable[AnchorMark] = (), bound_bytes: int = BOUND_BYTES) -> None:
        self._layout = Layout.of(spec)
        self._bound_bytes = bound_bytes
        self._marks = tuple(
            mark._replace(start_ns=max(-_FAR_NS, mark.start_ns), end_ns=min(_FAR_NS, mark.end_ns))
            for mark in marks
            if mark.start_ns < _FAR_NS and mark.end_ns > -_FAR_NS
        )
        self._schemas: dict[bytes, StreamDescription] = {}
        self._remarks = Remarks(self._layout.plans)

    @property
    def name(self) -> str:
        """See `ingest.engine.operator.Operator`."""
        return "windows"

    @property
    def code(self) -> int:
        """The version of the saved state."""
        return STATE_VERSION

    @property
    def spec(self) -> str:
        """The specification's hash."""
        return self._layout.spec_id

    def learn(self, schema: bytes, description: StreamDescription) -> None:
        """Tell what a schema id means."""
        self._schemas[schema] = description
        self._remarks.learn(description)

    def start(self, saved: State | None) -> RunningWindows:
        """At work from a saved state, or from the beginning.

        Raises:
            StateVersionError: the state is another version's, or another specification's.
            CorruptError: the state's bytes are not those that were written.
        """
        state = None if saved is None else decode_state(saved, self.spec)
        windower = Windower(self._layout, self._marks, self._schemas, state, self._bound_bytes)
        return RunningWindows(windower, self.spec, self._remarks)


class RunningWindows:
    """The windower at work on one partition; see `ingest.engine.operator.Running`."""

    urgent = False

    def __init__(self, windower: Windower, spec_id: str, remarks: Remarks) -> None:
        self._windower = windower
        self._spec_id = spec_id
        self._remarks = remarks
        """Of the operator: they grow with what it learns."""
        self.feed = windower.feed
        self.skip = windower.skip

    @property
    def missing_schema(self) -> bytes | None:
        """The schema id that `feed` stopped at, else None."""
        return self._windower.missing_schema

    @property
    def pending_bytes(self) -> int:
        """About how many bytes of output `take` would give."""
        return self._windower.pending_bytes

    def take(self, tag: str = "") -> Output:
        """The output finished since the last call, as files."""
        from windowing.fold.shards import encode_output

        return replace(encode_output(self._windower.take(), tag), notes=(*self._remarks.texts(), *self._windower.notes))

    def snapshot(self) -> State:
        """The state; called right after `take`."""
        parts = encode_state(self._windower.snapshot(), self._spec_id)
        self._windower.is_saved_in(sum(map(len, parts)))
        return parts
