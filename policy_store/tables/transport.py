"""An HTTP transport for the Azure SDK whose answers arrive whole within their read time-out, or fail.

The time-outs of requests count from one octet to the next, so an answer that drips holds its thread for as long as it
likes. Here the read time-out is the time of the whole answer, headers included.
"""

import http.client
import io
import os
import socket
import time
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


def transport(connections: int, connection_timeout: float, read_timeout: float) -> RequestsTransport:
    """A transport that keeps up to `connections` connections to one host open; the time-outs are in seconds.

    A client of the SDK hands its own time-outs only to a transport that it makes itself. What the environment says of
    authorities is read once, here, and a proxy is the caller's to set: requests would look at all of the environment,
    and at ~/.netrc, for every request.
    """
    session = requests.Session()
    session.trust_env = False
    adapter = _Adapter(pool_maxsize=connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return RequestsTransport(
        session=session,
        connection_timeout=connection_timeout,
        read_timeout=read_timeout,
        connection_verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
    )


class _Answer(io.RawIOBase):
    """The octets of one answer; each read waits only for what is left of the answer's time."""

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


class _HTTPConnection(HTTPConnection):
    response_class = _Response


class _HTTPSConnection(HTTPSConnection):
    response_class = _Response


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
