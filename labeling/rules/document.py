"""A rule file: YAML read strictly, every key and value with its place.

The nodes of the YAML tree are walked, not loaded into objects: nothing in a file can make anything but rules, and each
error names its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

import yaml

from ingest.errors import UsageError
from ingest.names import normal
from ingest.records import split_channel
from ingest.settings import suggest
from ingest.units import parse_duration, parse_number
from labeling.rules.errors import Faults, RuleError, Source

VERSION: Final = 1
CHARACTERS_MAX: Final = 1_000_000
RULES_MAX: Final = 1000
_DURATION_NS_MAX: Final = 1 << 60
_WORD: Final = re.compile(r"[\w .-]*")
_SAMPLES: Final = re.compile(r"\s*(\d{1,12})\s*samples?\s*", re.ASCII)
_SAMPLES_MAX: Final = 10**9
_COLUMN_MAX: Final = 1_000_000
"""Numbers of a channel of a test."""
_TEST_NS_MAX: Final = 1 << 60
FILE_KEYS: Final = ("version", "defaults", "let", "rules", "tests")
DEFAULT_KEYS: Final = ("max_gap", "max_age", "coverage")
RULE_KEYS: Final = ("label", "let", "when", "until", "for", "hold", "pad", "cooldown", *DEFAULT_KEYS)


@dataclass(frozen=True, slots=True)
class Limits:
    """When data are too thin to say anything."""

    max_gap_ns: int | None = None
    """A silence longer than this ends what was going on; None: a number of the stream's own periods (`ingest.pace`)."""
    max_age_ns: int | None = None
    """How long a stream's last sample stands in for its next, in rules that join streams; None: `max_gap_ns`."""
    coverage: Fraction = Fraction(8, 10)
    """The least share of a span that must be covered by known samples."""


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule as it was written; durations in nanoseconds."""

    place: Source
    label: str
    let: Mapping[str, Source]
    when: Source
    until: Source | None
    for_ns: int
    for_samples: int
    hold_ns: int
    pad_ns: tuple[int, int]
    cooldown_ns: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Document:
    """A rule file as it was written."""

    let: Mapping[str, Source]
    rules: tuple[RuleText, ...]
    tests: tuple[TestText, ...]
    faults: tuple[RuleError, ...]
    """What is wrong with it; what it is wrong with was left out."""


@dataclass(frozen=True, slots=True)
class TestText:
    """A test of the file: samples given by a table, and the marks that must come of them."""

    place: Source
    name: str
    units: Mapping[str, str]
    every_ns: int
    values: Mapping[str, tuple[float, ...]]
    """By `stream.channel`, one each `every_ns` from 0 on; NaN is missing."""
    expect: tuple[tuple[str, int, int], ...]
    """(label, start, end), ns since the first sample."""


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, text: str, name: str) -> None:
        self._lines = text.splitlines()
        self._name = name
        self.faults = Faults()

    def source(self, node: yaml.Node) -> Source:
        """A scalar's text at its place; of one that is quoted with escapes or spread over lines, its own text."""
        mark = node.start_mark
        line = self._lines[mark.line] if mark.line < len(self._lines) else ""
        if not isinstance(node, yaml.ScalarNode):
            end = node.end_mark.column if node.end_mark.line == mark.line else len(line)
            return Source(self._name, mark.line + 1, mark.column + 1, line[mark.column : end].rstrip(), line)
        value = node.value
        column = mark.column + (node.style in ("'", '"'))
        if line[column : column + len(value)] == value:
            return Source(self._name, mark.line + 1, column + 1, value, line)
        return Source(self._name, mark.line + 1, 1, value, " ".join(value.splitlines()))

    def error(self, node: yaml.Node, problem: str) -> RuleError:
        return self.source(node).span().error(problem)

    def table(self, node: yaml.Node, known: Iterable[str] | None, what: str) -> dict[str, yaml.Node]:
        """A mapping's values by key, each key once and known; `what` is its path in errors."""
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{what}: found {_kind(node)}, expected keys with values")
        table: dict[str, yaml.Node] = {}
        names = None if known is None else set(known)
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error(key, f"{what}: found {_kind(key)} as a key, expected a word")
            if names is not None and key.value not in names:
                unknown = f'{what}: unknown key "{key.value}"'
                if node.flow_style and not _WORD.fullmatch(key.value):
                    unknown += ": within braces a comma ends a value; put the expression in quotes"
                else:
                    unknown += suggest(key.value, names)
                self.faults.found.append(self.error(key, unknown))
            elif key.value in table:
                self.faults.found.append(self.error(key, f'{what}: "{key.value}" is given twice'))
            else:
                table[key.value] = value
        return table

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(node, f"{what}: found {_kind(node)}, expected a list")
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip() or node.tag.endswith(":null"):
            raise self.error(node, f"{what}: found {_kind(node)}, expected text")
        return str(node.value)

    def expression(self, node: yaml.Node, what: str) -> Source:
        self.text(node, what)
        return self.source(node)

    def duration(self, node: yaml.Node, what: str, otherwise: str = "") -> int:
        """A duration, ns; `otherwise` is what else could stand there."""
        text = self.text(node, what)
        try:
            duration_ns = parse_duration(text)
        except UsageError as error:
            raise self.error(node, f"{what}: {error}{otherwise}") from None
        if not 0 <= duration_ns < _DURATION_NS_MAX:
            raise self.error(node, f'{what}: "{text}" is out of range; use 0s or more')
        return duration_ns

    def number(self, node: yaml.Node, what: str) -> Fraction:
        text = self.text(node, what)
        try:
            return parse_number(text)
        except UsageError as error:
            raise self.error(node, f"{what}: {error}") from None


