"""Wrong configurations, files, logs and names, through the command line: a clear line, or a fault that is counted."""

from __future__ import annotations

import gzip
import json
import signal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.log.protocol import READINGS
from tests.integration.site import CONFIG, DEVICES, FILES, RATE, Site, wait_for

# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("length", "lenght", 'window: unknown key "lenght"; known: anchor, channels'),
        (
            "[window]",
            "[windows]",
            'unknown key "windows"; known: about, labels, name, plan, privacy, rules, window. Did',
        ),
        (
            "",
            '[labels]\npolcy = "any"',
            'labels: unknown key "polcy"; known: background, classes, min_share, policy. Did you',
        ),
        ("", '[window.streams.acc]\nmaxgap = "1s"', 'streams.acc: unknown key "maxgap"'),
        ("", '[window.streams.ac]\nmax_gap = "1s"', '"ac" is no stream of the channels; known: acc.'),
        ("", '[window.units]\n"acc.w" = "g"', '"acc.w" is no stream or channel; known: acc, acc.x, acc.y.'),
        ("50Hz", "50hz", 'window.rate: rate: found unit "hz"; use Hz, kHz'),
        ("50Hz", "50", 'window.rate: rate: found "50"; use Hz'),
        ("50Hz", "0Hz", 'window.rate: rate: "0Hz" is not above 0 Hz'),
        ("length = 100", 'length = "2sec"', 'window.length: duration: found unit "sec"; use ns, us'),
        ("length = 100", 'length = "2.55s"', "is 127.5 steps at 50 Hz; the nearest whole number is 128 samples"),
        ("length = 100", "length = 0", "window.length: found 0, expected at least one sample"),
        ("hop = 50", 'max_gap = "5 00ms"', 'window.max_gap: duration: found "5 00ms"'),
        ("hop = 50", "min_coverage = -1", "window.min_coverage: found -1"),
        ("epoch", "epcoh", 'anchor: unknown value "epcoh"; known: epoch, mark, recording. Did you mean "epoch"?'),
        ('"acc.x"', '"x"', 'channels: "x" is not stream.channel, as in acc.x'),
        ('"site"', "site", "not TOML"),
    ],
)
def test_a_wrong_configuration_is_one_line(fresh: Site, was: str, becomes: str, message: str) -> None:
    fresh.config.write_text(CONFIG.replace(was, becomes) if was else f"{CONFIG}\n{becomes}\n")
    fresh.drain().refused(2, str(fresh.config), message)
    assert not fresh.out.exists()


def test_units_that_the_stream_does_not_have_are_counted(whole: Site, fresh: Site) -> None:
    fresh.config.write_text(CONFIG + '\n[window.units]\nacc = "m/s2"\n')
    assert fresh.drain().code == 1, "it made no window"
    status = fresh.status()
    assert (status["windows"], status["counts"]["wrong_unit"]) == (0, len(FILES) * 20 * RATE)
    fresh.config.write_text(CONFIG)
    fresh.drain().refused(2, "holds windows with the spec", "use another --out")
    fresh.out = fresh.folder / "other"
    assert fresh.drain().code == 0
    assert fresh.digest() == whole.digest()


def test_a_channel_that_the_stream_does_not_have_is_counted(fresh: Site) -> None:
    fresh.config.write_text(CONFIG.replace("acc.y", "acc.z"))
    assert fresh.drain().code == 1, "it made no window"
    assert fresh.status()["counts"]["unknown_channel"] == len(FILES) * 20 * RATE


# --- files to import --------------------------------------------------------------------------------------------------

ROWS = "t,x,y\n2026-11-24T02:00:00Z,1,2\n2026-11-24T02:00:01Z,3,4\n"
TIMED = ["--time-column", "t"]


