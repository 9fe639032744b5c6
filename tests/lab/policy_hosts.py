"""The policy hosts of the lab: all domains behind one port, told apart by SNI and the Host header, each as good or as
bad as its situation says.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from itertools import count

from tests.lab.addresses import LoopThread, listeners
from tests.lab.certificates import Authority, handshake
from tests.lab.situation import Certificate, PolicyHost

type _Hosts = Mapping[str, tuple[str, PolicyHost]]
type _Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_NOBODY = "127.44.0.1"
_SERVERS = {
    "tls": "127.44.0.2",
    "tls_1_1": "127.44.0.3",
    "plain_http": "127.44.0.4",
    "silent": "127.44.0.5",
    "tls_1_3": "127.44.0.6",
    "no_certificate": "127.44.0.8",
}
_SECOND = "127.44.0.7"
_SLOW = "127.44.1.{}"  # of their own, since a client may limit what it asks of one address at a time
_MOST_SLOW = 30
_DRIP_SECONDS = 0.2
_FOR_GOOD = 3600  # seconds
_BLOCK = b"x" * 4096


class PolicyHosts:
    """Serves the policies of `hosts`, domain -> what its policy host does, on `port` of several loopback addresses, and
    what `second` holds at an address of its own, the attribute of that name.
    """

    port: int
    second = _SECOND

    def __init__(
        self,
        hosts: Mapping[str, PolicyHost],
        second: Mapping[str, PolicyHost],
        authority: Authority,
        loop: LoopThread,
    ) -> None:
        self._hosts = {f"mta-sts.{domain}": (domain, host) for domain, host in hosts.items()}
        self._second = {f"mta-sts.{domain}": (domain, host) for domain, host in second.items()}
        self._authority = authority
        slow = count(1)
        self._addresses = {
            domain: _SLOW.format(next(slow) % _MOST_SLOW + 1)
            if host.delay or host.body in ("dripping", "silent")
            else _SERVERS.get(host.at, _NOBODY)
            for domain, host in hosts.items()
        }
        self._loop = loop

    def address(self, domain: str) -> str:
        """Where the policy host of the domain is."""
        return self._addresses[domain]

    def start(self) -> None:
        """Listen from now on."""
        self._loop.run(self._start())

    def close(self) -> None:
        """Let go of the address where nobody listens."""
        self._held.close()

    async def _start(self) -> None:
        slow = [_SLOW.format(number) for number in range(1, _MOST_SLOW + 1)]
        # Somebody holds the port of the address where nobody listens, so that nothing else comes to listen there.
        bound_to = listeners([_NOBODY, _SECOND, *_SERVERS.values(), *slow])
        self._held = bound_to.pop(_NOBODY)
        self.port = self._held.getsockname()[1]
        tls = self._authority.context(partial(_certificate, self._hosts))
        old = self._authority.context(partial(_certificate, self._hosts), tls_1_1=True)
        serve_first, serve_second = partial(_serve, self._hosts), partial(_serve, self._second)
        odd: dict[str, tuple[_Behaviour, ssl.SSLContext | None]] = {
            _SERVERS["tls_1_1"]: (partial(_shake_hands, old), None),
            _SERVERS["no_certificate"]: (partial(_shake_hands, tls), None),
            _SERVERS["plain_http"]: (_want_no_tls, None),
            _SERVERS["silent"]: (_say_nothing, None),
            _SERVERS["tls_1_3"]: (
                serve_first,
                self._authority.context(partial(_certificate, self._hosts), tls_1_3=True),
            ),
            _SECOND: (serve_second, self._authority.context(partial(_certificate, self._second))),
        }
        for address, bound in bound_to.items():
            serve, context = odd.get(address, (serve_first, tls))
            self._loop.servers.append(await asyncio.start_server(serve, sock=bound, ssl=context))


def _certificate(hosts: _Hosts, host_name: str) -> Certificate:
    known = hosts.get(host_name)
    return known[1].certificate if known else "good"


async def _serve(hosts: _Hosts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, EOFError, asyncio.LimitOverrunError):  # the client goes away, or talks otherwise
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        name = next(line[6:] for line in head.lower().split("\r\n") if line.startswith("host: "))
        domain, host = hosts[name.partition(":")[0]]
        if head.startswith("GET /.well-known/mta-sts.txt HTTP/1.1\r\n"):
            await _answer(writer, host, host.octets(domain))
        else:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _shake_hands(context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await handshake(reader, writer, context)
    writer.close()


async def _want_no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    writer.close()


async def _say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await asyncio.sleep(_FOR_GOOD)
    finally:
        writer.close()


async def _answer(writer: asyncio.StreamWriter, host: PolicyHost, body: bytes) -> None:
    await asyncio.sleep(host.delay)
    if host.body == "silent":
        await asyncio.sleep(_FOR_GOOD)
    if host.body == "rubbish":
        writer.write(b"\x1b[31mSSH-2.0-\x00\xff\r\n\r\n")
        return
    head = [f"HTTP/1.1 {host.status}", *host.headers, "Connection: close"]
    if host.content_type:
        head.append(f"Content-Type: {host.content_type}")
    if host.body == "chunked":
        head.append("Transfer-Encoding: chunked")
    elif host.body in ("length", "cut", "dripping"):
        head.append(f"Content-Length: {len(body)}")
    for status in host.interim:
        writer.write(f"HTTP/1.1 {status}\r\nLink: </style.css>\r\n\r\n".encode())
    writer.write(host.line_end.join([*head, "", ""]).encode())
    match host.body:
        case "chunked":
            for at in range(0, len(body), 20):
                part = body[at : at + 20]
                writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            writer.write(b"0\r\n\r\n")
        case "cut":
            writer.write(body[: len(body) // 2])
        case "dripping":
            for octet in body:
                writer.write(bytes([octet]))
                await writer.drain()
                await asyncio.sleep(_DRIP_SECONDS)
        case "endless":
            while True:
                writer.write(_BLOCK)
                await writer.drain()
                await asyncio.sleep(0)  # else nobody hears that the client went away
        case _:
            writer.write(body)
