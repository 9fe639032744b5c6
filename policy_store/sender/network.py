"""How a check asks the network: the limits, the ports, where it may connect to, and what one run shares."""

import asyncio
import ipaddress
import socket
import ssl
from dataclasses import dataclass, field
from functools import cached_property

from policy_store.policy import LARGEST_TEXT
from policy_store.pool import Turns
from policy_store.sender.dns import Resolver
from policy_store.sender.facts import MxFacts
from policy_store.sender.limits import HTTPS_SECONDS, SMTP_SECONDS

_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")  # RFC 4291 section 2.4, as far as IANA has given it out
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_AZURE_WIRE_SERVER = ipaddress.ip_address("168.63.129.16")  # public by number, and inside for whatever runs on Azure
_PUBLIC_IPV6 = ("2001:4860:4860::8888", 53)  # any address of the Internet: nothing is sent there


@dataclass(frozen=True)
class Network:
    """How to ask: the resolver, what TLS trusts, the ports, and the limits in seconds and bytes.

    With `allow_private` addresses of private networks are asked too; `helo` is the name to greet mail servers with. A
    mail server that answers 421 is asked again after each of `retry_seconds`. One object serves one run on one loop:
    what it finds out about an MX host holds for all domains of the run.
    """

    resolver: Resolver
    context: ssl.SSLContext
    helo: str
    https_port: int = 443
    smtp_port: int = 25
    https_seconds: float = HTTPS_SECONDS
    smtp_seconds: float = SMTP_SECONDS
    text_limit: int = LARGEST_TEXT
    allow_private: bool = False
    retry_seconds: tuple[float, ...] = (2.0, 6.0)
    mail_hosts: dict[str, asyncio.Task[MxFacts]] = field(default_factory=dict)
    _turns: dict[tuple[str, int], Turns] = field(default_factory=dict)

    def may_ask(self, address: str) -> bool:
        """Whether a domain's records may lead to this address: not into the network that the checker stands in."""
        return self.allow_private or is_public(address)

    def turns(self, address: str, port: int, at_once: int) -> Turns:
        """The turns at one server, of which so many begin at a time."""
        return self._turns.setdefault((address, port), Turns(at_once))

    @cached_property
    def has_ipv6(self) -> bool:
        """Whether this machine has an IPv6 address that it can use on the Internet."""
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.connect(_PUBLIC_IPV6)
                return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]).is_global
        except (OSError, ValueError):
            return False

    def sees(self, address: str) -> bool:
        """Whether a connection that does not come about says something of the host: not over IPv6 without any here."""
        ip = ipaddress.ip_address(address)
        return not isinstance(ip, ipaddress.IPv6Address) or ip.ipv4_mapped is not None or self.has_ipv6


def is_public(address: str) -> bool:
    """Whether the address is one of the Internet, and none inside a network, in Azure's either."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = (ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else ip.ipv4_mapped) or ip
    if ip == _AZURE_WIRE_SERVER:
        return False
    return ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _GLOBAL_IPV6)
