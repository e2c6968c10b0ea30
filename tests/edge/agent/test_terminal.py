from __future__ import annotations

import asyncio
import io

import pytest

from edge.agent.terminal import Terminal, status_line


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_says_rate_backlog_and_loss() -> None:
    now = {"acc.samples": 1200, "gps.samples": 12, "spool.backlog": 3, "published.records": 40, "lag_s": 0.4}
    before = {"acc.samples": 1100, "gps.samples": 11}
    assert status_line(now, before, 1.0) == ("1,212 samples, 101 a second; 3 records in the spool wait; the log has 40")
    worse = now | {"lag_s": 75.2, "acc.lost.columns": 2, "gps.lost.checksum": 1, "spool.dropped_samples": 9}
    assert status_line(worse, before, 1.0).endswith("the log has 40, 75 s behind; 3 lost; 9 dropped by the spool")


@pytest.mark.parametrize(("screen", "lines"), [(Screen(), True), (io.StringIO(), False)])
def test_the_line_is_for_terminals_and_what_is_said_stays_above_it(
    screen: io.StringIO, lines: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.agent.terminal.EVERY_S", 0.01)

    async def main() -> None:
        watch = Terminal(screen)
        watching = asyncio.create_task(watch.run(lambda: {"acc.samples": 7}))
        await asyncio.sleep(0.1)
        watch.say("publishing again")
        watching.cancel()
        await asyncio.wait([watching])

    asyncio.run(main())
    shown = screen.getvalue()
    assert ("7 samples" in shown) is lines
    assert "agent: publishing again\n" in shown
    assert shown.endswith("\r\x1b[K") is lines