@pytest.mark.parametrize(
    ("text", "columns", "more", "message"),
    [
        (ROWS, "x,z", TIMED, 'no column "z"'),
        (ROWS, "x,y", ["--time-column", "time"], 'no column "time"; known: t, x, y.'),
        (ROWS.replace("Z", ""), "x,y", TIMED, "line 2"),
        (ROWS.replace("3,4", "three,4"), "x,y", TIMED, 'line 3: "three" is no number'),
        (ROWS.replace("3,4", "3,4,5"), "x,y", TIMED, "line 3: found 4 columns, expected 3"),
        (ROWS.replace("2026-11-24T02:00:01Z", "9999-11-24T02:00:01Z"), "x,y", TIMED, "line 3: time"),
        (ROWS.replace("2026-11-24T02:00:01Z", "1790000000"), "x,y", TIMED, "line 3"),
        (ROWS.replace("02:00:01Z", "25:00:01Z"), "x,y", TIMED, "line 3"),
        ("t,x,y\n", "x,y", TIMED, "no rows"),
        ("", "x,y", TIMED, "the file is empty"),
        (ROWS, "x,y", [*TIMED, "--unit", "g,g,g"], "--unit: found 3, expected 1 or 2"),
        (ROWS, "x,y", ["--rate", "50", "--start", "2026-11-24T02:00:00Z"], 'rate: found "50"; use Hz'),
        (ROWS, "x,y", ["--rate", "50Hz", "--start", "2026-11-24T02:00:00"], "names no zone"),
        (ROWS, "x,y", [*TIMED, "--chunk", "1sec"], 'duration: found unit "sec"'),
        (ROWS.replace("Z", ""), "x,y", [*TIMED, "--timezone", "Europe/Brusels"], '"Europe/Brusels" is no zone'),
        (ROWS, "x,y", ["--rate", "50Hz", "--start", "9999-11-24T02:00:00Z"], "out of range"),
        (ROWS, "x,y", [*TIMED, "--dtype", "int12"], "int12"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line_and_writes_nothing(
    tmp_path: Path, text: str, columns: str, more: list[str], message: str
) -> None:
    site = Site(tmp_path)
    file = tmp_path / "rows.csv"
    file.write_text(text)
    unit = [] if "--unit" in more else ["--unit", "g"]
    words = ["import", "readings", file, "--device", "d", "--stream", "acc", "--columns", columns, *unit, *more]
    site(*words, "--log", site.log).refused(2, message)
    assert not site.log_folder.exists()


AT_RATE = ["--rate", "1Hz", "--start", "2026-01-01T00:00:00Z"]
SECONDS = ["--time-column", "t", "--time-unit", "s"]
QUOTED = 't,x,size\n1767225600,0.1,3" pipe\n1767225601,0.2,4\n1767225602,0.3,5" pipe\n1767225603,0.4,6\n'
NEWEST_FIRST = "t,x\n" + "".join(f"{1767225604 - i / 10:.1f},{40 - i}\n" for i in range(40))
COARSE = "t,x\n" + "".join(f"{1767225600 + i // 10},{i}\n" for i in range(40))


@pytest.mark.parametrize(
    ("text", "columns", "more", "summary", "told"),
    [
        ("x,y\n1,2\n\n3,4\n\n5,6\n", "x,y", AT_RATE, {"samples": 3, "blank_lines": 2}, "2 blank lines were left out"),
        ("x,y\r1,2\r3,4\r", "x,y", AT_RATE, {"samples": 2, "lines": 3}, ""),
        ("0,1,2\n0.1,0.2,0.3\n0.4,0.5,0.6\n", "0,1,2", AT_RATE, {"samples": 2, "header_lines": 1}, ""),
        ("# a\n# b\nt,x\n1767225600,0.1\n", "x", SECONDS, {"samples": 1, "comment_lines": 2}, ""),
        (QUOTED, "x", SECONDS, {"samples": 4, "lines": 5}, ""),
        ('x,n\n1,"a\nb"\n2,c\n', "x", AT_RATE, {"samples": 2, "continued_lines": 1}, "1 lines belong to quoted cells"),
        (
            "t,x\n1767225600,9.81\n1767225601,9.82\n1767225602,9",
            "x",
            SECONDS,
            {"samples": 2, "torn_lines": 1},
            "cut off",
        ),
        (
            "t,x\n1767225600,9.81\n1767225601\n1767225602,9.8\n",
            "x",
            SECONDS,
            {"samples": 3, "short_rows": 1},
            "missing",
        ),
        ("t;x\n1767225600;0,12\n", "x", [*SECONDS, "--decimal", "comma"], {"samples": 1, "missing_cells": 0}, ""),
        ("t,x\n2026-01-05 02:00:00.5+01,1\n", "x", TIMED, {"samples": 1, "start_ns": 1767574800500000000}, ""),
        (
            NEWEST_FIRST,
            "x",
            SECONDS,
            {"samples": 40, "clock_steps": [], "start_ns": 1767225600100000000},
            "turned round",
        ),
        (COARSE, "x", [*SECONDS, "--repeated", "spread"], {"samples": 40, "spread_stamps": 36}, "were spread"),
        (
            COARSE,
            "x",
            [*SECONDS, "--repeated", "first"],
            {"samples": 4, "repeated_stamps": 36},
            "--repeated spread gives",
        ),
        ("t,x\n46023.5,1\n46023.500011574,2\n", "x", SECONDS, {"samples": 2}, "fits days since 1899-12-30"),
        ("t,x\n5,1\n6,2\n", "x", SECONDS, {"samples": 2}, "is 1970-01-01T00:00:06Z: if it counts from something else"),
        ("t,x\n5,1\n6,2\n", "x", [*SECONDS, "--origin", "4=1767225600s"], {"start_ns": 1767225601 * 10**9}, ""),
        ("t,x\n1,1e400\n", "x", [*SECONDS, "--start", "1767225600s"], {"missing_cells": 1}, "1 cells are infinite"),
    ],
)
def test_what_was_made_of_a_file_is_told(
    tmp_path: Path, text: str, columns: str, more: list[str], summary: dict[str, Any], told: str
) -> None:
    site = Site(tmp_path)
    (tmp_path / "rows.csv").write_text(text)
    words = ["import", "readings", tmp_path / "rows.csv", "--device", "d", "--stream", "acc", "--columns", columns]
    done = site(*words, "--unit", "g", *more, "--log", site.log, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {name: found[name] for name in summary} == summary
    assert told in done.err if told else done.err == ""
    others = ("header_lines", "comment_lines", "blank_lines", "continued_lines", "torn_lines")
    assert found["lines"] == found["samples"] + found["repeated_stamps"] + sum(found[name] for name in others)


@pytest.mark.parametrize(
    ("text", "columns", "more", "message"),
    [
        ("0,12;0,98\n", "x,y", AT_RATE, "a decimal comma: say --decimal comma"),
        ("t;x\n1767225600;0,12\n", "x", SECONDS, "it has a decimal comma; say --decimal comma"),
        ("logger 7\nt,x\n1,2\n", "x", SECONDS, "Line 2 has them: say --skip-rows 1"),
        ("t,x\n1767225600,1\n", "x", ["--time-column", "t", "--time-unit", "ms"], "it fits --time-unit s"),
        (
            "t,x\n1767225600,1\n",
            "x",
            ["--time-column", "t"],
            "as s since 1970 it is 2026-01-01T00:00:00Z; say --time-u",
        ),
        ("t,x\n2026-01-01T00:00:00+99:99,1\n", "x", TIMED, 'line 2: time: "+99:99" is no offset'),
        ('"' + "a" * 200_000 + '",x\n1,2\n', "x", AT_RATE, "line 1: field larger than field limit"),
        ("x\n1\n9007199254740993\n", "x", AT_RATE, "line 3: 9007199254740993 does not fit float64 exactly"),
        ('x,n\n1,"a\n2,b\n3,c"\n', "x", AT_RATE, "line 2: a quote opens a cell that would go on over line 3"),
        ("x\n1\n", "x", ["--rate", "1Hz", "--start", "1767225600"], "as s since 1970 it is 2026-01-01T00:00:00Z"),
        ("x\n1\n", "x", ["--rate", "1Hz", "--start", "2026-01-01T00:00:00+25:00"], "no offset from UTC"),
        ("x\n1\n", "x", ["--rate", "1e999999999Hz", "--start", "2026-01-01T00:00:00Z"], "is out of range"),
        ("t,x\n1,2\n", "x", [*SECONDS, "--origin", "5"], "expected VALUE=TIME, as in"),
        ("t,x\n1,2\n", "x", [*SECONDS, "--decimal", ","], 'found ",", expected point or comma'),
        (COARSE, "x", SECONDS, "or say --repeated spread, first or drop"),
        ("t,x\n5,1\n1,2\n9,3\n2,4\n8,5\n3,6\n", "x", SECONDS, "sort or split the file"),
    ],
)
def test_a_file_that_would_be_read_wrong_says_what_to_do(
    tmp_path: Path, text: str, columns: str, more: list[str], message: str
) -> None:
    site = Site(tmp_path)
    (tmp_path / "rows.csv").write_text(text)
    words = ["import", "readings", tmp_path / "rows.csv", "--device", "d", "--stream", "acc", "--columns", columns]
    site(*words, "--unit", "g", *more, "--log", site.log).refused(2, message)
    assert not site.log_folder.exists()


def test_a_packed_file_is_bounded(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"x\n" + b"0\n" * 100_000))
    words = ["import", "readings", tmp_path / "bomb.csv.gz", "--device", "d", "--stream", "acc", "--columns", "x"]
    words += ["--unit", "g", *AT_RATE, "--log", site.log]
    site(*words, "--max-bytes", "100kB").refused(
        2, "unpacks to more than 100,000 bytes", "raise the limit with --max-b"
    )
    assert site(*words, "--max-bytes", "210kB").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device,start,end,label\nd,1767225600,1767225605,run\n", 'line 2: time: "1767225600" is a number without'),
        ("device,start,end,label\nd,2026-01-01T00:00:00+25:00,,run\n", "line 2: time"),
        ("device,start,end,label\nd,2026-01-01T00:00:00Z,,gel\udce9\n", "line 2: byte 0xe9 is not UTF-8"),
        ("device,start,end,lable\n", 'line 1: unknown column "lable"; known:'),
        ("device,start,end\n", "label"),
        ("device,start,end,label\np,2026-11-24T02:00:00,,x\n", "line 2"),
        ("device,start,end,label\np,5000000000000,4000000000000,x\n", "line 2"),
        ("device,start,end,label\np,tomorrow,,x\n", "line 2"),
        ("device,start,end,label,confidence\np,5000000000000,,x,2\n", "expected a number from 0 to 1"),
    ],
)
def test_marks_that_cannot_be_imported_are_one_line_and_write_nothing(tmp_path: Path, text: str, message: str) -> None:
    site = Site(tmp_path)
    (tmp_path / "m.csv").write_bytes(text.encode(errors="surrogateescape"))
    site("import", "marks", tmp_path / "m.csv", "--log", site.log).refused(2, str(tmp_path / "m.csv"), message)
    assert not site.log_folder.exists()


# --- logs, folders and names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("segmets:log", "names no log; use segments:DIR or kafka://"),
        ("site/log", "a path needs the scheme: segments:DIR"),
        ("segments:", "names no log"),
        ("segments:nowhere/log", "there is no log; check the folder's name"),
        ("kafka:/127.0.0.1:9092", "names no log"),
        ("kafka://127.0.0.1:port", '"127.0.0.1:port" is no address; use host:9092'),
        ("kafka://127.0.0.1:9092,", '"" is no address'),
        ("kafka://127.0.0.1:9092/my.site", "cannot begin a topic's name"),
    ],
)
def test_a_mistyped_log_is_one_line(site: Site, url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    words = site.window_words("--until-idle")
    words[words.index("--log") + 1] = url
    site(*words).refused(2, message)
    assert not (site.folder / "nowhere").exists()


def test_a_file_in_the_way_is_one_line(site: Site) -> None:
    file = site.folder / "marks.csv"
    words = site.window_words("--until-idle")
    for out, code in ((file, 2), (file / "below", 1)):
        site(*words[:-2], out, "--until-idle").refused(code, str(file))
    words[words.index("--log") + 1] = f"segments:{file}"
    site(*words).refused(2, "there is no log")
    site(*words[:-1]).refused(2, str(file), "there is no log")
    words = site.window_words("--until-idle")
    words[words.index("-c") + 1] = str(site.folder)
    site(*words).refused(2, f"{site.folder}: Is a directory")


def test_a_network_file_system_is_refused(fresh: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    read_text = Path.read_text

    def mounted_at(folder: Path) -> None:
        def read(path: Path, *args: Any, **kwargs: Any) -> str:
            text = read_text(path, *args, **kwargs)
            more = f"99 1 0:99 / {folder} rw - nfs4 server:/export rw\n"
            return text + more if str(path) == "/proc/self/mountinfo" else text

        monkeypatch.setattr(Path, "read_text", read)

    mounted_at(fresh.out)
    fresh.drain().refused(2, f"{fresh.out}", "is on nfs4, a network file system; use a folder on a local disk")
    mounted_at(fresh.log_folder)
    fresh.drain().refused(2, f"{fresh.log_folder}: lies on a network file system (nfs4)", "put it on a local disk")


def test_a_changed_number_of_partitions_is_refused(whole: Site, site: Site, tmp_path: Path) -> None:
    meta = site.log_folder / "topics/readings/meta.json"
    data = meta.read_bytes()
    meta.write_bytes(data.replace(b'"partitions":2', b'"partitions":1'))
    site.drain().refused(2, "topic readings had 2 partitions, now it has 1", "use another --out")
    meta.write_bytes(data.replace(b'"partitions":2', b'"partitions":3'))
    site.drain().refused(1, str(meta.parent))
    meta.write_bytes(data)
    site(*site.import_words(*FILES[0]), "--partitions", "3").refused(2, "has 2 partitions, 3 were asked for")
    other = Site(tmp_path / "other")
    other.folder.mkdir()
    words = site.window_words("--until-idle")
    words[words.index("--log") + 1] = other.prepare().create_topics().fill().log
    site(*words).refused(2, "began with the log", "use the first log, or another --out")
    assert site.drain().code == 0
    assert site.digest() == whole.digest()


def test_two_services_of_one_name_are_one_too_many(whole: Site, fresh: Site) -> None:
    first = fresh.start(*fresh.window_words("--instance", "w", "--seal-seconds", "0.1"))
    try:
        wait_for(lambda: any(fresh.out.glob("windows/*/manifest/*/0*.json")), "a seal")
        fresh.drain("--instance", "w").refused(2, "another process is the member 'w'", "give each worker a name")
        assert first.process.poll() is None
        assert fresh.drain("--instance", "v").code == 0
        assert first.ends(signal.SIGTERM) == 0
        assert fresh.digest() == whole.digest()
    finally:
        first.kill()


@pytest.mark.parametrize("kind", ["segments", "kafka"])
def test_an_import_that_is_refused_for_its_size_leaves_nothing_in_the_way(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A lone end of the recording was left, and the next try was told that the recording had ended."""
    samples, too_much = (400_000, "5MB") if kind == "kafka" else (3_000_000, "40MB")
    log = f"segments:{tmp_path / 'log'}"
    if kind == "kafka":
        log = f"kafka://{request.getfixturevalue('kafka_bootstrap')}/size-{uuid.uuid4().hex[:8]}"
    site = Site(tmp_path, log)
    np.save(tmp_path / "big.npy", np.random.default_rng(1).normal(size=(samples, 3)).astype(np.float32))
    words = ["import", "readings", tmp_path / "big.npy", "--device", "d", "--stream", "s", "--columns", "x,y,z"]
    words += ["--unit", "g", "--rate", "1000Hz", "--start", "2026-01-01T00:00:00Z", "--recording", "R1", "--log", log]
    site(*words, "--chunk", "1h", "--chunk-bytes", too_much).refused(2, "make", "smaller")
    assert site("log", "cat", "readings", "--until-idle", "--log", log).out == ""
    assert site(*words, "--chunk", "10s").code == 0
    kinds = [line.split()[2] for line in site("log", "cat", "readings", "--until-idle", "--log", log).out.splitlines()]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("recording_start", "recording_end", {"chunk"})
    assert site(*words, "--chunk", "10s").code == 0, "the same again adds nothing downstream"


def test_an_import_ended_by_a_signal_is_completed_by_a_repeat(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(size=(40_000, 2)).astype(np.float32)
    digests = []
    for number in (None, signal.SIGINT, signal.SIGTERM):
        folder = tmp_path / str(number)
        folder.mkdir()
        site = Site(folder).prepare()
        np.save(site.file(DEVICES[0], 0), values)
        chunk = "1min" if number is None else "20ms"  # windows do not depend on it; a signal needs time
        words = [*site.import_words(DEVICES[0], 0), "--chunk", chunk]
        if number is not None:
            running = site.start(*words)
            readings = folder / "log/topics/readings"
            wait_for(lambda where=readings: any(p.stat().st_size for p in where.glob("*/*.log")), "a chunk")  # type: ignore[misc]
            assert running.ends(number) in (130, -number)
            assert all(line.startswith("import: ") for line in running.err.splitlines()), "its progress, if it had time"
            assert len(site.records(READINGS)) < 40_002
        assert site(*words).code == 0
        assert site.drain().code == 0
        digests.append(site.digest())
    assert digests == [digests[0]] * 3
    assert digests[0].endswith(" 799 windows\n")
