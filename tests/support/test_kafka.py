"""The broker's helper says what is missing, and shares its jars."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import kafka
from tests.support.kafka import KafkaBroker, class_archive, server_jars
from tests.support.server import ServerError


@pytest.mark.parametrize(("tool", "package"), [("java", "default-jre-headless"), ("mvn", "maven")])
def test_a_missing_tool_is_an_error_that_says_how_to_get_it(
    tool: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=f"^{tool}: not found; .*{package}"):
        KafkaBroker() if tool == "java" else server_jars(tmp_path / "jars")


def test_two_who_ask_at_once_resolve_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def resolve(folder: Path) -> None:
        calls.append(folder)
        folder.mkdir()
        (folder / "kafka.jar").touch()

    monkeypatch.setattr(kafka, "_resolve", resolve)
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: server_jars(tmp_path / "jars"), range(4)))
    assert set(folders) == {tmp_path / "jars"}
    assert (tmp_path / "jars" / "kafka.jar").exists()
    assert len(calls) == 1


def test_a_broker_starts_from_an_archive_of_its_classes() -> None:
    """Java refuses to start where it cannot use an archive that it is told to use (`-Xshare:on`)."""
    archive = class_archive()
    begun_ns = archive.stat().st_mtime_ns
    assert class_archive().stat().st_mtime_ns == begun_ns, "made again"
    java = ["java", "-Xshare:on", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={archive}"]
    for jars, fits in ((server_jars(), True), (archive.with_name("elsewhere"), False)):
        command = [*java, "-cp", f"{jars}/*", "-version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert (done.returncode == 0) == fits, done
