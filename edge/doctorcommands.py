"""`sensorloom agent doctor|health|report`: how the device is on which an agent runs, for who is there or not."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.agent.answering import ask
from edge.agent.doctor.remedies import Facts, doctor_page, remedies
from edge.agent.health import Steadiness, complaints
from edge.agent.overview import Overview
from edge.assembling import assemble
from edge.config import AgentConfig, load_config
from edge.corrections import calibrated_ahead
from edge.fieldcommands import action, config_option, span_option, span_s, tried
from ingest.commandline import say
from ingest.errors import TransientError, UsageError

LOOK_S: Final = 1.0
"""How often a running agent is asked how it is."""
STEADY_S: Final = 10.0
"""So long it has to be well at a stretch; half of `--for` where that is shorter."""


def register_doctor(actions: Any) -> None:
    """Add `agent doctor`."""
    text = "what is wrong here, and what to do, the gravest first: agent, clock, disk, power, network, brokers"
    doctor = action(actions, "doctor", _doctor, text)
    config_option(doctor, default="agent.toml")
    span_option(doctor)


def register_report(actions: Any) -> None:
    """Add `agent report`."""
    text = "pack what a colleague needs to help: doctor, status, configuration, ports, versions; no secrets"
    report = action(actions, "report", _report, text)
    config_option(report, default="agent.toml")
    span_option(report)
    report.add_argument(
        "-o", "--out", metavar="FILE", help="the archive (by default sensorloom-report-AGENT-TIME.tar.gz here)"
    )


def register_health(actions: Any) -> None:
    """Add `agent health`."""
    text = "whether the running agent is well after a change: it answers, goes on, and hears what was heard before"
    health = action(actions, "health", _health, text)
    config_option(health, default="agent.toml")
    health.add_argument("--for", dest="span", default="60s", metavar="DURATION", help="how long it is waited for")
    health.add_argument(
        "--before", metavar="FILE", help="what `agent status --json` said before the change; an empty file is nothing"
    )


def _health(args: argparse.Namespace) -> int:
    config, until_s = load_config(args.config), time.monotonic() + span_s(args.span)
    before, steadiness, found = _before(args.before), Steadiness(), list[str]()
    while True:
        at_s, well_s = time.monotonic(), 0.0
        try:
            view = ask(config.spool_dir)
            found = complaints(view, before)
            well_s = steadiness.well_s(view, found, at_s)
        except TransientError as error:
            found = [str(error)]
        is_well = well_s >= min(STEADY_S, span_s(args.span) / 2)
        if is_well or at_s > until_s:
            break
        time.sleep(LOOK_S)
    if not is_well and not found:
        found = ["the agent began anew meanwhile: see its journal"]
    if args.json:
        print(msgspec.json.encode({"well": is_well, "complaints": found}).decode())
    else:
        say("well" if is_well else "; ".join(found))
    return 0 if is_well else 1


def _before(file: str | None) -> Overview | None:
    try:
        said = b"" if file is None else Path(file).read_bytes()
        return msgspec.json.decode(said, type=Overview) if said.strip() else None
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"--before: {file}: {error}; give what `sensorloom agent status --json` said") from None


def _doctor(args: argparse.Namespace) -> int:
    facts = find_out(load_config(args.config), span_s(args.span))
    found = remedies(facts)
    if args.json:
        print(msgspec.json.encode({"good": not found, "remedies": found, "facts": facts}).decode())
    else:
        say(doctor_page(found, facts))
    return 1 if found else 0


def _report(args: argparse.Namespace) -> int:
    from edge.agent.doctor.report import pack, report_files
    from edge.sources.serial.listing import list_ports

    config, at_s = load_config(args.config), time.time()
    stamp = f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%SZ}"
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", config.agent)
    path = Path(args.out or f"sensorloom-report-{name}-{stamp}.tar.gz")
    files = report_files(find_out(config, span_s(args.span)), _tables(args.config), list_ports({}), os.environ)
    pack(path, files, at_s)
    if args.json:
        print(msgspec.json.encode({"report": str(path), "files": sorted(files)}).decode())
    else:
        say(f"{path}: {', '.join(sorted(files))}; without secrets, but look into it before it is sent")
    return 0


def _tables(path: str) -> dict[str, Any]:
    """What a configuration says, with templates, other files and variables put in; files that it names are found."""
    found = assemble(path, os.environ)
    sources = [dict(source.table) | _absolute(source.table, source.base) for source in found.sources]
    return {**found.tables, "source": sources}


def _absolute(table: Mapping[str, Any], base: str) -> dict[str, str]:
    return {key: str(Path(base) / value) for key, value in table.items() if key.endswith("_file")}


def find_out(config: AgentConfig, seconds: float) -> Facts:
    """All that can be known of the device now; where no agent runs, its sources are read for so long."""
    from edge.agent.doctor.facts import clock_facts, disk_facts, power_facts
    from edge.agent.doctor.links import link_facts

    agent, why_none, sources = None, "", []
    try:
        agent = ask(config.spool_dir)
    except TransientError as error:
        why_none = str(error)
        sources = asyncio.run(tried(config, seconds))
    return Facts(
        clock=clock_facts(config.clock.trust),
        disk=disk_facts(config),
        power=power_facts(),
        links=list(link_facts(config, secrets.token_hex(4))),
        agent=agent,
        why_none=why_none,
        sources=sources,
        calibrations=calibrated_ahead(config.sources, time.time_ns()),
    )
