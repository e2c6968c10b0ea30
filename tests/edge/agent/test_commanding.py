"""Commands for sensors, through the log to a serial port: only those that are named, each once, none that is old."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import msgspec
import pytest

from edge.agent.remote.commanding import NAME, Begun, judged, still_known
from edge.sources.serial.starting import read_commands
from ingest.errors import UsageError
from ingest.log.protocol import CONTROL, STATUS, Entry
from ingest.records import Command, CommandResult
from ingest.wire import encode
from simulators.doubles.agent import running
from simulators.doubles.log import FlakyLog
from tests.support.pty import SerialPort

S = 1_000_000_000
_ids = itertools.count(1)


def command(name: str, source: str = "line", *, age_ns: int = 0, own: str = "") -> Command:
    return Command("pump", own or f"c-{next(_ids)}", source, name, "ann", time.time_ns() - age_ns)


async def give(log: FlakyLog, *commands: Command) -> None:
    await log.append(CONTROL, [Entry(one.device.encode(), encode(one)) for one in commands])


def results(log: FlakyLog) -> list[tuple[str, str]]:
    found = dict.fromkeys(record for record in log.records(STATUS) if isinstance(record, CommandResult))
    return [(one.name, one.outcome) for one in found]


def reasons(log: FlakyLog) -> list[str]:
    return [record.reason for record in log.records(STATUS) if isinstance(record, CommandResult)]


def configured(folder: Path) -> Path:
    path = folder / "agent.toml"
    path.write_text(
        """device = "pump"
log = "segments:log"
[spool]
dir = "spool"
fsync_interval = "20ms"
[remote]
allow = ["command"]
max_age = "30s"
[[source]]
name = "line"
type = "serial"
port = "port"
decoder = "csv"
stream = "acc"
channels = { x = "g" }
commands = { zero = "ZERO\\r", fast = "RATE 200\\r" }
"""
    )
    return path


def test_each_is_said_once_also_over_restarts_and_what_is_old_or_unknown_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agent.following.LOOK_S", 0.02)
    monkeypatch.setattr("simulators.doubles.source.FedSource.opened", {"acc": None})
    config = configured(tmp_path)

    async def main() -> None:
        log = FlakyLog()
        with SerialPort(tmp_path / "port") as port:
            async with running(config, log) as agent:
                await agent.until(lambda: port.is_read)
                zero = command("zero")
                await give(log, zero, zero, command("zero", age_ns=60 * S), command("reboot"), command("x", "other"))
                await give(log, command("fast"), Command("fan", "f", "line", "zero", "ann", time.time_ns()))
                await agent.until(lambda: len(results(log)) == 5)
                assert await asyncio.to_thread(port.read, 14) == b"ZERO\rRATE 200\r"
                refused = [(name, "refused") for name in ("zero", "reboot", "x")]
                assert results(log) == [("zero", "done"), *refused, ("fast", "done")]
                old, unknown, other = reasons(log)[1:4]
                assert old == "is 60 s old, and max_age is 30 s; give it again"
                assert unknown.startswith('line: the local file has no command "reboot"; known: fast, zero.')
                assert other.startswith('no source "other" takes commands; known: line.')
            async with running(config, log, 2, killed=True) as agent:
                await agent.until(lambda: port.is_read)
                await give(log, command("fast"))
                await agent.until(lambda: len(results(log)) == 6)
                assert await asyncio.to_thread(port.read, 9) == b"RATE 200\r"
        (tmp_path / "spool" / NAME).write_bytes(b"?")
        async with running(config, log, 3) as agent:  # the port is gone, and nobody knows what was done
            await agent.until(lambda: any("what was carried out before is not known" in one for one in reasons(log)))
            await give(log, command("zero"))
            await agent.until(lambda: results(log)[-1] == ("zero", "failed"))
            assert reasons(log)[-1].startswith("line: ")

    asyncio.run(main())


def test_what_a_death_cut_off_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.agent.following.LOOK_S", 0.02)
    monkeypatch.setattr("simulators.doubles.source.FedSource.opened", {"acc": None})
    config, cut = configured(tmp_path), command("zero")

    async def main() -> None:
        log = FlakyLog()
        (tmp_path / "spool").mkdir()
        (tmp_path / "spool" / NAME).write_bytes(msgspec.msgpack.encode([Begun(cut)]))
        await give(log, cut)
        with SerialPort(tmp_path / "port") as port:
            async with running(config, log) as agent:
                await agent.until(lambda: port.is_read and bool(results(log)))
                await give(log, command("fast"))
                await agent.until(lambda: len(results(log)) == 2)
                assert await asyncio.to_thread(port.read, 9) == b"RATE 200\r"
        assert results(log) == [("zero", "unknown"), ("fast", "done")]

    asyncio.run(main())


def test_a_command_is_judged_by_its_age_and_its_name() -> None:
    named, one = {"line": {"zero": b"Z"}}, Command("pump", "1", "line", "zero", "ann", 100 * S)

    def why(now_s: int, *, is_clock_set: bool = True) -> str:
        return judged(one, named, now_s * S, 10 * S, is_clock_set=is_clock_set)

    assert [why(90), why(100), why(110)] == ["", "", ""]
    assert "is 11 s old" in why(111)
    assert "is 11 s ahead of the device's clock" in why(89)
    assert "clock of the device is not set" in why(100, is_clock_set=False)
    begun = [Begun(one), Begun(one, is_over=True)]
    assert still_known(begun, 120 * S, 10 * S) == begun
    assert still_known(begun, 121 * S, 10 * S) == begun[:1]


def test_commands_are_texts_of_bytes() -> None:
    assert read_commands({"a": "A\r", "b": "\u00ff"}, "x") == {"a": b"A\r", "b": b"\xff"}
    with pytest.raises(UsageError, match="expected a table of texts"):
        read_commands(["A"], "x")
    with pytest.raises(UsageError, match=r"x\.a: '€' is no byte"):
        read_commands({"a": "€"}, "x")
