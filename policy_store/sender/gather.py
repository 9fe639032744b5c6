"""The way of a sending server, walked over the network: from a domain to the facts about it."""

import asyncio
import ipaddress
import ssl
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from policy_store.names import policy_host
from policy_store.policy import LARGEST_TEXT
from policy_store.sender.dns import LookupFailed, MxHost, MxRecords, Resolver, sts_state
from policy_store.sender.facts import Facts, Fetched, MxFacts, PolicyHost
from policy_store.sender.https import connects, fetch
from policy_store.sender.published import TxtState
from policy_store.sender.smtp import SmtpResult, probe
from policy_store.sender.verdict import has_policy_id

_MOST_MX, _MOST_ADDRESSES = 20, 8  # of one domain, of one host: a domain's records must not keep the checker busy
_AT_ONE_ADDRESS = 4  # connections at a time
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")  # RFC 4291 section 2.4, as far as IANA has given it out
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


@dataclass(frozen=True)
class Network:
    """How to ask: the resolver, what TLS trusts, the ports, and the limits in seconds and octets.

    With `allow_private` addresses of private networks are asked too; `helo` is the name to greet mail servers with.
    """

    resolver: Resolver
    context: ssl.SSLContext
    helo: str
    https_port: int = 443
    smtp_port: int = 25
    https_seconds: float = 60
    smtp_seconds: float = 10
    text_limit: int = LARGEST_TEXT
    allow_private: bool = False
    _targets: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(_AT_ONE_ADDRESS))
    )

    def may_ask(self, address: str) -> bool:
        """Whether a domain's records may lead to this address: not into the network that the checker stands in."""
        ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
        if isinstance(ip, ipaddress.IPv6Address):
            within = ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else ip.ipv4_mapped
            ip = within or ip
        public = ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _GLOBAL_IPV6)
        return self.allow_private or public

    async def at[T](self, address: str, work: Awaitable[T]) -> T:
        """Do work with an address while few others do."""
        async with self._targets[address]:
            return await work


async def gather(domain: str, network: Network) -> Facts:
    """Everything that a sender would find out about `domain`, and some more. Raises nothing but bugs."""
    resolver = network.resolver
    txt, txt_cname, (mx_records, mx_error), tlsrpt, authenticated = await asyncio.gather(
        sts_state(resolver, domain),
        _or(resolver.cname(f"_mta-sts.{domain}"), None),
        _mx(domain, resolver),
        _or(_tuple(resolver.txt(f"_smtp._tls.{domain}")), None),
        _or(resolver.authenticated(domain), default=False),
    )
    hosts = mx_records.hosts[:_MOST_MX] if mx_records else ()
    implicit = False
    if mx_records is not None and not mx_records.hosts and not mx_records.null:
        implicit = bool(await _or(_tuple(resolver.addresses(domain)), ()))
        hosts = (MxHost(0, domain),) if implicit else ()
    mail = asyncio.gather(*(_mx_host(host, network) for host in hosts))
    host = await _policy_host(domain, network, txt)
    mx = await mail
    return Facts(
        domain=domain,
        time=datetime.now(UTC),
        txt=txt,
        txt_cname=txt_cname,
        policy_host=host,
        mx_records=mx_records,
        mx_error=mx_error,
        implicit_mx=implicit,
        mx=tuple(mx),
        tlsrpt=tlsrpt,
        authenticated=authenticated,
    )


async def _mx(domain: str, resolver: Resolver) -> tuple[MxRecords | None, str]:
    try:
        return await resolver.mx(domain), ""
    except LookupFailed as error:
        return None, str(error)


async def _policy_host(domain: str, network: Network, txt: TxtState) -> PolicyHost:
    """The policy host; the policy itself is fetched only where the TXT record sends senders there."""
    name = policy_host(domain)
    try:
        found = (await network.resolver.addresses(name))[:_MOST_ADDRESSES]
    except LookupFailed as error:
        return PolicyHost(lookup_error=str(error))
    cname = await _or(network.resolver.cname(name), None)
    allowed = [address for address in found if network.may_ask(address)]
    reached = await asyncio.gather(
        *(network.at(address, connects(address, network.https_port, network.smtp_seconds)) for address in allowed)
    )
    answers = dict(zip(allowed, reached, strict=True))
    addresses = tuple((address, answers.get(address)) for address in found)
    fetched: Fetched | None = None
    to_ask = [address for address in allowed if answers[address]]
    if to_ask and has_policy_id(Facts(domain, datetime.now(UTC), txt)):
        fetched = await network.at(
            to_ask[0],
            fetch(
                name,
                to_ask[0],
                network.context,
                port=network.https_port,
                seconds=network.https_seconds,
                limit=network.text_limit,
            ),
        )
    elif allowed and not to_ask:
        fetched = Fetched(problem="https_unreachable")
    return PolicyHost(addresses, cname, None, fetched)


async def _mx_host(mx: MxHost, network: Network) -> MxFacts:
    try:
        found = (await network.resolver.addresses(mx.host))[:_MOST_ADDRESSES]
    except LookupFailed as error:
        return MxFacts(mx.host, mx.preference, lookup_error=str(error))
    allowed = [address for address in found if network.may_ask(address)]
    tlsa, results = await asyncio.gather(
        _or(network.resolver.has_tlsa(f"_25._tcp.{mx.host}"), default=False),
        asyncio.gather(*(network.at(address, _probe(mx.host, address, network)) for address in allowed)),
    )
    private = tuple(address for address in found if address not in allowed)
    return MxFacts(mx.host, mx.preference, tuple(results), private, tlsa)


async def _probe(host: str, address: str, network: Network) -> SmtpResult:
    return await probe(
        host,
        address,
        context=network.context,
        port=network.smtp_port,
        step_seconds=network.smtp_seconds,
        helo=network.helo,
    )


async def _tuple(question: Awaitable[tuple[str, ...]]) -> tuple[str, ...]:
    return await question


async def _or[T, D](question: Awaitable[T], default: D) -> T | D:
    """The answer, or `default` where DNS gives none: what is asked so does not decide anything."""
    try:
        return await question
    except LookupFailed:
        return default
