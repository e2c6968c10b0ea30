"""Where test servers listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support import server
from tests.support.server import free_ports


def test_ports_are_free_and_the_kernel_gives_them_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    (first,) = free_ports(1)
    ports = iter([first, first + 1, first + 2])
    monkeypatch.setattr(server, "_ports", lambda: ports)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        found = free_ports(2)
    assert found == [first + 1, first + 2]
    assert not any(low <= port <= high for port in (first, *found))


def test_workers_share_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    found = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        ports = server._ports.__wrapped__()
        found.append({next(ports) for _ in range(60_000)})
    assert found[0]
    assert not found[0] & found[1]
