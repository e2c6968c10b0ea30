"""Who changes something that is kept for ever."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """Who runs this, for ledgers: `user@host`, the number of a user without a name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
