"""How tests are marked that boot a guest."""

from __future__ import annotations

import platform
from contextlib import suppress
from typing import Final

import pytest

BOOT_S: Final = 900.0
"""So long one boot may take on a machine that has much else to do; alone it takes a minute or two."""
DEBIAN: Final = ("debian", "12")


def _missing() -> str:
    """Why this machine can have no guest; nothing where it can. What is not installed is no such reason."""
    system: dict[str, str] = {}
    with suppress(OSError):
        system = platform.freedesktop_os_release()
    if platform.machine() != "x86_64":
        return f"the guest is an x86-64 machine, and this one is {platform.machine()}"
    if (system.get("ID"), system.get("VERSION_ID")) != DEBIAN:
        found = system.get("PRETTY_NAME", "another system")
        return f"the guest's modules are built of Debian 12's kernel, and this is {found}"
    return ""


_HERE: Final = pytest.mark.skipif(bool(_missing()), reason=_missing() or "it runs here")
DEVICES: Final = [_HERE, pytest.mark.xdist_group("kernel"), pytest.mark.timeout(BOOT_S + 300)]
"""They share two guests, which are part of the first of them; so is the making of the kernel and of the kept boot."""
POWER: Final = [_HERE, pytest.mark.xdist_group("power"), pytest.mark.timeout(BOOT_S + 300)]
"""Beside the devices."""
GUESTS: Final = [_HERE, pytest.mark.soak, pytest.mark.xdist_group("kernel"), pytest.mark.timeout(0)]
"""One after the other, and for as long as it takes."""
