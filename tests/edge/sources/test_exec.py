"""The source `exec`, with real programs."""

from __future__ import annotations

import asyncio
import os
import sys
import tomllib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import edge.sources.exec
from edge.config import load_config
from edge.protocol import Arrival, Interruption
from edge.sources.exec.program import PROGRAM_ENDED, Program
from edge.sources.exec.source import ExecSource
from ingest.errors import UsageError
from simulators.doubles.suite import check_source
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker, until

FOLDER = Path(edge.sources.exec.__file__).parent
CASES = tomllib.loads((FOLDER / "cases.toml").read_text())["case"]


def shell(line: str, folder: Path) -> ExecSource:
    return ExecSource(Program(("sh", "-c", line), str(folder)))


def run(source: ExecSource, body: Callable[[Taker], Coroutine[Any, Any, None]]) -> None:
    async def scenario() -> None:
        try:
            async with asyncio.timeout(200):
                await body(Taker(source))
        finally:
            await source.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_arrives_of_a_program(case: dict[str, str], tmp_path: Path) -> None:
    source = shell(case["shell"], tmp_path)

    async def body(taker: Taker) -> None:
        assert (await taker.bytes_until(len(case["says"]))).startswith(case["says"].encode())
        await until(lambda: source.waiting_for == f"sh: {case['told']}; it is started again")
        await until(lambda: source.missing == PROGRAM_ENDED)

    run(source, body)


def test_it_is_started_again_and_what_was_missed_is_announced(tmp_path: Path) -> None:
    source = shell("echo 1", tmp_path)

    async def body(taker: Taker) -> None:
        await taker.until(lambda taker: taker.data == b"1\n1\n")
        kinds = [type(item) for item in taker.items]
        assert kinds == [Arrival, Interruption, Arrival]
        assert [item.reason for item in taker.items if isinstance(item, Interruption)] == [PROGRAM_ENDED]

    run(source, body)


def test_it_keeps_its_promises_as_a_source(tmp_path: Path) -> None:
    asyncio.run(check_source(lambda: shell("while echo 1; do sleep 0.1; done", tmp_path), lambda: None))


@pytest.mark.parametrize("ignores", [False, True])
def test_all_that_it_started_ends_with_it(tmp_path: Path, ignores: bool) -> None:
    trap = "trap '' TERM; " if ignores else ""
    source = shell(f"{trap}sleep 1000 & echo $! $$; wait; sleep 1000", tmp_path)
    numbers: list[int] = []

    async def body(taker: Taker) -> None:
        await taker.until(lambda taker: taker.data.endswith(b"\n"))
        numbers.extend(map(int, taker.data.split()))
        assert all(map(is_running, numbers))

    run(source, body)
    assert len(numbers) == 2
    asyncio.run(until(lambda: not any(map(is_running, numbers))))


def is_running(number: int) -> bool:
    """Whether a process goes on; one whose end nobody has asked for yet does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("1\n")
    told = {"nowhere-to-be-found": "no such program", str(tmp_path / "data"): "may not be run"}
    for name, wanted in told.items():
        source = ExecSource(Program((name,), str(tmp_path)))

        async def body(taker: Taker, source: ExecSource = source, wanted: str = wanted) -> None:
            opening = asyncio.ensure_future(source.open())
            await until(lambda: wanted in source.waiting_for)
            opening.cancel()

        run(source, body)


def test_it_runs_in_the_configurations_folder_and_a_relative_program_lies_there(tmp_path: Path) -> None:
    program = tmp_path / "sensor"
    program.write_text(f"#!{sys.executable} -u\nimport os, sys\nprint(os.getcwd(), sys.argv[1:], flush=True)\n")
    program.chmod(0o755)
    path = tmp_path / "agent.toml"
    path.write_text(
        'log = "segments:log"\n[spool]\ndir = "spool"\n[[source]]\nname = "s"\ntype = "exec"\n'
        'command = ["./sensor", "$HOME"]\ndecoder = "csv"\nstream = "s"\nchannels = { x = "g" }\n'
    )
    source, real = ExecSource.from_config(load_config(path).sources[0]), os.path.realpath(tmp_path)

    async def body(taker: Taker) -> None:
        await taker.until(lambda taker: taker.data.endswith(b"\n"))
        assert taker.data.decode() == f"{real} ['$HOME']\n"

    run(source, body)


@pytest.mark.parametrize("command", [[], [""], ["a", 1], "rtl_433"])
def test_a_wrong_command_is_refused(command: object) -> None:
    with pytest.raises(UsageError, match=r"command: found"):
        ExecSource.from_config(source_config(kind="exec", command=command))


def test_a_command_that_is_one_text_is_shown_as_words() -> None:
    with pytest.raises(UsageError, match=r'expected a text for each word: \["rtl_433", "-F", "json"\]'):
        ExecSource.from_config(source_config(kind="exec", command="rtl_433 -F json"))


def test_bytes_need_frames() -> None:
    from edge.decoders.cbor.decoder import CborDecoder

    with pytest.raises(UsageError, match="frame is missing"):
        CborDecoder.from_config(source_config("cbor", kind="exec", command=["a"]))


def test_what_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text('log = "segments:log"\n[spool]\ndir = "spool"\n' + (FOLDER / "sample.toml").read_text())
    assert load_config(path).sources[0].options.keys() >= ExecSource.keys.keys()
    page = (FOLDER / "README.md").read_text()
    assert all(f"| `{key}` |" in page for key in ExecSource.keys)
