"""What was found out about a domain on the way of a sending server, before anybody judges it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from policy_store.sender.dns import MxRecords
from policy_store.sender.published import TxtState
from policy_store.sender.smtp import SmtpResult
from policy_store.sender.tls import TlsSession

type FetchCode = Literal[
    "https_not_from_here",
    "https_unreachable",
    "https_timeout",
    "https_certificate_name",
    "https_certificate_expired",
    "https_chain_expired",
    "https_certificate_untrusted",
    "https_no_certificate",
    "https_tls",
    "https_status",
    "https_forbidden",
    "https_too_many_requests",
    "https_server_error",
    "https_redirect",
    "https_type",
    "https_size",
    "https_encoding",
    "https_no_http",
]
"""Why senders that keep to the RFC take no policy from an answer."""

type NoteCode = Literal[
    "https_type_twice",
    "https_type_parameters",
    "https_charset",
    "https_zipped",
    "https_line_ends",
    "https_tls_1_3_only",
]
"""What some senders stumble over in an answer that others take."""

type Sender = Literal["rfc", "postfix", "lax"]
"""A way in which senders take records, answers and texts: by the letter of RFC 8461, as postfix-tlspol and mox do; as
Postfix does with postfix-mta-sts-resolver; or as forgivingly as mailauth does for ZoneMTA, and others in part.
"""

EVERYBODY: frozenset[Sender] = frozenset(("rfc", "postfix", "lax"))


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one address of the policy host answered: the text (as much of it as senders read), the time the answer took
    in seconds, and the TLS session.

    `problem` and `detail` say why a sender that keeps to the RFC takes no policy from it, where that is so; `takers`
    which senders take the text all the same; `charset` is what Postfix reads it by. `notes` are what some senders
    stumble over, each with a sentence.
    """

    text: bytes = b""
    seconds: float = 0.0
    session: TlsSession | None = None
    problem: FetchCode | None = None
    detail: str = ""
    takers: frozenset[Sender] = EVERYBODY
    charset: str = "utf-8"
    notes: tuple[tuple[NoteCode, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyHost:
    """The host `mta-sts.<domain>`: what each of its addresses answered, the addresses in private networks, which were
    not asked, the name that its CNAME leads to, and why the lookup failed (`lookup_answered`: DNS said so, and was not
    merely silent).
    """

    answers: tuple[tuple[str, Fetched], ...] = ()
    private: tuple[str, ...] = ()
    cname: str | None = None
    lookup_error: str | None = None
    lookup_answered: bool = True

    @property
    def counting(self) -> tuple[tuple[str, Fetched], ...]:
        """The answers that a sender may get: those of addresses that take a connection, else all that say something of
        the host. A sender goes on to the next address where there is no connection, and only there.
        """
        seen = tuple(pair for pair in self.answers if pair[1].problem != "https_not_from_here")
        return tuple(pair for pair in seen if pair[1].problem != "https_unreachable") or seen

    @property
    def unseen(self) -> bool:
        """Whether it cannot be found out from here what senders get."""
        if self.lookup_error is not None:
            return not self.lookup_answered
        return bool(self.answers) and not self.counting


@dataclass(frozen=True, slots=True)
class MxFacts:
    """One MX host: what each of its addresses answered. `private` addresses were left alone; `tlsa` tells whether it
    has TLSA records at port 25; `lookup_error` why its addresses are unknown, and `lookup_answered` whether DNS said
    so; `cname` is where its name leads; `skipped` tells that it was not asked at all.
    """

    host: str
    preference: int
    results: tuple[SmtpResult, ...] = ()
    private: tuple[str, ...] = ()
    tlsa: bool = False
    lookup_error: str | None = None
    lookup_answered: bool = True
    cname: str | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one domain at `time` (UTC). `mx_records` is None where the lookup failed, as `mx_error` says;
    `implicit_mx` where the domain is its own MX host (RFC 5321 section 5.1). `elsewhere` are records for MTA-STS at
    names where no sender looks, each with its name; `wildcard` tells that any name below the domain has what
    `_mta-sts` has. `authenticated` tells whether the resolver found the answer on the MX records signed (DNSSEC).
    """

    domain: str
    time: datetime
    txt: TxtState
    txt_cname: str | None = None
    policy_host: PolicyHost = field(default_factory=PolicyHost)
    mx_records: MxRecords | None = None
    mx_error: str = ""
    mx_answered: bool = True
    implicit_mx: bool = False
    mx: tuple[MxFacts, ...] = ()
    tlsrpt: tuple[str, ...] | None = None
    elsewhere: tuple[tuple[str, str], ...] = ()
    wildcard: bool = False

    @property
    def authenticated(self) -> bool:
        """Whether the answer on the MX records is signed."""
        return self.mx_records is not None and self.mx_records.authenticated

    @property
    def looked_up(self) -> bool:
        """Whether DNS said anything: without it nothing else was looked at either."""
        return self.txt.error is None or self.policy_host.lookup_error is None or self.mx_records is not None
