"""The broker's helper: what is missing is said; what was saved outlives a kill; no broker outlives its tests."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.support import mosquitto as helper
from tests.support.mosquitto import Mosquitto
from tests.support.server import PROJECT, ServerError


def test_a_missing_server_is_an_error_that_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(helper, "_SYSTEM_FOLDERS", str(tmp_path))
    with pytest.raises(ServerError, match=r"^mosquitto: not found; .*setup.sh servers"):
        Mosquitto()


def test_a_broker_that_does_not_start_says_why() -> None:
    with pytest.raises(ServerError, match=r"(?s)exit code 3.*Unknown configuration variable .no_such_setting"):
        Mosquitto("no_such_setting true")


def test_a_retained_message_that_was_saved_outlives_a_kill(mosquitto: Mosquitto) -> None:
    with_publisher(mosquitto, "kept", b"1")
    mosquitto.save()
    with_publisher(mosquitto, "lost", b"2")
    mosquitto.kill()
    assert not mosquitto.running
    mosquitto.restart()
    with_publisher(mosquitto, "later", b"3")
    assert retained(mosquitto) == {"kept": b"1", "later": b"3"}


def with_publisher(broker: Mosquitto, topic: str, payload: bytes) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def retained(broker: Mosquitto) -> dict[str, bytes]:
    """All retained messages; "later" comes last."""
    found: dict[str, bytes] = {}
    done = threading.Event()

    def on_message(client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        found[message.topic] = bytes(message.payload)
        if {"kept", "later"} <= found.keys():
            done.set()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect(broker.host, broker.port)
    client.subscribe("#")
    client.loop_start()
    assert done.wait(200)
    client.disconnect()
    client.loop_stop()
    return found


def test_a_broker_ends_with_the_process_that_started_it() -> None:
    program = (
        "import time; from tests.support.mosquitto import Mosquitto; broker = Mosquitto(); "
        "print(broker.pid, broker.log_path.parent, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=PROJECT) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while Path(folder).exists() or _alive(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """Whether it runs; what is left of one that ended until its parent looks does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
