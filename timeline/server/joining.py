"""The page's ES modules as one script, joined when the server reads them: what a browser asks for once is here sooner
than fifty modules that it asks for one by one.

Whoever edits the page knows nothing of it: no build step, and each module is a scope of its own as before. A module
becomes a function that returns what it exports, in the order in which a browser would run them; an import takes that
apart. Only the forms that the page uses are understood, in which what is exported is never another value later; all
others are refused with words. Lines keep their places: line `n` of a module is `n` lines below its name in the script.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ingest.errors import UsageError

_IMPORT: Final = re.compile(r'import \{ (?P<names>\w+(?:, \w+)*) \} from "\./(?P<module>\w+\.js)";')
_EXPORT: Final = re.compile(r"export (?=(?:const|class|function|async function) (?P<name>\w+)\b)")
_WORDS: Final = re.compile(r"\b(?:import|export)\b")
_AWAIT: Final = re.compile(r"\bawait\b")
_FORMS: Final = 'import { a, b } from "./module.js"; and export before const, function, async function and class'
_TOKEN: Final = re.compile(
    r"""//[^\n]*|/\*.*?\*/|/\*
    |"(?:[^"\\\n]|\\.)*"|"|'(?:[^'\\\n]|\\.)*'|'|`|\{|\}
    |/(?:(?<=[(,=:\[!&|?;]/)|(?<=[(,=:\[!&|?;]\ /)|(?<=return\ /))(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/""",
    re.DOTALL | re.VERBOSE,
)
"""Comments; strings, and what opens or closes something; regular expressions, which stand where no division can."""
_TEMPLATE: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(`|\$\{)", re.DOTALL)
_PLACES: Final = re.compile(r"[^\n]+")


@dataclass(frozen=True, slots=True)
class _Module:
    imports: tuple[tuple[str, tuple[str, ...], int], ...]
    """Another module, what of it, and in which line that stands."""
    exports: tuple[str, ...]
    lines: tuple[str, ...]
    """Those of its function: of comments, which may be half of all, the line remains."""


def joined(modules: Mapping[str, str], entry: str) -> str:
    """The module `entry` and what it imports as the text of one module; `modules` are texts by file name.

    Raises:
        UsageError: a module is missing or imports itself, or holds what is not understood: where, and what.
    """
    read: dict[str, _Module] = {}
    _visit(modules, entry, (), read)
    return "".join(_scope(name, module) for name, module in read.items())


def _visit(modules: Mapping[str, str], name: str, path: tuple[str, ...], read: dict[str, _Module]) -> None:
    """Put a module into `read`, behind all that it imports."""
    module = _module(name, modules[name])
    for other, names, line in module.imports:
        where = f"{name}:{line}: imports {other}"
        if other in (*path, name):
            raise UsageError(
                f"{where}, which imports it in turn: {' -> '.join((*path, name, other))}; break the circle"
            )
        if other not in modules:
            raise UsageError(f"{where}, and there is no such module")
        if other not in read:
            _visit(modules, other, (*path, name), read)
        for each in names:
            if each not in read[other].exports:
                raise UsageError(f"{where}, which exports no {each}")
    read[name] = module


def _scope(name: str, module: _Module) -> str:
    body = "\n".join(module.lines)
    return f"const {_variable(name)} = (() => {{ // {name}\n{body}\nreturn {{ {', '.join(module.exports)} }}; }})();\n"


def _variable(name: str) -> str:
    return name.replace(".", "$")


def _module(name: str, text: str) -> _Module:
    imports, exports, lines = [], [], []
    depth = 0
    for number, (line, code) in enumerate(zip(text.split("\n"), _code(name, text).split("\n"), strict=True), 1):
        if found := code.startswith("import ") and _IMPORT.fullmatch(line):
            imports.append((found["module"], tuple(found["names"].split(", ")), number))
            line = f"const {{ {found['names']} }} = {_variable(found['module'])};"
        elif found := code.startswith("export ") and _EXPORT.match(line):
            exports.append(found["name"])
            line = line[found.end() :]
        elif _WORDS.search(code):
            raise UsageError(f"{name}:{number}: {line.strip()}: only these forms are joined: {_FORMS}")
        elif not depth and _AWAIT.search(code):
            raise UsageError(f"{name}:{number}: {line.strip()}: await stands within the braces of a function only")
        depth += code.count("{") - code.count("}")
        lines.append(line if code.strip() else "")
    return _Module(tuple(imports), tuple(exports), tuple(lines))


def _code(name: str, text: str) -> str:
    """A text of the same lines and places in which comments are blank, and texts are tildes."""
    parts: list[str] = []
    within: list[str] = []  # which braces and templates are open here
    at = 0
    while found := (_TEMPLATE.match(text, at) if within[-1:] == ["`"] else _TOKEN.search(text, at)):
        parts.append(text[at : found.start()])
        token, at = found[0], found.end()
        if found.re is _TEMPLATE:
            if found[1] == "`":
                within.pop()
            else:
                within.append("${")
            parts.append(_filled(token, "~"))
        elif token in ('"', "'", "/*"):
            within.append(token)
            break
        elif token in ("{", "`"):
            within.append(token)
            parts.append(token.replace("`", "~"))
        elif token == "}":
            parts.append("}" if within and within.pop() == "{" else "~")
        else:
            parts.append(_filled(token, " " if token.startswith(("//", "/*")) else "~"))
    if within:
        line = text.count("\n", 0, at) + 1
        raise UsageError(f"{name}:{line}: what is open here, {within[-1]}, has no end")
    return "".join((*parts, text[at:]))


def _filled(text: str, mark: str) -> str:
    return _PLACES.sub(lambda line: mark * len(line[0]), text)
