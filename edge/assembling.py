"""What agent.toml says, put together: variables of the environment, templates, and the sources of other files.

Fifty sources need no fifty copies: what they have in common stands in a `[template.NAME]`, which a `[[source]]` takes
up and adds to; `include` names files of sources and templates, which a tool may write beside one that people keep.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from edge.tables import shown
from ingest.errors import UsageError
from ingest.files import check_file
from ingest.settings import check_keys, suggest
from ingest.tomlfile import read_toml

_VARIABLE: Final = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_OPEN: Final = re.compile(r"(?<!\$)\$\{[A-Za-z_]")
_PARTS: Final = ("source", "template")
"""What an included file has."""


class SourceTable(NamedTuple):
    """A `[[source]]` table, whole."""

    table: Mapping[str, Any]
    where: str
    """Its path for error messages."""
    number: str
    """Which it is, where its name is not enough: its number in its file."""
    base: str
    """The folder that relative paths in it start from: its file's."""


class Assembled(NamedTuple):
    """A configuration, with nothing left to put in its place."""

    tables: Mapping[str, Any]
    """All but sources."""
    sources: list[SourceTable]
    templates: Mapping[str, Mapping[str, Any]]
    """By name."""


def assemble(path: str | Path, environ: Mapping[str, str]) -> Assembled:
    """Read agent.toml, and what it includes.

    Raises:
        UsageError: a file is missing or no TOML, a variable is not set, a template is not known.
    """
    tables = filled(read_toml(path), environ, str(path))
    files = {str(path): tables}
    for included in _included(tables.pop("include", []), Path(path)):
        try:
            part = filled(read_toml(included), environ, str(included))
        except UsageError as error:
            raise UsageError(f"{path}: include: {error}") from None
        check_keys(part, _PARTS, f"{included}: included by {path}")
        files[str(included)] = part
    templates = _templates(files)
    sources = [
        SourceTable(
            _whole(table, templates, _where(file, number, table)),
            _where(file, number, table),
            f"[[source]] number {number}" + ("" if file == str(path) else f" of {file}"),
            str(Path(file).resolve().parent),
        )
        for file, part in files.items()
        for number, table in enumerate(_sources(part.pop("source", []), file), 1)
    ]
    return Assembled(tables, sources, templates)


def filled(value: Any, environ: Mapping[str, str], where: str) -> Any:
    """`value` with `${NAME}` and `${NAME:-default}` in its texts replaced; `$${` stands for `${`.

    An empty variable has its default, as in a shell.

    Raises:
        UsageError: a variable is not set, and has no default; or `${` begins none.
    """
    if isinstance(value, dict):
        return {key: filled(part, environ, f"{where}: {key}") for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, environ, _within(where, number, part)) for number, part in enumerate(value, 1)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def found(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        text = environ.get(name, default)
        if text is None:
            raise UsageError(
                f'{where}: "{value}": {name} is not set in the environment; set it for the agent, or give a default, '
                f"as in ${{{name}:-DEFAULT}}; a text with ${{ in it is written with $${{"
            )
        return text or default or ""

    if _OPEN.search(_VARIABLE.sub("", value)):
        raise UsageError(
            f'{where}: "{value}": a variable is written ${{NAME}}, or ${{NAME:-DEFAULT}}; a text with ${{ in it is '
            "written with $${"
        )
    return _VARIABLE.sub(found, value)


def _within(where: str, number: int, part: object) -> str:
    """Where an item of a list is; of a list of tables each has its name, or its number."""
    if not isinstance(part, dict):
        return where
    name = part.get("name")
    return f'{where} "{name}"' if isinstance(name, str) and name else f"{where} number {number}"


def _included(found: object, path: Path) -> list[Path]:
    """The files that `include` names, by name within a pattern."""
    patterns = [found] if isinstance(found, str) else found
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise UsageError(f'{path}: include: found {shown(found)}, expected a file or a list, as in ["sources/*.toml"]')
    files: dict[Path, None] = {}
    for pattern in patterns:
        whole = path.parent / pattern
        is_pattern = any(letter in whole.name for letter in "*?[")
        if is_pattern and not whole.parent.is_dir():
            raise UsageError(f"{path}: include: {whole}: no such folder")
        matches = sorted(whole.parent.glob(whole.name)) if is_pattern else [whole]
        for file in matches:
            check_file(file, f"{path}: include")
            if file.resolve() == path.resolve():
                raise UsageError(f'{path}: include: "{pattern}" takes in the file itself')
            files[file] = None
    return list(files)


def _templates(files: Mapping[str, dict[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """All templates, by name; takes them out of their files."""
    found: dict[str, Mapping[str, Any]] = {}
    files_of: dict[str, str] = {}
    for file, part in files.items():
        templates = part.pop("template", {})
        if not isinstance(templates, dict) or not all(isinstance(table, dict) for table in templates.values()):
            raise UsageError(f"{file}: template: expected tables with a name each, as in [template.acc]")
        for name, table in templates.items():
            if name in files_of:
                raise UsageError(f'{file}: template "{name}" is in {files_of[name]} too')
            if "template" in table:
                raise UsageError(f'{file}: template "{name}" takes up another one; a source takes up one, whole')
            found[name], files_of[name] = table, file
    return found


def _sources(found: object, file: str) -> list[dict[str, Any]]:
    if isinstance(found, dict):
        raise UsageError(f"{file}: found [source]; write [[source]], with two brackets: there may be several")
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise UsageError(f"{file}: source: found {shown(found)}, expected [[source]] tables")
    return found


def _where(file: str, number: int, table: Mapping[str, Any]) -> str:
    """The name is what people know it by; one without is counted, from 1."""
    found = table.get("name")
    return f'{file}: source "{found}"' if isinstance(found, str) and found else f"{file}: [[source]] number {number}"


def _whole(table: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]], where: str) -> Mapping[str, Any]:
    """A source with what its template says and it does not."""
    name = table.get("template")
    if name is None:
        return table
    if not isinstance(name, str) or name not in templates:
        known = suggest(str(name), templates) if templates else ", nor any other"
        raise UsageError(f"{where}: template: there is no [template.{name}]{known}")
    own = {key: value for key, value in table.items() if key != "template"}
    return {**templates[name], **own}
