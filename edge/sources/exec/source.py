"""The source `exec`: the standard output of any program, which is started again when it ends.

A thread reads the output and stamps each read, as it does with a serial port (`edge.sources.serial.reader`). The
program runs in a process group of its own, which is ended with the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from edge.protocol import Key, SourceConfig
from edge.sources.exec.program import Program
from edge.sources.serial.lines import RawBytes
from edge.sources.serial.threaded import ThreadedSource
from ingest.errors import UsageError


class ExecSource(ThreadedSource):
    """A program's output as a `Source`."""

    keys: ClassVar[Mapping[str, Key]] = {
        "command": Key(
            "list of texts",
            "The program and its arguments, as they are: no shell looks at them. It runs in the configuration's "
            "folder.",
            '["rtl_433", "-F", "json"]',
            synonyms=("cmd", "program", "argv", "exec", "run"),
        ),
    }

    def __init__(self, program: Program) -> None:
        super().__init__(program, RawBytes(), may_rest=False)

    @classmethod
    def from_config(cls, config: SourceConfig) -> Self:
        """Raises `UsageError` where the command is none."""
        command = config.options.get("command", [])
        if isinstance(command, str):
            words = ", ".join(f'"{word}"' for word in command.split())
            raise UsageError(
                f"{config.where}: command: found one text, expected a text for each word: [{words}]; a shell's pipes"
                ' and quotes need a shell: ["sh", "-c", "…"]'
            )
        command = config.option("command", list)
        if not command or not all(isinstance(word, str) and word and "\0" not in word for word in command):
            raise UsageError(
                f'{config.where}: command: found {command}, expected texts, as in ["rtl_433", "-F", "json"]'
            )
        first = command[0]
        path = str(Path(config.base) / first) if "/" in first else first
        return cls(Program((path, *command[1:]), config.base))
