"""The DNS server on loopback, with TXT records of several strings and with names whose servers fail."""

from typing import Any

from dnslib import QTYPE, RCODE, RR, TXT

from tests.end_to_end.senders.names import DnsServer as PlainDnsServer


class DnsServer(PlainDnsServer):
    """Answers SERVFAIL for a name with the type `SERVFAIL`, and joins a TXT value that is a list from its strings."""

    def resolve(self, request: Any, handler: Any) -> Any:
        """Return the reply to one query."""
        here = self._records.get(str(request.q.qname).rstrip(".").lower(), {})
        if "SERVFAIL" in here:
            reply = request.reply()
            reply.header.rcode = RCODE.SERVFAIL
            return reply
        if QTYPE[request.q.qtype] == "TXT" and any(isinstance(value, list) for value in here.get("TXT", ())):
            reply = request.reply()
            for value in here["TXT"]:
                reply.add_answer(RR(request.q.qname, QTYPE.TXT, ttl=60, rdata=TXT(value)))
            return reply
        return super().resolve(request, handler)
