"""Rule files on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import UsageError

if TYPE_CHECKING:
    from labeling.rules.compile import RuleSet


def read_rules(path: Path) -> RuleSet:
    """The rules in a file; its name is the author of their marks.

    Raises:
        UsageError: it cannot be read, or is no rule file (a `RuleError`, with line and column).
    """
    from labeling.rules.compile import compile_rules  # its grammar is built at import: only where rules run

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such rule file") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: no UTF-8 at byte {error.start}; save the file as UTF-8") from None
    return compile_rules(text, path.name)
