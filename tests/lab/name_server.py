"""The DNS server of the lab: the one that senders ask in the end-to-end tests, which here also fails, is silent, and
says that an answer is authenticated.
"""

from collections.abc import Container, Mapping
from functools import partial
from socketserver import BaseServer
from typing import Any

from dnslib import QTYPE, RCODE, RDMAP, RR, DNSError
from dnslib.server import DNSServer

from tests.end_to_end.senders.names import DnsServer
from tests.lab.situation import Values

type LabRecords = Mapping[str, Mapping[str, Values]]

_TTL = 60
_MOST_ALIASES = 8


class NameServer(DnsServer):
    """Answers from `records`, as the class it is made from does.

    A TXT value may be a list of strings. In place of values stand `servfail`, or `silent` for no answer. The names in
    `authenticated` get the AD bit where a client shows that it knows it (RFC 6840 section 5.7), as from a resolver
    that validates.
    """

    def __init__(self, records: LabRecords, authenticated: Container[str]) -> None:
        super().__init__({})
        self._table = records
        self._authenticated = authenticated

    def _listen(self) -> list[DNSServer]:
        servers = super()._listen()
        for server in servers:  # dnslib starts a thread for each query, which is slow where many come at once
            server.server.process_request = partial(BaseServer.process_request, server.server)
        return servers

    def _at(self, name: str) -> Mapping[str, Values] | None:
        """The records of a name, by a wildcard where it is not there itself (RFC 4592)."""
        if name in self._table:
            return self._table[name]
        labels = name.split(".")
        parents = (".".join(labels[at:]) for at in range(1, len(labels)))
        return next((self._table[f"*.{parent}"] for parent in parents if f"*.{parent}" in self._table), None)

    def resolve(self, request: Any, handler: Any) -> Any:
        """Return the reply to one query: what dnslib asks of its resolver. Raises DNSError to say nothing."""
        reply = request.reply()
        asked = QTYPE[request.q.qtype]
        name = str(request.q.qname).rstrip(".").lower()
        knows_ad = request.header.ad or any(rr.rtype == QTYPE.OPT and rr.edns_do for rr in request.ar)
        reply.header.ad = int(knows_ad and name in self._authenticated)
        for _ in range(_MOST_ALIASES):
            here = self._at(name)
            if here is None:
                reply.header.rcode = RCODE.NXDOMAIN
                break
            kind = "CNAME" if "CNAME" in here else asked
            values = here.get(kind, [])
            if values == "silent":
                raise DNSError("silent")
            if values == "servfail":
                reply.header.rcode = RCODE.SERVFAIL
                break
            for value in values:
                reply.add_answer(RR(name, getattr(QTYPE, kind), ttl=_TTL, rdata=_rdata(kind, value)))
            if kind == asked or not values:
                break
            name = str(values[0])
        return reply


def _rdata(kind: str, value: str | list[str]) -> Any:
    strings = [value] if isinstance(value, str) else value
    if kind == "TXT":
        return RDMAP[kind]([string.encode("latin-1") for string in strings])
    return RDMAP[kind].fromZone(strings[0].split())
