"""What a user does about a file of the kernel's, or a device's, that may not be opened: a command that works."""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path
from typing import NamedTuple


class Ownership(NamedTuple):
    """Whose a file is, and what its mode lets its group do."""

    group: str
    mode: int

    def lets_in(self, *, writes: bool) -> bool:
        """Who joins the group may open it. Nobody is told to join root's."""
        wanted = stat.S_IRGRP | (stat.S_IWGRP if writes else 0)
        return self.mode & wanted == wanted and self.group not in ("root", "0")


def way_in(path: str | Path, lasting: str, *, writes: bool = True, folder: Path | None = None) -> str:
    """What this user does to open a file, a command first.

    `lasting` says what gives it to whom for good; empty where a disk keeps whose it is. `folder`: its folder is given
    to the user as a whole, as there are more such files in it.
    """
    try:
        info = Path(path).stat()
    except OSError:
        return f"a folder above it is closed to this user: namei -l {shlex.quote(str(path))} shows which"
    given = f"{folder}/" if folder else str(path)
    return advice(given, Ownership(_group(info.st_gid), info.st_mode), user(), lasting, writes=writes)


def advice(given: str, owned: Ownership, user: str, lasting: str, *, writes: bool = True) -> str:
    """The same, of what was found; `given`: the file, or a folder (it ends in `/`). Pure."""
    if owned.lets_in(writes=writes):
        return f"join its group: sudo usermod -aG {owned.group} {user}, and log in anew (restart a service)"
    chown = f"sudo chown{' -R' if given.endswith('/') else ''} {user} {shlex.quote(given)}"
    return f"{chown} gives it to this user" + (f" until the next boot, {lasting} for good" if lasting else "")


def user() -> str:
    """By which name this process is known."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
