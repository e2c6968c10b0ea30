"""One record of every kind with every field set, and hypothesis strategies for all kinds."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from ingest import records
from ingest.records import (
    Birth,
    Change,
    Channel,
    Chunk,
    Clock,
    Command,
    CommandResult,
    Configuration,
    DeadLetter,
    Death,
    Forget,
    Gap,
    Heartbeat,
    MarkAdd,
    MarkEdit,
    MarkRetract,
    Progress,
    Record,
    RecordingEnd,
    RecordingStart,
    RecordingUndo,
    StreamDescription,
)

KINDS: tuple[type[Any], ...] = tuple(
    kind for union in get_args(records.Record) for kind in (get_args(union) or (union,))
)
BOOT = bytes(range(16))
BEFORE = bytes(range(16, 32))
T0 = 1_795_485_600_000_000_000
"""2026-11-24T02:00:00Z."""

EXAMPLES: dict[str, Record] = {
    "recording_start": RecordingStart("pump-7", "r-1", BOOT, T0, "start", BEFORE, T0 - 1, {"subject": "u07"}),
    "recording_end": RecordingEnd("pump-7", "r-1", BOOT, T0 + 10**9, "stop"),
    "chunk_periodic": Chunk(
        "pump-7", "r-1", "acc", BOOT, 3, BEFORE, T0, 250_000, 3, 1, 0, b"", 2, bytes.fromhex("0100feff"), 5, "spool"
    ),
    "chunk_stamped": Chunk(
        "pump-7",
        "r-1",
        "acc",
        BOOT,
        4,
        BEFORE,
        T0,
        0,
        0,
        0,
        1000,
        bytes.fromhex("0000000007000000"),
        2,
        b"\x01\x02",
        clock=Clock("ntp", -5, 1.5, 900_000),
        signature=b"sig",
    ),
    "gap": Gap("pump-7", "r-1", "acc", BOOT, T0, T0 + 5, -1, "spool_full"),
    "progress": Progress("pump-7", "r-1", "acc", BOOT, T0),
    "forget": Forget("pump-7", "anna", T0, "asked to"),
    "mark_add": MarkAdd(
        "pump-7", "m-1", T0, T0 + 9, "slam", "anna", "rule", 0.5, T0 + 1, T0 + 2, {"mag": 2.5}, "r1", True, "loose"
    ),
    "mark_edit": MarkEdit(
        "pump-7", "m-1", "ben", "button", T0, None, "drop", None, T0 + 1, T0 + 2, "late", T0 + 3, True, {"offset": 0.5}
    ),
    "mark_retract": MarkRetract("pump-7", "m-1", "ben", "operator", T0 + 1, T0 + 2, "twice", True, {"offset": 0.5}),
    "recording_undo": RecordingUndo("pump-7", "r-1", "anna", "wrong unit", T0, True),
    "stream_description": StreamDescription(
        "acc",
        (Channel("x", "g", 0.015625, -1.0, -4.0, 4.0), Channel("t", "degC")),
        "int16",
        12_000,
        1,
        "ADXL345",
        "shaft",
    ),
    "stream_description_states": StreamDescription(
        "valve", (Channel("open", "1", states=((0, "shut"), (1, "open"))), Channel("p", "Pa")), "int32"
    ),
    "stream_description_corrected": StreamDescription(
        "arm",
        (Channel("x", "g"), Channel("y", "g")),
        "float32",
        correction=records.Correction(((1.0, 0.5), (0.0, 2.0)), (0.25, -0.5), ("-y", "x"), "2026-11-20", "gravity"),
    ),
    "birth": Birth("pump-7", "agent-1", BOOT, T0, "0.1.0", "abc"),
    "heartbeat": Heartbeat("pump-7", "agent-1", BOOT, T0, {"spool_bytes": 12.0}),
    "death": Death("pump-7", "agent-1", BOOT, T0, "SIGTERM", "0.1.0", "abc"),
    "command_result": CommandResult("pump-7", "agent-1", BOOT, T0, "c-1", "imu", "zero", "refused", "is 90 s old"),
    "configuration": Configuration("pump-7", "a036ec1005e9bf80", 'without = ["imu"]', "ann", T0),
    "command": Command("pump-7", "c-1", "imu", "zero", "ann", T0),
    "change": Change("pump-7", "agent-1", BOOT, T0, "release", "0.1.0", "0.2.0", "rolled_back", "imu: nothing heard"),
    "dead_letter": DeadLetter("pump-7", "readings", 3, 17, "no record", b"\x00\xff"),
}

_time = st.integers(-(2**61), 2**61)
_text = st.text(max_size=12)
_float = st.floats(allow_nan=False)
_by_type: dict[Any, st.SearchStrategy[Any]] = {
    "str": _text,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=20),
    "int": st.integers(-(2**63), 2**63 - 1),
    "Time": st.integers(-(2**62), 2**62),
    "Time | None": st.none() | st.integers(-(2**62), 2**62),
    "Missing": st.integers(-1, 2**44),
    "float": _float,
    "str | None": st.none() | _text,
    "float | None": st.none() | _float,
    "dict[str, str]": st.dictionaries(_text, _text, max_size=3),
    "dict[str, float]": st.dictionaries(_text, _float, max_size=3),
    "SampleType": st.sampled_from(get_args(records.SampleType)),
    "tuple[tuple[int, str], ...]": st.lists(st.tuples(st.integers(-(2**24), 2**24), _text), max_size=3).map(tuple),
    "tuple[float, ...]": st.lists(_float, max_size=3).map(tuple),
    "tuple[tuple[float, ...], ...]": st.lists(st.lists(_float, max_size=3).map(tuple), max_size=3).map(tuple),
    "tuple[str, ...]": st.lists(_text, max_size=3).map(tuple),
    "Correction | None": st.none() | st.deferred(lambda: of_kind(records.Correction)),
    "tuple[Channel, ...]": st.deferred(lambda: st.lists(of_kind(Channel), max_size=3).map(tuple)),
}


def of_kind(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Records of one kind with any content (chunks: any that does not contradict itself)."""
    if kind is Chunk:
        return chunks()
    return st.builds(kind, **{name: _by_type[kind.__annotations__[name]] for name in kind.__struct_fields__})


@st.composite
def _deltas(draw: st.DrawFn, count: int, tick: int) -> bytes:
    width = draw(st.sampled_from([4, 8]))
    reach = min(2 ** (8 * width - 1), 2**62 // tick) - 1
    listed = draw(st.lists(st.integers(-reach, reach), min_size=count, max_size=count))
    return b"".join(delta.to_bytes(width, "little", signed=True) for delta in listed)


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    count = draw(st.integers(1, 20))
    den = draw(st.integers(0, 1000))
    num = draw(st.integers(1, 10**12)) if den else 0
    phase = draw(st.integers(0, den - 1)) if den else 0
    tick = 0 if den else draw(st.integers(1, 10**9))
    deltas = b"" if den else draw(_deltas(count, tick))
    size = count * draw(st.integers(1, 6))
    return Chunk(
        draw(_text),
        draw(_text),
        draw(_text),
        draw(st.binary(min_size=16, max_size=16)),
        draw(st.integers(0, 2**40)),
        draw(st.binary(min_size=16, max_size=16)),
        draw(_time),
        num,
        den,
        phase,
        tick,
        deltas,
        count,
        draw(st.binary(min_size=size, max_size=size)),
        draw(st.integers(0, 10**6)),
        draw(_text),
        draw(st.none() | of_kind(Clock)),
        draw(st.binary(max_size=64)),
    )
