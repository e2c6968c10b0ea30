"""The examples of RFC 8428, resolved as its authors say; options; and packs without times."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cbor2
import pytest

from edge.decoders.senml.decoder import SenmlDecoder
from edge.decoders.senml.pack import RELATIVE, resolved
from edge.protocol import Fault, Frame
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.support.data import data_dir

FOLDER = data_dir() / "senml"
EXAMPLES = sorted(FOLDER.glob("ex?.json"))


def told(pack: Any) -> list[tuple[str, str, float, Any]]:
    return [(entry.name, entry.unit, float(entry.time), entry.value) for entry in resolved(pack)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: Path) -> None:
    wanted = told(json.loads((FOLDER / f"{path.stem}.gen.resolved.json").read_text()))
    found = told(json.loads(path.read_text()))
    when = {at for _, _, at, _ in wanted} if all(at < RELATIVE for _, _, at, _ in found) else set()
    assert len(when) <= 1, "a pack without times was resolved at one moment"
    assert [(name, unit, value) for name, unit, _, value in found] == [(n, u, v) for n, u, _, v in wanted]
    assert when or [at for _, _, at, _ in found] == pytest.approx([at for _, _, at, _ in wanted], abs=1e-6)


def test_cbor_says_the_same_as_json() -> None:
    packed = cbor2.loads((FOLDER / "ex3.gen.cbor").read_bytes())
    assert told(packed) == told(json.loads((FOLDER / "ex3.json").read_text()))


def new(clock: Any = "device", rate: int | None = None, **options: Any) -> SenmlDecoder:
    units = {"a": "V", "b": "A"}
    return SenmlDecoder.from_config(
        source_config("senml", ("a", "b"), units=units, kind="mqtt", clock=clock, rate=rate, **options)
    )


def test_times_keep_every_digit() -> None:
    (frame,) = new().message(b'[{"n":"a","bt":1320067464.123456789,"t":0.1,"v":1}]')
    assert isinstance(frame, Frame)
    assert frame.times_ns is not None
    assert frame.times_ns.tolist() == [int((Fraction(repr(1320067464.123456789)) + Fraction("0.1")) * 10**9)]


LAGGING = b'[{"n":"a","t":-1,"v":1},{"n":"a","v":2}]'


def test_a_pack_without_times_is_taken_as_it_comes() -> None:
    now, rated = new("arrival"), new("arrival", rate=1)
    late, frame = now.message(LAGGING)
    assert isinstance(late, Fault)
    assert isinstance(frame, Frame)
    assert (late.reason, frame.values[:, 0].tolist(), frame.times_ns) == ("relative_time", [2], None)
    (both,) = rated.message(LAGGING)
    assert isinstance(both, Frame)
    assert (both.values[:, 0].tolist(), both.times_ns) == ([1, 2], None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"c": "x"}}, "expected one of a, b"),
        ({"fields": {"a": "b"}}, "two channels have one name"),
        ({"frame": "fixed", "sync": "AA 55"}, "is for the decoder binary"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new(**options)
