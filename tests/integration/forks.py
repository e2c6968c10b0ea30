"""`sensorloom` commands as forks of one process that has their modules: a start costs a tenth of a new interpreter's.

Each is a process of its own, with its own event loop, files and signals: it is what a kill hits.

`python -m tests.integration.forks MODULE...` imports the modules, forks one for each line of its input
(`{"program": …, "words": …, "err": …}`), says its pid, waits until it has ended, and says how
(`os.waitstatus_to_exitcode`).
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn, Protocol, Self

PROJECT: Final = Path(__file__).resolve().parents[2]
AGENT: Final = (
    "edge.agent.agent",
    "edge.commands",
    "edge.decoders.binary",
    "edge.decoders.csv",
    "edge.sources.modbus",
    "edge.sources.mqtt",
    "edge.sources.serial",
    "ingest.log.segments",
    "ingest.opening",
)


class Process(Protocol):
    """What a test does with a command at work, forked or not."""

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    def poll(self) -> int | None:
        """Its exit code once it has ended, -N by signal N."""
        ...

    def send_signal(self, sig: int, /) -> None:
        """A signal."""
        ...

    def kill(self) -> None:
        """As SIGKILL does."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Until it has ended; its exit code. Raises an error where that takes longer."""
        ...


class Forks:
    """The process that forks them, one at a time, having imported `modules`. A context manager."""

    def __init__(self, modules: Sequence[str] = AGENT) -> None:
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, words: Sequence[str], err: Path, program: str = "sensorloom") -> Fork:
        """A command of the module `program`; what it says is appended to `err`. The one before has ended."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        err.touch()  # who looks what it says need not wait until the fork has opened it
        process.stdin.write(json.dumps({"program": program, "words": list(words), "err": str(err)}).encode() + b"\n")
        return Fork(int(process.stdout.readline()), process.stdout.fileno())

    def __enter__(self) -> Self:
        words = [sys.executable, "-m", "tests.integration.forks", *self._modules]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, cwd=PROJECT, stdin=pipe, stdout=pipe, bufsize=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with self._process:
                self._process.kill()


class Fork:
    """A command in a fork."""

    def __init__(self, pid: int, said: int) -> None:
        self.pid: Final = pid
        self._said = said
        """Where its end is told."""
        self._code: int | None = None

    def poll(self) -> int | None:
        """See `Process`."""
        if self._code is None and select.select([self._said], [], [], 0)[0]:
            self._code = int(os.read(self._said, 16))
        return self._code

    def send_signal(self, sig: int, /) -> None:
        """See `Process`."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """See `Process`."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """See `Process`."""
        if self.poll() is None and not select.select([self._said], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} does not end within {timeout} s")
        code = self.poll()
        assert code is not None
        return code


def main() -> None:
    """Until its input ends."""
    for module in ("sensorloom", *sys.argv[1:]):
        import_module(module)
    gc.freeze()  # a fork that looked for garbage in it would copy it
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(asked["program"], asked["words"], Path(asked["err"]))
        os.write(1, b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        os.write(1, b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(program: str, words: Sequence[str], err: Path) -> NoReturn:
    """Be the command, with nothing open of what the parent has."""
    code = 1
    try:
        said = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDWR)
        for own, other in ((nothing, 0), (nothing, 1), (said, 2)):
            os.dup2(own, other)
        os.closerange(3, 256)
        code = sys.modules[program].main(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
