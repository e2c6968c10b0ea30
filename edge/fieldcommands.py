"""`sensorloom agent init|test|tail`: what a field engineer types at a device's shell to see what sensors say."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.agent.overview import SourceView
from edge.config import AgentConfig, load_config
from edge.corrections import calibrated_ahead
from edge.tables import address_part
from ingest.commandline import say, say_aside
from ingest.errors import PermanentError, TransientError, UsageError
from ingest.showing import counted
from ingest.times import NS
from ingest.units import parse_duration

_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SPAN_MOST_NS: Final = 3600 * NS
_FILE: Final = "agent.toml"
_ENOUGH: Final = 8
"""So many samples of a source show that what was written reads it."""
INSTALLED: Final = Path("/etc/sensorloom")
"""Where `deploy/install.sh` has the configuration looked for."""
_STATE: Final = Path("/var/lib/sensorloom")
"""Where an installed agent may write."""
_START: Final = "sudo systemctl restart sensorloom"
_BROKERS: Final = ("mqtt://", "mqtts://")


def is_installed() -> bool:
    """There is a folder for the configuration of an installed agent, and this user may use it."""
    return os.access(INSTALLED, os.R_OK | os.X_OK)


def action(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """An action of `sensorloom agent`, with an example and `--json`."""
    example = {"ports": "", "keys": " serial", "init": " /dev/ttyUSB0"}.get(name, " -c agent.toml")
    action: argparse.ArgumentParser = actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: sensorloom agent {name}{example}",
    )
    action.add_argument("--json", action="store_true", help="machine-readable: one JSON object or array")
    action.set_defaults(run=run)
    return action


def config_option(action: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """The option `-c`; with a default it need not be given, nor where the agent was installed (`deploy/install.sh`)."""
    if is_installed() and not Path(_FILE).exists():
        default = str(INSTALLED / _FILE)
    text, where = "the configuration, agent.toml", "" if default is None else f" (by default {default} here)"
    action.add_argument(
        "-c", "--config", required=default is None, default=default, metavar="FILE", help=f"{text}{where}"
    )


def register_test(actions: Any) -> None:
    """Add `agent test`."""
    test = action(actions, "test", _test, "read each source for a moment: raw, decoded, what is wrong; writes nothing")
    config_option(test, default=_FILE)
    span_option(test)


def register_tail(actions: Any) -> None:
    """Add `agent tail`."""
    tail = action(
        actions, "tail", _tail, "live values, a line a stream, of a running agent or of the sources; until Ctrl-C"
    )
    config_option(tail, default=_FILE)
    tail.add_argument("--every", default="1s", metavar="DURATION", help="how often it is looked (by default 1s)")


def register_init(actions: Any) -> None:
    """Add `agent init`."""
    init = action(actions, "init", _init, "listen to ports or a broker, and write agent.toml of what is heard")
    init.add_argument(
        "places",
        nargs="*",
        metavar="PORT|BROKER",
        help="a serial port, or mqtt://host[:port][/TOPIC] (by default every topic); without any: all serial ports "
        "that can be read",
    )
    config_option(init, default=_FILE)
    span_option(init)
    init.add_argument("--device", default="", metavar="NAME", help="the device's name (by default the host's)")
    init.add_argument("--log", default="", metavar="URL", help="where the streams go (by default segments:log)")
    init.add_argument("--spool", default="", metavar="DIR", help="the spool's folder (by default spool)")
    init.add_argument("--channels", default="", metavar="NAMES", help="names of what is heard, in order, as in x,y,z")
    init.add_argument(
        "--unit",
        action="append",
        default=[],
        metavar="UNIT",
        help="a channel's unit, as in x=g; or that of all, as in g",
    )
    init.add_argument("--baud", type=int, metavar="N", help="listen at this rate only")
    init.add_argument("--username", metavar="NAME", help="to log in at the broker")
    init.add_argument("--password-file", metavar="FILE", help="which holds the password and nothing else")
    init.add_argument("--ca-file", metavar="FILE", help="the certificates that the broker's is checked against")
    init.add_argument("--yes", action="store_true", help="ask nothing: take what is heard")
    init.add_argument("--force", action="store_true", help="replace a file that is there already")


def span_option(parser: argparse.ArgumentParser) -> None:
    """The option `--for`; `span_s` reads it."""
    parser.add_argument("--for", dest="span", default="5s", metavar="DURATION", help="for how long (by default 5s)")


def _test(args: argparse.Namespace) -> int:
    from edge.agent.overview import trial_page, troubles

    config, seconds = load_config(args.config), span_s(args.span)
    views = _dated(asyncio.run(tried(config, seconds)), calibrated_ahead(config.sources, time.time_ns()))
    is_good = not any(map(troubles, views))
    if args.json:
        found = {"config": config.path, "seconds": seconds, "good": is_good, "sources": views}
        print(msgspec.json.encode(found).decode())
    else:
        note = _rival(config)
        print("\n".join([note] * bool(note) + [trial_page(views, seconds)]))
    return 0 if is_good else 1


def _dated(views: Sequence[SourceView], ahead: Mapping[str, str]) -> list[SourceView]:
    """Each with what is wrong with the date of its calibration, by its table or one of its devices."""
    found = []
    for view in views:
        words = [said for name, said in ahead.items() if view.name == name or view.name.startswith(f"{name} of ")]
        found.append(msgspec.structs.replace(view, findings=[*view.findings, *words]))
    return found


def span_s(text: str, option: str = "--for") -> float:
    """A duration of the command line, in seconds. Raises `UsageError`."""
    span_ns = parse_duration(text)
    if not 0 < span_ns <= _SPAN_MOST_NS:
        raise UsageError(f'{option}: found "{text}", expected above 0 to 1h, as in 5s')
    return span_ns / NS


async def tried(config: AgentConfig, seconds: float, *, enough: int | None = None) -> list[SourceView]:
    """What is found of the sources in some seconds; with `enough`, only until each has given so many samples."""
    from edge.agent.trial import Trial

    return await Trial(config, secrets.token_hex(4)).run(seconds, stopped_by_signals(), enough=enough)


def stopped_by_signals() -> asyncio.Event:
    """Set when the process is told to end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in _STOPS:
        loop.add_signal_handler(number, stop.set)
    return stop


