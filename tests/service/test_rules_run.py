"""`window run` with a rule file: rules mark, marks label, whatever ends on the way."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sensorloom
from ingest.chunker import Limits, Origin, periodic_chunks
from ingest.log.protocol import MARKS, READINGS, STREAMS, Entry
from ingest.opening import open_log
from ingest.records import Channel, MarkAdd, MarkEdit, MarkRetract, Record, RecordingEnd, StreamDescription, schema_id
from ingest.wire import encode
from labeling.rules.compile import compile_rules
from tests.support.logs import read_log

START_NS = 1_700_000_000 * 10**9
SECOND = 10**9
ACC = StreamDescription("acc", (Channel("x", "m/s2"),), "float32", 100)
RULES = "version: 1\nrules:\n  - {label: still, when: 'max(acc.x, 100ms) < 0.35g', for: 120ms}\n"
CONFIG = """name = "run"
rules = "rules.yaml"

[window]
length = 50
hop = 50
rate = "100Hz"
channels = ["acc.x"]
"""


def put(url: str, topic: str, *entries: Entry) -> None:
    async def run() -> None:
        log = open_log(url)
        await log.ensure(topic)
        await log.append(topic, entries)
        await log.close()

    asyncio.run(run())


def marks_of(url: str) -> list[MarkAdd]:
    return [record for record in read_log(url, MARKS) if isinstance(record, MarkAdd)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "dataset.toml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text(RULES)
    url = f"segments:{tmp_path / 'log'}"
    put(url, STREAMS, Entry(schema_id(ACC), encode(ACC)))
    records = recording("r", START_NS)
    put(url, READINGS, *(Entry(b"pump", encode(record)) for record in [*records, records[3]]))
    return tmp_path


def recording(name: str, start_ns: int) -> list[Record]:
    values = np.full((2000, 1), 9.81, dtype=np.float32)
    values[500:700] = values[1500:1600] = 0.1
    origin = Origin("pump", name, "acc", name.encode() * 16, schema_id(ACC))
    chunks = periodic_chunks(origin, start_ns, (10_000_000, 1), values, Limits())
    return [*chunks, RecordingEnd("pump", name, origin.boot, start_ns + 20 * SECOND, "test")]


def run(site: Path, capsys: pytest.CaptureFixture[str], *more: str, out: str = "out") -> dict[str, object]:
    command = ["window", "run", "-c", str(site / "dataset.toml"), "--log", f"segments:{site / 'log'}"]
    assert sensorloom.main([*command, "--out", str(site / out), "--until-idle", "--json", *more]) == 0
    figures: dict[str, object] = json.loads(capsys.readouterr().out)
    return figures


def test_rules_label_the_windows_of_the_same_run(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(site, capsys)
    assert figures["samples"] == 2000
    dataset = sensorloom.open(site / "out")
    assert dataset.classes == ("still",)
    labelled = dataset.windows().filter(dataset.windows()["label"] == "still")["t0_ns"].to_list()
    # max over 100 ms: on 90 ms after the samples fall, off with the first that is not still
    assert labelled == [START_NS + t * SECOND // 2 for t in (10, 11, 12, 13, 30, 31)]
    assert [(mark.start_ns - START_NS, mark.end_ns - START_NS) for mark in marks_of(f"segments:{site / 'log'}")] == [
        (5_090_000_000, 7_000_000_000),
        (15_090_000_000, 16_000_000_000),
    ]


def test_a_second_run_and_other_rules(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"segments:{site / 'log'}"
    run(site, capsys)
    run(site, capsys)
    assert len(marks_of(url)) == 2
    (site / "rules.yaml").write_text(RULES + "  - {label: moved, when: acc.x > 5m/s2}\n")
    run(site, capsys)
    marks = marks_of(url)
    assert len({mark.id for mark in marks}) == 2 + 3, "the rule that did not change makes the same marks again"
    assert sensorloom.open(site / "out").classes == ("still", "moved")
    revision = compile_rules((site / "rules.yaml").read_text(), "rules.yaml").revision
    assert (site / "out" / "rules" / revision / "genesis.json").exists()


def test_a_wrong_rule_file_is_refused_with_its_place(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "rules.yaml").write_text(RULES.replace("0.35g", "0.35G"))
    command = ["window", "run", "-c", str(site / "dataset.toml"), "--log", f"segments:{site / 'log'}"]
    assert sensorloom.main([*command, "--out", str(site / "out"), "--until-idle"]) == 2
    assert "rules.yaml:3:51: unknown unit" in capsys.readouterr().err
    assert not (site / "out").exists()


def test_a_rule_that_cannot_run_is_told_and_counted(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows without its marks would look like windows in which nothing happened."""
    (site / "rules.yaml").write_text(
        RULES + "  - {label: hot, when: acc.x > 80degC}\n  - {label: gone, when: acc.x > 5m/s2 and gone.y > 1}\n"
    )
    command = ["window", "run", "-c", str(site / "dataset.toml"), "--log", f"segments:{site / 'log'}"]
    assert sensorloom.main([*command, "--out", str(site / "out"), "--until-idle"]) == 0
    told = capsys.readouterr()
    assert told.err.count('rule "hot" does not run on pump/acc: rules.yaml:4:32: degC does not fit m/s2') == 1
    assert 'rules.yaml: rule "gone" reads gone, of which no device in the log has a stream' in told.err
    assert '"still"' not in told.err
    assert re.search(r"^rules +revision \w{16}\n.*^  fault\.samples\.hot +2,000$", told.out, re.MULTILINE | re.DOTALL)
    assert sensorloom.main(["dataset", "status", str(site / "out"), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    (counts,) = status["rules"].values()
    assert (counts["marks"], counts["samples"], counts["fault.samples.hot"]) == (2, 2000, 2000)


def test_damage_to_the_rules_own_chain_is_found(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys)
    assert sensorloom.main(["dataset", "verify", str(site / "out")]) == 0
    entry = next((site / "out" / "rules").rglob("000000000000.json"))
    entry.write_bytes(entry.read_bytes().replace(b'"marks":2', b'"marks":3'))
    capsys.readouterr()
    assert sensorloom.main(["dataset", "verify", str(site / "out")]) == 1
    assert str(entry) in capsys.readouterr().err


def labels_of(out: Path, rules: str | None = None) -> Counter[str | None]:
    return Counter(sensorloom.open(out, rules=rules).windows()["label"])


def test_a_corrected_rule_corrects_the_labels(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(site, capsys)["relabelled"] is None
    assert labels_of(site / "out") == {"still": 6, None: 34}
    first = compile_rules((site / "rules.yaml").read_text(), "rules.yaml").revision
    (site / "rules.yaml").write_text(RULES.replace("0.35g", "0.001g"))
    told = run(site, capsys)["relabelled"]
    assert told == {"windows": 6, "changes": [["still", "", 6]]}
    assert labels_of(site / "out") == {None: 40}
    assert labels_of(site / "out", rules=first) == {"still": 6, None: 34}, "to compare"
    (site / "rules.yaml").write_text(RULES.replace("still", "calm"))
    assert run(site, capsys)["relabelled"] == {"windows": 6, "changes": [["", "calm", 6]]}
    assert labels_of(site / "out", rules="all") == {"calm": 6, None: 34}, "of two rules' equal marks the first label"
    (site / "dataset.toml").write_text(CONFIG.replace('rules = "rules.yaml"\n', ""))
    run(site, capsys)
    assert labels_of(site / "out") == {None: 40}
    (site / "dataset.toml").write_text(CONFIG)
    (site / "rules.yaml").write_text(RULES)
    run(site, capsys)
    assert labels_of(site / "out") == {"still": 6, None: 34}
    assert sensorloom.open(site / "out").classes == ("still", "calm"), "numbers are for ever"
    assert run(site, capsys)["relabelled"] is None


def test_windows_begin_at_marks_of_the_rules_that_the_dataset_was_founded_with(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A corrected threshold left the windows of the marks before it, under another label or none."""
    url = f"segments:{site / 'log'}"
    run(site, capsys)
    (site / "rules.yaml").write_text(RULES.replace("100ms", "200ms"))
    run(site, capsys)
    old, new = ([mark for mark in marks_of(url) if mark.revision == revision] for revision in revisions_of(url))
    person = MarkAdd("pump", "p", START_NS + SECOND, START_NS + 3 * SECOND, "run", "ann", "operator")
    put(url, MARKS, Entry(b"pump", encode(person)))
    check = ["window", "check", "-c", str(site / "dataset.toml"), "--log", url, "--json"]
    for rules, wanted in ((None, [person]), ("100ms", [person, *old]), ("200ms", [person, *new])):
        name = f"at-{rules}"
        if rules is not None:
            (site / "rules.yaml").write_text(RULES.replace("100ms", rules))
        config = (CONFIG if rules else CONFIG.replace('rules = "rules.yaml"\n', "")) + 'anchor = "mark"\n'
        (site / "dataset.toml").write_text(config)
        run(site, capsys, out=name)
        windows = sensorloom.open(site / name).windows()
        assert set(windows["anchor"]) == {mark.id for mark in wanted}
        assert sensorloom.main(check) == 0
        assert json.loads(capsys.readouterr().out)["windows"] == len(windows)
        # a later configuration moves no window that was cut, nor one to come
        (site / "rules.yaml").write_text(RULES.replace("still", "calm"))
        run(site, capsys, out=name)
        assert sensorloom.open(site / name).windows()["window"].equals(windows["window"])


def revisions_of(url: str) -> list[str]:
    return list(dict.fromkeys(mark.revision for mark in marks_of(url)))


def test_datasets_that_are_opened_as_one_are_labelled_by_the_rules_of_each(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(site, capsys)
    later = recording("s", START_NS + 100 * SECOND)
    put(f"segments:{site / 'log'}", READINGS, *(Entry(b"pump", encode(record)) for record in later))
    (site / "rules.yaml").write_text(RULES.replace("still", "calm") + "  - {label: a, when: acc.x > 5m/s2, for: 9s}\n")
    run(site, capsys, "--after", str(site / "out"), out="new")
    old, new, both = (sensorloom.open(path) for path in (site / "out", site / "new", [site / "out", site / "new"]))
    assert Counter(both.windows()["label"]) == {"still": 6, "calm": 6, None: 68}
    assert both.windows()["label"].to_list() == [*old.windows()["label"], *new.windows()["label"]]
    assert both.windows()["t0_ns"].is_sorted()
    X, y, _ = both.arrays()  # noqa: N806
    assert [both.classes[number] for number in y] == ["still"] * 6 + ["calm"] * 6
    np.testing.assert_array_equal(X, np.concatenate([old.arrays().X, new.arrays().X]))
    assert both.rules == f"{old.rules}, {new.rules}"
    now = sensorloom.open([site / "out", site / "new"], rules=new.rules)
    assert Counter(now.windows()["label"]) == {"calm": 12, None: 68}, "the log still had all that the rules need"
    assert sensorloom.open([site / "out", site / "new"], rules="none").classes == both.classes


def test_another_dataset_of_the_log_counts_its_own_rules(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys)
    (site / "rules.yaml").write_text("version: 1\nrules:\n  - {label: hot, when: acc.x > 80m/s2}\n")
    command = ["window", "run", "-c", str(site / "dataset.toml"), "--log", f"segments:{site / 'log'}"]
    assert sensorloom.main([*command, "--out", str(site / "new"), "--until-idle"]) == 0
    assert labels_of(site / "new") == {None: 40}
    assert sensorloom.open(site / "new").classes == ("hot",)
    assert labels_of(site / "out") == {"still": 6, None: 34}
    assert "other_rules" in capsys.readouterr().out


def test_a_raised_meaning_of_the_rules_relabels(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release may change what a kernel means: the marks of before count no longer, nor twice."""
    run(site, capsys)
    monkeypatch.setattr("labeling.rules.ruleset.SEMANTICS", 999)
    assert run(site, capsys)["relabelled"] == {"windows": 0, "changes": []}
    dataset = sensorloom.open(site / "out")
    assert labels_of(site / "out") == {"still": 6, None: 34}
    assert (len(dataset.counting.marks), dict(dataset.counting.counts)) == (2, {"other_rules": 2})


def test_a_person_keeps_a_rules_mark_that_they_edited(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys)
    url = f"segments:{site / 'log'}"
    first, second = sorted(marks_of(url), key=lambda mark: mark.start_ns)
    edited = MarkEdit("pump", first.id, "ann", "operator", label="parked")
    retracted = MarkRetract("pump", second.id, "ann", "operator")
    put(url, MARKS, Entry(b"pump", encode(edited)), Entry(b"pump", encode(retracted)))
    run(site, capsys)
    assert labels_of(site / "out") == {"parked": 4, None: 36}
    (site / "rules.yaml").write_text(RULES.replace("120ms", "130ms"))
    run(site, capsys)
    assert labels_of(site / "out") == {"parked": 4, "still": 2, None: 34}, "a retract was of one rule's mark"
    (site / "rules.yaml").write_text(RULES)
    run(site, capsys)
    assert labels_of(site / "out") == {"parked": 4, None: 36}


def test_each_window_says_who_labelled_it_when_and_by_which_rule(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(site, capsys)
    mark = marks_of(f"segments:{site / 'log'}")[0]
    table = sensorloom.open(site / "out").windows()
    row = table.filter(table["mark"] == mark.id).row(0, named=True)
    assert (row["author"], row["tool"], row["revision"]) == ("rules.yaml", "rule", mark.revision)
    assert row["mark_time_ns"] > START_NS
    assert mark.revision == compile_rules(RULES, "rules.yaml").rules[0].revision
    none = table.filter(table["label"].is_null()).row(0, named=True)
    assert [none[name] for name in ("mark", "author", "tool", "mark_time_ns", "revision")] == [None] * 5


def test_an_unknown_revision_is_refused_with_those_there_were(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(site, capsys)
    rules = compile_rules(RULES, "rules.yaml")
    with pytest.raises(sensorloom.UsageError, match=f'rules: found "nope"; known: .*{rules.revision}.*none'):
        sensorloom.open(site / "out", rules="nope")
    assert labels_of(site / "out", rules=rules.rules[0].revision) == {"still": 6, None: 34}
    assert labels_of(site / "out", rules="none") == {None: 40}
    dataset = sensorloom.open(site / "out")
    assert dataset.rules == rules.revision
