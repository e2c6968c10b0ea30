"""What is said to a device when its port was opened."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from edge.protocol import Interruption
from edge.sources.serial.port import Line, why_closed
from edge.sources.serial.source import SerialSource
from edge.sources.serial.starting import Step, UnansweredError, read_steps, start
from ingest.errors import UsageError
from tests.edge.configs import source_config
from tests.edge.sources.collecting import Taker
from tests.support.pty import SerialPort


class Ends:
    """A port and its device, as two pipes."""

    def __init__(self) -> None:
        self._read, self.answers = os.pipe()
        self.said, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    def write(self, data: bytes) -> None:
        os.write(self._write, data)

    def close(self) -> None:
        for file in (self._read, self.answers, self.said, self._write):
            os.close(file)


def test_the_next_is_said_when_the_one_before_was_answered_and_nothing_behind_an_answer_is_read() -> None:
    port = Ends()
    heard = []

    def device() -> None:
        heard.append(os.read(port.said, 100))
        os.write(port.answers, b"noise 0,1\r\nOK\r\n")
        heard.append(os.read(port.said, 100))
        os.write(port.answers, b"ready\r\n1,2\r\n")

    thread = threading.Thread(target=device)
    thread.start()
    start(port, [Step(b"MODE 2\r", b"OK"), Step(b"RUN\r", b"ready\r\n")], 60)
    thread.join()
    assert heard == [b"MODE 2\r", b"RUN\r"]
    assert os.read(port.fileno(), 100) == b"1,2\r\n"
    port.close()


def test_who_does_not_answer_is_named_with_what_came() -> None:
    port = Ends()
    os.write(port.answers, b"ERR 3\r\n")
    with pytest.raises(UnansweredError) as raised:
        start(port, [Step(b"RUN\r", b"OK"), Step(b"never\r")], 0.05)
    told = 'does not answer "OK" to "RUN\\r" within 0.05 s; "ERR 3\\r\\n" came'
    assert why_closed(Line("/dev/ttyX"), raised.value) == told
    with pytest.raises(UnansweredError, match="nothing came"):
        start(port, [Step(b"RUN\r", b"OK")], 0.05)
    assert os.read(port.said, 100) == b"RUN\rRUN\r"
    port.close()


def test_a_device_that_must_be_told_to_speak_is_told_each_time(tmp_path: Path) -> None:
    async def scenario(port: SerialPort) -> None:
        source = SerialSource(Line(str(port.path), start=(Step(b"RUN\r"),)))
        taker = Taker(source)
        await source.open()
        assert await asyncio.to_thread(port.read, 4) == b"RUN\r"
        port.write(b"\n1\n")
        assert await taker.bytes_until(2) == b"1\n"
        port.unplug()
        port.plug()
        await taker.until(lambda taker: isinstance(taker.items[-1], Interruption))
        assert await asyncio.to_thread(port.read, 4) == b"RUN\r"
        await source.close()

    with SerialPort(tmp_path / "tty") as port:
        asyncio.run(scenario(port))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("RUN\r", "expected a list of texts"),
        ([5], "start[0]: found 5"),
        ([""], "start[0]: found ''"),
        (["ok", {"expect": "OK"}], "start[1]: found {'expect': 'OK'}"),
        ([{"send": "a", "wait": 1}], 'start[0]: unknown key "wait"'),
        ([{"send": "\u0394"}], "start[0].send: 'Δ' is no byte"),
        ([{"send": "a", "expect": ""}], "start[0].expect: found ''"),
    ],
)
def test_what_cannot_be_said_is_refused(found: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        SerialSource.from_config(source_config(port="/dev/ttyX", start=found))
    assert message in str(raised.value)


def test_a_table_says_bytes_by_characters() -> None:
    assert read_steps(["R\r", {"send": "\u00aa\u0000", "expect": "OK"}], "") == (Step(b"R\r"), Step(b"\xaa\x00", b"OK"))
