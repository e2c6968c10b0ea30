"""Each failure to connect is told apart, in one line, with what to do: on a real Mosquitto with real certificates."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edge.sources.mqtt import failures
from edge.sources.mqtt.source import MqttSource
from simulators.doubles.broker import ScriptedBroker
from tests.edge.sources.collecting import Taker, until
from tests.edge.sources.test_mqtt import at_least, config, lines, numbered, publisher
from tests.support.certificates import Authority
from tests.support.mosquitto import Mosquitto
from tests.support.server import free_ports

WITHIN_S = 30.0


class Site(NamedTuple):
    plain: Mosquitto
    brokers: dict[str, Mosquitto]
    """By the name of their certificate."""
    ca: str
    other_ca: str
    clients: dict[str, tuple[Path, Path]]
    """Certificate and key, by who signed it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("certificates")
    plant, stranger = Authority(folder / "plant-ca"), Authority(folder / "stranger-ca")
    made = {
        "good": plant.sign("good", "IP:127.0.0.1"),
        "named": plant.sign("named", "DNS:broker.example"),
        "expired": plant.sign("expired", "IP:127.0.0.1", "20200101000000Z", "20210101000000Z"),
        "early": plant.sign("early", "IP:127.0.0.1", "20900101000000Z", "20910101000000Z"),
    }
    brokers = {
        name: Mosquitto(f"certfile {certificate}", f"keyfile {key}") for name, (certificate, key) in made.items()
    }
    certificate, key = made["good"]
    strict = ("require_certificate true", f"cafile {plant.certificate}")
    brokers["strict"] = Mosquitto(f"certfile {certificate}", f"keyfile {key}", *strict)
    clients = {name: ca.sign("client", "DNS:pump-7") for name, ca in (("own", plant), ("other", stranger))}
    clients["old"] = plant.sign("old", "DNS:pump-7", "20200101000000Z", "20210101000000Z")
    plain = Mosquitto()
    yield Site(plain, brokers, str(plant.certificate), str(stranger.certificate), clients)
    for broker in (plain, *brokers.values()):
        broker.stop()


def told(url: str, **options: Any) -> str:
    """What a source says of a broker that it cannot use, within the time in which it must be said."""

    async def scenario() -> str:
        source = MqttSource.from_config(config(url, **options))
        opening = asyncio.create_task(source.open())
        begin = time.monotonic()
        await until(lambda: not source.waiting_for.endswith("not connected yet"))
        assert time.monotonic() - begin < WITHIN_S
        said = source.waiting_for
        assert not opening.done()
        await source.close()
        await opening
        return said

    said = asyncio.run(scenario())
    assert said.startswith(f"{url}: ")
    assert said.isprintable()
    return said.removeprefix(f"{url}: ")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho drops a socket it could not use
@pytest.mark.parametrize(
    ("broker", "options", "expected"),
    [
        (
            "plain",
            {},
            "TLS: what answers does not speak it|during the TLS handshake",
        ),
        ("good", {}, "self-signed certificate in certificate chain|unable to get local issuer certificate"),
        ("good", {"ca_file": "other"}, "ca.pem does not hold the authority that signed it"),
        ("named", {"ca_file": "own"}, r'mismatch.*; it is for another host than "127.0.0.1": write in broker the name'),
        ("expired", {"ca_file": "own"}, "certificate has expired; renew it at the broker, or set this device's clock"),
        ("strict", {"ca_file": "own"}, "the broker wants a client's certificate: say cert_file and key_file"),
        (
            "strict",
            {"ca_file": "own", "cert_file": "other client", "key_file": "other key"},
            "client.pem: the broker refuses this certificate; the broker does not know the authority that signed it",
        ),
        (
            "strict",
            {"ca_file": "own", "cert_file": "old client", "key_file": "old key"},
            "old.pem: the broker refuses this certificate; it has expired, or the broker's clock is wrong: renew it",
        ),
        ("early", {"ca_file": "own"}, "certificate is not yet valid; set this device's clock, which says 20"),
    ],
)
def test_what_is_wrong_with_tls_is_told_apart(site: Site, broker: str, options: dict[str, str], expected: str) -> None:
    files = {"own": site.ca, "other": site.other_ca}
    for name, (certificate, key) in site.clients.items():
        files |= {f"{name} client": str(certificate), f"{name} key": str(key)}
    port = (site.plain if broker == "plain" else site.brokers[broker]).port
    said = told(f"mqtts://127.0.0.1:{port}", **{key: files[value] for key, value in options.items()})
    assert re.search(expected, said), said
    if broker == "plain":
        assert f"if port {port} is without TLS, write mqtt://" in said
    elif broker == "good" and not options:
        assert said.endswith("name the authority's certificate in ca_file")


def test_plain_against_tls_names_the_remedy(site: Site) -> None:
    port = site.brokers["good"].port
    said = told(f"mqtt://127.0.0.1:{port}")
    assert said.endswith(f"before any answer; if port {port} is for TLS, write mqtts://"), said


def test_a_connection_is_encrypted_and_its_certificate_checked(site: Site) -> None:
    broker, count = site.brokers["good"], 400

    async def scenario() -> None:
        url = broker.url.replace("mqtt:", "mqtts:")
        source = MqttSource.from_config(config(url, ca_file=site.ca, topic="#", device_named=True))
        await asyncio.wait_for(source.open(), 60)
        with publisher(broker, Path(site.ca)) as sensor:
            await asyncio.to_thread(sensor.publish, *numbered(count))
        taker = Taker(source)
        await taker.until(at_least(count))
        assert lines(taker.items) == numbered(count)
        await source.close()

    asyncio.run(scenario())


