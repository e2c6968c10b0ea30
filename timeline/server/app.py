"""The server's routes: the page, who is signed in, the gallery, and the socket. README.md has them as a table."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ingest.errors import SensorloomError
from timeline import protocol
from timeline.marks.acts import Who
from timeline.people.accounts import SESSION_NS, Limiter, People, SignedIn
from timeline.protocol import Login, Problem, Session
from timeline.protocol.documents import asyncapi, openapi
from timeline.server.answers import ProblemError, json_answer, problem_answer
from timeline.server.gallery import Overlook
from timeline.server.guard import SafeHeaders
from timeline.server.pagefiles import page_files
from timeline.server.takeroutes import TakeRoutes
from timeline.tabs.hub import TABS_MAX, Hub
from timeline.tabs.tab import ClosedError, Tab

STATIC: Final = Path(__file__).parents[1] / "static"
COOKIE: Final = "sensorloom"
BODY_MAX: Final = 8_192
BODY_S: Final = 10.0
HELLO_S: Final = 20.0
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_S: Final = 10**9
_T = TypeVar("_T")


class Entrance:
    """Who comes in: by a session's cookie, a token, a password, or the one-time link."""

    def __init__(self, people: People, *, secure: bool, hosts: frozenset[str], guest: str) -> None:
        self.people = people
        self.secret = secrets.token_urlsafe(24)
        """Of the one-time link; "" when it was used, or there is none."""
        self._secure = secure
        self._hosts = hosts
        self._guest = guest
        self._by_name = Limiter(5, 60 * _S)
        self._by_address = Limiter(20, 10 * _S)
        self._checking = asyncio.Semaphore(2)

    def session(self, request: HTTPConnection) -> SignedIn | None:
        """Of the request's cookie."""
        return self.people.session(request.cookies.get(COOKIE, ""), time.time_ns())

    def who(self, request: HTTPConnection) -> Who | None:
        """Who asks, by cookie or token; None: nobody who is known."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            account = self.people.of_token(token.strip())
            return None if account is None else Who(account.user, account.role)
        session = self.session(request)
        return None if session is None else Who(session.user, session.role)

    def is_host(self, request: HTTPConnection) -> bool:
        """Whether the request is for this server, and not for a name that somebody has turned to its address."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        return not self._hosts or host in self._hosts

    def is_own(self, request: HTTPConnection) -> bool:
        """Whether a request comes from the page that this server gave out; programs say no origin."""
        origin = request.headers.get("origin")
        if origin is None:
            return "authorization" in request.headers
        scheme = "https" if self._secure else "http"
        return origin == f"{scheme}://{request.headers.get('host', '')}"

    def check_csrf(self, request: Request) -> SignedIn:
        """The session of a request that changes something. Raises `ProblemError`."""
        session = self.session(request)
        if session is None:
            raise ProblemError(401, "session", "sign in first")
        if not secrets.compare_digest(request.headers.get("x-csrf-token", ""), session.csrf):
            raise ProblemError(403, "csrf", "the header X-CSRF-Token is missing, or not that of the session")
        return session

    async def sign_in(self, request: Request) -> Response:
        """`POST /api/login`."""
        if request.headers.get("origin") is not None and not self.is_own(request):
            raise ProblemError(403, "csrf", f"another page may not sign anybody in here: {_elsewhere(request)}")
        login = await _body(request, Login)
        address = request.client.host if request.client else ""
        now_ns = time.time_ns()
        limits = (self._by_name, f"{login.user}"), (self._by_address, address)
        wait_ns = max(limiter.wait_ns(key, now_ns) for limiter, key in limits)
        if wait_ns:
            seconds = -(-wait_ns // _S)
            words = f"too many wrong passwords; try again in {seconds} s"
            raise ProblemError(429, "rate", words, {"Retry-After": str(seconds)})
        for limiter, key in limits:
            limiter.failed(key, now_ns)  # before it is known: many at once are many
        async with self._checking:
            account = await asyncio.to_thread(self.people.check, login.user, login.password)
        if account is None:
            raise ProblemError(401, "session", "the name or the password is wrong")
        for limiter, key in limits:
            limiter.forgive(key)
        return self._welcome(*self.people.sign_in_account(account, now_ns))

    async def open(self, request: Request) -> Response:
        """`GET /open/{secret}`: the one-time link."""
        given = request.path_params["secret"]
        if not self.secret or not secrets.compare_digest(given.encode(), self.secret.encode()):
            raise ProblemError(403, "session", "the link was used already, or is none; start the server again for one")
        self.secret = ""
        response = RedirectResponse("/", 303)
        secret, _ = self.people.sign_in(self._guest, "admin", time.time_ns())
        self._set_cookie(response, secret)
        return response

    async def tell(self, request: Request) -> Response:
        """`GET /api/session`."""
        session = self.session(request)
        if session is None:
            raise ProblemError(401, "session", "sign in first")
        return json_answer(_told(session))

    async def sign_out(self, request: Request) -> Response:
        """`POST /api/logout`."""
        self.check_csrf(request)
        self.people.sign_out(request.cookies.get(COOKIE, ""))
        response = Response(status_code=204)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure)
        return response

    def _welcome(self, secret: str, session: SignedIn) -> Response:
        response = json_answer(_told(session))
        self._set_cookie(response, secret)
        return response

    def _set_cookie(self, response: Response, secret: str) -> None:
        age_s = SESSION_NS // _S
        response.set_cookie(COOKIE, secret, age_s, httponly=True, samesite="strict", secure=self._secure)


