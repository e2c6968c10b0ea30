"""Types that msgspec decodes are known to it once their modules are there.

At the first use of a dataclass, a named tuple or a typed dict it keeps on the class what it has learned so far: another
thread that decodes at that moment sees half of it, and the process ends by SIGSEGV (msgspec 0.22). An agent that was
begun anew over a log of several partitions ended so, once in thousands of starts.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec.inspect

PROJECT = Path(__file__).parents[1]
PACKAGES = (
    "curation",
    "edge",
    "ingest",
    "labeling",
    "preparing",
    "service",
    "simulators",
    "sinks",
    "timeline",
    "windowing",
)
_HALF = (msgspec.inspect.DataclassType, msgspec.inspect.NamedTupleType, msgspec.inspect.TypedDictType)


def decoded() -> Iterator[tuple[str, Any]]:
    """Each module, and each type that it names where it decodes."""
    for path in sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")):
        text = path.read_text()
        if "msgspec" not in text:
            continue
        module = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        for call in ast.walk(ast.parse(text)):
            if not isinstance(call, ast.Call):
                continue
            named = [word.value for word in call.keywords if word.arg == "type"]
            if ast.unparse(call.func) == "msgspec.convert":
                named += call.args[1:2]
            for name in named:
                if isinstance(name, ast.Name) and name.id in (known := vars(import_module(module))):
                    yield module, known[name.id]


def halves(kind: Any) -> Iterator[type]:
    """The classes in a type that msgspec learns bit by bit."""
    left, seen = [msgspec.inspect.type_info(kind)], set[int]()
    while left:
        info = left.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if isinstance(info, _HALF):
            yield info.cls
        for name in ("key_type", "value_type", "item_type"):
            left += [getattr(info, name)] if getattr(info, name, None) else []
        for name in ("types", "item_types"):
            left += getattr(info, name, ())
        left += [field.type for field in getattr(info, "fields", ())]


def test_no_thread_sees_half_of_what_is_known_of_a_type() -> None:
    """In a process of its own each: what another test has decoded is known."""
    found = sorted({(module, cls.__module__, cls.__qualname__) for module, kind in decoded() for cls in halves(kind)})
    lines = ["import sys", "from importlib import import_module", "late = []"]
    for module, home, name in found:
        lines.append(f"import_module({module!r})")
        lines.append(f"kind = import_module({home!r}).{name}")
        lines.append(f"if '__msgspec_cache__' not in vars(kind): late.append(({module!r}, {name!r}))")
    lines.append("sys.exit(f'make their decoders when the module is imported: {late}' if late else 0)")
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
