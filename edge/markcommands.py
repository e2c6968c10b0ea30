"""`sensorloom agent mark|record`: what a field engineer types at a device's shell to label what happens."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from edge.agent.overview import Overview, SourceView
from edge.buttontables import check_label
from edge.config import AgentConfig, load_config
from edge.fieldcommands import action, config_option, stopped_by_signals
from edge.tables import NAME_BYTES
from ingest.attributes import check_attributes
from ingest.commandline import say, say_aside
from ingest.errors import TransientError, UsageError
from ingest.showing import counted, printable
from ingest.times import NS
from ingest.units import exact_time, parse_duration, parse_time
from ingest.who import who

_FILE: Final = "agent.toml"
_SPAN_MOST_NS: Final = 24 * 3600 * NS
_EVERY_S: Final = 1.0
_OPEN_S: Final = 10.0
"""So long the sources of an agent that is begun for a recording may take to say something."""
_ATTEMPTS: Final = 20
_ATTEMPT_S: Final = 0.25


def register_mark(actions: Any) -> None:
    """Add `agent mark`."""
    mark = action(actions, "mark", _mark, "mark what happens: now, at a time, for a while, or from a start to a stop")
    mark.epilog = (
        "examples: sensorloom agent mark fall; agent mark walk --start, later agent mark walk --stop; "
        "agent mark walk --at 2026-01-05T08:00Z --for 30s"
    )
    mark.add_argument("label", metavar="LABEL", help="what it is")
    config_option(mark, default=_FILE)
    when = mark.add_mutually_exclusive_group()
    when.add_argument("--at", metavar="TIME", help="when it was, ISO 8601 with a zone (by default now)")
    when.add_argument("--start", action="store_true", help="it begins now")
    when.add_argument("--stop", action="store_true", help="what was begun with --start, or by a button, ends now")
    mark.add_argument("--end", metavar="TIME", help="a range: from --at up to then")
    mark.add_argument("--for", dest="span", metavar="DURATION", help="a range: from --at on, else the time up to now")
    _add_whose(mark)


def register_record(actions: Any) -> None:
    """Add `agent record`."""
    record = action(actions, "record", _record, "make a recording of its own, with a name and a label, for a while")
    record.epilog = "example: sensorloom agent record walk-1 --label walk --for 30s"
    record.add_argument("name", metavar="NAME", help="the recording's name: its attribute `name`")
    config_option(record, default=_FILE)
    record.add_argument("--label", default="", metavar="LABEL", help="mark all of it so")
    record.add_argument(
        "--for", dest="span", required=True, metavar="DURATION", help="for how long; Ctrl-C ends it before"
    )
    _add_whose(record)


def _add_whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="NAME", help="whose (by default the configuration's device)")
    parser.add_argument("--author", metavar="NAME", help="who says so (by default user@host)")
    parser.add_argument("--note", default="", metavar="TEXT", help="kept with the mark")


def _device(config: AgentConfig, given: str | None) -> str:
    devices = config.devices
    wanted = given or (devices[0] if len(devices) == 1 else config.device)
    may_be_found = given is not None and any(source.is_family for source in config.sources)
    if wanted not in devices and not may_be_found:
        known = f"; they are of {', '.join(devices)}" if devices else ""
        raise UsageError(f'--device: no source is of "{wanted}"{known}; say whose, as in --device NAME')
    return wanted


def _span_ns(text: str | None) -> int:
    if text is None:
        return 0
    span_ns = parse_duration(text)
    if not 0 < span_ns <= _SPAN_MOST_NS:
        raise UsageError(f'--for: found "{text}", expected above 0 to 24h, as in 30s')
    return span_ns


def _time_ns(option: str, text: str) -> int:
    try:
        return parse_time(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


# --- mark


def _mark(args: argparse.Namespace) -> int:
    from edge.agent.marking.control import Answer, now_request

    config, label = load_config(args.config), check_label(args.label, "agent mark")
    device, author, span_ns = _device(config, args.device), args.author or who(), _span_ns(args.span)
    if span_ns and (args.start or args.stop or args.end):
        raise UsageError("agent mark: --for says the whole range; leave --start, --stop and --end out")
    if args.end and args.at is None:
        raise UsageError("agent mark: --end needs --at, where the range begins")
    what = "start" if args.start else "stop" if args.stop else "mark"
    request = now_request(what, device, author, label=label, note=args.note)  # type: ignore[arg-type]
    if args.at is not None:
        at_ns = _time_ns("--at", args.at)
        end_ns = at_ns + span_ns if args.end is None else _time_ns("--end", args.end)
        if end_ns < at_ns:
            raise UsageError("agent mark: --end does not lie behind --at")
        request = msgspec.structs.replace(request, at_ns=0, start_ns=at_ns, end_ns=end_ns)
    elif span_ns:
        request = msgspec.structs.replace(request, for_ns=span_ns)
    answer: Answer = asyncio.run(_asked(config, request))
    if args.json:
        print(msgspec.json.encode(answer).decode())
    elif answer.done:
        print(printable(_done_words(answer, label, device, what)))
    else:
        say_aside(f"agent mark: {answer.words}")
    return 0 if answer.done and answer.durable else 1


def _done_words(answer: Any, label: str, device: str, what: str) -> str:
    when = "when its clock is set" if answer.waits else exact_time(answer.start_ns)
    if what == "start":
        return f"begun: {label} of {device}, {when}; agent mark {label} --stop ends it"
    span = "" if answer.end_ns <= answer.start_ns else f" for {(answer.end_ns - answer.start_ns) / NS:,.1f} s"
    tail = "on the disk" if answer.durable else answer.words
    return f"marked: {label} of {device}, {when}{span}, id {answer.id[:8]}; {tail}"


async def _asked(config: AgentConfig, request: Any) -> Any:
    """Of the agent that runs; where none does, on its spool."""
    from edge.agent.answering import NoAgentError
    from edge.agent.marking.control import ask_agent, own_clerk
    from edge.errors import SpoolBusyError

    for attempt in range(_ATTEMPTS):
        try:
            return await asyncio.to_thread(ask_agent, config.spool_dir, request)
        except NoAgentError:
            pass
        try:
            async with own_clerk(config, say_aside) as clerk:
                return await clerk.do(request)
        except SpoolBusyError:  # an agent begins, or ends: it answers soon, or lets go
            if attempt == _ATTEMPTS - 1:
                raise
        await asyncio.sleep(_ATTEMPT_S)
    raise AssertionError


# --- record


def _record(args: argparse.Namespace) -> int:
    config, span_ns = load_config(args.config), _span_ns(args.span)
    device, author = _device(config, args.device), args.author or who()
    name = check_attributes({"name": args.name}, "agent record")["name"]
    if len(name.encode()) > NAME_BYTES:
        raise UsageError(f"agent record: the name has more than {NAME_BYTES} bytes")
    label = check_label(args.label, "--label") if args.label else ""
    from edge.agent.marking.control import Request

    request = Request("record", device, author, label, args.note, name=name, for_ns=span_ns)
    found = asyncio.run(_recorded(config, request, show=not args.json))
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(map(printable, _summary(found))))
    return 0 if found["complete"] and sum(found["samples"].values()) else 1


async def _recorded(config: AgentConfig, request: Any, *, show: bool) -> dict[str, Any]:
    """What came of it: on the agent that runs, else on one that is begun for it."""
    from edge.agent.answering import NoAgentError, ask

    stop = stopped_by_signals()
    try:
        await asyncio.to_thread(ask, config.spool_dir)
    except NoAgentError:
        return await _with_own_agent(config, request, stop, show=show)
    return await _take(config, request, stop, show=show)


async def _with_own_agent(config: AgentConfig, request: Any, stop: asyncio.Event, *, show: bool) -> dict[str, Any]:
    from edge.agent.agent import Agent
    from ingest.opening import open_log

    say_aside("no agent runs: one is begun for this recording")
    log, ended = open_log(config.log), asyncio.Event()
    try:
        agent = Agent(config, log, secrets.token_bytes(16), "agent record", say_aside)
        running = asyncio.create_task(agent.run(ended))
        try:
            await _heard(config, running, stop)
            return await _take(config, request, stop, show=show, running=running)
        finally:
            ended.set()
            await running
    finally:
        await log.close()


async def _heard(config: AgentConfig, running: asyncio.Task[Any], stop: asyncio.Event) -> None:
    """Return when every source has said something, or has had its time."""
    from edge.agent.answering import ask

    end_s = time.monotonic() + _OPEN_S
    while time.monotonic() < end_s and not (running.done() or stop.is_set()):
        try:
            view = await asyncio.to_thread(ask, config.spool_dir)
            if all(source.samples for source in view.sources):
                return
        except TransientError:
            pass
        await asyncio.sleep(_ATTEMPT_S)


async def _take(
    config: AgentConfig,
    request: Any,
    stop: asyncio.Event,
    *,
    show: bool,
    running: asyncio.Task[Any] | None = None,
) -> dict[str, Any]:
    """Begin it, look until it is over, and say what came. The agent ends it by itself, though who asked be gone."""
    from edge.agent.answering import ask
    from edge.agent.marking.control import Request, ask_agent
    from edge.sources.clock import boottime_ns

    folder = config.spool_dir
    before = await asyncio.to_thread(ask, folder)
    at_ns = boottime_ns()
    answer = await asyncio.to_thread(ask_agent, folder, msgspec.structs.replace(request, at_ns=at_ns))
    if not answer.done:
        raise TransientError(f"agent record: {answer.words}")
    is_stopped, view = False, before
    while (left_s := (at_ns + request.for_ns - boottime_ns()) / NS) > 0 and not (running and running.done()):
        if stop.is_set():
            ending = Request("end", request.device, request.author, at_ns=boottime_ns())
            await asyncio.to_thread(ask_agent, folder, ending)
            is_stopped = True
            break
        await _pause(min(_EVERY_S, left_s), stop, running)
        view = await asyncio.to_thread(ask, folder) if not (running and running.done()) else view
        if show:
            say(f"{request.name}: {max(0.0, left_s - _EVERY_S):.0f} s left; {_progress(before, view, request.device)}")
    span_ns = min(request.for_ns, boottime_ns() - at_ns)
    if not (running and running.done()):
        view = await _settled(folder, request)
    return {
        "name": request.name,
        "device": request.device,
        "label": request.label,
        "complete": not is_stopped and not (running and running.done()),
        "seconds": span_ns / NS,
        "start_ns": answer.start_ns,
        "start": "" if answer.waits else exact_time(answer.start_ns),
        "mark": answer.id if request.label else "",
        "samples": {stream: count for stream, (count, _) in _since(before, view, request.device).items()},
        "lost": {stream: lost for stream, (_, lost) in _since(before, view, request.device).items() if lost},
    }


async def _settled(folder: Any, request: Any) -> Overview:
    """The agent's view once it has ended the recording."""
    from edge.agent.answering import ask

    while True:
        view: Overview = await asyncio.to_thread(ask, folder)
        if not any(opened.name == request.name and opened.device == request.device for opened in view.open):
            return view
        await asyncio.sleep(_ATTEMPT_S)


