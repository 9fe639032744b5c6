"""A situation: one policy domain as DNS, its policy host and its MX hosts show it, and what a sender makes of it.

They stand in `situations.toml`. `{domain}` there is the situation's own domain, `<name>.example`, and the keys of `dns`
are names below it.
"""

import gzip
import ipaddress
import tomllib
import zlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

type Certificate = Literal[
    "good",
    "other_name",
    "expired",
    "self_signed",
    "unknown_authority",
    "ends_soon",
    "common_name_only",
    "intermediate_expired",
    "not_yet_valid",
    "six_days",
    "six_days_ending",
    "lax_authority",
    "wildcard",
    "partial_wildcard",
    "alert_unrecognized_name",
    "alert_internal_error",
    "alert_handshake_failure",
]
type Verdict = Literal["verified", "unprotected", "deferred", "unknown"]
type Values = list[str | list[str]] | Literal["servfail", "silent"]
"""The values of a name for one type of record, or how the DNS server fails to give them."""

type Run = Literal["allow_private", "public_only"]

_FILE = Path(__file__).with_name("situations.toml")
_TLSRPT = "v=TLSRPTv1; rua=mailto:tls@example.com"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicyHost(_Model):
    """What `mta-sts.<domain>` does: by default it serves an enforced policy that names `mx.<domain>`.

    `text` goes before `mode`, `mx` and `max_age`; `size` in octets is reached with extension fields. `at` is the kind
    of server that listens at its address, an empty `content_type` leaves the header out. `body` is how an answer is
    sent: as HTTP wants it (`length`, `chunked`, `to_the_end`), or so slowly, so long, so short or so wrongly that
    nobody can read it. `delay` is in seconds. `zip` is how the body is encoded, whatever the headers say; `interim` are
    status lines that go before the answer, `line_end` ends the lines of its head.
    """

    mode: str = "enforce"
    mx: tuple[str, ...] = ("mx.{domain}",)
    max_age: int = 1209600
    text: str | None = None
    size: int = 0
    status: str = "200 OK"
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[str, ...] = ()
    delay: float = 0
    body: Literal["length", "chunked", "to_the_end", "dripping", "endless", "cut", "rubbish", "silent"] = "length"
    certificate: Certificate = "good"
    at: Literal["tls", "tls_1_1", "tls_1_3", "no_certificate", "plain_http", "silent", "nobody"] = "tls"
    zip: Literal["", "gzip", "deflate"] = ""
    interim: tuple[str, ...] = ()
    line_end: str = "\r\n"

    def octets(self, domain: str) -> bytes:
        """The text that is served for `domain`."""
        lines = ["version: STSv1", f"mode: {self.mode}", *(f"mx: {mx}" for mx in self.mx), f"max_age: {self.max_age}"]
        text = self.text if self.text is not None else "".join(f"{line}\r\n" for line in lines)
        octets = text.replace("{domain}", domain).encode()
        while (missing := self.size - len(octets)) > 0:
            line = min(missing, 1000)
            if missing - line < 10:
                line = missing  # the last field must hold a name, a value and its line end
            octets += b"x: %b\r\n" % (b"x" * (line - 5))
        if self.zip:
            return gzip.compress(octets) if self.zip == "gzip" else zlib.compress(octets)
        return octets


class MxHost(_Model):
    """An MX host: the kind of server that it is, and what is to be said of it. `found` is False for one without an
    address, `also` are the kinds of servers at more addresses. The words are the situation's own unless given.
    """

    kind: str = "good"
    also: tuple[str, ...] = ()
    found: bool = True
    verdict: Verdict | None = None
    if_enforced: Verdict | None = None
    exchange_code: Literal["5.4.8", "5.7.5"] | None = None
    result_type: str | None = None


class Situation(_Model):
    """One policy domain, and what is to be said of it; `source` says who says so.

    `dns` holds records in place of those that the situation would have, for each name those of all types. `hosts` are
    the MX hosts, the most preferred first: its keys are labels below the domain, or `@` where the domain has an address
    but no MX record. `second` is what a second address of the policy host does, an IPv4 address or by `second_is` an
    IPv6 address. `absent` names are not in DNS at all. `findings` are the codes that must be found, and no other.
    `run` says whether private addresses are allowed.
    """

    name: str
    source: str
    dns: dict[str, dict[str, Values]] = {}
    dnssec: bool = False
    policy: PolicyHost = PolicyHost()
    second: PolicyHost | None = None
    second_is: Literal["A", "AAAA"] = "A"
    absent: tuple[str, ...] = ()
    hosts: dict[str, MxHost] = {"mx": MxHost()}
    run: Run = "allow_private"
    verdict: Verdict
    if_enforced: Verdict
    result_type: str | None = None
    findings: frozenset[str]

    @property
    def domain(self) -> str:
        """The policy domain."""
        return f"{self.name}.example"

    def host_name(self, label: str) -> str:
        """The name of the MX host that stands as `label` in `hosts`."""
        if label.endswith("."):  # a whole name
            return label[:-1]
        return self.domain if label == "@" else f"{label}.{self.domain}"

    def records(self, policy_host: str, mx_hosts: dict[str, str], second: str = "") -> dict[str, dict[str, Values]]:
        """What DNS holds for the domain: name -> type -> values, where the policy host and each kind of MX host have
        the addresses given.
        """
        names: dict[str, dict[str, Values]] = {
            "_mta-sts": {"TXT": ["v=STSv1; id=20261124000000Z;"]},
            "_smtp._tls": {"TXT": [_TLSRPT]},
            "mta-sts": {"A": [policy_host]},
            "@": {},
        }
        if "@" not in self.hosts:
            names["@"]["MX"] = [f"{10 * place} {self.host_name(label)}" for place, label in enumerate(self.hosts, 1)]
        for label, host in self.hosts.items():
            if host.found and not label.endswith("."):
                names.setdefault(label, {})["A"] = [mx_hosts[kind] for kind in (host.kind, *host.also)]
        if self.second is not None:
            packed = ipaddress.IPv4Address(second).packed
            mapped = f"::ffff:{packed[:2].hex()}:{packed[2:].hex()}"
            names["mta-sts"] |= {"AAAA": [mapped]} if self.second_is == "AAAA" else {"A": [policy_host, second]}
        kept = {name: records for name, records in (names | self.dns).items() if name not in self.absent}
        return {self.host_name(name): self._filled_in(records) for name, records in kept.items()}

    def _filled_in(self, records: dict[str, Values]) -> dict[str, Values]:
        """`records` with the domain in place of `{domain}`."""

        def fill(value: str | list[str]) -> str | list[str]:
            if isinstance(value, str):
                return value.replace("{domain}", self.domain)
            return [string.replace("{domain}", self.domain) for string in value]

        return {
            kind: [fill(value) for value in values] if isinstance(values, list) else values
            for kind, values in records.items()
        }


def load() -> list[Situation]:
    """All situations of the file."""
    return [Situation.model_validate(table) for table in tomllib.loads(_FILE.read_text(encoding="utf-8"))["situation"]]
