"""What the integration tests share."""

from __future__ import annotations

import pytest

from tests.integration.site import Site


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An undisturbed site, sealed after every recording, so that its chains have several entries; copy it."""
    site = Site(tmp_path_factory.mktemp("site")).prepare().create_topics()
    site.fill(between=lambda: site.drain())
    return site
