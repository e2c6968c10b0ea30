"""Who may do what, and what strangers may not: each tried against a real server."""

from __future__ import annotations

import asyncio
import http.client
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import sensorloom
from ingest.log.protocol import MARKS, Entry
from ingest.opening import open_log
from ingest.records import MarkAdd
from ingest.wire import encode
from tests.support.certificates import Authority
from tests.timeline.site import LIMIT_S, START_NS, S, Served, Tab, recording, write_site
from timeline.people.accounts import SESSION_NS, People
from timeline.protocol import Accepted, Changed, MarksOf, QueueOf, Rejected, Role
from timeline.server.app import BODY_S
from timeline.server.guard import CONNECTIONS_MAX, HEADERS_S

PASSWORD = "correct horse battery"
ROLES: tuple[Role, ...] = ("viewer", "annotator", "reviewer", "admin")

MAY = {
    # action: who may
    "see": "viewer annotator reviewer admin",
    "add": "annotator reviewer admin",
    "edit mine": "annotator reviewer admin",
    "edit rules": "annotator reviewer admin",
    "edit other": "reviewer admin",
    "retract other": "reviewer admin",
    "accept mine": "",
    "accept rules": "annotator reviewer admin",
    "accept other": "reviewer admin",
    "queue": "viewer annotator reviewer admin",
    "take": "viewer annotator reviewer admin",
    "undo mine": "annotator reviewer admin",
    "undo other": "",
}


@dataclass
class Guarded:
    """A server with an account of each role."""

    served: Served
    people: People
    cookies: dict[str, str]

    def tab(self, role: str, **options: Any) -> Tab:
        return Tab(self.served.url, self.cookies[role], **options)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    site = write_site(tmp_path_factory.mktemp("access") / "site", recording(20))
    people = People(site / "people")
    for role in ROLES:
        people.add(f"the-{role}", role, PASSWORD)

    async def mark() -> None:
        log = open_log(f"segments:{site}/log")
        about = "pump-7", START_NS + S, START_NS + 2 * S, "run"
        whose = {"rules": ("rules.yaml", "rule"), "other": ("somebody", "operator")}
        adds = [
            MarkAdd(about[0], f"{action}-{role}", *about[1:], *whose.get(of, (f"the-{role}", "operator")), client_ns=1)
            for action in MAY
            for role in ROLES
            if (of := action.partition(" ")[2])
        ]
        await log.append(MARKS, [Entry(b"pump-7", encode(add)) for add in adds])
        await log.close()

    asyncio.run(mark())
    with Served(str(site)) as served:
        cookies: dict[str, str] = {}
        for role in ROLES:
            cookies[role], _ = people.sign_in_account(people.accounts()[f"the-{role}"], time.time_ns())
        yield Guarded(served, people, cookies)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("action", MAY)
def test_each_role_may_do_this_and_no_more(guarded: Guarded, role: str, action: str) -> None:
    async def work() -> None:
        async with guarded.tab(role) as tab:
            welcome = await tab.hello()
            assert welcome.user == f"the-{role}"
            kind, _, whose = action.partition(" ")
            if kind in ("see", "queue", "take"):
                await _look(guarded, tab, kind, role)
                return
            fields: dict[str, Any] = {"mark": f"{action}-{role}"} if whose else {}
            fields |= {"confidence": 0.5} if kind == "edit" else {}
            answer = await tab.act(kind, **fields)
            allowed = role in MAY[action].split()
            assert isinstance(answer, Accepted if allowed else Rejected), answer
            if isinstance(answer, Rejected):
                of_mark = action in ("undo other", "accept mine") and role != "viewer"
                assert answer.code == ("mark" if of_mark else "role")
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns=str(1 << 61))
            found = await tab.hear(MarksOf)
            standing = {it.id: it for it in found.marks}
            if not allowed and whose == "other":
                about = standing[f"{action}-{role}"]
                assert (about.author, about.reviewed_by) == ("somebody", "")  # nothing was done to it

    asyncio.run(work())


