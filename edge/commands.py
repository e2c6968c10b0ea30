"""`sensorloom agent run|check|status|ports|keys`; the rest of `sensorloom agent` is in `edge.fieldcommands`."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge import calibratecommands, doctorcommands, fieldcommands, markcommands, remotecommands
from edge.agent.memory import use_one_heap
from edge.config import AgentConfig, load_config
from edge.fieldcommands import action, config_option, span_s
from edge.protocol import SourceConfig
from ingest.commandline import Prose, say, say_aside
from ingest.errors import TransientError
from ingest.opening import open_log
from ingest.showing import masked

if TYPE_CHECKING:
    from edge.sources.serial.listing import Port

_EXAMPLE: Final = """\
examples:
  sensorloom agent init /dev/ttyUSB0
  sensorloom agent keys serial
  sensorloom agent check -c agent.toml
  sensorloom agent test -c agent.toml
  sensorloom agent run -c agent.toml
  sensorloom agent status -c agent.toml
  sensorloom agent tail
  sensorloom agent calibrate imu
  sensorloom agent mark fall
  sensorloom agent record walk-1 --label walk --for 30s
  sensorloom agent doctor
  sensorloom agent configure pump-7 faster.toml --log kafka://10.0.0.2:9092
  sensorloom agent ports
"""
_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""A terminal that was closed (SIGHUP) ends an agent as orderly as anything else."""


