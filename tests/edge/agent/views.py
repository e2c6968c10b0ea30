"""Views of an agent for tests."""

from __future__ import annotations

from typing import Any

from edge.agent.overview import Overview, SourceView


def source_view(name: str = "imu", **given: Any) -> SourceView:
    known: dict[str, Any] = {
        "name": name,
        "type": "serial",
        "decoder": "csv",
        "stream": "pump/acc",
        "samples": 0,
        "lost": {},
        "bytes": 0,
        "silent_s": None,
        "rate_hz": None,
        "waiting_for": "",
        "findings": [],
        "bad_lines": [],
    }
    return SourceView(**(known | given))


def view(**given: Any) -> Overview:
    known: dict[str, Any] = {
        "version": "1.0",
        "agent": "pi",
        "config": "agent.toml",
        "pid": 7,
        "up_s": 61.0,
        "log": "kafka://h:9092",
        "log_waiting_for": "",
        "spool": "/spool",
        "figures": {"spool.backlog": 3, "published.records": 40},
        "sources": [source_view()],
    }
    return Overview(**(known | given))
