"""Sources and decoders by name: `edge.sources` and `edge.decoders` look them up here, and each is imported on use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ingest.errors import MissingLibraryError, UsageError
from ingest.settings import suggest


def plugin(kind: str, table: Mapping[str, str], name: str, where: str) -> Any:
    """The class that `table` (`module:class` by name), or an entry point of group `sensorloom.<kind>s`, has for a name.

    Raises:
        UsageError: nothing has that name, or a library that it needs is missing.
    """
    path = table.get(name)
    if path is None:  # all installed packages are looked through
        others = {point.name: point.value for point in entry_points(group=f"sensorloom.{kind}s")}
        path = others.get(name)
        if path is None:
            raise UsageError(f'{where}: unknown {kind} type "{name}"{suggest(name, [*table, *others])}')
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise MissingLibraryError(f'{where}: {kind} "{name}"', error.name, "edge") from None