async def _look(guarded: Guarded, tab: Tab, kind: str, role: str) -> None:
    if kind == "see":
        frames, _ = await tab.look(1, START_NS, START_NS + S)
        assert frames
    elif kind == "queue":
        await tab.say("queue", request=1, device="pump-7")
        await tab.hear(QueueOf)
    else:
        query = {"device": "pump-7", "streams": "acc", "from": str(START_NS), "to": str(START_NS + S), "format": "csv"}
        async with httpx.AsyncClient(cookies={"sensorloom": guarded.cookies[role]}, timeout=LIMIT_S) as client:
            response = await client.get(f"{guarded.served.url}/api/take", params=query)
        assert (response.status_code, len(response.text.splitlines())) == (200, 101)


def test_without_a_session_there_is_the_page_alone(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.served.url) as client:
        for path in ("/api/session", "/api/gallery", "/api/take", "/api/take/plan"):
            response = client.get(path)
            assert (response.status_code, response.json()["error"]) == (401, "session")
        assert client.get("/openapi.json").status_code == 200
        for path in ("/openapi.json", "/nothing", "/static/nothing"):
            headers = client.get(path).headers
            assert "script-src 'self'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        (script,) = re.findall(r'<script type="module" src="(.+?)">', client.get("/").text)
        packed, plain = (client.get(script, headers={"Accept-Encoding": it}) for it in ("gzip, br", "identity"))
        assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
        assert packed.content == plain.content

    async def connect(cookie: str) -> int | None:
        async with Tab(guarded.served.url, cookie) as tab:
            with pytest.raises(ConnectionClosed):
                await tab.hello()
            return tab.socket.close_code

    assert asyncio.run(connect("")) == 4401
    assert asyncio.run(connect("stolen-or-made-up")) == 4401


def test_signing_in_gives_a_cookie_that_scripts_and_other_sites_do_not_get(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.served.url, headers={"Origin": guarded.served.url}) as client:
        response = client.post("/api/login", json={"user": "the-viewer", "password": PASSWORD})
        assert (response.status_code, response.json()["role"]) == (200, "viewer")
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/session").json()["user"] == "the-viewer"
        csrf = response.json()["csrf"]
        for headers in ({}, {"X-CSRF-Token": "guessed"}):
            refused = client.post("/api/logout", headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (403, "csrf")
        assert client.get("/api/session").status_code == 200
        before = dict(client.cookies)
        assert client.post("/api/logout", headers={"X-CSRF-Token": csrf}).status_code == 204
        stolen = httpx.get(f"{guarded.served.url}/api/session", cookies=before)
        assert stolen.status_code == 401  # the session is over, wherever its cookie went


def test_who_guesses_passwords_is_slowed_down(guarded: Guarded) -> None:
    with httpx.Client(base_url=guarded.served.url, timeout=LIMIT_S) as client:
        codes = [
            client.post("/api/login", json={"user": "nobody", "password": f"wrong {number}"}).status_code
            for number in range(6)
        ]
        assert codes == [401] * 5 + [429]
        refused = client.post("/api/login", json={"user": "nobody", "password": "again"})
        assert 0 < int(refused.headers["retry-after"]) <= 60
        other = client.post("/api/login", json={"user": "the-admin", "password": PASSWORD})
        assert other.status_code == 200  # whoever else is there still comes in


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{", 400), (b'{"user": 1}', 400), (b'{"user": "' + b"x" * 9_000, 413)]
)
def test_a_body_that_is_no_login_is_refused(guarded: Guarded, body: bytes, status: int) -> None:
    response = httpx.post(f"{guarded.served.url}/api/login", content=body)
    assert (response.status_code, response.json()["error"]) == (status, "request")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", None])
def test_another_site_gets_no_socket_and_signs_nobody_in(guarded: Guarded, origin: str | None) -> None:
    async def connect() -> None:
        async with guarded.tab("admin", origin=origin) as tab:
            await tab.hello()

    with pytest.raises(InvalidStatus, match="403"):
        asyncio.run(connect())
    if origin is not None:
        login = {"user": "the-admin", "password": PASSWORD}
        response = httpx.post(f"{guarded.served.url}/api/login", json=login, headers={"Origin": origin})
        assert (response.status_code, response.json()["error"]) == (403, "csrf")
        assert f"Origin is {origin}, the server was asked as 127.0.0.1:" in response.json()["words"]


def test_a_name_that_was_turned_to_this_address_gets_nothing(guarded: Guarded) -> None:
    cookies = {"sensorloom": guarded.cookies["admin"]}
    port = guarded.served.url.rpartition(":")[2]
    response = httpx.get(f"{guarded.served.url}/api/gallery", cookies=cookies, headers={"Host": f"evil.example:{port}"})
    assert response.status_code == 401


def test_a_session_that_is_over_marks_no_more(guarded: Guarded) -> None:
    people = guarded.people
    account = people.accounts()["the-annotator"]
    old, _ = people.sign_in_account(account, time.time_ns() - SESSION_NS)
    late, session = people.sign_in_account(account, time.time_ns())

    async def work() -> None:
        async with Tab(guarded.served.url, old) as tab:
            with pytest.raises(ConnectionClosed):
                await tab.hello()
            assert tab.socket.close_code == 4401
        async with Tab(guarded.served.url, late) as tab:
            await tab.hello()
            assert isinstance(await tab.act("add"), Accepted)
            people.sign_out(late)
            with pytest.raises(ConnectionClosed):
                await tab.act("add", mark="over")
            assert tab.socket.close_code == 4401
        async with guarded.tab("viewer") as tab:
            await tab.hello()
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns=str(1 << 61))
            assert "over" not in [it.id for it in (await tab.hear(MarksOf)).marks]

    asyncio.run(work())
    assert session.user == "the-annotator"


