"""What DNS answers, asked without a cache: a thin edge on dnspython."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.resolver

from policy_store.names import quoted
from policy_store.sender.published import TxtState


class LookupFailed(Exception):
    """DNS gave no answer to a question: no server was reached in time, or it refuses, or answers SERVFAIL."""


@dataclass(frozen=True, slots=True)
class MxHost:
    """One MX record: its preference and the host name in lower case, without the final dot."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class MxRecords:
    """The MX records of a domain, the most preferred first; `null` where it says that it takes no mail (RFC 7505)."""

    hosts: tuple[MxHost, ...] = ()
    null: bool = False


class Resolver:
    """Asks the DNS server at `address`, else the system's; a question may take `timeout` seconds in all.

    CNAMEs are followed, and nothing is remembered. May be used from several threads, each with its own event loop.
    Every question may raise LookupFailed.
    """

    def __init__(self, address: str | None = None, port: int = 53, timeout: float = 5.0) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        if address is None:
            with suppress(dns.resolver.NoResolverConfiguration):  # then every question fails, and says so
                self._resolver = dns.asyncresolver.Resolver()
        else:
            self._resolver.nameservers = [address]
            self._resolver.port = port
        self._resolver.flags = dns.flags.RD | dns.flags.AD  # AD asks whether the answer is authenticated
        self._resolver.lifetime = timeout
        self._resolver.timeout = min(self._resolver.timeout, timeout / 2)  # a lost packet is asked again

    async def mx(self, domain: str) -> MxRecords:
        """The MX records of `domain`."""
        records = sorted((int(mx.preference), _shown(mx.exchange)) for mx in await self._ask(domain, "MX"))
        hosts = tuple(MxHost(preference, host) for preference, host in records if host)
        return MxRecords(hosts, null=bool(records) and not hosts)

    async def txt(self, name: str) -> tuple[str, ...]:
        """The TXT records at `name`, each with its strings joined; octets above 127 come as characters of Latin-1."""
        return tuple(b"".join(txt.strings).decode("latin-1") for txt in await self._ask(name, "TXT"))

    async def cname(self, name: str) -> str | None:
        """Where the name itself leads by a CNAME; None where it has none."""
        return next((_shown(record.target) for record in await self._ask(name, "CNAME")), None)

    async def addresses(self, name: str) -> tuple[str, ...]:
        """The IPv4 addresses and after them the IPv6 addresses of `name`."""
        found = await self._ask(name, "A")
        try:
            found += await self._ask(name, "AAAA")
        except LookupFailed:
            if not found:
                raise
        return tuple(str(record.address) for record in found)

    async def has_tlsa(self, name: str) -> bool:
        """Whether there are TLSA records at `name` (RFC 6698)."""
        return bool(await self._ask(name, "TLSA"))

    async def issuers(self, host: str) -> tuple[str, ...] | None:
        """The authorities that may issue a certificate for `host`, by the nearest CAA records; None where none says so.

        The search climbs from the name itself towards the root (RFC 8659 section 3). Only `issue` counts, as the name
        is no wildcard (section 4.2).
        """
        labels = host.split(".")
        for name in (".".join(labels[at:]) for at in range(len(labels))):
            if records := await self._ask(name, "CAA"):
                values = [record.value.decode("latin-1") for record in records if record.tag.lower() == b"issue"]
                issuers = [value.partition(";")[0].strip().lower() for value in values]
                return tuple(filter(None, issuers)) if issuers else None
        return None

    async def authenticated(self, domain: str) -> bool:
        """Whether the resolver says that it found the answer on the MX records signed (the AD bit, RFC 6840)."""
        answer = await self._answer(domain, "MX")
        return answer is not None and bool(answer.response.flags & dns.flags.AD)

    async def _ask(self, name: str, kind: str) -> list[Any]:
        """The records of the answer; none where the name does not exist or has none of this type."""
        answer = await self._answer(name, kind)
        return [] if answer is None else list(answer.rrset or ())

    async def _answer(self, name: str, kind: str) -> dns.resolver.Answer | None:
        try:
            # A name longer than DNS allows cannot exist, but a domain that the store holds can be that long.
            return await self._resolver.resolve(dns.name.from_text(name), kind, raise_on_no_answer=False, search=False)
        except (dns.resolver.NXDOMAIN, dns.name.NameTooLong):
            return None
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{kind} of {name}: {_reason(error)}") from error


async def sts_state(resolver: Resolver, domain: str) -> TxtState:
    """The TXT records at `_mta-sts.<domain>`, or why they cannot be looked up."""
    try:
        return TxtState(await resolver.txt(f"_mta-sts.{domain}"))
    except LookupFailed as error:
        return TxtState(error=str(error))


def _shown(name: dns.name.Name) -> str:
    """A name of an answer: dnspython escapes what is not printable."""
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _reason(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        answers = sorted({what for _, _, _, what, _ in error.kwargs.get("errors", ()) if isinstance(what, str)})
        return f"the server answers {', '.join(answers)}" if answers else "no server answers"
    return quoted(str(error))[1:-1]