async def _pause(seconds: float, stop: asyncio.Event, running: asyncio.Task[Any] | None) -> None:
    stopping = asyncio.create_task(stop.wait())
    others = [] if running is None else [running]
    await asyncio.wait([stopping, *others], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _since(before: Overview, now: Overview, device: str) -> dict[str, tuple[int, int]]:
    """Samples, and what was lost, of each stream of a device between two looks."""
    then = {source.name: source for source in before.sources}
    return {
        source.stream.partition("/")[2]: (
            source.samples - then[source.name].samples,
            _lost(source) - _lost(then[source.name]),
        )
        for source in now.sources
        if source.stream.partition("/")[0] == device
    }


def _lost(source: SourceView) -> int:
    return sum(source.lost.values())


def _progress(before: Overview, now: Overview, device: str) -> str:
    found = _since(before, now, device)
    return ", ".join(f"{stream} {counted(count, 'sample')}" for stream, (count, _) in found.items())


def _summary(found: dict[str, Any]) -> Sequence[str]:
    what = f", marked {found['label']}, id {found['mark'][:8]}" if found["label"] else ""
    began = found["start"] or "when its clock is set"
    lines = [f"{found['name']}: {found['seconds']:,.1f} s of {found['device']} from {began}{what}"]
    for stream, count in found["samples"].items():
        lost = found["lost"].get(stream, 0)
        lines.append(f"  {stream}  {counted(count, 'sample')}" + (f", {lost:,} lost" if lost else ""))
    if not sum(found["samples"].values()):
        lines.append("  nothing was recorded: see sensorloom agent test")
    if not found["complete"]:
        lines.append("  it was ended before its time")
    return lines
