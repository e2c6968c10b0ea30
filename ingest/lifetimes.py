"""How long every operator knows a recording, in the log's own time: nothing depends on a wall clock."""

from __future__ import annotations

from typing import Final

DAY_NS: Final = 86_400 * 10**9
WAIT_NS: Final = DAY_NS
"""So far may one stream of a recording be ahead of another, in event time, and still wait for it."""
ABANDONED_NS: Final = 30 * DAY_NS
"""A recording with no record for so long is closed; should it go on, it goes on."""
DEDUPE_MEMORY_NS: Final = 30 * DAY_NS
"""How long a boot's sequence numbers are known after its recordings have ended."""
ABANDONED_MEMORY_NS: Final = 365 * DAY_NS
"""How long a recording that was closed as abandoned is known: its device may come back from a drawer."""
