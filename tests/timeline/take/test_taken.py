"""Ranges taken out as files: each sample once with its exact time, in every format, from a log and from an archive."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import parquet
from starlette.requests import Request

import sensorloom
from ingest.archive.reading import Answer, Question
from ingest.archive.tiles import tiles_of
from ingest.errors import CorruptError
from ingest.log.protocol import READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Channel, Chunk, Gap, Record, RecordingStart, StreamDescription, schema_id
from ingest.wire import encode
from tests.timeline.site import ACC, START_NS, S, Served, boot, chunk
from timeline.protocol import TakeQuery
from timeline.server import takeroutes
from timeline.server.answers import ProblemError
from timeline.site import Settings, Timeline
from timeline.take import ranges

DEVICE = "pump 7/hall"
SLOW = StreamDescription("air", (Channel("t", "degC"),), "float64", 0, 1)
FROM_NS, TO_NS = START_NS + 3 * S + 5_000_001, START_NS + 12 * S
SECONDS = 20
GAP = (START_NS + 5 * S, START_NS + 7 * S)
"""No samples of `acc` there."""


def slow_chunk(number: int) -> Chunk:
    times_ns = START_NS + number * S + 123_456_789
    value = np.array([20 + number / 7], "<f8").tobytes()
    return Chunk(DEVICE, "r1", "air", boot("r1"), number, schema_id(SLOW), times_ns, S, 1, 0, 0, b"", 1, value)


def records() -> list[Record]:
    """Whole seconds of acceleration with a hole, out of order in places, and a value of another stream each second."""
    rng = np.random.default_rng(11)
    found: list[Record] = [RecordingStart(DEVICE, "r1", boot("r1"), START_NS, "started")]
    seconds = [it for it in range(SECONDS) if not GAP[0] <= START_NS + it * S < GAP[1]]
    for seq, second in enumerate(seconds):
        values = rng.standard_normal(100).astype(np.float32)
        found += [chunk(START_NS + second * S, 100, seq, device=DEVICE, values=values), slow_chunk(second)]
    found.append(Gap(DEVICE, "r1", "acc", boot("r1"), *GAP, 200, "overrun"))
    return found


def expected(stream: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times and values of the range, out of the records alone."""
    times, values = [], []
    for it in records():
        if isinstance(it, Chunk) and it.stream == stream:
            count = it.count
            times += [it.t0_ns + number * (S // 100) for number in range(count)]
            kind, channels = ("<f4", 2) if stream == "acc" else ("<f8", 1)
            values += np.frombuffer(it.values, kind).reshape(count, channels).astype(np.float64).tolist()
    inside = [FROM_NS <= it < TO_NS for it in times]
    order = np.argsort(np.array(times)[inside], kind="stable")
    return np.array(times)[inside][order], np.array(values)[inside][order]


@pytest.fixture(scope="module", params=["log", "archive"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = tmp_path_factory.mktemp("take") / "site"
    site.mkdir()

    async def work() -> None:
        log = open_log(f"segments:{site}/log?partitions=2")
        await log.append(STREAMS, [Entry(schema_id(it), encode(it)) for it in (ACC, SLOW)])
        await log.append(READINGS, [Entry(DEVICE.encode(), encode(it)) for it in records()])
        await log.close()

    asyncio.run(work())
    if request.param == "archive":
        archive = ["archive", "run", "--log", f"segments:{site}/log", "--out", str(site / "archive"), "--until-idle"]
        assert sensorloom.main(archive) == 0
    with Served(str(site), "--as", "anna") as server:
        yield server.open()


def asked(form: str, *streams: str, **other: Any) -> dict[str, Any]:
    return {"device": DEVICE, "streams": streams, "from": str(FROM_NS), "to": str(TO_NS), "format": form} | other


def taken(client: httpx.Client, folder: Path, **query: Any) -> tuple[dict[str, Any], Path]:
    """The plan, and the file that it tells of."""
    plan = client.get("/api/take/plan", params=query).json()
    response = client.get("/api/take", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"] == f'attachment; filename="{plan["file"]}"'
    (folder / plan["file"]).write_bytes(response.content)
    return plan, folder / plan["file"]


@pytest.mark.parametrize("form", ["csv", "parquet", "npz"])
def test_every_sample_is_in_the_file_once(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    with served.client() as client:
        plan, path = taken(client, tmp_path, **asked(form, "acc", "air"))
    assert path.name == f"pump-7-hall_20260101T000003Z_20260101T000012Z.{form}"
    assert (plan["words"], plan["too_much"], plan["gaps"]) == ("", False, 1)
    assert plan["columns"] == ["stream", "time_ns", "acc.x", "acc.y", "air.t"]
    monkeypatch.chdir(tmp_path)
    there: dict[str, Any] = {}
    exec(plan["python"], there)  # the line that people copy
    for stream, channels in (("acc", ("x", "y")), ("air", ("t",))):
        times, values = expected(stream)
        assert len(times)
        if form == "npz":
            arrays = there["arrays"]
            found = arrays[f"{stream}.time_ns"], arrays[f"{stream}.values"]
            assert arrays[f"{stream}.channels"].tolist() == list(channels)
            gaps = [[*GAP, 200]] if stream == "acc" else []
            assert arrays[f"{stream}.gaps"].tolist() == gaps
        else:
            rows = there["table"].filter(pl.col("stream") == stream)
            names = [f"{stream}.{name}" for name in channels]
            found = rows["time_ns"].to_numpy(), rows.select(names).to_numpy()
            others = [name for name in plan["columns"][2:] if name not in names]
            assert rows.select(pl.all_horizontal(pl.col(others).is_null())).to_series().all()
        assert (found[0].dtype, found[0].tolist()) == (np.int64, times.tolist())
        assert found[1].tolist() == values.tolist()
    if form == "npz":
        there["arrays"].close()
    if form == "parquet":
        told = json.loads(parquet.read_schema(path).metadata[b"sensorloom"])
        assert (told["device"], told["units"]["air.t"], told["start_ns"]) == (DEVICE, "degC", FROM_NS)
        assert [(it["stream"], it["samples"], it["reason"]) for it in told["gaps"]] == [("acc", 200, "overrun")]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"device": "pump 8/hall"}, 404, 'there is no device "pump 8/hall"'),
        ({"streams": ["acd"]}, 404, 'has no stream "acd"'),
        ({"streams": []}, 400, "streams"),
        ({"format": "xlsx"}, 400, "format"),
        ({"from": "1.5"}, 400, "from"),
        ({"from": str(TO_NS)}, 400, "is none"),
        ({"to": str(1 << 63)}, 400, "is none"),
        ({"from": str(START_NS - 9 * S), "to": str(START_NS - 8 * S)}, 404, "the nearest are at 2026-01-01T00:00:00"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_words(
    served: Served, query: dict[str, Any], status: int, words: str
) -> None:
    with served.client() as client:
        response = client.get("/api/take", params=asked("csv", "acc") | query)
        assert response.status_code == status
        assert words in response.json()["words"]
    assert httpx.get(f"{served.url}/api/take", params=asked("csv", "acc")).status_code == 401


# Parts.


class Held:
    """A stream in memory, as history answers."""

    def __init__(self, times: list[int], values: list[float]) -> None:
        self.times = np.array(sorted(times), np.int64)
        self.values = np.array(values, np.float64)
        self.most = 0

    async def ask(self, question: Question) -> Answer | None:
        inside = (self.times >= question.start_ns) & (self.times < question.end_ns)
        times, values = self.times[inside], self.values[inside]
        nothing = np.zeros(0, np.int64), np.zeros((0, 1))
        if len(times) > 8 * question.points:
            tiles = (tiles_of(times, values, question.level),)
            return Answer(("x",), ("",), question.level, *nothing, tiles)
        self.most = max(self.most, len(times))
        return Answer(("x",), ("",), None, times, values[:, None], ()) if len(times) else None


@given(
    st.lists(st.tuples(st.integers(-5_000, 5_000), st.floats(-1, 1)), max_size=200),
    st.integers(-6_000, 0),
    st.integers(1, 6_000),
)
def test_parts_have_every_sample_once_in_order_and_are_small(
    rows: list[tuple[int, float]], start_ns: int, end_ns: int
) -> None:
    held = Held([it for it, _ in rows], [value for _, value in rows])
    small = {"PART": 16, "_POINTS": 1}
    before = {name: getattr(ranges, name) for name in small}
    for name, value in small.items():
        setattr(ranges, name, value)
    try:

        async def work() -> list[int]:
            found = [it async for it in ranges.parts(held.ask, "pump", "acc", start_ns, end_ns)]
            return [t_ns for part in found for t_ns in part.times.tolist()]

        told = asyncio.run(work())
    finally:
        for name, value in before.items():
            setattr(ranges, name, value)
    assert told == [it for it in held.times.tolist() if start_ns <= it < end_ns]
    assert held.most <= max(32, *Counter(held.times.tolist()).values(), 0)


def test_what_is_too_much_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = Timeline(Settings("none", "segments:none"), None)  # type: ignore[arg-type]
    monkeypatch.setattr(ranges, "SAMPLES_MAX", 100)
    query = TakeQuery(DEVICE, ("acc",), str(FROM_NS), str(TO_NS), "csv")
    words = takeroutes.TakeRoutes(timeline)._words(query, 101)
    assert "about 101 samples" in words
    assert "at most 100 are given at once" in words


# On its way.


async def sent(answer: Any, *, is_gone: bool = False) -> list[dict[str, Any]]:
    """What an answer gives to the server that it lies in, until it ends."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not is_gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    await answer({"type": "http"}, receive, send)
    return messages


@pytest.mark.parametrize("ending", ["whole", "error", "gone"])
def test_half_a_file_does_not_look_like_a_whole_one(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended: list[str] = []

    async def parts() -> AsyncGenerator[bytes]:
        try:
            yield b"second"
            if ending == "error":
                raise CorruptError("a file is damaged")
            yield b"third"
        finally:
            ended.append("parts")

    answer = takeroutes.FileAnswer(b"first", parts(), {}, "text/csv", lambda: ended.append("done"))
    start, *bodies = asyncio.run(sent(answer, is_gone=ending == "gone"))
    assert ("content-length" in dict(start["headers"]), start["status"]) == (False, 200)
    is_whole = bool(bodies) and not bodies[-1].get("more_body", False)
    assert is_whole == (ending == "whole")
    assert "done" in ended
    assert ending == "gone" or "parts" in ended
    assert ("a file is damaged" in capsys.readouterr().err) == (ending == "error")
    if is_whole:
        assert b"".join(it["body"] for it in bodies) == b"firstsecondthird"


def test_only_so_many_files_are_on_their_way_and_those_that_are_done_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    timeline = Timeline(Settings("none", "segments:none"), None)  # type: ignore[arg-type]
    timeline.catalog.samples(DEVICE, "r1", "acc", b"", FROM_NS, FROM_NS, 1)
    timeline.past = Held([FROM_NS], [1.0])

    async def caught_up() -> None:
        return

    monkeypatch.setattr(timeline, "caught_up", caught_up)
    routes = takeroutes.TakeRoutes(timeline)
    query = str(httpx.QueryParams(asked("csv", "acc"))).encode()

    async def work() -> None:
        request = Request({"type": "http", "query_string": query, "headers": []})
        for _ in range(3):
            answers = [await routes.take(request) for _ in range(takeroutes.AT_ONCE_MAX)]
            with pytest.raises(ProblemError, match="try again in a moment") as refused:
                await routes.take(request)
            assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "5"})
            for answer in answers:
                assert not (await sent(answer))[-1].get("more_body", False)

    asyncio.run(work())


def test_a_part_comes_in_the_files_units_and_what_they_do_not_fit_is_refused() -> None:
    answer = Answer(("x",), ("g",), None, np.array([FROM_NS]), np.array([[2.0]]), ())
    part = takeroutes.whole("acc", [Channel("y", "1"), Channel("x", "m/s²")], answer)
    np.testing.assert_allclose(part.values, [[np.nan, 19.6133]])
    for told in ([Channel("x", "V")], [Channel("y", "g")]):
        with pytest.raises(takeroutes.ChangedChannelsError, match=r"acc has x \[g\] at 2026-01-01T00:00:03"):
            takeroutes.whole("acc", told, answer)
