"""What a check tells people and programs: the verdict, and a finding for everything that is wrong or worth knowing."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_store.lint.findings import SEVERITIES, Finding, capped
from policy_store.sender.facts import Facts, MxFacts
from policy_store.sender.mail_findings import mail_findings
from policy_store.sender.policy_findings import Published, policy_findings, published_word, text_findings
from policy_store.sender.verdict import Word, delivery_of, judge
from policy_store.txt_records import report_record

SCHEMA = 2  # of the JSON: raised when a field changes its meaning or goes, or a value comes that was none before

type Looked = Literal["checked", "partly checked", "not checked", "none"]


class MxCheck(BaseModel):
    """One MX host: what becomes of a message to it."""

    model_config = ConfigDict(frozen=True)

    host: str = Field(description="its name in lower case, without the final dot")
    verdict: Word = Field(description="what happens to a message under the published policy")
    if_enforced: Word = Field(description="the same with the mode enforce")
    exchange_code: Literal["5.4.8", "5.7.5"] | None = Field(
        description="what Exchange Online tells the author if the policy is enforced; null if it takes the host, or "
        "where no code is known"
    )
    result_type: str | None = Field(description="of an RFC 8460 report if the policy is enforced")


class MailHosts(BaseModel):
    """How far the MX hosts were looked at, and how many of them a sender that verifies takes."""

    model_config = ConfigDict(frozen=True)

    state: Looked = Field(description="`checked`, `partly checked`, `not checked`; `none`: the domain has none")
    passing: int = Field(description="hosts with TLS and a certificate that passes")
    failing: int = Field(description="hosts where TLS fails, or that take no mail at all")
    not_checked: int = Field(description="hosts of which nothing can be found out from here")
    why: str = Field(description="why some were not checked, or there is none; empty otherwise")


class Check(BaseModel):
    """What becomes of a message to a domain, and why."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: int = Field(default=SCHEMA, alias="schema", description="raised when a field changes its meaning or goes")
    domain: str = Field(description="the policy domain")
    verdict: Word = Field(description="`verified`, `unprotected`, `deferred` or `unknown`, as published")
    if_enforced: Word = Field(description="the same with the mode enforce")
    published: Published = Field(
        description="the policy as senders find it: `enforced`, `testing`, `none`, `not published`, `broken`, or "
        "`unknown` where that cannot be found out from here"
    )
    mail_hosts: MailHosts = Field(description="how far the MX hosts were checked")
    result_type: str | None = Field(
        description="of the policy in an RFC 8460 report; null if it is usable, or no TXT record asks for it"
    )
    findings: list[Finding] = Field(
        description="lint's on the text and the checker's own, the worst first; of one code ten, and how many more"
    )
    mx: list[MxCheck] = Field(description="the MX hosts, the most preferred first")
    reports_to: list[str] = Field(description="where senders send TLS reports; empty if no record asks for them")
    reports_posted_here: bool = Field(description="whether one of these is an app like this one, at `/v1/tlsrpt`")

    @property
    def codes(self) -> frozenset[str]:
        """The codes of all findings."""
        return frozenset(found.code for found in self.findings)

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to do something: mail waits, or there is an error. A domain that takes no mail on
        purpose is as it should be.
        """
        errors = any(found.severity == "error" for found in self.findings)
        return errors or (self.verdict == "deferred" and "mx_null" not in self.codes)

    @property
    def saw_nothing(self) -> bool:
        """Whether nothing at all could be looked up."""
        return {"txt_lookup_failed", "host_lookup_failed", "mx_lookup_failed"} <= self.codes


def report(facts: Facts, more: Iterable[Finding] = ()) -> Check:
    """The check of a domain: `more` findings, as from a comparison with the store, are sorted in, the worst first."""
    verdict = judge(facts)
    findings = [*capped([*policy_findings(facts), *mail_findings(facts), *more]), *text_findings(facts)]
    record = report_record(facts.tlsrpt)
    return Check(
        domain=facts.domain,
        verdict=verdict.verdict,
        if_enforced=verdict.if_enforced,
        published=published_word(facts),
        mail_hosts=_mail_hosts(facts),
        result_type=verdict.result_type,
        findings=sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)),
        mx=[MxCheck.model_validate(mx, from_attributes=True) for mx in verdict.mx],
        reports_to=list(record.rua) if record else [],
        reports_posted_here=record is not None and record.posted_here,
    )


def why_not_checked(mx: MxFacts) -> str:
    """Why nothing can be told of an MX host from here, with the way out; empty if something can."""
    if delivery_of(mx).passes is not None:
        return ""
    if mx.skipped:
        return "it is not among the first 20"
    if mx.lookup_error is not None:
        return mx.lookup_error
    if not mx.results:
        return f"its address {mx.private[0]} is private" if mx.private else "it has no address"
    waiting = [result for result in mx.results if result.outcome in ("busy", "timeout")]
    if waiting:
        remedy = ": give it more time with --smtp-seconds" if waiting[0].outcome == "timeout" else ": try again later"
        return f"{waiting[0].detail}{remedy}"
    return f"{mx.results[0].detail}, as where port 25 is blocked"


def not_checked(facts: Facts) -> tuple[str, ...]:
    """What could not be looked at from here, each with the reason and the way out; empty if everything was."""
    reasons = []
    if facts.txt.error is not None:
        reasons.append(f"the TXT record was not checked: {facts.txt.error}")
    if facts.mx_records is None:
        reasons.append(f"the MX hosts were not checked: {facts.mx_error}")
    hosts = ((mx.host, why_not_checked(mx)) for mx in facts.mx)
    return (*reasons, *(f"{host} was not checked: {why}" for host, why in hosts if why))


def _mail_hosts(facts: Facts) -> MailHosts:
    passes = [delivery_of(mx).passes for mx in facts.mx]
    passing, failing, unknown = (passes.count(word) for word in (True, False, None))
    why = next((f"{mx.host}: {reason}" for mx in facts.mx if (reason := why_not_checked(mx))), "")
    state: Looked = "checked" if not unknown else "partly checked" if passing or failing else "not checked"
    if not facts.mx:
        state = "not checked" if facts.mx_records is None else "none"
        why = facts.mx_error if facts.mx_records is None else "the domain has neither an MX record nor an address"
        if facts.mx_records is not None and facts.mx_records.null:
            why = "the domain takes no mail (null MX)"
    return MailHosts(state=state, passing=passing, failing=failing, not_checked=unknown, why=_plain(why))


def _plain(text: str) -> str:
    """`text`, into which a host name of any bytes may have come, in plain characters."""
    return ascii(text)[1:-1] if not (text.isascii() and text.isprintable()) else text
