"""A site's status as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ingest.showing import printable
from ingest.units import format_time
from service.status import SiteStatus, span

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH: Final = 160
"""Of tables in a file or a pipe."""
_STYLES: Final = {"silent": "red", "live": "green", "gone": "dim", "ended": "dim", "stopped": "yellow"}


def show(status: SiteStatus) -> None:
    """Print the tables and, last, what is trouble."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    for table in (_devices(status), _datasets(status), _disks(status)):
        if table.row_count:
            console.print(table)
    for line in status.trouble:
        console.print(Text(f"trouble: {printable(line)}", style="red"), soft_wrap=True)
    if not status.trouble:
        console.print(Text("all is well", style="green"))


def _devices(status: SiteStatus) -> Table:
    table = _table("device", "is", "last sample", "ago", "its agent")
    for device in status.devices:
        state = device.state
        when = (format_time(device.last_ns)[:19] + "Z", span(device.silent_s))
        _row(table, [device.device, state, *when, device.agent], _STYLES[state] if state != "live" else "")
    return table


def _datasets(status: SiteStatus) -> Table:
    table = _table("made of it", "last seal", "lag", "waiting", "windows/h", "dropped/h")
    for one in status.datasets:
        sealed = "never" if one.sealed_ns is None else f"{span((status.time_ns - one.sealed_ns) / 1e9)} ago"
        lag = "-" if one.lag_s is None else span(one.lag_s)
        behind = "-" if one.behind is None else f"{one.behind:,}"
        nothing, windows = ("0", f"{one.windows_hour:,}") if one.kind == "dataset" else ("-", "-")
        drops = ", ".join(f"{reason} {count:,}" for reason, count in one.drops_hour.items()) or nothing
        _row(table, [one.dataset, sealed, lag, behind, windows, drops])
    return table


def _disks(status: SiteStatus) -> Table:
    table = _table("disk of", "free", "a day", "files free", "files a day", "days left")
    for disk in status.disks:
        inodes = "-" if disk.free_inodes is None else f"{disk.free_inodes:,}"
        days = "-" if disk.days_left is None else f"{disk.days_left:,.0f}"
        _row(table, [disk.folder, _size(disk.free_bytes), _size(disk.bytes_day), inodes, _count(disk.inodes_day), days])
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, cells: Iterable[str], style: Any = "") -> None:
    from rich.text import Text

    table.add_row(*(Text(printable(cell)) for cell in cells), style=style)


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _size(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
