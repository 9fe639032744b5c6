"""What DNS answers, asked without a cache: a thin edge on dnspython."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.resolver

from policy_store.names import quoted
from policy_store.sender.published import TxtState


class LookupFailed(Exception):
    """DNS gave no answer to a question: no server was reached in time, or it refuses, or answers SERVFAIL.

    `answered` tells that a server said so, which other resolvers will hear too; silence may be of this network.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


@dataclass(frozen=True, slots=True)
class MxHost:
    """One MX record: its preference and the host name in lower case, without the final dot."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True)
class MxRecords:
    """The MX records of a domain, the most preferred first; `null` where one of them says that it takes no mail (RFC
    7505), beside which no other may stand. `authenticated` tells whether the resolver found the answer signed (the AD
    bit, RFC 6840).
    """

    hosts: tuple[MxHost, ...] = ()
    null: bool = False
    authenticated: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records at a name, and where its CNAME leads in the end; None where it has none."""

    texts: tuple[str, ...] = ()
    cname: str | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """The IPv4 addresses of a name and after them its IPv6 addresses, and where its CNAME leads in the end."""

    addresses: tuple[str, ...] = ()
    cname: str | None = None


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
        answer, _ = await self._answer(domain, "MX")
        found = () if answer is None else tuple(answer.rrset or ())
        records = sorted((int(mx.preference), _shown(mx.exchange)) for mx in found)
        hosts = tuple(dict.fromkeys(MxHost(preference, host) for preference, host in records if host))
        signed = answer is not None and bool(answer.response.flags & dns.flags.AD)
        return MxRecords(hosts, any(not host for _, host in records), signed)

    async def txt(self, name: str) -> tuple[str, ...]:
        """The TXT records at `name`, each with its strings joined; bytes above 127 come as characters of Latin-1."""
        return (await self.texts(name)).texts

    async def texts(self, name: str) -> Texts:
        """The same with the name that a CNAME leads to."""
        answer, cname = await self._answer(name, "TXT")
        found = () if answer is None else tuple(answer.rrset or ())
        return Texts(tuple(b"".join(txt.strings).decode("latin-1") for txt in found), cname)

    async def cname(self, name: str) -> str | None:
        """Where the name itself leads by a CNAME; None where it has none."""
        return next((_shown(record.target) for record in await self._ask(name, "CNAME")), None)

    async def addresses(self, name: str) -> tuple[str, ...]:
        """The IPv4 addresses and after them the IPv6 addresses of `name`."""
        return (await self.host(name)).addresses

    async def host(self, name: str) -> Addresses:
        """The same with the name that a CNAME leads to. Where one of the two kinds cannot be looked up, the other one
        counts.
        """
        both = await asyncio.gather(self._answer(name, "A"), self._answer(name, "AAAA"), return_exceptions=True)
        answers = [each for each in both if not isinstance(each, BaseException)]
        found = [str(record.address) for answer, _ in answers if answer is not None for record in answer.rrset or ()]
        for each in both:
            if isinstance(each, BaseException) and (not found or not isinstance(each, LookupFailed)):
                raise each
        return Addresses(tuple(found), next((cname for _, cname in answers if cname), None))

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

    async def _ask(self, name: str, kind: str) -> list[Any]:
        """The records of the answer; none where the name does not exist or has none of this type."""
        answer, _ = await self._answer(name, kind)
        return [] if answer is None else list(answer.rrset or ())

    async def _answer(self, name: str, kind: str) -> tuple[dns.resolver.Answer | None, str | None]:
        """The answer, None where the name does not exist, and where a CNAME leads in the end. Raises LookupFailed."""
        try:
            # A name longer than DNS allows cannot exist, but a domain that the store holds can be that long.
            asked = dns.name.from_text(name)
            answer = await self._resolver.resolve(asked, kind, raise_on_no_answer=False, search=False)
        except dns.name.NameTooLong:
            return None, None
        except dns.resolver.NXDOMAIN as error:
            return None, _alias(asked, error.canonical_name)
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{kind} of {name}: {_reason(error)}", answered=_is_answer(error)) from error
        return answer, _alias(asked, answer.canonical_name)


async def sts_state(resolver: Resolver, domain: str) -> TxtState:
    """The TXT records at `_mta-sts.<domain>`, or why they cannot be looked up."""
    try:
        return TxtState(await resolver.txt(f"_mta-sts.{domain}"))
    except LookupFailed as error:
        return TxtState(error=str(error))


def _shown(name: dns.name.Name) -> str:
    """A name of an answer: dnspython escapes what is not printable."""
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _alias(asked: dns.name.Name, found: dns.name.Name) -> str | None:
    """Where a CNAME leads from the name that was asked; None without one."""
    return None if asked == found else _shown(found)


def _is_answer(error: Exception) -> bool:
    """Whether a server answered at all."""
    if isinstance(error, dns.resolver.NoNameservers):
        return any(response is not None for *_, response in error.kwargs.get("errors", ()))
    return isinstance(error, dns.exception.DNSException) and not isinstance(error, dns.exception.Timeout)


def _reason(error: Exception) -> str:
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "no answer in time"
    if isinstance(error, dns.resolver.NoNameservers):
        answers = {_shown_answer(what) for *_, what, response in error.kwargs.get("errors", ()) if response is not None}
        return f"the server answers {', '.join(sorted(answers))}" if answers else "no server answers"
    return quoted(str(error))[1:-1]


def _shown_answer(what: str | Exception) -> str:
    """A response code, or why the answer cannot be used."""
    if isinstance(what, str):
        return what
    return "CNAME records without an end" if isinstance(what, dns.message.ChainTooLong) else type(what).__name__
