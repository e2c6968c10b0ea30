"""What a log's URL says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.errors import LogConfigError, UsageError
from ingest.log.protocol import LIVE, MARKS, READINGS, STREAMS, Entry
from ingest.opening import check_begun, check_free, check_out, open_log


def kept(folder: Path, options: str, *topics: str) -> dict[str, tuple[int, int | None, int | None]]:
    """Open the log with these options and make sure of the topics; partitions, ms and bytes that each has then."""

    async def main() -> None:
        log = open_log(f"segments:{folder}{options}")
        for topic in topics:
            await log.ensure(topic)
        await log.close()

    asyncio.run(main())
    found = {}
    for topic in topics:
        meta = json.loads((folder / "topics" / topic / "meta.json").read_bytes())
        found[topic] = (meta["partitions"], meta["retention_ms"], meta["retention_bytes"])
    return found


def test_a_url_says_how_topics_are_kept(tmp_path: Path) -> None:
    found = kept(tmp_path, "?partitions=3&retention=30d&retention_bytes=100GB", READINGS, MARKS, STREAMS, LIVE)
    assert found == {
        READINGS: (3, 30 * 86_400_000, 10**11),
        MARKS: (3, None, None),
        STREAMS: (3, None, None),
        LIVE: (3, 3_600_000, None),
    }


def test_a_bound_may_change_and_stays_until_somebody_says_otherwise(tmp_path: Path) -> None:
    assert kept(tmp_path, "", READINGS) == {READINGS: (4, None, None)}
    assert kept(tmp_path, "?retention=2h", READINGS) == {READINGS: (4, 7_200_000, None)}
    assert kept(tmp_path, "", READINGS) == {READINGS: (4, 7_200_000, None)}
    assert kept(tmp_path, "?retention_bytes=1MB", READINGS) == {READINGS: (4, 7_200_000, 10**6)}
    assert kept(tmp_path, "?retention=forever", READINGS) == {READINGS: (4, None, 10**6)}


def test_retention_of_a_url_is_carried_out(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        log = open_log(f"segments:{tmp_path}?partitions=1&retention_bytes=20MB")
        for _ in range(150):
            await log.append(READINGS, [Entry(b"k", bytes(1_000_000))])
        bounds = (await log.bounds(READINGS))[0]
        await log.close()
        return bounds.begin, bounds.end

    begin, end = asyncio.run(main())
    assert end == 150
    assert begin > 0


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("segments:{}?partition=3", 'unknown key "partition"; known: partitions, retention, retention_bytes.'),
        ("segments:{}?partitions=0", 'partitions: found "0", expected 1 or more'),
        ("segments:{}?partitions=four", 'partitions: found "four", expected 1 or more'),
        ("segments:{}?retention=30", "retention: duration: found"),
        ("segments:{}?retention=10us", 'retention: "10us" keeps nothing; use 30d, or forever'),
        ("segments:{}?retention_bytes=0B", 'retention_bytes: "0B" keeps nothing; use 100GB, or forever'),
        ("segments:{}?retention=", "retention: duration: found"),
        ("kafka://127.0.0.1:9?retention=3d", 'unknown key "retention"; known: partitions.'),
    ],
)
def test_a_wrong_option_is_refused(tmp_path: Path, url: str, told: str) -> None:
    url = url.format(tmp_path)
    with pytest.raises(UsageError) as caught:
        open_log(url)
    assert str(caught.value).startswith(f"log: {url}: {told}")


def test_who_reads_is_told_of_a_mistyped_folder(tmp_path: Path) -> None:
    check_begun(f"segments:{tmp_path}?partitions=3")
    with pytest.raises(UsageError, match="there is no log"):
        check_begun(f"segments:{tmp_path}/typo?partitions=3")


def test_a_folder_of_another_kind_is_named_and_the_log_that_was_meant(tmp_path: Path) -> None:
    asyncio.run(appended(f"segments:{tmp_path}/site/log"))
    (tmp_path / "site/dataset").mkdir()
    near = f"did you mean segments:{tmp_path}/site/log?"
    with pytest.raises(UsageError, match=re.escape("is no log, but holds dataset, log; " + near)):
        check_begun(f"segments:{tmp_path}/site")
    with pytest.raises(UsageError, match=re.escape("there is no log; check the folder's name; " + near)):
        check_begun(f"segments:{tmp_path}/site/lgo")
    with pytest.raises(UsageError, match="one log is read at a time"):
        check_begun(f"segments:{tmp_path}/site/log,segments:{tmp_path}/b")
    check_free(f"segments:{tmp_path}/new")


def test_no_log_is_begun_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("")
    with pytest.raises(
        LogConfigError, match=r"holds other files \(dataset.toml\), and no log; name a folder of its own"
    ):
        asyncio.run(appended(f"segments:{tmp_path}"))
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.toml"]
    (tmp_path / "empty/lost+found").mkdir(parents=True)
    asyncio.run(appended(f"segments:{tmp_path}/empty"))


async def appended(url: str) -> None:
    log = open_log(url)
    try:
        await log.append(READINGS, [Entry(b"k", b"v")])
    finally:
        await log.close()


def test_no_work_is_laid_into_a_log_or_a_file(tmp_path: Path) -> None:
    log = open_log(f"segments:{tmp_path}/log")
    asyncio.run(log.ensure(READINGS))
    asyncio.run(log.close())
    (tmp_path / "note").write_text("a note")
    check_out(tmp_path / "archive", "the archive's folder")
    with pytest.raises(UsageError, match="log holds a log of segments, which is kept apart; name the archive's folder"):
        check_out(tmp_path / "log", "the archive's folder")
    with pytest.raises(UsageError, match="note is a file; name the archive's folder"):
        check_out(tmp_path / "note", "the archive's folder")


def test_an_option_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an option is given twice; give it once"):
        open_log(f"segments:{tmp_path}?partitions=2&partitions=3")


def test_a_log_that_another_process_makes_meanwhile_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Path.iterdir

    def made_meanwhile(folder: Path) -> Iterator[Path]:
        if folder == tmp_path:
            (folder / "topics").mkdir(exist_ok=True)
        return names(folder)

    monkeypatch.setattr(Path, "iterdir", made_meanwhile)
    asyncio.run(appended(f"segments:{tmp_path}"))