class App:
    """The routes over a hub and an entrance."""

    def __init__(self, hub: Hub, entrance: Entrance) -> None:
        self._hub = hub
        self._overlook = Overlook(hub.timeline)
        self._entrance = entrance
        self._files = page_files(STATIC)

    def routes(self) -> Starlette:
        """The ASGI application."""
        entrance, taking = self._entrance, TakeRoutes(self._hub.timeline)
        routes = [
            Route("/", self._page),
            Route("/d/{device:path}", self._page),
            Route("/sw.js", self._worker),
            Route("/open/{secret}", entrance.open),
            Route("/api/session", entrance.tell),
            Route("/api/login", entrance.sign_in, methods=["POST"]),
            Route("/api/logout", entrance.sign_out, methods=["POST"]),
            Route("/api/gallery", self._signed_in(self._gallery)),
            Route("/api/take", self._signed_in(taking.take)),
            Route("/api/take/plan", self._signed_in(taking.plan)),
            Route("/openapi.json", self._openapi),
            Route("/asyncapi.json", self._asyncapi),
            WebSocketRoute("/socket", self._socket),
            Route("/static/{path:path}", self._file),
        ]
        app = Starlette(routes=routes, exception_handlers={ProblemError: _refuse, 404: _missing, 405: _missing})
        app.add_middleware(SafeHeaders)
        return app

    def _signed_in(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            if not self._entrance.is_host(request) or self._entrance.who(request) is None:
                raise ProblemError(401, "session", "sign in first")
            try:
                return await answer(request)
            except SensorloomError as error:
                raise ProblemError(503, "log", str(error)) from None

        return checked

    async def _page(self, request: Request) -> Response:
        return Response(self._files.page, media_type="text/html")

    async def _worker(self, request: Request) -> Response:
        """A service worker speaks for the folder that it lies in."""
        return Response(self._files.worker, media_type="text/javascript")

    async def _file(self, request: Request) -> Response:
        """A file of this version of the page, which never changes under its address; of another one there is none."""
        file = self._files.files.get(request.url.path)
        if file is None:
            raise ProblemError(404, "missing", "this server's page has no such file; load the page again")
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(file.content, media_type=file.media_type, headers=_FOR_EVER)
        packed = _FOR_EVER | {"Content-Encoding": "gzip"}
        return Response(file.packed, media_type=file.media_type, headers=packed)

    async def _gallery(self, request: Request) -> Response:
        return json_answer(await self._overlook.rows(time.time_ns()))

    async def _openapi(self, request: Request) -> Response:
        return json_answer(openapi())

    async def _asyncapi(self, request: Request) -> Response:
        return json_answer(asyncapi())

    async def _socket(self, socket: WebSocket) -> None:
        entrance = self._entrance
        who = entrance.who(socket)
        if not entrance.is_host(socket) or not entrance.is_own(socket):
            words = f"another page may not speak here: {_elsewhere(socket)}"
            await socket.send_denial_response(problem_answer(403, Problem("csrf", words)))
            return
        await socket.accept()
        if who is None:
            await _close(socket, 4401)
        elif len(self._hub.tabs) >= TABS_MAX:
            await _close(socket, 4429)
        else:
            await self._converse(socket, Tab(self._hub, who, lambda: entrance.who(socket)))

    async def _converse(self, socket: WebSocket, tab: Tab) -> None:
        async def send(data: bytes | str) -> None:
            await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))

        self._hub.tabs.add(tab)
        tasks = [asyncio.create_task(it) for it in (self._listen(socket, tab), tab.do_acts(), tab.send(send))]
        over = asyncio.create_task(tab.over.wait())
        try:
            await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.tabs.discard(tab)
            self._hub.people_changed()
            for task in (*tasks, over):
                task.cancel()
            await asyncio.gather(*tasks, over, return_exceptions=True)
            await tab.close()
        if tab.over.is_set():
            await _close(socket, tab.code)

    async def _listen(self, socket: WebSocket, tab: Tab) -> None:
        try:
            async with asyncio.timeout(HELLO_S):
                tab.take(protocol.decode(await socket.receive_text()))
            while True:
                await tab.room()
                await _hear(socket, tab)
        except WebSocketDisconnect:
            return
        except ClosedError as error:
            tab.give_up(error.code)
        except (msgspec.MsgspecError, protocol.UnfitError, KeyError, TimeoutError):  # none, or a binary one
            tab.give_up(4400)


