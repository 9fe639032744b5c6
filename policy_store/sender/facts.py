"""What was found out about a domain on the way of a sending server, before anybody judges it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from policy_store.sender.dns import MxRecords
from policy_store.sender.published import TxtState
from policy_store.sender.smtp import SmtpResult
from policy_store.sender.tls import TlsSession

type FetchCode = Literal[
    "https_unreachable",
    "https_timeout",
    "https_certificate_name",
    "https_certificate_expired",
    "https_certificate_untrusted",
    "https_tls",
    "https_status",
    "https_redirect",
    "https_type",
    "https_size",
    "https_no_http",
]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the policy host answered: the text (as much of it as senders read), the time the answer took in seconds, and
    the TLS session. `problem` and `detail` say why a sender does not take it as a policy, where that is so.
    """

    text: bytes = b""
    seconds: float = 0.0
    session: TlsSession | None = None
    problem: FetchCode | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PolicyHost:
    """The host `mta-sts.<domain>`: its addresses with whether each took a connection (None: not tried, since it lies in
    a private network), its CNAME, why the lookup failed, and what it answered.
    """

    addresses: tuple[tuple[str, bool | None], ...] = ()
    cname: str | None = None
    lookup_error: str | None = None
    fetched: Fetched | None = None


@dataclass(frozen=True, slots=True)
class MxFacts:
    """One MX host: what each of its addresses answered. `private` addresses were left alone; `tlsa` tells whether it
    has TLSA records at port 25; `lookup_error` why its addresses are unknown.
    """

    host: str
    preference: int
    results: tuple[SmtpResult, ...] = ()
    private: tuple[str, ...] = ()
    tlsa: bool = False
    lookup_error: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one domain at `time` (UTC). `mx_records` is None where the lookup failed, as `mx_error` says;
    `implicit_mx` where the domain is its own MX host (RFC 5321 section 5.1). `authenticated` tells whether the resolver
    found the TXT and MX answers signed (DNSSEC).
    """

    domain: str
    time: datetime
    txt: TxtState
    txt_cname: str | None = None
    policy_host: PolicyHost = field(default_factory=PolicyHost)
    mx_records: MxRecords | None = None
    mx_error: str = ""
    implicit_mx: bool = False
    mx: tuple[MxFacts, ...] = ()
    tlsrpt: tuple[str, ...] | None = None
    authenticated: bool = False