def read_document(text: str, name: str) -> Document:
    """The rules in a file's text; `name` names it in errors. Raises `RuleError` where it cannot be read on."""
    if len(text) > CHARACTERS_MAX:
        raise RuleError(f"{name}: found {len(text)} characters, expected at most {CHARACTERS_MAX}")
    reader = _Reader(text, name)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(text, name, error) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RuleError(f"{name}: not YAML: {error}") from None
    if root is None:
        raise RuleError(f"{name}: is empty; write version: {VERSION} and rules:")
    try:
        return _document(reader, root)
    except RuleError as error:
        Faults([*reader.faults.found, error]).raise_all()
        raise


def _document(reader: _Reader, root: yaml.Node) -> Document:
    table = reader.table(root, FILE_KEYS, "file")
    version = reader.text(table["version"], "version") if "version" in table else None
    if version != str(VERSION):
        found = "is missing" if version is None else f'found "{version}"'
        raise reader.error(table.get("version", root), f"version: {found}; this reads version: {VERSION}")
    limits = Limits()
    if "defaults" in table:
        defaults = reader.table(table["defaults"], DEFAULT_KEYS, "defaults")
        limits = reader.faults.attempt(lambda: _limits(reader, defaults, Limits(), "defaults"), limits)
    if "rules" not in table:
        raise reader.error(root, "rules: is missing; it lists the rules")
    nodes = reader.items(table["rules"], "rules")
    if not 0 < len(nodes) <= RULES_MAX:
        raise reader.error(table["rules"], f"rules: found {len(nodes)}, expected 1 to {RULES_MAX}")
    attempt = reader.faults.attempt
    read = [attempt(partial(_rule, reader, node, limits, f"rules[{i}]"), None) for i, node in enumerate(nodes)]
    rules = tuple(rule for rule in read if rule is not None)
    labels = {normal(rule.label) for rule in rules} if len(rules) == len(read) else None
    none: list[yaml.Node] = []
    listed = attempt(lambda: reader.items(table["tests"], "tests"), none) if "tests" in table else none
    tests = [attempt(partial(_test, reader, node, f"tests[{i}]", labels), None) for i, node in enumerate(listed)]
    return Document(
        attempt(lambda: _let(reader, table.get("let"), "let"), {}),
        rules,
        tuple(test for test in tests if test is not None),
        tuple(reader.faults.found),
    )