def test_a_client_shows_its_certificate(site: Site, tmp_path: Path) -> None:
    """To a broker that lets in nobody else: the two in files of their own, and in one."""
    broker, (certificate, key) = site.brokers["strict"], site.clients["own"]
    both = tmp_path / "both.pem"
    both.write_text(certificate.read_text() + key.read_text())

    async def scenario(**files: Any) -> None:
        url = broker.url.replace("mqtt:", "mqtts:")
        source = MqttSource.from_config(config(url, ca_file=site.ca, **files))
        await asyncio.wait_for(source.open(), 60)
        assert not source.waiting_for
        await source.close()

    asyncio.run(scenario(cert_file=str(certificate), key_file=str(key)))
    asyncio.run(scenario(cert_file=str(both)))


def test_a_certificate_that_cannot_be_shown_is_named(site: Site, tmp_path: Path) -> None:
    def failure(**options: Any) -> str:
        return told("mqtts://127.0.0.1:1", **options)

    certificate, key = site.clients["own"]
    locked, text = tmp_path / "locked.key", tmp_path / "text.pem"
    text.write_text("no key")
    command = f"openssl pkey -in {key} -out {locked} -aes128 -passout pass:secret".split()
    subprocess.run(command, check=True, timeout=200)
    said = failure(cert_file=str(certificate), key_file=str(tmp_path / "none.key"))
    assert said == f"{tmp_path}/none.key: No such file or directory; put it there, or name another file in key_file"
    said = failure(cert_file=str(certificate), key_file=str(site.clients["other"][1]))
    assert "client.pem and " in said
    assert "are not of one another" in said
    assert "hold no certificate and its key" in failure(cert_file=str(text))
    said = failure(cert_file=str(certificate), key_file=str(locked))
    assert said.startswith(f"{locked}: the key has a passphrase")


def test_hosts_and_ports_that_do_not_answer_are_told_apart() -> None:
    (port,) = free_ports(1)
    said = "Connection refused: nobody listens there; is the broker running, is port"
    assert told(f"mqtt://127.0.0.1:{port}") == f"{said} {port} right?"
    said = told("mqtt://no-such-host.invalid")
    assert said.endswith(': no address for "no-such-host.invalid"; is it spelled right, and does DNS work here?')


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_that_says_nothing_is_told_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert told(f"mqtt://127.0.0.1:{port}") == "no answer in 5 s; is it an MQTT broker that listens there?"
        assert told(f"mqtts://127.0.0.1:{port}").startswith("no connection within 5 s; ")


def test_an_error_that_nobody_foresaw_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a name server's answer\nof another kind")

    monkeypatch.setattr("edge.sources.mqtt.link.connect", broken)
    assert told("mqtt://127.0.0.1") == "LookupError: a name server's answer of another kind"


def test_a_name_that_no_resolver_takes_is_told_also_where_it_was_not_refused() -> None:
    """It comes by other ways than a configuration's host, too: by a search domain."""
    settings = MqttSource.from_config(config("mqtt://broker.local")).settings
    error = UnicodeError("label empty or too long")
    assert failures.connecting(error, settings, 5, datetime.now()) == 'no host has the name "broker.local"; correct it'


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            {"granted": 135},
            'topic "site/pump-7/acc": Not authorized (code 135): forbidden; see what the broker allows this client',
        ),
        (
            {"granted": 143},
            'topic "site/pump-7/acc": Topic filter invalid (code 143): the broker takes no such topic; correct it',
        ),
        ({"granted": 0}, "grants QoS 0, wanted is 1: it would lose messages"),
        ({"connack": 132}, 'does not speak MQTT 5; say protocol = "3.1.1"'),
        ({"connack": 138}, "refused: Banned (code 138): the broker has banned this client; see its configuration"),
        ({"connack": 156}, "refused: Use another server (code 156)"),
    ],
)
def test_what_a_broker_refuses_is_put_in_words(answers: dict[str, int], expected: str) -> None:
    async def scenario() -> None:
        async with ScriptedBroker(False, **answers) as broker:
            source = MqttSource.from_config(config(broker.url))
            opening = asyncio.create_task(source.open())
            await until(lambda: source.waiting_for == f"{broker.url}: {expected}")
            assert not opening.done()
            await source.close()
            await opening

    asyncio.run(scenario())


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    def failure(**options: Any) -> str:
        return told("mqtts://127.0.0.1:1", **options)

    password, authority = tmp_path / "password", tmp_path / "ca.pem"
    password.write_bytes(b"caf\xe9\n")
    authority.write_text("no certificate\n")
    found = failure(username="pump", password_file=str(password))
    assert found == f"{password}: is no text: byte 3 is not UTF-8; write the password into it and nothing else"
    assert failure(ca_file=str(authority)).startswith(f"{authority}: holds no certificates in PEM (")
    assert failure(ca_file=str(authority)).endswith("; name another file in ca_file")
    found = failure(ca_file=str(tmp_path / "none.pem"))
    assert found == f"{tmp_path}/none.pem: No such file or directory; put it there, or name another file in ca_file"
    found = failures.unreadable("key_file", str(password), PermissionError(13, "Permission denied"))
    assert found.startswith(f"{password}: Permission denied; sudo chown ") or "usermod -aG" in found


def test_a_wrong_password_is_told(tmp_path: Path) -> None:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "pump", "right"], check=True, timeout=200)
    passwords.chmod(0o600)
    secret.write_text("hush\n")
    with Mosquitto("allow_anonymous false", f"password_file {passwords}") as broker:
        for protocol in ("5", "3.1.1"):
            said = told(broker.url, username="pump", password_file=str(secret), protocol=protocol)
            assert said.startswith(
                'refused: Not authorized (code 135): it does not let in "pump" with the password of password_file, '
            )
            assert "hush" not in said
        assert told(broker.url).endswith("it lets nobody in without a name: say username and password_file")
