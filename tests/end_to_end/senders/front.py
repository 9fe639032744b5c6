"""The way from a sender to the policy host: a CONNECT proxy, and a TLS front that picks its certificate by SNI.

Senders connect to port 443 of the policy host. Through the proxy (`HTTPS_PROXY`) they do so without root, and still
verify the certificate for the name in the URL themselves.
"""

import asyncio
import re
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Self

import trustme

type Address = tuple[str, int]
type _Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK = 64 * 1024


class _Relay(ABC):
    """A TCP server on `127.0.0.1:port`, in a thread of its own, that joins each client with an upstream."""

    port: int
    _tls: ssl.SSLContext | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @abstractmethod
    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Streams | None:
        """Open the upstream for a new client, or answer the client and return None."""

    def _run[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _stop(self) -> None:
        self._server.close()
        self._server.abort_clients()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await self._connect(reader, writer)
            if upstream is not None:
                await _join((reader, writer), upstream)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # either side went away, which the other sees as the end of its connection
        finally:
            writer.close()


class ConnectProxy(_Relay):
    """An HTTP proxy that knows CONNECT alone (RFC 9110 section 9.3.6) and leads port 443 of every host to `target`."""

    def __init__(self, target: Address) -> None:
        self._target = target

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Streams | None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not re.match(rb"CONNECT \S+:443 ", head):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return None
        upstream = await asyncio.open_connection(*self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return upstream


class TlsFront(_Relay):
    """Ends TLS (1.2 and later) and passes the bytes on to `backend` in plain text, so that Host arrives as it was sent.

    The certificate comes from `ca` and names `certificate_for(server name)`. If that is None, or the client sends no
    server name, the handshake is aborted (RFC 8461 section 7.1).
    """

    def __init__(self, ca: trustme.CA, backend: Address, certificate_for: Callable[[str], str | None]) -> None:
        self._ca = ca
        self._backend = backend
        self._certificate_for = certificate_for
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.sni_callback = self._choose_certificate

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Streams:
        return await asyncio.open_connection(*self._backend)

    def _choose_certificate(
        self, client: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, _: ssl.SSLContext
    ) -> int | None:
        name = self._certificate_for(server_name) if server_name else None
        if name is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if name not in self._contexts:
            self._contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._ca.issue_cert(name).configure_cert(self._contexts[name])
        client.context = self._contexts[name]
        return None


async def _join(client: _Streams, upstream: _Streams) -> None:
    """Pass bytes both ways until either side ends, then end both; what was read by then is still delivered."""
    pumps = [asyncio.create_task(_pump(client[0], upstream[1])), asyncio.create_task(_pump(upstream[0], client[1]))]
    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    upstream[1].close()
    await upstream[1].wait_closed()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
