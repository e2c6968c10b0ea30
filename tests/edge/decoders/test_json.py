from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decoders.json.decoder import JsonDecoder
from edge.protocol import Fault
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.decoders.splitting import check_splits, run

NONE = float("-inf")


def new(**options: object) -> JsonDecoder:
    return JsonDecoder.from_config(source_config("json", ("x", "y"), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"x":1,"y":2.5,"z":3}', [(1, 2.5)]),
        (b'{"x":1}', [(1, NONE)]),
        (b'{"x":null,"y":4}', [(NONE, 4)]),
        (b"[1,2]", [(1, 2)]),
        (b"[[1,2],[3,4]]", [(1, 2), (3, 4)]),
        (b'[{"x":1,"y":2},{"x":3,"y":4}]', [(1, 2), (3, 4)]),
    ],
)
def test_what_a_line_may_be(line: bytes, found: list[tuple[float, ...]]) -> None:
    assert run(new(), [line + b"\n"]) == [(row, None) for row in found]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"x":1', "json"),
        (b'{"x":true,"y":1}', "number"),
        (b'{"x":"1","y":1}', "number"),
        (b'{"x":1e999,"y":1}', "json"),
        (b"{}", "missing"),
        (b"21.5", "columns"),
        (b"[1,2,3]", "columns"),
        (b"\xff", "json"),
        (b"[" * 5000, "json"),
    ],
)
def test_what_is_a_fault(line: bytes, reason: str) -> None:
    assert run(new(), [b"\n" + line + b"\n[5,6]\n"]) == [Fault(reason, 1), ((5, 6), None)]


def test_fields_and_times() -> None:
    decoder = new(fields={"x": "acc.0x"}, time_field="meta.t", time_unit="s")
    line = b'{"acc":{"0x":1},"y":2,"meta":{"t":1700000000.5}}\n{"acc":3,"y":2,"meta":{"t":"x"}}\n'
    assert run(decoder, [line]) == [((1, 2), 1_700_000_000_500_000_000), Fault("number", 49)]


@pytest.mark.parametrize("fields", [{"w": "a"}, {"x": 1}])
def test_wrong_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected one of x, y"):
        new(fields=fields)


LINE = st.sampled_from([b"[1,2]", b'{"x":1}', b"oops", b"", b'[{"x":1},{"y":2}]', b"[[1,2],[3]]", b"7"])


@given(st.lists(LINE, max_size=8), st.lists(st.integers(0, 300), max_size=8))
def test_any_split_gives_the_same(lines: list[bytes], places: list[int]) -> None:
    check_splits(new, b"\n".join(lines), places)
