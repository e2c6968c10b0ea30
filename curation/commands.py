"""`sensorloom dataset`: what looks at a dataset (`windowing.commands`), and what is made of one.

What a command needs is imported when it runs.
"""

from __future__ import annotations

from typing import Any

from curation.cleaning import commands as cleaning
from curation.documents import commands as documenting
from curation.exports import commands as exporting
from curation.forgetting import commands as forgetting
from curation.planning import commands as planning
from curation.versions import commands as versions
from windowing import commands as looking


def register(subparsers: Any) -> None:
    """Add the command's parser."""
    actions = looking.register(subparsers)
    for part in (planning, cleaning, versions, exporting, documenting, forgetting):
        part.register(actions)