def _rival(config: AgentConfig) -> str:
    """That an agent reads the same now; empty where none does."""
    from edge.agent.answering import ask

    try:
        pid = ask(config.spool_dir).pid
    except TransientError:
        return ""
    return f"an agent runs with this configuration (process {pid}) and has its ports: sensorloom agent status asks it"


def _tail(args: argparse.Namespace) -> int:
    from edge.agent.tail import Objects, Screen, tail

    config, every_s = load_config(args.config), span_s(args.every, "--every")
    shower = Objects(sys.stdout) if args.json else Screen(sys.stdout)

    async def run() -> None:
        await tail(config, shower, every_s, stopped_by_signals(), secrets.token_hex(4))

    asyncio.run(run())
    return 0


# --- init


def _init(args: argparse.Namespace) -> int:
    from edge.agent.overview import trial_page, troubles
    from edge.agent.probe.session import Wishes, already_there, planned, unknown_units, write

    path, seconds = Path(args.config), span_s(args.span)
    if path.exists() and not args.force:
        raise already_there(path)
    ask = None if args.yes else _ask
    if ask is not None and not sys.stdin.isatty():
        raise UsageError("agent init: nobody can be asked here, as this is no terminal; say --yes, and --device NAME")
    names = tuple(name.strip() for name in args.channels.split(",")) if args.channels else ()
    state = _STATE if path.resolve().parent == INSTALLED else Path()
    wishes = Wishes(args.device, args.log, args.spool or str(state / "spool"), names, _units(args.unit))
    wishes.check()
    speak = say_aside if args.json else say
    found, failures = _listen(args, seconds, speak)
    sources = planned(found, wishes, ask, speak) if found else []
    if not sources:
        raise TransientError("; ".join(failures) or "nothing was heard that is wanted; no file is written")
    device = wishes.device or _asked_device(ask, speak)
    log = wishes.log or (ask or _default)(
        "Where the streams go: kafka://host:9092, or a folder", f"segments:{state / 'log'}"
    )
    write(path, Wishes(device, log, wishes.spool), sources, over=args.force)
    speak(f"{path}: written, {counted(len(sources), 'source')}")
    left = unknown_units(sources)
    if left:
        speak(left)
    began_s = time.monotonic()
    views = asyncio.run(tried(load_config(path), seconds, enough=_ENOUGH))
    is_good = not any(map(troubles, views))
    if args.json:
        said = {"config": str(path), "good": is_good, "failures": failures, "unknown_units": left, "sources": views}
        print(msgspec.json.encode(said).decode())
    else:
        print(trial_page(views, time.monotonic() - began_s))
        print("next: " + (f"sensorloom agent run -c {path}" if state == Path() else _START))
    return 0 if is_good else 1


