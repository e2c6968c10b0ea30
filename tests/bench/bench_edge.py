"""The agent's way from a sensor's bytes to the spool, by CPU time of one core; its disk, its wire and its memory."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from edge.decoders.binary.decoder import BinaryDecoder
from edge.decoders.checksums import CHECKSUMS
from edge.decoders.csv.decoder import CsvDecoder
from edge.decoders.nmea.decoder import UNITS, NmeaDecoder
from edge.protocol import Decoder, SourceConfig
from edge.recording.batching import describe
from edge.recording.recorder import Recorder
from edge.recording.terms import ClockState, Previous, Rules
from edge.spool.entries import reading
from edge.spool.spool import Queue, SpoolLimits
from ingest.records import Chunk, Clock, schema_id
from tests.bench.harness import Row, row
from tests.support.data import data_dir

SECONDS, RATE, RUNS = 300, 1000, 5
RECORD_SECONDS, RECORD_RATE = 30, 40_000
READ_BYTES = 4096
"""What a serial port gives at once when it is busy."""
BACKLOG_BYTES = 1_900_000_000
"""Of a spool of 2 GB."""
S = 1_000_000_000
WALL = 1_700_000_000 * S


def bench() -> list[Row]:
    """CSV, binary and NMEA decoding, write amplification, wire bytes, resident memory."""
    return [*_csv(), _binary(), *_nmea(), *_memory()]


def _config(decoder: str, channels: dict[str, str], rate: int | None) -> SourceConfig:
    hertz = None if rate is None else Fraction(rate)
    words = {"where": "bench", "base": ".", "name": "s", "type": "serial", "device": "pump-7", "stream": "acc"}
    return SourceConfig(**words, decoder=decoder, channels=channels, rate=hertz, dtype="int16")  # type: ignore[arg-type]


def _csv() -> list[Row]:
    rng = random.Random(1)
    lines = [
        f"{rng.randrange(-32768, 32768)},{rng.randrange(-999, 999)},{rng.randrange(-99, 99)}\n" for _ in range(RATE)
    ]
    second = "".join(lines).encode()
    config = _config("csv", dict.fromkeys("xyz", "g"), RATE)
    rates, bare, wire = [], [], 0.0
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            queue = Queue(Path(folder) / "q", SpoolLimits())
            taken, size = _record(queue, config, CsvDecoder.from_config(config), second)
            rates.append(SECONDS * RATE / taken)
            wire = size / (SECONDS * RATE)
            queue.close()
        begin = time.process_time()
        for _ in range(SECONDS):
            list(map(float, second.replace(b"\n", b",").split(b",")[:-1]))
        bare.append(SECONDS * RATE / (time.process_time() - begin))
    hundred = _config("csv", dict.fromkeys("xyz", "g"), 100)
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
        queue = Queue(Path(folder) / "q", SpoolLimits())
        _, size = _record(queue, hundred, CsvDecoder.from_config(hundred), "".join(lines[:100]).encode())
        amplification = queue.stats.written_bytes / queue.stats.payload_bytes
        queue.close()
    about = "decode, record, chunk and spool CSV lines of 3 int16 channels"
    peer = "float() of every cell and nothing else"
    return [
        row(about, rates[1:], "samples/s", baseline=peer, baseline_values=bare[1:], bar=400_000),
        row(
            "spool bytes written per payload byte, 3 int16 at 100 Hz",
            [amplification],
            "ratio",
            bar=1.5,
            lower_is_better=True,
        ),
        row("wire bytes a sample, 3 int16 at 100 Hz", [size / SECONDS / 100], "bytes", bar=8, lower_is_better=True),
        row("wire bytes a sample, 3 int16 at 1 kHz", [wire], "bytes", bar=8, lower_is_better=True),
    ]


def _binary() -> Row:
    """Records of 12 bytes, sync word and CRC included; a tenth of a second arrives at once, as from a busy port."""
    names, rng, check = ("x", "y", "z", "w"), random.Random(1), CHECKSUMS["crc16-ccitt"]
    packed = [struct.pack("<4h", *(rng.randrange(-32768, 32768) for _ in names)) for _ in range(RECORD_RATE)]
    second = b"".join(b"\xaa\x55" + record + check.of(record).to_bytes(2, "little") for record in packed)
    config = replace(
        _config("binary", dict.fromkeys(names, "g"), RECORD_RATE),
        options={
            "fields": [{"name": name, "type": "i16"} for name in names],
            "frame": "fixed",
            "sync": "AA 55",
            "checksum": "crc16-ccitt",
        },
    )
    rates = []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder:
            queue = Queue(Path(folder) / "q", SpoolLimits())
            decoder = BinaryDecoder.from_config(config)
            taken, _ = _record(queue, config, decoder, second, len(second) // 10, RECORD_SECONDS)
            rates.append(RECORD_SECONDS * RECORD_RATE / taken)
            queue.close()
    return row("decode, record, chunk and spool binary records of 12 bytes", rates[1:], "samples/s", bar=2_000_000)


def _record(
    queue: Queue,
    config: SourceConfig,
    decoder: Decoder,
    second: bytes,
    read_bytes: int = READ_BYTES,
    seconds: int = SECONDS,
) -> tuple[float, int]:
    """CPU seconds for so much of a stream, jittered arrivals and one commit a second; and its bytes on the wire."""
    rng = random.Random(2)
    recorder = Recorder("pump-7", os.urandom(16), [config], Rules(), Previous(), ClockState(True, "ntp"))
    pieces = [second[at : at + read_bytes] for at in range(0, len(second), read_bytes)]
    size, begin = 0, time.process_time()
    for number in range(seconds):
        for index, piece in enumerate(pieces):
            end = min((index + 1) * read_bytes, len(second))  # a read comes when its last byte is sent
            at = number * S + S * end // len(second) + rng.randrange(2_000_000)
            recorder.take("acc", len(piece), decoder.feed(piece), at, WALL + at)
        entries = [reading("pump-7", held.record) for held in recorder.flush((number + 1) * S)]
        queue.commit(entries)
        size += sum(len(entry.value) for entry in entries)
    return time.process_time() - begin, size


def _nmea() -> list[Row]:
    """Reads of 256 bytes, and reads of one sentence, as a UART gives them that speaks with pauses."""
    logs = sorted((data_dir() / "gpsd_nmea").glob("*.log"))
    data = b"".join(log.read_bytes() for log in logs)
    blocks, lines = [data[at : at + 256] for at in range(0, len(data), 256)], data.splitlines(keepends=True)
    name = "decode NMEA sentences of 25 receivers to fixes"
    return [
        row(name, _sentences_per_s(blocks), "sentences/s", bar=5000),
        row(f"{name}, a sentence a read", _sentences_per_s(lines), "sentences/s", bar=5000),
    ]


def _sentences_per_s(reads: list[bytes]) -> list[float]:
    sentences, rates = b"".join(reads).count(b"\n$"), list[float]()
    for _ in range(RUNS + 1):
        decoder = NmeaDecoder.from_config(_config("nmea", dict(UNITS), None))
        begin = time.process_time()
        for read in reads:
            list(decoder.feed(read))
        rates.append(sentences / (time.process_time() - begin))
    return rates[1:]


_AGENT = """
import asyncio, sys
import sensorloom
sensorloom.main(["agent", "run", "-c", sys.argv[1]])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def _memory() -> list[Row]:
    """Peak memory of an agent that replays 2 M samples, and of one that starts with a backlog."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as name:
        folder = Path(name)
        with (folder / "a.csv").open("w") as file:
            file.writelines(f"{number % 1000},1,2\n" for number in range(2_000_000))
        steady = [_agent(folder, f"log{run}", "max") for run in range(3)]
        _backlog(folder / "spool" / "readings", BACKLOG_BYTES)
        (folder / "a.csv").write_text("1,2,3\n")
        restart = [_agent(folder, "log9", "max")]
    return [
        row("agent, peak resident memory", steady, "MB", bar=64, lower_is_better=True),
        row("agent, the same after a start with 2 GB of backlog", restart, "MB", bar=80, lower_is_better=True),
    ]


def _backlog(folder: Path, size: int) -> None:
    """A spool that was filled while its log was away: chunks of 5,000 samples."""
    config = _config("csv", dict.fromkeys("xyz", "g"), RATE)
    schema, values = schema_id(describe(config)), os.urandom(30_000)
    folder.parent.mkdir(parents=True, exist_ok=True)
    queue, seq = Queue(folder, SpoolLimits()), 0
    while queue.size_bytes < size:
        head = ("pump-7", "r", "acc", b"b" * 16)
        chunks = [
            Chunk(*head, at, schema, WALL + at * 5 * S, S // RATE, 1, 0, 1, b"", 5000, values, clock=Clock("ntp"))
            for at in range(seq, seq + 100)
        ]
        queue.commit([reading("pump-7", chunk) for chunk in chunks])
        seq += len(chunks)
    queue.close()


def _agent(folder: Path, log: str, speed: str) -> float:
    config = folder / "agent.toml"
    config.write_text(
        f"""device = "pump-7"
log = "segments:{folder}/{log}"
[spool]
dir = "spool"
[[source]]
name = "s"
type = "replay"
file = "a.csv"
speed = "{speed}"
start = "{WALL}"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
rate = "1kHz"
dtype = "int16"
"""
    )
    words = [sys.executable, "-c", _AGENT, str(config)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    return int(done.stdout.split()[-1]) / 1024