def test_a_program_signs_in_with_its_token(guarded: Guarded) -> None:
    guarded.people.add("button", "annotator", None)
    token = guarded.people.make_token("button", "hall", time.time_ns())

    async def work(origin: str | None) -> None:
        async with Tab(guarded.served.url, token=token, origin=origin) as tab:
            assert (await tab.hello()).user == "button"
            assert isinstance(await tab.act("add"), Accepted)

    asyncio.run(work(None))
    with pytest.raises(InvalidStatus, match="403"):
        asyncio.run(work("http://evil.example"))
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{guarded.served.url}/api/gallery", headers=headers).status_code == 200
    headers = {"Authorization": "Bearer made-up"}
    assert httpx.get(f"{guarded.served.url}/api/gallery", headers=headers).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/..\\app.py",
        "/static/\\..\\app.py",
        "/static/%00",
    ],
)
def test_no_path_leads_out_of_the_page(guarded: Guarded, path: str) -> None:
    address = httpx.URL(guarded.served.url)
    connection = http.client.HTTPConnection(address.host, address.port or 80, timeout=LIMIT_S)
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", f"{address.host}:{address.port}")
    connection.endheaders()
    response = connection.getresponse()
    assert response.status in (400, 404, 405)
    body = response.read()
    assert b"root:" not in body
    assert b"starlette" not in body
    connection.close()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x" * 70_000, 1009),
        (b"\x00\x01", 4400),
        ("no json", 4400),
        ('{"type":"dance"}', 4400),
        ('{"type":"hello","protocol":2,"tab":"5ff3c1a0-0000-4000-8000-000000000031"}', 4409),
        ('{"type":"ping","ping":1}', 4400),  # before hello
    ],
)
def test_what_is_no_message_closes_the_socket(guarded: Guarded, message: str | bytes, code: int) -> None:
    async def work() -> None:
        async with guarded.tab("admin") as tab:
            await tab.socket.send(message)
            with pytest.raises(ConnectionClosed):
                await tab.next()
            assert tab.socket.close_code == code

    asyncio.run(work())