_TO_QUOTE: Final = ("that cannot start any token", "mapping values are not allowed", "did not find expected")
"""What YAML says of a text that should be quoted."""
_KEY: Final = re.compile(r"\s*(?:- )?(\w+):\s+([^\s'\"{\[].*?)\s*")


def _advice(said: str, line: str) -> str:
    """What to do about what YAML says of a line."""
    if "\\t" in said:
        return "; indent with spaces"
    if not any(words in said for words in _TO_QUOTE):
        return ""
    key = _KEY.fullmatch(line)
    text = "when: '`machine-1.temp` > 80degC'" if key is None else "{}: '{}'".format(key[1], key[2].replace("'", "''"))
    return f"; text with such characters is quoted: {text}"


def _not_yaml(text: str, name: str, error: yaml.MarkedYAMLError) -> RuleError:
    mark = error.problem_mark or error.context_mark
    said = error.problem or error.context or ""
    if mark is None:
        return RuleError(f"{name}: not YAML: {said}")
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    problem = f"not YAML: {said}{_advice(said, line)}"
    return Source(name, mark.line + 1, 1, line, line).span(mark.column, mark.column + 1).error(problem)


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f'"{node.value}"' if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys with values"


def _limits(reader: _Reader, table: Mapping[str, yaml.Node], default: Limits, what: str) -> Limits:
    max_gap_ns, max_age_ns, coverage = default.max_gap_ns, default.max_age_ns, default.coverage
    if "max_gap" in table:
        max_gap_ns = reader.duration(table["max_gap"], f"{what}.max_gap")
        if max_gap_ns == 0:
            raise reader.error(table["max_gap"], f"{what}.max_gap: found 0s, which makes every sample a gap")
    if "max_age" in table:
        max_age_ns = reader.duration(table["max_age"], f"{what}.max_age")
    if "coverage" in table:
        coverage = reader.number(table["coverage"], f"{what}.coverage")
        if not 0 < coverage <= 1:
            raise reader.error(
                table["coverage"], f"{what}.coverage: found {float(coverage):g}, expected a share above 0 and up to 1"
            )
    return Limits(max_gap_ns, max_age_ns, coverage)


def _let(reader: _Reader, node: yaml.Node | None, what: str) -> dict[str, Source]:
    if node is None:
        return {}
    table = reader.table(node, None, what)
    for key, value in table.items():
        if not key.isidentifier() or key in ("and", "or", "not"):
            raise reader.error(value, f'{what}: "{key}" is no name; use letters, digits and _')
    return {key: reader.expression(value, f"{what}.{key}") for key, value in table.items()}


def _rule(reader: _Reader, node: yaml.Node, limits: Limits, what: str) -> RuleText:
    table = reader.table(node, RULE_KEYS, what)
    for key in ("label", "when"):
        if key not in table:
            raise reader.error(node, f"{what}: {key} is missing; a rule has at least label and when")
    label = reader.text(table["label"], f"{what}.label")

    attempt = reader.faults.attempt

    def duration(key: str) -> int:
        return attempt(lambda: reader.duration(table[key], f"{what}.{key}"), 0) if key in table else 0

    none = (0, 0)
    for_ns, for_samples = attempt(lambda: _least(reader, table.get("for"), f"{what}.for"), none)
    return RuleText(
        place=reader.source(table["label"]),
        label=label,
        let=attempt(lambda: _let(reader, table.get("let"), f"{what}.let"), {}),
        when=reader.expression(table["when"], f"{what}.when"),
        until=attempt(lambda: reader.expression(table["until"], f"{what}.until"), None) if "until" in table else None,
        for_ns=for_ns,
        for_samples=for_samples,
        hold_ns=duration("hold"),
        pad_ns=attempt(lambda: _pad(reader, table.get("pad"), f"{what}.pad"), none),
        cooldown_ns=duration("cooldown"),
        limits=attempt(lambda: _limits(reader, table, limits, what), limits),
    )


