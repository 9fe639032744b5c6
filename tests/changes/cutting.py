"""A proxy in front of the table service that cuts the line at one point of a conversation, and stays cut after it."""

import http.client
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, Self

type Phase = Literal["before", "within", "after"]
"""Before the request reaches the service, within its answer, or after the service has carried it out."""


class CuttingProxy:
    """Forwards to 127.0.0.1:`upstream` from a free `port` of its own, for a `with` block.

    At request number `number` (the first is 1) the line is cut at `phase`, and every later request is refused; 0 cuts
    nothing. `at_cut` is called first. `requests` has the method of each request that came.
    """

    port: int

    def __init__(
        self, upstream: int, number: int = 0, phase: Phase = "before", at_cut: Callable[[], None] | None = None
    ) -> None:
        self.requests: list[str] = []
        self.cut = threading.Event()
        self._number, self._phase = number, phase
        self._at_cut = at_cut
        self._upstream = upstream
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                proxy.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "MERGE"):
            setattr(Handler, f"do_{method}", Handler.answer)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Forward one request, or cut the line."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append(handler.command)
        here = len(self.requests) == self._number
        if self.cut.is_set() or (here and self._phase == "before"):
            self._hang_up(handler, first=here)
            return
        client = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=30)
        client.request(handler.command, handler.path, body, dict(handler.headers))
        answer = client.getresponse()
        content = answer.read()
        client.close()
        if here and self._phase == "after":
            self._hang_up(handler, first=True)
            return
        handler.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "keep-alive"):
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content) + here))
        handler.end_headers()
        handler.wfile.write(content)
        if here:
            self._hang_up(handler, first=True)

    def _hang_up(self, handler: BaseHTTPRequestHandler, *, first: bool) -> None:
        self.cut.set()
        if first and self._at_cut is not None:
            self._at_cut()
        handler.close_connection = True
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)
