"""What people want of a dataset and say of it: the `[plan]`, `[privacy]` and `[about]` tables of dataset.toml.

None of it changes a window or a label. Strict: an unknown key names its path and the nearest known key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar

from ingest.errors import UsageError
from ingest.names import normal
from ingest.settings import check_keys
from ingest.units import parse_duration

T = TypeVar("T")
_NO_COUNTS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True)
class ClassPlan:
    """What is wanted of one class."""

    definition: str = ""
    windows: int | None = None
    """So many, in all."""
    per: Mapping[str, int] = field(default_factory=dict)
    """So many of each value of an attribute, as in `{"subject": 20}`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is collected, and why."""

    purpose: str = ""
    sources: tuple[str, ...] = ()
    classes: Mapping[str, ClassPlan] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Windows by attribute and value, as in `{"site": {"north": 500}}`."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """How many different values of an attribute, as in `{"subject": 30}`."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """Whether people are in the data, and on what ground they are."""

    personal: bool = False
    consent: str = ""
    """What they agreed to, and where that is written down."""
    retention: str = ""
    """How long it is kept, a duration."""
    access: tuple[str, ...] = ()
    """Who may use it, as roles."""


@dataclass(frozen=True, slots=True)
class About:
    """What a dataset's documents say that no data can."""

    description: str = ""
    license: str = ""
    """An SPDX identifier or a URL."""
    creators: tuple[str, ...] = ()
    contact: str = ""
    url: str = ""
    cite: str = ""
    version: str = ""
    """Of what is published, where it is not a dataset's own version."""
    ethics: str = ""
    """Biases, limits, and what it must not be used for."""


def parse_plan(table: Mapping[str, Any], where: str) -> Plan:
    """The plan in a `[plan]` table; `where` names it in errors. Raises `UsageError`."""
    check_keys(table, _names(Plan), where)
    return Plan(
        _text(table, "purpose", where),
        _texts(table, "sources", where),
        {normal(name): _class(each, at) for name, each, at in _tables(table, "classes", where)},
        {name: _counts(each, at) for name, each, at in _tables(table, "attributes", where)},
        _counts(table.get("groups", _NO_COUNTS), f"{where}.groups"),
    )


def parse_privacy(table: Mapping[str, Any], where: str) -> Privacy:
    """What a `[privacy]` table says. Raises `UsageError`."""
    check_keys(table, _names(Privacy), where)
    personal = table.get("personal", False)
    if not isinstance(personal, bool):
        raise UsageError(f"{where}.personal: found {personal!r}, expected true or false")
    retention = _text(table, "retention", where)
    if retention:
        try:
            parse_duration(retention)
        except UsageError as error:
            raise UsageError(f"{where}.retention: {error}") from None
    return Privacy(personal, _text(table, "consent", where), retention, _texts(table, "access", where))


def parse_about(table: Mapping[str, Any], where: str) -> About:
    """What an `[about]` table says. Raises `UsageError`."""
    check_keys(table, _names(About), where)
    texts = {name: _text(table, name, where) for name in _names(About) if name != "creators"}
    return About(**texts, creators=_texts(table, "creators", where))


def missing_consent(plan: Plan, privacy: Privacy) -> tuple[str, ...]:
    """The keys without which data of people are given to nobody; () where nothing is missing, or nobody is in them."""
    if not privacy.personal:
        return ()
    said = {
        "[privacy] consent": privacy.consent,
        "[privacy] retention": privacy.retention,
        "[privacy] access": privacy.access,
        "[plan] purpose": plan.purpose,
    }
    return tuple(key for key, value in said.items() if not value)


def _class(table: Mapping[str, Any], where: str) -> ClassPlan:
    check_keys(table, _names(ClassPlan), where)
    windows = None if "windows" not in table else _count(table["windows"], f"{where}.windows")
    return ClassPlan(_text(table, "definition", where), windows, _counts(table.get("per", _NO_COUNTS), f"{where}.per"))


def _names(kind: Callable[..., T]) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind))  # type: ignore[arg-type]


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    found = table.get(key, "")
    if not isinstance(found, str) or (key in table and not found.strip()):
        raise UsageError(f"{where}.{key}: found {found!r}, expected text; leave it out where it is not known")
    return found.strip()


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found):
        raise UsageError(f'{where}.{key}: found {found!r}, expected a list of texts, as in ["phones at the waist"]')
    return tuple(each.strip() for each in found)


def _tables(table: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Mapping[str, Any], str]]:
    found = table.get(key, _NO_COUNTS)
    if not isinstance(found, Mapping):
        raise UsageError(f"{where}.{key}: found {found!r}; it is a table of tables, [plan.{key}.NAME]")
    for name, each in found.items():
        if not isinstance(each, Mapping):
            raise UsageError(f"{where}.{key}.{name}: found {each!r}; it is a table, [plan.{key}.{name}]")
    return [(name, each, f"{where}.{key}.{name}") for name, each in found.items()]


def _counts(table: Any, where: str) -> dict[str, int]:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where}: found {table!r}; it is a table of counts, as in {{ subject = 20 }}")
    return {name: _count(each, f"{where}.{name}") for name, each in table.items()}


def _count(found: Any, where: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise UsageError(f"{where}: found {found!r}, expected a whole number from 1 on")
    return found
