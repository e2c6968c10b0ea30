"""What the commands say before they begin, and what an import that is repeated leaves as it was."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import sensorloom
from tests.integration.site import Site, wait_for


@pytest.fixture
def site(tmp_path: Path) -> Site:
    found = Site(tmp_path / "site")
    found.folder.mkdir()
    return found.prepare()


def test_a_log_whose_name_is_mistyped_is_not_begun_by_an_old_dataset(site: Site) -> None:
    site.create_topics().fill()
    assert site.drain().code == 0
    wrong = f"segments:{site.folder}/lgo"
    words = ("window", "run", "-c", site.config, "--log", wrong, "--out", site.out)
    site(*words).refused(2, "there is no log", "check the folder's name")
    assert not (site.folder / "lgo").exists()


def test_a_service_that_begins_a_log_says_so(site: Site) -> None:
    running = site.start(*site.window_words())
    running.says("there is no log yet; one is begun here")
    wait_for(lambda: any(site.out.glob("windows/*/genesis.json")), "the dataset")
    assert running.ends(signal.SIGTERM) == 0


def test_an_option_that_must_be_given_is_given_once(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sensorloom.main([*map(str, site.window_words("--log", "segments:other"))])
    assert ended.value.code == 2
    assert "--log is given twice; give it once" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        sensorloom.main(["log", "topics", "--log", site.log, "--log", site.log])


@pytest.mark.parametrize(("first", "then"), [("1s", "4s"), ("4s", "1s"), ("300ms", "1s")])
def test_importing_again_with_other_chunks_adds_nothing(site: Site, first: str, then: str) -> None:
    site.create_topics()
    words = [word for word in site.import_words("pump-0", 0) if word not in ("--recording", "r0")]
    assert site(*words, "--chunk", first).code == 0
    assert site.drain().code == 0
    digest = site.digest()
    assert site(*words, "--chunk", then).code == 0
    assert site.drain().code == 0
    assert site.digest() == digest
    anew = Site(site.folder)
    anew.out = site.folder / "anew"
    assert anew.drain().code == 0
    assert anew.digest() == digest
    other = Site(site.folder)
    other.log, other.out = f"segments:{site.folder}/other-log", site.folder / "other"
    assert other(*(other.log if word == site.log else word for word in words), "--chunk", then).code == 0
    assert other.drain().code == 0
    assert other.digest() == digest
