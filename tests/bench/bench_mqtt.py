"""An agent at a real Mosquitto beside paho alone, each in a process of its own, on the same queued messages.

Mosquitto holds a session for each of the two, in which the same messages wait; the rate is taken from the first to the
last of them. paho's handler is empty, and paho acknowledges by itself. The agent decodes, records, makes messages
durable in its spool once a second, acknowledges them then, and publishes to the embedded log meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from edge.agent.agent import Agent
from edge.config import load_config
from ingest.opening import open_log
from tests.bench.harness import Row, row
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt import begin_session, connect_session, publish

MESSAGES, RUNS = 30_000, 5
TOPIC: Final = "bench/pump-7"
FIRST, LAST = f"{TOPIC}/first", f"{TOPIC}/last"
PAHO, AGENT = "bench-paho", "sensorloom-pump-7-imu"
LOOK_S: Final = 0.002
CONFIG: Final = """device = "pump-7"
log = "segments:{folder}/log"
[spool]
dir = "spool"
[[source]]
name = "imu"
type = "mqtt"
broker = "mqtt://{host}:{port}"
topic = "{topic}"
decoder = "csv"
stream = "acc"
channels = {{ x = "g", y = "g", z = "g" }}
dtype = "int16"
"""


def bench() -> list[Row]:
    """Messages a second."""
    rates: dict[str, list[float]] = {"agent": [], "paho": []}
    lines = [b"%d,%d,%d" % (n % 30_000, -n % 999, n % 77) for n in range(MESSAGES)]
    for run in range(RUNS + 1):
        # A broker of its own each time: none is slower for what it held before.
        with Mosquitto("max_queued_messages 0", "max_inflight_messages 0") as broker:
            begin_session(broker.host, broker.port, PAHO, f"{TOPIC}/#")
            begin_session(broker.host, broker.port, AGENT, TOPIC)
            publish(broker.host, broker.port, FIRST, [b""])
            publish(broker.host, broker.port, TOPIC, lines)
            publish(broker.host, broker.port, LAST, [b""])
            for side in ("paho", "agent") if run % 2 else ("agent", "paho"):
                words = [sys.executable, "-m", "tests.bench.bench_mqtt", side, broker.host, str(broker.port)]
                done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
                if run:
                    rates[side].append(MESSAGES / float(done.stdout))
    beside = sorted(rates["paho"])[RUNS // 2]
    return [
        row(
            "MQTT messages into the spool, QoS 1",
            rates["agent"],
            "messages/s",
            baseline="paho with an empty handler",
            baseline_values=rates["paho"],
            bar=0.8 * beside,
        )
    ]


def paho_alone(host: str, port: int) -> float:
    """Seconds from the first to the last message."""
    client, seen = connect_session(host, port, PAHO), []

    def ends(*_: object) -> None:
        seen.append(time.perf_counter())
        if len(seen) == 2:
            client.disconnect()

    client.on_message = lambda *_: None
    client.message_callback_add(FIRST, ends)
    client.message_callback_add(LAST, ends)
    client.loop_forever()
    return seen[1] - seen[0]


async def agent(folder: Path, host: str, port: int) -> float:
    """Seconds from the first to the last message."""
    path = folder / "agent.toml"
    path.write_text(CONFIG.format(folder=folder, host=host, port=port, topic=TOPIC))
    config = load_config(path)
    log, stop = open_log(config.log), asyncio.Event()
    running = Agent(config, log, os.urandom(16), "bench", lambda line: None)
    task = asyncio.create_task(running.run(stop))
    seen: dict[int, float] = {}
    while MESSAGES not in seen:
        await asyncio.sleep(LOOK_S)
        for recorder in running.recorders.values():
            count = min(MESSAGES, recorder.counters["acc"].samples)
            if count:
                seen.setdefault(count, time.perf_counter())
    stop.set()
    figures = await task
    await log.close()
    assert figures["acc.samples"] == MESSAGES, figures
    first = min(seen)
    return (seen[MESSAGES] - seen[first]) * MESSAGES / (MESSAGES - first)


def main(side: str, host: str, port: int) -> None:
    """One side, in this process; prints its seconds."""
    with tempfile.TemporaryDirectory(prefix="sensorloom-bench-") as folder, contextlib.suppress(KeyboardInterrupt):
        print(paho_alone(host, port) if side == "paho" else asyncio.run(agent(Path(folder), host, port)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
