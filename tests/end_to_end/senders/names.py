"""A DNS server on loopback that answers from a table, over UDP and TCP."""

import errno
from collections.abc import Mapping, Sequence
from typing import Any, Self

from dnslib import QTYPE, RCODE, RDMAP, RR
from dnslib.server import DNSLogger, DNSServer

type Records = Mapping[str, Mapping[str, Sequence[str]]]
"""Name -> type -> values. A TXT value is the text itself, any other is as in a zone file (`10 mx.contoso.com`)."""

_TTL = 60
_MOST_ALIASES = 8
_PORTS_TO_TRY = 20


class DnsServer:
    """Answers on `127.0.0.1:port` from `records`, whose names are in lower case and without the final dot.

    CNAMEs are followed within the table, and a name that is not in the table does not exist (NXDOMAIN). The table is
    read at every query, so that its owner may change it.
    """

    port: int

    def __init__(self, records: Records) -> None:
        self._records = records
        self._servers: list[DNSServer] = []

    def __enter__(self) -> Self:
        self._servers = self._listen()
        self.port = self._servers[0].server.server_address[1]
        for server in self._servers:
            server.start_thread()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.stop()
            server.server.server_close()

    def resolve(self, request: Any, handler: Any) -> Any:
        """Return the reply to one query: what dnslib asks of its resolver."""
        reply = request.reply()
        asked = QTYPE[request.q.qtype]
        name = request.q.qname
        for _ in range(_MOST_ALIASES):
            here = self._records.get(str(name).rstrip(".").lower())
            if here is None:
                reply.header.rcode = RCODE.NXDOMAIN
                break
            kind = "CNAME" if "CNAME" in here else asked
            for value in here.get(kind, ()):
                rdata = RDMAP[kind].fromZone([value] if kind == "TXT" else value.split())
                reply.add_answer(RR(name, getattr(QTYPE, kind), ttl=_TTL, rdata=rdata))
            if kind == asked:
                break
            name = here["CNAME"][0]
        return reply

    def _listen(self) -> list[DNSServer]:
        """Bind TCP to a free port and UDP to the same one, which may be taken: then try another."""
        quiet = DNSLogger(logf=lambda _: None)
        for _ in range(_PORTS_TO_TRY):
            tcp = DNSServer(self, address="127.0.0.1", port=0, tcp=True, logger=quiet)
            try:
                udp = DNSServer(self, address="127.0.0.1", port=tcp.server.server_address[1], logger=quiet)
            except OSError as error:
                tcp.server.server_close()
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return [tcp, udp]
        raise OSError(errno.EADDRINUSE, f"no port free for both TCP and UDP in {_PORTS_TO_TRY} tries")
