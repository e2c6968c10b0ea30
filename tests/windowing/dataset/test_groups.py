"""What never belongs on both sides of a split: a device, a recording, or what recordings say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import sensorloom
from ingest.errors import UsageError
from ingest.log.protocol import READINGS
from ingest.records import RecordingStart
from tests.service.test_run import START_NS, Site, append, record
from windowing.dataset.reader import Dataset, open_dataset
from windowing.dataset.status import status_of
from windowing.dataset.verify import Verification


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def says(there: Site, device: str, /, **attributes: str) -> None:
    append(there.log, READINGS, RecordingStart(device, "r", device.encode(), START_NS, "test", attributes=attributes))


def opened(site: Site) -> Dataset:
    assert site.drain() == 0
    return open_dataset(site.out)


def groups(dataset: Dataset, by: str) -> list[str]:
    return list(dict.fromkeys(dataset.arrays("keep", groups=by).groups.tolist()))


def test_windows_carry_the_attributes_of_their_recordings(site: Site) -> None:
    says(site, "a", subject="u07", site="B")
    says(site, "b", subject="u07")
    record(site.log, "a", 4)
    record(site.log, "b", 4)
    dataset = opened(site)
    assert dataset.attributes == ("site", "subject")
    assert dataset.windows().select("device", "site", "subject").unique().sort("device").rows() == [
        ("a", "B", "u07"),
        ("b", None, "u07"),
    ]
    assert groups(dataset, "subject") == ["u07"]
    assert groups(dataset, "device") == ["a", "b"] == list(dict.fromkeys(dataset.arrays("keep").groups))
    assert groups(dataset, "recording") == ["a/r", "b/r"]
    assert Verification(site.out).run(lambda count: None).problems == []


def test_a_group_that_some_windows_lack_is_no_group(site: Site) -> None:
    says(site, "a", subject="u07")
    record(site.log, "a", 4)
    record(site.log, "b", 4)
    dataset = opened(site)
    with pytest.raises(UsageError, match='7 windows have no "subject", as those of recording r of b'):
        dataset.arrays("keep", groups="subject")
    with pytest.raises(UsageError, match='found "subjekt".*Did you mean "subject"'):
        dataset.arrays("keep", groups="subjekt")
    with pytest.raises(UsageError, match='found "None"; known: device, recording'):
        dataset.arrays("keep", groups=None)  # type: ignore[call-overload]


def test_what_is_said_later_counts_and_what_is_not_said_again_stays(site: Site) -> None:
    says(site, "a", subject="u7", site="B")
    record(site.log, "a", 4, end=False)
    assert site.drain() == 0
    says(site, "a", subject="u07")
    (row,) = opened(site).windows().select("site", "subject").unique().rows()
    assert row == ("B", "u07")


def imported(site: Site, file: Path, device: str, stream: str, unit: str) -> None:
    words = ["import", "readings", str(file), "--device", device, "--stream", stream, "--log", site.log]
    words += ["--columns", "x,y", "--unit", unit, "--rate", "50Hz", "--start", "2026-01-01T00:00:00Z"]
    assert sensorloom.main(words) == 0


def test_status_names_mixed_units_and_streams_that_no_window_names(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.csv"
    file.write_text("x,y\n" + "".join(f"{number % 7},1\n" for number in range(200)))
    imported(site, file, "p", "acc", "g")
    imported(site, file, "q", "acc", "m/s2")
    imported(site, file, "q", "gyro", "rad/s")
    dataset = opened(site)
    status = status_of(dataset)
    assert status.units == {"acc.x": {"g": 1, "m/s2": 1}, "acc.y": {"g": 1, "m/s2": 1}}
    assert status.unnamed == {"gyro": 1}
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(site.out)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "acc.x came in g (1 recording), m/s2 (1 recording): name the one that you want in [window.units]" in told
    assert "the stream gyro of 1 recording is in no window" in told
    (mixed,) = dataset.windows().filter(device="q")["recording"].unique()
    words = ["import", "undo", "--device", "q", "--recording", mixed, "--reason", "wrong unit", "--log", site.log]
    assert sensorloom.main(words) == 0
    assert status_of(opened(site)).units == {"acc.x": {"g": 1}, "acc.y": {"g": 1}}, "undone imports have no units"


def test_status_names_recordings_of_a_device_that_lie_at_the_same_times(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    rows = "x,y\n" + "".join(f"{number % 7},1\n" for number in range(200))
    first.write_text(rows)
    again.write_text(rows + "3,1\n")  # the same file, when it had grown
    imported(site, first, "p", "acc", "g")
    imported(site, first, "q", "acc", "g")
    assert status_of(opened(site)).overlapping == {}
    imported(site, again, "p", "acc", "g")
    dataset = opened(site)
    ((device, counts),) = status_of(dataset).overlapping.items()
    assert (device, sum(counts.values())) == ("p", len(dataset.windows().filter(device="p")))
    capsys.readouterr()
    assert sensorloom.main(["dataset", "status", str(site.out)]) == 0
    assert "windows lie at the times of another recording's, of import-" in capsys.readouterr().out


def test_an_import_says_what_it_is_told(site: Site, tmp_path: Path) -> None:
    rows = "".join(f"{number / 50},{number % 7},1\n" for number in range(200))
    (tmp_path / "run.csv").write_text("t,x,y\n" + rows)
    words = ["import", "readings", str(tmp_path / "run.csv"), "--device", "p", "--stream", "acc", "--log", site.log]
    words += ["--columns", "x,y", "--unit", "g", "--rate", "50Hz", "--start", "2026-01-01T00:00:00Z"]
    assert sensorloom.main([*words, "--set", "subject=u07", "--set", "device=x"]) == 2
    assert sensorloom.main([*words, "--set", "subject=u07", "--set", "site=B"]) == 0
    assert groups(opened(site), "subject") == ["u07"]
