"""An HTTP transport for the Azure SDK whose answers arrive whole within their read time-out, or fail.

The time-outs of requests count from one byte to the next, so an answer that drips holds its thread for as long as it
likes. Here the read time-out is the time of the whole answer, headers included, and the connection time-out also bounds
the look-up of the host's name.
"""

import http.client
import io
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from policy_store.tables.addresses import resolver


def transport(
    connections: int,
    connection_timeout: float,
    read_timeout: float,
    on_unauthorized: Callable[[], None] | None = None,
) -> RequestsTransport:
    """A transport that keeps up to `connections` connections to one host open; the time-outs are in seconds.
    `on_unauthorized` is called whenever an answer is 401.

    A client of the SDK hands its own time-outs only to a transport that it makes itself. What the environment says of
    authorities is read once, here, and a proxy is the caller's to set: requests would look at all of the environment,
    and at ~/.netrc, for every request.
    """
    session = requests.Session()
    session.trust_env = False
    adapter = _Adapter(pool_maxsize=connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return _Transport(
        on_unauthorized,
        session=session,
        connection_timeout=connection_timeout,
        read_timeout=read_timeout,
        connection_verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
    )


class _Transport(RequestsTransport):  # type: ignore[misc] # the SDK loads the class when it is asked for
    def __init__(self, on_unauthorized: Callable[[], None] | None, **options: Any) -> None:
        super().__init__(**options)
        self._on_unauthorized = on_unauthorized

    def send(self, *args: Any, **kwargs: Any) -> Any:
        response = super().send(*args, **kwargs)
        if response.status_code == 401 and self._on_unauthorized:
            self._on_unauthorized()
        return response


class _Answer(io.RawIOBase):
    """The bytes of one answer; each read waits only for what is left of the answer's time."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._octets = sock.makefile("rb", buffering=0)
        timeout = sock.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left)
        return self._octets.readinto(buffer)

    def close(self) -> None:
        self._octets.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Answer(sock))


def _connect(connection: Any, connect: Callable[[], socket.socket]) -> socket.socket:
    """Connect to the first address of the host that takes the connection: urllib3 asks the system's resolver for what
    stands in `_dns_host`, and checks certificates against that too, but only later.
    """
    name = connection._dns_host
    timeout = connection.timeout
    seconds = timeout if isinstance(timeout, (int, float)) else None
    try:
        *others, last = resolver.addresses(name, seconds)
    except OSError as error:
        raise NewConnectionError(connection, "the host name cannot be looked up") from error
    try:
        for connection._dns_host in others:
            try:
                return connect()
            except Exception:  # noqa: S112 - the next address may do
                continue
        connection._dns_host = last
        return connect()
    finally:
        connection._dns_host = name


class _HTTPConnection(HTTPConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


class _HTTPSConnection(HTTPSConnection):
    response_class = _Response

    def _new_conn(self) -> socket.socket:
        return _connect(self, super()._new_conn)


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
