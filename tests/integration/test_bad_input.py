"""Wrong configurations, files, logs and records, through the command line: a clear line, or a fault that is counted."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from ingest.log.protocol import DEADLETTER, MARKS, READINGS, STREAMS
from ingest.records import (
    Channel,
    Chunk,
    Gap,
    MarkAdd,
    MarkEdit,
    Progress,
    Reading,
    RecordingEnd,
    StreamDescription,
    schema_id,
)
from ingest.wire import encode
from tests.integration.site import CONFIG, DEVICES, FILES, RATE, START_NS, Site, wait_for


@pytest.fixture
def site(whole: Site, tmp_path: Path) -> Site:
    """A filled log and a sealed dataset."""
    return whole.copy(tmp_path)


@pytest.fixture
def fresh(whole: Site, tmp_path: Path) -> Site:
    """A filled log, and no dataset yet."""
    return whole.copy(tmp_path, dataset=False)


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("length", "lenght", 'window: unknown key "lenght"; known: anchor, channels'),
        ("[window]", "[windows]", 'unknown key "windows"; known: labels, name, rules, window. Did you mean "window"?'),
        ("", '[labels]\npolcy = "any"', 'labels: unknown key "polcy"; known: background, min_share, policy. Did you'),
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
        ("hop = 50", "min_coverage = 80", "window.min_coverage: found 80, expected a share above 0 and up to 1"),
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
    assert fresh.drain().code == 0
    status = fresh.status()
    assert (status["windows"], status["counts"]["wrong_unit"]) == (0, len(FILES) * 20 * RATE)
    fresh.config.write_text(CONFIG)
    fresh.drain().refused(2, "holds windows with the spec", "use another --out")
    fresh.out = fresh.folder / "other"
    assert fresh.drain().code == 0
    assert fresh.digest() == whole.digest()


def test_a_channel_that_the_stream_does_not_have_is_counted(fresh: Site) -> None:
    fresh.config.write_text(CONFIG.replace("acc.y", "acc.z"))
    assert fresh.drain().code == 0
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
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
    (tmp_path / "m.csv").write_text(text)
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
    site(*words[:-1]).refused(1, str(file), "Not a directory")
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
    fresh.drain().refused(1, f"{fresh.log_folder}: lies on a network file system (nfs4)", "put it on a local disk")


def test_a_changed_number_of_partitions_is_refused(whole: Site, site: Site, tmp_path: Path) -> None:
    meta = site.log_folder / "topics/readings/meta.json"
    data = meta.read_bytes()
    meta.write_bytes(data.replace(b'"partitions":2', b'"partitions":1'))
    site.drain().refused(1, "topic readings had 2 partitions, now it has 1", "use another --out")
    meta.write_bytes(data.replace(b'"partitions":2', b'"partitions":3'))
    site.drain().refused(1, str(meta.parent))
    meta.write_bytes(data)
    site(*site.import_words(*FILES[0]), "--partitions", "3").refused(1, "has 2 partitions, 3 were asked for")
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
        fresh.drain("--instance", "w").refused(1, "another process is the member 'w'", "give each worker a name")
        assert first.process.poll() is None
        assert fresh.drain("--instance", "v").code == 0
        assert first.ends(signal.SIGTERM) == 0
        assert fresh.digest() == whole.digest()
    finally:
        first.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_ended_by_a_signal_is_completed_by_a_repeat(tmp_path: Path, number: int) -> None:
    values = np.random.default_rng(3).normal(size=(60_000, 2)).astype(np.float32)
    digests = []
    for kind in ("ended", "whole"):
        folder = tmp_path / kind
        folder.mkdir()
        site = Site(folder).prepare()
        np.save(site.file(DEVICES[0], 0), values)
        words = [*site.import_words(DEVICES[0], 0), "--chunk", "20ms"]
        if kind == "ended":
            running = site.start(*words)
            readings = folder / "log/topics/readings"
            wait_for(lambda where=readings: any(p.stat().st_size for p in where.glob("*/*.log")), "a chunk")  # type: ignore[misc]
            assert running.ends(number) in (130, -number)
            assert running.err == ""
            assert len(site.records(READINGS)) < 60_002
        assert site(*words).code == 0
        assert site.drain().code == 0
        digests.append(site.digest())
    assert digests[0] == digests[1]
    assert digests[0].endswith(" 1199 windows\n")


def test_a_service_ended_by_a_signal_before_it_is_done_says_so(whole: Site, fresh: Site) -> None:
    device = DEVICES[0].encode()
    fresh.append(READINGS, (device, encode(chunk(schema=b"unknown" * 2))))
    service = fresh.start(*fresh.window_words("--until-idle"))
    service.says("not in streams yet")
    assert service.ends(signal.SIGTERM) == 1
    assert service.err.splitlines()[-1] == "wavemark: ended before the log was drained; run it again to go on"
    fresh.append(STREAMS, (b"unknown" * 2, encode(STREAM)))
    assert fresh.drain().code == 0
    assert fresh.digest() == whole.digest()


# --- records ----------------------------------------------------------------------------------------------------------

STREAM = StreamDescription("acc", (Channel("x", "g"), Channel("y", "g")), "float32", RATE)
INT64, UINT64 = 2**63, 2**64 - 1


def chunk(**changes: Any) -> Chunk:
    """Two samples of a device that is not among the others."""
    usual = Chunk("stray", "r", "acc", b"boot", 0, schema_id(STREAM), START_NS, 20_000_000, 1, 0, 0, b"", 2, bytes(16))
    return msgspec.structs.replace(usual, **changes)


def test_an_unknown_schema_is_waited_for_and_then_read(whole: Site, fresh: Site) -> None:
    later = msgspec.structs.replace(STREAM, sensor="a newer one")
    fresh.append(READINGS, (b"stray", encode(chunk(schema=schema_id(later)))))
    service = fresh.start(*fresh.window_words("--seal-seconds", "0.1"))
    service.says(f"needs schema {schema_id(later).hex()}, not in streams yet")
    fresh.append(STREAMS, (schema_id(later), encode(later)))
    wait_for(lambda: through(fresh) == len(fresh.records(READINGS)), "everything sealed")
    assert service.ends(signal.SIGTERM) == 0
    assert fresh.windows() == whole.windows()


def through(site: Site) -> int:
    done = site("dataset", "status", site.out, "--json")
    chains = msgspec.json.decode(done.out)["chains"] if done.code == 0 else []
    return sum(chain["through"] for chain in chains if chain["chain"].startswith("readings"))


UNREADABLE = {
    "no bytes": b"",
    "a later version": b"\x02" + encode(chunk())[1:],
    "no MessagePack": b"\x01\xc1",
    "an unknown kind": b"\x01" + msgspec.msgpack.encode([99, "pump-0"]),
    "a kind that is long text": b"\x01" + msgspec.msgpack.encode(["A" * 100_000]),
    "too deep": b"\x01" + b"\x91" * 100_000,
    "half a record": encode(chunk())[:30],
    "very long": b"\xff" * 3_000_000,
    "a time past int64": encode(MarkAdd("pump-0", "m", INT64, INT64, "run", "a", "operator")),
    "a stamp past int64": encode(MarkEdit("pump-0", "m", "a", "operator", client_ns=UINT64)),
    "samples past counting": encode(Gap("stray", "r", "acc", b"boot", 0, 1, UINT64, "x")),
    "a lack past counting": encode(chunk(missing=UINT64)),
    "a sequence number past int64": encode(chunk(seq=INT64)),
    "a period past int64": encode(chunk(period_num=INT64)),
    "ticks past int64": encode(chunk(period_den=0, tick_ns=UINT64, deltas=bytes([0, 0, 0, 0, 1, 0, 0, 0]))),
    "no samples": encode(chunk(count=0)),
    "values of another size": encode(chunk(values=bytes(8))),
    "an end past int64": encode(RecordingEnd("pump-0", "r0", b"boot", UINT64, "x")),
}


@pytest.mark.parametrize("topic", [READINGS, MARKS])
def test_what_cannot_be_understood_is_counted_and_kept_in_the_dead_letters(
    whole: Site, fresh: Site, topic: str
) -> None:
    fresh.append(topic, *((b"\xff stray", value) for value in UNREADABLE.values()))
    fresh.append(STREAMS, (schema_id(STREAM), encode(STREAM)))
    done = fresh.drain()
    assert (done.code, done.err) == (0, "")
    assert fresh.windows() == whole.windows()
    status = fresh.status()
    if topic == READINGS:
        assert status["counts"]["undecodable"] == len(UNREADABLE)
    assert len(fresh.records(DEADLETTER)) == len(UNREADABLE)
    assert status["marks"]["standing"] == len(DEVICES)
    assert fresh("dataset", "verify", fresh.out).code == 0
    for words in (["cat", topic, "--until-idle"], ["cat", DEADLETTER, "--until-idle"], ["stats", "--device", "stray"]):
        assert fresh("log", *words, "--log", fresh.log).code == 0


def test_odd_but_whole_records_harm_nobody_else(whole: Site, fresh: Site) -> None:
    fresh.append(STREAMS, (schema_id(STREAM), encode(STREAM)))
    odd: list[Reading] = [
        chunk(t0_ns=-(2**62) + 1),
        chunk(seq=2**61, boot=b"c", t0_ns=START_NS - 10**18),
        chunk(seq=1, values=b"\xff" * 16),
        chunk(seq=2, missing=2**44, missing_reason="x\0\n" * 1000),
        chunk(device="a/../b\0", recording="../..", boot=b""),
        Progress("stray", "r", "acc", b"", 2**62),
        Gap("stray", "r", "acc", b"", -(2**62), -(2**62), 2**44, "x" * 10_000),
        RecordingEnd("stray", "r", b"", -(2**62), ""),
        chunk(seq=9),
    ]
    fresh.append(READINGS, *((b"stray", encode(record)) for record in odd))
    marks = [MarkAdd("pump-0", "m", 2**62, 2**62, "run", "", "", float("nan"), evidence={"x": float("inf")})]
    fresh.append(MARKS, *((b"pump-0", encode(mark)) for mark in marks))
    done = fresh.drain()
    assert (done.code, done.err) == (0, "")
    assert fresh.windows() == whole.windows()
    assert fresh("dataset", "verify", fresh.out).code == 0


# --- Kafka ------------------------------------------------------------------------------------------------------------


def administer(bootstrap: str, act: Callable[[Any], Awaitable[object]]) -> None:
    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await act(admin)
        finally:
            await admin.close()

    asyncio.run(run())


@pytest.fixture
def on_kafka(whole: Site, kafka_bootstrap: str, tmp_path: Path) -> Site:
    site = Site(tmp_path, f"kafka://{kafka_bootstrap}/bad-{uuid.uuid4().hex[:8]}")
    return site.prepare()


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_a_topic_without_log_append_time_is_refused_with_the_command_that_changes_it(
    on_kafka: Site, kafka_bootstrap: str
) -> None:
    topic = f"{on_kafka.log.rpartition('/')[2]}.{READINGS}"
    config = {"message.timestamp.type": "CreateTime"}
    administer(kafka_bootstrap, lambda admin: admin.create_topics([NewTopic(topic, 2, 1, topic_configs=config)]))
    command = f"--entity-name {topic} --add-config message.timestamp.type=LogAppendTime"
    for words in (on_kafka.window_words("--until-idle"), on_kafka.import_words(*FILES[0])):
        on_kafka(*words).refused(1, topic, "kafka-configs.sh", command)


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_added_partitions_are_refused_on_kafka(whole: Site, on_kafka: Site, kafka_bootstrap: str) -> None:
    on_kafka.fill()
    assert on_kafka.drain().code == 0
    assert on_kafka.digest() == whole.digest()
    topic = f"{on_kafka.log.rpartition('/')[2]}.{READINGS}"
    administer(kafka_bootstrap, lambda admin: admin.create_partitions({topic: NewPartitions(6)}))
    on_kafka.drain().refused(1, "topic readings had 4 partitions, now it has 6", "use another --out")
    assert on_kafka.digest() == whole.digest()


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
def test_an_undecodable_record_is_a_dead_letter_on_kafka_whatever_its_size(whole: Site, on_kafka: Site) -> None:
    on_kafka.fill()
    on_kafka.append(READINGS, (b"stray", b"\xff" * 1_040_000))
    done = on_kafka.drain()
    assert (done.code, done.err) == (0, "")
    assert on_kafka.status()["counts"]["undecodable"] == 1
    assert len(on_kafka.records(DEADLETTER)) == 1
    assert on_kafka.digest() == whole.digest()