def register(subparsers: Any) -> None:
    """Add the command `agent`."""
    parser = subparsers.add_parser(
        "agent",
        help="read sensors and publish them: the edge agent",
        description="Read sensors and publish them, as agent.toml says; its keys: sensorloom agent keys.",
        epilog=_EXAMPLE,
        formatter_class=Prose,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    fieldcommands.register_init(actions)
    run = action(actions, "run", _run, "run the agent until SIGTERM, or until every replayed file is at its end")
    config_option(run)
    run.add_argument(
        "--log-level",
        choices=("error", "warning", "info", "debug"),
        default="info",
        metavar="LEVEL",
        help="how much is said: error, warning (each change, and what is wrong), info (the default: also the start and "
        "the figures), debug (also each line that gave no sample)",
    )
    config_option(action(actions, "check", _check, "check a configuration; touches no device and no log"))
    fieldcommands.register_test(actions)
    fieldcommands.register_tail(actions)
    calibratecommands.register_calibrate(actions)
    markcommands.register_mark(actions)
    markcommands.register_record(actions)
    remotecommands.register_configure(actions)
    remotecommands.register_command(actions)
    doctorcommands.register_doctor(actions)
    doctorcommands.register_health(actions)
    doctorcommands.register_report(actions)
    config_option(action(actions, "status", _status, "what a running agent says of itself, with its last bad lines"))
    ports = action(actions, "ports", _ports, "list the serial ports of this machine")
    ports.add_argument("-c", "--config", metavar="FILE", help="also say which source of this agent.toml uses a port")
    ports.add_argument(
        "--listen",
        metavar="DURATION",
        help="also listen to each that can be read and nobody has open: what speaks there",
    )
    keys = action(actions, "keys", _keys, "every key of agent.toml: what it means, an example, what holds without it")
    keys.add_argument(
        "type",
        nargs="?",
        default="",
        metavar="TYPE",
        help="only those of a source or decoder (serial, csv …), of a table (spool …), of every source (source), or "
        "the units of channels (units)",
    )


def _run(args: argparse.Namespace) -> int:
    from edge.agent.remote.kept import last_good

    config, told = last_good(args.config)
    if told:
        say_aside(f"sensorloom: {told}")
    use_one_heap()
    figures = asyncio.run(_run_agent(config, args.log_level))
    if args.json:
        text = msgspec.json.encode(figures).decode()
    else:
        text = "\n".join(f"{name:<32} {value:>16,.10g}" for name, value in figures.items())
    try:
        if args.json or args.log_level in ("info", "debug"):
            print(text, flush=True)
    except OSError:  # the terminal was closed: there is nobody to tell, and all is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


async def _run_agent(config: AgentConfig, level: Any) -> dict[str, float]:
    from edge.agent.agent import Agent
    from edge.agent.service import of_environment
    from edge.agent.terminal import Terminal

    stop, loop, terminal = asyncio.Event(), asyncio.get_running_loop(), Terminal(level=level)
    for number in _STOPS:
        loop.add_signal_handler(number, stop.set)
    log = open_log(config.log)
    try:
        agent = Agent(config, log, secrets.token_bytes(16), _version(), terminal.say, of_environment())
        watching = asyncio.create_task(terminal.run(agent.overview))
        try:
            return await agent.run(stop)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    finally:
        await log.close()


def _version() -> str:
    try:
        return version("sensorloom")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def _check(args: argparse.Namespace) -> int:
    config = load_config(args.config)
    asyncio.run(_check_log(config))
    sources = [
        {
            "name": source.name,
            "type": source.type,
            "decoder": source.decoder,
            "stream": f"{source.device}/{source.stream}",
            "channels": dict(source.channels),
            "rate": None if source.rate is None else f"{source.rate}Hz",
            "dtype": source.dtype,
            "clock": source.clock,
            "values": {channel: dict(states) for channel, states in source.states.items()},
        }
        for source in config.sources
    ]
    log, attributes = masked(config.log), config.rules.attributes
    if args.json:
        found = {"config": config.path, "log": log, "recording_set": attributes, "sources": sources}
        print(msgspec.json.encode(found).decode())
        return 0
    say(f"{config.path}: good; agent {config.agent}, log {log}, spool {config.spool_dir}")
    if attributes:
        say("  every recording: " + ", ".join(f"{name} = {text}" for name, text in attributes.items()))
    for source in config.sources:
        channels = ", ".join(f"{name} {_meaning(source, name, unit)}" for name, unit in source.channels.items())
        rate = "" if source.rate is None else f" at {source.rate} Hz"
        way = f"{source.type} → {source.decoder} → {source.device}/{source.stream}"
        say(f"  {source.name}: {way} ({channels}){rate}, {source.dtype}, clock {source.clock}")
    return 0


def _meaning(source: SourceConfig, channel: str, unit: str) -> str:
    """A channel's unit, or its states."""
    return "/".join(name for _, name in source.states.get(channel, ())) or unit


async def _check_log(config: AgentConfig) -> None:
    """Raise `UsageError` where the URL names no log."""
    await open_log(config.log).close()


def _status(args: argparse.Namespace) -> int:
    from edge.agent.answering import ask
    from edge.agent.overview import page

    view = ask(load_config(args.config).spool_dir)
    print(msgspec.json.encode(view).decode() if args.json else page(view))
    return 0


def _keys(args: argparse.Namespace) -> int:
    from edge.keydocs import as_data, as_text

    print(msgspec.json.encode(as_data(args.type)).decode() if args.json else as_text(args.type))
    return 0


def _ports(args: argparse.Namespace) -> int:
    from edge.sources.serial.listing import described, list_ports
    from edge.sources.serial.port import is_path
    from edge.sources.serial.remote import is_remote

    sources = load_config(args.config).sources if args.config else ()
    ports = {s.options["port"]: s for s in sources if s.type == "serial"}
    paths = {port: str(Path(source.base) / port) if is_path(port) else port for port, source in ports.items()}
    read = {paths[port]: source.name for port, source in ports.items() if not is_remote(port)}
    found = list_ports(read)
    speaks = _listened(found, span_s(args.listen, "--listen")) if args.listen else {}
    if args.json:
        more = [{"speaks": speaks.get(port.port)} if args.listen else {} for port in found]
        print(msgspec.json.encode([port._asdict() | own for port, own in zip(found, more, strict=True)]).decode())
        return 0
    for line in described(found, speaks):
        say(line)
    if not found:
        print("no serial port; plug the sensor in, and see that this user may read it (group dialout)")
    return 0


def _listened(ports: Iterable[Port], seconds: float) -> dict[str, str]:
    """What speaks at the ports that can be read and nobody has open, by their paths."""
    from edge.agent.probe.listening import listen
    from edge.agent.probe.session import speaks

    found: dict[str, str] = {}
    for port in ports:
        if port.readable and not port.open_by:
            try:
                found[port.port] = speaks(listen(port.port, seconds))
            except TransientError as error:
                found[port.port] = str(error).removeprefix(f"{port.port}: ")
    return found