def _asked_device(ask: Any, say: Any) -> str:
    """A name that can be one: what was answered before is not lost by one that cannot."""
    while True:
        device: str = (ask or _default)("Name of this device", platform.node() or "device")
        try:
            address_part({"device": device}, "device", "agent init")
        except UsageError as error:
            if ask is None:
                raise
            say(f"  {error}")
        else:
            return device


def _units(given: Sequence[str]) -> dict[str, str]:
    """Units by channel; that of all others under an empty name."""
    pairs = [text.rpartition("=") for text in given]
    return {channel.strip(): unit.strip() for channel, _, unit in pairs}


def _listen(args: argparse.Namespace, seconds: float, say: Any) -> tuple[list[Any], list[str]]:
    """What was heard at each place, and why nothing was at others."""
    from edge.agent.probe.listening import LIKELY, listen
    from edge.agent.probe.session import of_port, of_topics
    from edge.sources.serial.remote import is_remote

    places, found, failures = args.places or _free_ports(), [], []
    for place in places:
        try:
            if place.startswith(_BROKERS):
                options = _broker_options(args, place)
                say(f"listening to {options['broker']}, topic {options['topic']}, for {seconds:g} s")
                from edge.agent.probe.topics import listen_at_broker  # its library: only where a broker is named

                topics = listen_at_broker(options, ".", seconds, secrets.token_hex(4))
                heard = of_topics(options, topics.heard, say)
                if not heard:
                    raise TransientError(f"{place}: {_nothing_on(topics.heard)}")
                found += heard
                if topics.advice():
                    say(topics.advice())
            else:
                port = _device_file(place)
                say(f"listening to {port}")
                bauds = [args.baud] if args.baud else LIKELY[:1] if is_remote(port) else LIKELY
                found.append(of_port(port, listen(port, seconds, bauds)))
        except (TransientError, PermanentError) as error:
            if isinstance(error, UsageError):
                raise
            failures.append(str(error))
            say(f"  {error}")
    if not places:
        failures.append(
            "no serial port that can be read: plug the sensor in, see sensorloom agent ports, or name a broker"
        )
    return found, failures


def _nothing_on(heard: Any) -> str:
    if heard:
        return "no decoder reads by itself what is published there; see sensorloom agent keys"
    return (
        "nothing was published meanwhile; listen longer with --for 60s, or name the topic behind the broker's address"
    )


def _free_ports() -> list[str]:
    """The names that stay of all ports that this user may read and nobody else has open."""
    from edge.sources.serial.listing import list_ports

    return [port.by_id or port.usb_name or port.port for port in list_ports({}) if port.readable and not port.open_by]


def _device_file(place: str) -> str:
    """A port as it is written into a file: `ttyUSB0` is one of /dev, and a relative path holds from any folder."""
    from edge.sources.serial.port import is_path

    if not is_path(place):
        return place
    in_dev = Path("/dev") / place
    return str(in_dev if in_dev.exists() and not Path(place).exists() else Path.cwd() / place)


def _broker_options(args: argparse.Namespace, place: str) -> dict[str, str]:
    """`mqtt://host:1883/plant/#` as keys of a source."""
    scheme, _, rest = place.partition("://")
    host, _, topic = rest.partition("/")
    files = {"password_file": args.password_file, "ca_file": args.ca_file}
    given = {"broker": f"{scheme}://{host}", "topic": topic or "#", "username": args.username}
    given |= {key: str(Path(file).resolve()) for key, file in files.items() if file}
    return {key: value for key, value in given.items() if value}


def _ask(question: str, default: str) -> str:
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        return default


def _default(question: str, default: str) -> str:
    return default