def _least(reader: _Reader, node: yaml.Node | None, what: str) -> tuple[int, int]:
    """How long an event lasts at least: nanoseconds, or a number of samples."""
    if node is None:
        return 0, 0
    samples = _SAMPLES.fullmatch(reader.text(node, what))
    if samples is None:
        return reader.duration(node, what, ', or a number of samples, as in "3 samples"'), 0
    if not 0 < int(samples[1]) <= _SAMPLES_MAX:
        raise reader.error(node, f"{what}: found {samples[1]} samples, expected 1 to {_SAMPLES_MAX}")
    return 0, int(samples[1])


def _pad(reader: _Reader, node: yaml.Node | None, what: str) -> tuple[int, int]:
    if node is None:
        return 0, 0
    if isinstance(node, yaml.ScalarNode):
        both = reader.duration(node, what)
        return both, both
    pads = [reader.duration(item, what) for item in reader.items(node, what)]
    if len(pads) != 2:
        raise reader.error(node, f"{what}: found {len(pads)} durations, expected two: [before, after]")
    return pads[0], pads[1]


_TEST_KEYS: Final = ("name", "every", "units", "values", "expect")


def _test(reader: _Reader, node: yaml.Node, what: str, labels: set[str] | None) -> TestText:
    table = reader.table(node, _TEST_KEYS, what)
    for key in ("name", "every", "values", "expect"):
        if key not in table:
            raise reader.error(node, f"{what}: {key} is missing; a test has name, every, values and expect")
    every_ns = reader.duration(table["every"], f"{what}.every")
    if every_ns == 0:
        raise reader.error(table["every"], f"{what}.every: found 0s, expected the time between samples, as in 10ms")
    units = reader.table(table["units"], None, f"{what}.units") if "units" in table else {}
    values = {_bare(key): value for key, value in reader.table(table["values"], None, f"{what}.values").items()}
    for channel, value in values.items():
        if not all(split_channel(channel)):
            raise reader.error(value, f'{what}.values: "{channel}" is not stream.channel, as in acc.x')
    columns = {key: _column(reader, value, f"{what}.values.{key}") for key, value in values.items()}
    if every_ns * max(map(len, columns.values()), default=0) > _TEST_NS_MAX:
        raise reader.error(table["every"], f"{what}.every: the samples would take more than 36 years")
    return TestText(
        place=reader.source(table["name"]),
        name=reader.text(table["name"], f"{what}.name"),
        units={_bare(key): reader.text(value, f"{what}.units.{key}") for key, value in units.items()},
        every_ns=every_ns,
        values=columns,
        expect=tuple(
            _expected(reader, item, f"{what}.expect[{i}]", labels)
            for i, item in enumerate(reader.items(table["expect"], f"{what}.expect"))
        ),
    )


def _bare(channel: str) -> str:
    """A channel as it is called, without the backquotes of expressions."""
    return channel.replace("`", "")


def _column(reader: _Reader, node: yaml.Node, what: str) -> tuple[float, ...]:
    """Numbers, `1.5 * 20` for twenty of them, `-` for a missing one."""
    column: list[float] = []
    for item in reader.items(node, what):
        value, _, times = reader.text(item, what).partition("*")
        try:
            count = int(times) if times else 1
            number = float("nan") if value.strip() == "-" else float(value)
        except ValueError:
            raise reader.error(item, f"{what}: expected a number, 1.5 * 20 for twenty of them, or -") from None
        if not 0 <= count <= _COLUMN_MAX - len(column):
            raise reader.error(item, f"{what}: expected at most {_COLUMN_MAX} numbers in all")
        column += [number] * count
    return tuple(column)


def _expected(reader: _Reader, node: yaml.Node, what: str, labels: set[str] | None) -> tuple[str, int, int]:
    table = reader.table(node, ("label", "start", "end"), what)
    for key in ("label", "start", "end"):
        if key not in table:
            raise reader.error(node, f"{what}: {key} is missing; write {{label: hot, start: 1s, end: 2s}}")
    label = normal(reader.text(table["label"], f"{what}.label"))
    if labels is not None and label not in labels:
        raise reader.error(table["label"], f'{what}.label: no rule has the label "{label}"{suggest(label, labels)}')
    start_ns, end_ns = (reader.duration(table[key], f"{what}.{key}") for key in ("start", "end"))
    return label, start_ns, end_ns
