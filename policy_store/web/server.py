"""The server of the page: on this machine's own addresses only, without a log of requests."""

import errno
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_WAITING = 64
_AT_ONCE = 200  # requests: a browser sends a few
_LONGEST_HEAD = 64 * 1024  # bytes of a request's headers


class PortInUse(ValueError):
    """The port is taken; the message says so."""


def listen(port: int) -> list[socket.socket]:
    """Sockets at the port of 127.0.0.1 and, where the machine has it, ::1; for port 0 at a free one, the same for both.

    Raises PortInUse.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _LOOPBACK:
            listener = _listener(family, address, port)
            if listener is not None:
                sockets.append(listener)
                port = listener.getsockname()[1]
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise PortInUse(f"port {port} is in use: choose another with --port, or 0 for a free one") from error
    return sockets


def _listener(family: socket.AddressFamily, address: str, port: int) -> socket.socket | None:
    """A listening socket; None where the machine has no IPv6. Raises OSError where the port is taken."""
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another program take the port over.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        if family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL:
            return None
        raise
    return listener


class Server(uvicorn.Server):
    """Serves until Ctrl-C or SIGTERM; `ready` is called once it does."""

    def __init__(self, app: ASGIApp, ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_AT_ONCE,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self._ready()