def test_many_sockets_are_served_side_by_side(guarded: Guarded) -> None:
    async def work() -> None:
        async def one(number: int) -> None:
            tab = tabs[number]
            await tab.__aenter__()
            await tab.hello()

        tabs = [guarded.tab("annotator" if number == 0 else "viewer") for number in range(300)]
        for start in range(0, 300, 50):
            await asyncio.gather(*(one(number) for number in range(start, start + 50)))
        for tab in tabs:
            await tab.say("marks", request=1, device="pump-7", from_ns="0", to_ns="1")
        await asyncio.gather(*(tab.hear(MarksOf) for tab in tabs))
        assert isinstance(await tabs[0].act("add", mark="for-all"), Accepted)
        await asyncio.gather(*(tab.hear(Changed, lambda it: it.mark.id == "for-all") for tab in tabs))
        await asyncio.gather(*(tab.socket.close() for tab in tabs))

    _allow_descriptors(1_024)
    asyncio.run(work())


def test_more_connections_than_there_may_be_leave_room_for_who_is_there(guarded: Guarded) -> None:
    _allow_descriptors(4_096)
    address = httpx.URL(guarded.served.url)

    async def work() -> None:
        async with guarded.tab("annotator") as tab:
            await tab.hello()
            crowd = [await asyncio.open_connection(address.host, address.port) for _ in range(CONNECTIONS_MAX + 100)]
            closed = [asyncio.create_task(reader.read()) for reader, _ in crowd[-50:]]
            await asyncio.wait_for(asyncio.gather(*closed, return_exceptions=True), LIMIT_S)  # those were too many
            assert isinstance(await tab.act("add"), Accepted)
            for _, writer in crowd:
                writer.close()
        await _comes_in(guarded)

    asyncio.run(work())


async def _comes_in(guarded: Guarded) -> None:
    """Somebody new is let in, when the crowd is gone: in a moment."""
    for _ in range(600):
        try:
            async with guarded.tab("annotator") as tab:
                await tab.hello()
                return
        except (OSError, InvalidStatus, ConnectionClosed, EOFError):
            await asyncio.sleep(0.1)
    raise AssertionError("nobody comes in any more")


def test_a_body_that_comes_drop_by_drop_and_a_tab_that_says_nothing_are_cut_off(guarded: Guarded) -> None:
    address = httpx.URL(guarded.served.url)

    def body() -> bytes:
        with socket.create_connection((address.host, address.port or 80), timeout=LIMIT_S + BODY_S) as connection:
            host = f"{address.host}:{address.port}".encode()
            head = b"POST /api/login HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 60\r\n\r\n"
            connection.sendall(head + b'{"user"')
            answer = b""
            while part := _received(connection):
                answer += part
                if b"within" in answer:
                    return answer
            return answer

    async def work() -> tuple[bytes, int | None]:
        async with guarded.tab("viewer") as silent:
            answer = await asyncio.to_thread(body)
            with pytest.raises(ConnectionClosed):
                await silent.next()
            return answer, silent.socket.close_code

    answer, code = asyncio.run(work())
    assert answer.startswith(b"HTTP/1.1 408")
    assert code == 4400


