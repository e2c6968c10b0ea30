"""The same guests for all tests of the kernel that run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernel.machine import result, run_guests


@pytest.fixture(scope="session")
def guests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs the guest's scripts that the collected modules name (`GUEST`), and gives the folder of each by its name."""
    modules = {item.getparent(pytest.Module) for item in request.session.items}
    names = {getattr(module.obj, "GUEST", None) for module in modules if module is not None}
    folder = tmp_path_factory.mktemp("guest")
    run_guests(sorted(name for name in names if name is not None), folder)
    return lambda name: result(name, folder)
