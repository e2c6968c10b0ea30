"""What the integration tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.site import Site, Undisturbed


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """An undisturbed site, sealed after every recording, so that its chains have several entries; copy it."""
    site = Site(tmp_path_factory.mktemp("site")).prepare().create_topics()
    site.fill(between=lambda: site.drain())
    return Undisturbed(site.folder)


@pytest.fixture
def site(whole: Site, tmp_path: Path) -> Site:
    """A filled log and a sealed dataset, to damage."""
    return whole.copy(tmp_path)


@pytest.fixture
def fresh(whole: Site, tmp_path: Path) -> Site:
    """A filled log, and no dataset yet."""
    return whole.copy(tmp_path, dataset=False)