def test_who_sends_headers_drop_by_drop_is_cut_off(guarded: Guarded) -> None:
    address = httpx.URL(guarded.served.url)
    begun = time.monotonic()
    with socket.create_connection((address.host, address.port or 80), timeout=LIMIT_S + HEADERS_S) as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: ")
        with socket.create_connection((address.host, address.port or 80), timeout=LIMIT_S + HEADERS_S) as second:
            host = f"{address.host}:{address.port}".encode()
            second.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            assert second.recv(12) == b"HTTP/1.1 200"  # another one's request is answered meanwhile
            second.sendall(b"GET / HTTP/1.1\r\nHost: ")  # and its next one is as slow
            for connection in (first, second):
                while _received(connection):
                    pass
    assert time.monotonic() - begun >= HEADERS_S / 2


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def test_the_link_opens_once(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", recording(1))
    with Served(str(site), "--as", "anna") as served:
        assert httpx.get(f"{served.url}/open/guessed").status_code == 403
        served.open()
        again = httpx.get(served.link)
        assert (again.status_code, again.json()["error"]) == (403, "session")
        with served.client() as client:
            assert client.get("/api/session").json()["user"] == "anna"
        code, said = served.end()
        assert (code, "Traceback" in said) == (0, False)


@pytest.mark.parametrize(
    ("accounts", "words", "told"),
    [
        (False, ["--listen", "0.0.0.0:0"], "there are no accounts: make one first"),
        (True, ["--listen", "0.0.0.0:0"], "give --tls-cert FILE --tls-key FILE, or put a proxy"),
        (False, ["--behind-proxy"], "there are no accounts yet"),
        (True, ["--tls-cert", "none.pem"], "--tls-cert and --tls-key belong together"),
        (True, ["--tls-cert", "none.pem", "--tls-key", "none.key"], "--tls-cert none.pem: no such file"),
        (True, ["--listen", "8765"], "use HOST:PORT"),
        (False, ["--as", "rules"], "rules' marks have the lane of that name"),
        (False, ["--as", "../anna"], "can be no name"),
        (
            False,
            ["--listen", "127.0.0.1:0", "--archive", "none"],
            "none: no archive: there is no readings/genesis.json",
        ),
    ],
)
def test_what_would_not_be_safe_is_refused(
    tmp_path: Path, accounts: bool, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path / "site", recording(1))
    if accounts:
        People(site / "people").add("anna", "admin", PASSWORD)
    assert sensorloom.main(["label", "serve", str(site), *words]) == 2
    assert told in capsys.readouterr().err


def test_an_archive_that_is_not_shown_beside_another_log_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = write_site(tmp_path / "site", recording(1))
    archive = site / "archive" / "readings"
    archive.mkdir(parents=True)
    (archive / "genesis.json").touch()
    assert sensorloom.main(["label", "serve", str(site), "--log", f"segments:{site}/log", "--listen", "8765"]) == 2
    assert f"not shown: {archive.parent}; --archive DIR names the one of segments:" in capsys.readouterr().err


def test_off_loopback_it_serves_with_accounts_and_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("timeline", "IP:127.0.0.1")
    site = write_site(tmp_path / "site", recording(1))
    People(site / "people").add("anna", "admin", PASSWORD)
    words = ["--listen", "0.0.0.0:0", "--tls-cert", str(certificate), "--tls-key", str(key)]
    with Served(str(site), *words) as served:
        url = served.url.replace("0.0.0.0", "127.0.0.1")
        trust = ssl.create_default_context(cafile=str(authority.certificate))
        with httpx.Client(base_url=url, verify=trust, headers={"Origin": url}) as client:
            response = client.post("/api/login", json={"user": "anna", "password": PASSWORD})
            assert response.status_code == 200, response.text
            assert "secure" in response.headers["set-cookie"].lower()

        async def work() -> None:
            async with Tab(url, response.cookies["sensorloom"], ssl=trust) as tab:
                assert (await tab.hello()).role == "admin"

        asyncio.run(work())


def test_people_are_added_listed_and_removed_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "people")
    run = sensorloom.main
    assert run(["label", "user", "add", "button", "--role", "annotator", "--no-password", "--people", folder]) == 0
    assert "button is an annotator" in capsys.readouterr().out
    assert run(["label", "user", "token", "button", "--people", folder]) == 0
    token = capsys.readouterr().out.strip()
    assert People(Path(folder)).of_token(token) is not None
    assert run(["label", "user", "list", "--people", folder, "--json"]) == 0
    told = '{"people":[{"user":"button","role":"annotator","password":false,"tokens":["token"]}]}'
    assert capsys.readouterr().out.strip() == told
    assert run(["label", "user", "list", "--people", folder]) == 0
    assert "button" in capsys.readouterr().out
    assert run(["label", "user", "remove", "button", "--people", folder]) == 0
    assert run(["label", "user", "remove", "button", "--people", folder]) == 2
    assert "there is nobody called" in capsys.readouterr().err


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
