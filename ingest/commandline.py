"""What all commands have in common: how their help is laid out, and how their errors answer."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final, NoReturn, TextIO

from ingest.settings import meant
from ingest.showing import masked, printable

_CHOICE: Final = re.compile(r"argument (?P<what>\S+): invalid choice: '(?P<given>[^']*)'")
_UNKNOWN: Final = "unrecognized arguments: "
_MISSING: Final = "the following arguments are required: "
_LONG: Final = re.compile(r"(\S{256})\S{256,}(\S{64})")
"""A word that nobody reads to its end."""
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


class Prose(argparse.HelpFormatter):
    """Help whose paragraphs are as wide as the terminal; what is set in by blanks, and a line that ends with a colon,
    stands as it was written: commands to copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for is_kept, grouped in itertools.groupby(text.splitlines(), key=_is_kept):
            group = list(grouped)
            lines += group if is_kept else textwrap.wrap(" ".join(group), width)
        return "\n".join(indent + line for line in lines)


def _is_kept(line: str) -> bool:
    return line[:1] in ("", " ") or line.endswith(":")


class Parser(argparse.ArgumentParser):
    """A parser whose help has what must be given apart from what may be, and whose errors say what was meant."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._must: argparse._ArgumentGroup | None = None
        self._shape: argparse._ArgumentGroup | None = None
        self._given: list[str] = []

    def add_argument(self, *names: Any, **given: Any) -> argparse.Action:
        """See `argparse.ArgumentParser`; options go into their groups."""
        if given.get("required"):
            given.setdefault("action", _Once)
            self._must = self._must or self.add_argument_group("must be given")
            return self._must.add_argument(*names, **given)
        if "--json" in names:
            self._shape = self._shape or self.add_argument_group("output")
            return self._shape.add_argument(*names, **given)
        return super().add_argument(*names, **given)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`."""
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """See `argparse.ArgumentParser`; how output looks comes last."""
        self._action_groups.sort(key=lambda group: group is self._shape)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what was meant, and end with 2; a bare group of commands shows what there is."""
        groups = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        if any(message == f"{_MISSING}{action.metavar or action.dest}" for action in groups):
            self.print_help()
            self.exit(0)
        choice = _CHOICE.match(message)
        if choice is not None and groups:
            known = list(groups[0].choices)
            message = f'unknown {choice["what"].lower()} "{choice["given"]}"; there are: {", ".join(known)}'
            message += _did_you_mean(choice["given"], known)
        elif message.startswith((_UNKNOWN, _MISSING)):
            message += self._meant_option()
        asked = self._asked() if message.startswith(_UNKNOWN) else self
        asked.print_usage(sys.stderr)
        self.exit(2, f"{complaint(f'{asked.prog}: {message}')}\n")

    def _asked(self) -> argparse.ArgumentParser:
        """The parser of the command that was given: what is too much is found by the outermost one."""
        asked: argparse.ArgumentParser = self
        for word in self._given:
            for action in asked._actions:
                if isinstance(action, argparse._SubParsersAction) and word in action.choices:
                    asked = action.choices[word]
                    break
        return asked

    def _meant_option(self) -> str:
        """What the first option was meant to be that is none; empty where all are some."""
        known = sorted(set(_options(self)))
        given = (word.partition("=")[0] for word in self._given if word.startswith("--"))
        unknown = next((word for word in given if word not in known and word != "--"), "")
        return f"; {unknown} is no option{_did_you_mean(unknown, known)}" if unknown else ""


class _Once(argparse.Action):
    """Stores a value; of two, the first would be forgotten without a word."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given = namespace.__dict__.setdefault("_given", set())
        if self.dest in given:
            parser.error(f"{option} is given twice; give it once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def _did_you_mean(given: str, known: list[str]) -> str:
    near = meant(given, known)
    return f'. Did you mean "{near}"?' if near else ""


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _options(one)
        yield from (name for name in action.option_strings if name.startswith("--"))


def complaint(text: str, stream: TextIO | None = None) -> str:
    """An error for people: without secrets and control characters, a very long word with its ends alone, red at a
    terminal (NO_COLOR is honoured)."""
    shown = _LONG.sub(r"\1…\2", _harmless(text))
    return f"{_RED}{shown}{_PLAIN}" if has_colour(stream or sys.stderr) else shown


def say(text: str) -> None:
    """Print what people are told while a command works, at once: each line without secrets and control characters."""
    _say(text, sys.stdout)


def say_aside(text: str) -> None:
    """The same beside what a command prints, on stderr."""
    _say(text, sys.stderr)


def _say(text: str, stream: TextIO) -> None:
    if text:
        print(_harmless(text), file=stream, flush=True)


def _harmless(text: str) -> str:
    return "\n".join(map(printable, masked(text).split("\n")))


def has_colour(stream: TextIO) -> bool:
    """Whether colour helps there: at a terminal, unless the user wants none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
