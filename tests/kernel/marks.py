"""How tests are marked that boot a guest."""

from __future__ import annotations

from typing import Final

import pytest

GUESTS: Final = [pytest.mark.soak, pytest.mark.xdist_group("kernel"), pytest.mark.timeout(0)]
"""One after the other, and for as long as it takes: a guest has what the host leaves it."""
