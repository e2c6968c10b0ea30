"""`sensorloom agent run|check|ports`."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from edge.config import AgentConfig, load_config
from ingest.log.opening import open_log

_EXAMPLE: Final = """\
examples:
  sensorloom agent check -c agent.toml
  sensorloom agent run -c agent.toml
  sensorloom agent ports
"""


def register(subparsers: Any) -> None:
    """Add the command `agent`."""
    parser = subparsers.add_parser(
        "agent",
        help="read sensors and publish them: the edge agent",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, run, text in (
        ("run", _run, "run the agent until SIGTERM, or until every replayed file is at its end"),
        ("check", _check, "check a configuration; touches no device and no log"),
        ("ports", _ports, "list the serial ports of this machine"),
    ):
        action = actions.add_parser(name, help=text, epilog=f"example: sensorloom agent {name}{_given(name)}")
        if name == "ports":
            action.add_argument("-c", "--config", help="also say which source of this agent.toml uses a port")
        else:
            action.add_argument("-c", "--config", required=True, help="agent.toml")
        action.add_argument("--json", action="store_true", help="machine-readable")
        action.set_defaults(run=run)


def _given(name: str) -> str:
    return "" if name == "ports" else " -c agent.toml"


def _run(args: argparse.Namespace) -> int:
    config = load_config(args.config)
    figures = asyncio.run(_run_agent(config))
    if args.json:
        print(msgspec.json.encode(figures).decode())
    else:
        for name, value in figures.items():
            print(f"{name:<32} {value:>16,.10g}")
    return 0


async def _run_agent(config: AgentConfig) -> dict[str, float]:
    from edge.agent.agent import Agent
    from edge.agent.terminal import Terminal

    stop, loop, watch = asyncio.Event(), asyncio.get_running_loop(), Terminal()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log = open_log(config.log)
    try:
        agent = Agent(config, log, secrets.token_bytes(16), _version(), watch.say)
        watching = asyncio.create_task(watch.run(agent.figures))
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
        }
        for source in config.sources
    ]
    if args.json:
        print(msgspec.json.encode({"config": config.path, "log": config.log, "sources": sources}).decode())
        return 0
    print(f"{config.path}: good; agent {config.agent}, log {config.log}, spool {config.spool_dir}")
    for source in config.sources:
        channels = ", ".join(f"{name} {unit}" for name, unit in source.channels.items())
        rate = "" if source.rate is None else f" at {source.rate} Hz"
        way = f"{source.type} → {source.decoder} → {source.device}/{source.stream}"
        print(f"  {source.name}: {way} ({channels}){rate}, {source.dtype}, clock {source.clock}")
    return 0


async def _check_log(config: AgentConfig) -> None:
    """Raise `UsageError` where the URL names no log."""
    await open_log(config.log).close()


def _ports(args: argparse.Namespace) -> int:
    from serial.tools.list_ports import comports

    used: dict[str, str] = {}
    if args.config:
        used = {str(s.options["port"]): s.name for s in load_config(args.config).sources if "port" in s.options}
    ports = sorted(comports(), key=lambda port: str(port.device))
    found = [
        {"port": p.device, "description": p.description, "serial": p.serial_number, "source": used.get(p.device)}
        for p in ports
    ]
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    for port in found:
        source = f"  used by source {port['source']}" if port["source"] else ""
        print(f"{port['port']}  {port['description']}{source}")
    if not found:
        print("no serial port; plug the sensor in, and see that this user may read it (group dialout)")
    return 0