async def _hear(socket: WebSocket, tab: Tab) -> None:
    text = await socket.receive_text()
    try:
        tab.take(protocol.decode(text))
    except protocol.UnfitError as error:
        tab.say(error.answer)


def _elsewhere(request: HTTPConnection) -> str:
    """In words, how a page's origin differs from the name that the server was asked by."""
    host, origin = (request.headers.get(name, "nothing")[:200] for name in ("host", "origin"))
    way = "a proxy in front must pass on Host as it comes (nginx: proxy_set_header Host $http_host)"
    return f"its Origin is {origin}, the server was asked as {host}; {way}"


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code, protocol.CLOSE_CODES[code])
    except (RuntimeError, WebSocketDisconnect, OSError):
        return  # it is closed already


async def _body(request: Request, kind: type[_T]) -> _T:
    """The request's JSON body. Raises `ProblemError` where it is too long, too slow, or another."""
    data = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                data += part
                if len(data) > BODY_MAX:
                    raise ProblemError(413, "request", f"the body has more than {BODY_MAX} bytes")
        return msgspec.json.decode(data, type=kind)
    except TimeoutError:
        raise ProblemError(408, "request", f"the body did not come within {BODY_S:.0f} s") from None
    except msgspec.MsgspecError as error:
        raise ProblemError(400, "request", str(error)) from None


def _told(session: SignedIn) -> Session:
    return Session(session.user, session.role, session.csrf, str(session.expires_ns), by_link=not session.proof)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    response = problem_answer(error.status, error.problem)
    response.headers.update(error.headers or {})
    return response


async def _missing(request: Request, error: Exception) -> Response:
    return problem_answer(getattr(error, "status_code", 404), Problem("missing", "there is no such page"))
