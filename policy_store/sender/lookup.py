"""What commands ask of DNS and of the policy host, one domain at a time, from any thread."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from policy_store.names import InvalidName, policy_host, quoted
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.sender.limits import Limits
from policy_store.sender.mx_patterns import propose_patterns
from policy_store.sender.published import DnsWord, TxtState, compare
from policy_store.tables.history import Revision
from policy_store.txt_records import RecordSyntaxError, StsRecord, sts_records

if TYPE_CHECKING:
    from policy_store.sender.dns import Resolver
    from policy_store.sender.facts import Facts
    from policy_store.sender.network import Network

HTTPS_PORT = 443

_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class KeptId:
    """The id to take over for a text, None for a new one, and a sentence with the reason."""

    id: str | None
    reason: str


class NoPatterns(ValueError):
    """No patterns can be proposed for a domain; the message says why and what to do."""


class Lookup:
    """Asks the DNS server that `resolver` names, else the system's, within `limits`. Raises ValueError for what is not
    an address.

    dnspython is imported by the first question, since most commands ask none.
    """

    def __init__(self, resolver: str = "", limits: Limits | None = None, *, allow_private: bool = False) -> None:
        self.limits = limits or Limits()
        self._allow_private = allow_private
        self._address: str | None = None
        self._port = _DNS_PORT
        if resolver:
            self._address, self._port = _server(resolver)

    @cached_property
    def resolver(self) -> "Resolver":
        """The resolver behind all questions."""
        from policy_store.sender.dns import Resolver

        return Resolver(self._address, self._port, self.limits.dns)

    def mx_hosts(self, domain: str) -> tuple[str, ...] | None:
        """The MX host names of the domain, the most preferred first; None where the lookup failed."""
        from policy_store.sender.dns import LookupFailed

        try:
            return tuple(record.host for record in _answer(self.resolver.mx(domain)).hosts)
        except LookupFailed:
            return None

    def patterns(self, domain: str) -> tuple[str, ...]:
        """The patterns to propose for the MX hosts of the domain. Raises NoPatterns."""
        from policy_store.sender.dns import LookupFailed

        try:
            records = _answer(self.resolver.mx(domain))
            patterns = propose_patterns(record.host for record in records.hosts)
        except LookupFailed as error:
            raise NoPatterns(f"the MX records cannot be looked up: {error}; try again, or give the patterns") from error
        except InvalidName as error:
            raise NoPatterns(f"the MX records name no host: {error}") from error
        if not patterns:
            why = "says that it takes no mail" if records.null else "has no MX record"
            raise NoPatterns(
                f"it {why}: set its MX records first, or give the patterns (--mx, or the column mx of a file)"
            )
        return patterns

    def status(self, domain: str, revisions: Sequence[Revision]) -> DnsWord:
        """How the TXT record of the domain stands to its revisions."""
        return compare(self._txt(domain), revisions).word

    def facts(self, domain: str) -> "Facts":
        """All that a sending server would find out about the domain."""
        from policy_store.sender.gather import gather

        return _answer(gather(domain, self._network()))

    def _network(self) -> "Network":
        """How to ask the policy hosts and MX hosts; for one event loop."""
        from policy_store.sender.network import Network

        return Network(
            self.resolver,
            self._context,
            socket.gethostname(),
            https_port=HTTPS_PORT,
            https_seconds=self.limits.https,
            smtp_seconds=self.limits.smtp,
            allow_private=self._allow_private,
        )

    def id_of(self, domain: str, policy: Policy) -> KeptId:
        """The id that DNS shows, where it stands for this very policy: the one that the policy host serves now.

        If the host serves nothing, the id is kept unchecked. In every other case the domain gets a new id.
        """
        state = self._txt(domain)
        if state.error is not None:
            return KeptId(None, f"a new id, because its TXT record cannot be looked up: {state.error}")
        records = sts_records(state.records)
        if len(records) != 1:
            return KeptId(None, f"a new id, because DNS shows {'two records' if records else 'none'}")
        try:
            id_ = StsRecord.parse(records[0]).id
        except RecordSyntaxError as error:
            return KeptId(None, f"a new id, because the TXT record is wrong: {error}")
        served = self._served(domain)
        if isinstance(served, str):
            return KeptId(id_, f"keeps the id {id_} of DNS, unchecked: {served}")
        try:
            same = Policy.parse(served) == policy
        except PolicySyntaxError:
            same = False
        if not same:
            return KeptId(None, f"a new id, because {policy_host(domain)} serves another policy under the id {id_}")
        return KeptId(id_, f"keeps the id {id_}")

    def _served(self, domain: str) -> bytes | str:
        """The text that the policy host serves now, or why it serves none."""
        from policy_store.sender.policy_host import FetchFailed, fetch_policy

        try:
            return _answer(fetch_policy(domain, self._network()))
        except FetchFailed as error:
            return str(error)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        from policy_store.sender.tls import strict_context

        return strict_context()

    def _txt(self, domain: str) -> TxtState:
        from policy_store.sender.dns import sts_state

        return _answer(sts_state(self.resolver, domain))


def _answer[T](question: Coroutine[Any, Any, T]) -> T:
    """The answer, waited for in a loop of this thread's own."""
    return asyncio.run(question)


def _server(text: str) -> tuple[str, int]:
    """The address and port in `ADDRESS[:PORT]`, an IPv6 address with a port in brackets. Raises ValueError."""
    try:
        bare = text.count(":") > 1 and not text.startswith("[")
        parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
        address, port = str(ipaddress.ip_address(parts.hostname or "")), parts.port or _DNS_PORT
    except ValueError as error:
        raise ValueError(
            f"--resolver {quoted(text)} is not ADDRESS[:PORT]: write the server's IP address, as 127.0.0.1:5353"
        ) from error
    return address, port
