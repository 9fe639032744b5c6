"""The door in front of every page: which requests come in, how much they may bring, and the headers of every answer.

It holds off other sites in the same browser, other names for this machine (DNS rebinding), and other people on it.
"""

import asyncio
import sys
from collections.abc import Collection, Iterable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_store.web.session import Session

ENTRANCE = "/enter"
UPLOADS = ("/import", "/reports")  # these may bring a file
LARGEST_FORM, LARGEST_UPLOAD = 1_000_000, 32_000_000  # bytes
LONGEST_PAUSE = 30.0  # seconds between two pieces of what is sent

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class _TooLarge(Exception):
    pass


class Door:
    """An ASGI application around the page's own, which listens at `port`. Strangers get the paths in `everybody`."""

    def __init__(
        self,
        app: ASGIApp,
        port: int,
        session: Session,
        everybody: Collection[str],
        *,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._app, self._session, self._everybody, self._pause = app, session, frozenset(everybody), longest_pause
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "[::1]", "localhost"))
        self.cookie = f"mta-sts-{port}"  # a cookie belongs to the host, whatever the port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on, one request; nothing but HTTP is passed on."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        bound = LARGEST_UPLOAD if scope["path"] in UPLOADS else LARGEST_FORM
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await _with_headers(send)(message)

        try:
            await self._app(scope, _bounded(receive, bound, self._pause), sending)
        except TimeoutError:
            answer: Response = _text(408, f"Nothing came for {self._pause:.0f} seconds: send it again.")
        except _TooLarge:
            answer = _text(413, f"A request may have {bound // 1_000_000} MB.")
        except Exception as error:
            # Its text may quote what the request brought; the kind says enough to report it.
            print(f"An error that nobody expected, {type(error).__name__}. Please report it.", file=sys.stderr)
            answer = _text(500, "An error that nobody expected. Please report it, with what the terminal says.")
        else:
            return
        if not started:
            await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that does not come in."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _text(421, "This page is for this machine alone: use the address that the terminal shows.")
        path, method = scope["path"], scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return _text(405, "GET, HEAD and POST are known here.")
        if method == "POST" and headers.get("origin") != f"http://{hosts[0].lower()}":
            return _text(403, "This form is not of this page.")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            method != "GET" or headers.get("sec-fetch-dest", "document") != "document"
        ):
            return _text(403, "Another site asks for this: open the page by itself.")
        if path in self._everybody and method != "POST":
            return None
        if not any(map(self._session.knows, _cookies(headers.getlist("cookie"), self.cookie))):
            return _text(403, "Open the address that the terminal shows. It opens one browser, once.")
        length = headers.get("content-length", "0")
        bound = LARGEST_UPLOAD if path in UPLOADS else LARGEST_FORM
        if not length.isdecimal() or int(length[:12]) > bound:
            return _text(413, f"A request may have {bound // 1_000_000} MB.")
        return None


def _cookies(headers: Iterable[str], name: str) -> Iterable[str]:
    """The values of the cookie in the headers; several sites of one host may set it."""
    for header in headers:
        for part in header.split(";"):
            try:
                morsel = SimpleCookie(part.strip()).get(name)
            except CookieError:
                continue
            if morsel is not None:
                yield morsel.value


def _bounded(receive: Receive, bound: int, pause: float) -> Receive:
    """`receive` that raises once more than `bound` bytes have come, whatever was announced, or none for `pause` seconds
    before the end.
    """
    left, more = bound, True

    async def receiving() -> Message:
        nonlocal left, more
        async with asyncio.timeout(pause if more else None):
            message = await receive()
        more = message.get("more_body", False)
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLarge
        return message

    return receiving


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending


def _text(status: int, sentence: str) -> Response:
    return PlainTextResponse(f"{sentence}\n", status)
