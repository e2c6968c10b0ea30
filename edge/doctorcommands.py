"""`sensorloom agent doctor|report`: how the device is on which an agent runs, for who is there and for who is not."""

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
from typing import Any

import msgspec

from edge.agent.doctor.remedies import Facts, doctor_page, remedies
from edge.assembling import assemble
from edge.config import AgentConfig, load_config
from edge.fieldcommands import action, config_option, span_option, span_s, tried
from ingest.errors import TransientError
from ingest.showing import masked, printable


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


def _doctor(args: argparse.Namespace) -> int:
    facts = find_out(load_config(args.config), span_s(args.span))
    found = remedies(facts)
    if args.json:
        print(msgspec.json.encode({"good": not found, "remedies": found, "facts": facts}).decode())
    else:
        print("\n".join(map(printable, masked(doctor_page(found, facts)).splitlines())))
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
        print(f"{path}: {', '.join(sorted(files))}; without secrets, but look into it before it is sent")
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
    from edge.agent.answering import ask
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
    )
