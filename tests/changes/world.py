"""A world that operations ask, said in a few words in place of DNS, policy hosts and mail hosts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from policy_store.changes.desk import Desk
from policy_store.policy import Policy
from policy_store.sender.dns import MxHost, MxRecords
from policy_store.sender.facts import Facts, Fetched, MxFacts, PolicyHost
from policy_store.sender.lookup import KeptId
from policy_store.sender.published import TxtState
from policy_store.sender.smtp import SmtpOutcome, SmtpResult
from policy_store.sender.tls import TlsSession
from policy_store.tables.entry import Entry
from policy_store.tables.row import Row
from policy_store.tables.store import Store

_THEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """What the world says of every domain: its MX hosts (None: the lookup fails), the id in DNS, the text served, and
    what a sender comes to with each MX host. `asked` counts the questions.
    """

    hosts: Sequence[str] | None = ()
    id: str = ""
    served: str | None = None
    smtp: SmtpOutcome = "tls"
    asked: list[str] = field(default_factory=list)

    def mx_hosts(self, domain: str) -> Sequence[str] | None:
        self.asked.append("mx")
        return self.hosts

    def patterns(self, domain: str) -> tuple[str, ...]:
        self.asked.append("mx")
        return tuple(self.hosts or ())

    def id_of(self, domain: str, policy: Policy) -> KeptId:
        self.asked.append("id")
        return KeptId(self.id or None, "as DNS shows")

    def facts(self, domain: str) -> Facts:
        self.asked.append("facts")
        session = TlsSession("TLSv1.3", _THEN + timedelta(days=3650))
        result = SmtpResult("192.0.2.1", self.smtp, session=session if self.smtp == "tls" else None)
        records = None if self.hosts is None else MxRecords(tuple(MxHost(10, host) for host in self.hosts))
        answers = () if self.served is None else (("192.0.2.2", Fetched(self.served.encode(), session=session)),)
        return Facts(
            domain,
            _THEN,
            TxtState((f"v=STSv1; id={self.id};",) if self.id else ()),
            policy_host=PolicyHost(answers),
            mx_records=records,
            mx=tuple(MxFacts(host, 10, (result,)) for host in self.hosts or ()),
        )


def desk_at(now: datetime, world: World, store: Store) -> Desk:
    """The desk of a test."""
    return Desk(store, "ada@contoso", now, world)


def valid_row(domain: str, policy: Policy) -> Row:
    """A row as the table would give it."""
    return Row(domain, policy, "", "etag", _THEN)


def entry_of(policy: Policy, *revisions: object, domain: str = "contoso.com") -> Entry:
    """An entry with a valid row and these revisions."""
    return Entry(domain, valid_row(domain, policy), (), tuple(revisions))  # type: ignore[arg-type]
