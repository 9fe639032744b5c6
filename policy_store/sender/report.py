"""What a check tells people and programs: the verdict, and a finding for everything that is wrong or worth knowing."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy_store.dns_records import (
    RecordSyntaxError,
    StsRecord,
    TlsrptRecord,
    report_record,
    sts_records,
    tlsrpt_records,
)
from policy_store.lint.findings import SEVERITIES, Finding
from policy_store.lint.linter import lint_text
from policy_store.names import policy_host, quoted
from policy_store.policy import Policy
from policy_store.sender.facts import Facts, MxFacts
from policy_store.sender.rules import RULES
from policy_store.sender.smtp import SmtpResult
from policy_store.sender.tls import TlsResultType, TlsSession
from policy_store.sender.verdict import Word, has_policy_id, judge, readings_of

SCHEMA = 1  # of the JSON: raised when a field changes its meaning or goes

_SOON = timedelta(days=14)
_SLOW = ((5, "https_over_5_seconds"), (4, "https_over_4_seconds"), (2, "https_over_2_seconds"))
_SMTP_TLS: dict[TlsResultType, str] = {
    "certificate-host-mismatch": "smtp_certificate_name",
    "certificate-expired": "smtp_certificate_expired",
    "certificate-not-trusted": "smtp_certificate_untrusted",
    "validation-failure": "smtp_tls",
}


class MxCheck(BaseModel):
    """One MX host: what becomes of a message to it."""

    model_config = ConfigDict(frozen=True)

    host: str = Field(description="its name in lower case, without the final dot")
    verdict: Word = Field(description="what becomes of a message as published")
    if_enforced: Word = Field(description="the same with the mode enforce")
    exchange_code: Literal["5.4.8", "5.7.5"] | None = Field(
        description="what Exchange Online tells the author if the policy is enforced; null where it takes the host, or "
        "where no code is known"
    )
    result_type: str | None = Field(description="of an RFC 8460 report if the policy is enforced")


class Check(BaseModel):
    """What becomes of a message to a domain, and why."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    schema_: int = Field(default=SCHEMA, alias="schema", description="raised when a field changes its meaning or goes")
    domain: str = Field(description="the policy domain")
    verdict: Word = Field(description="`verified`, `unprotected`, `deferred` or `unknown`, as published")
    if_enforced: Word = Field(description="the same with the mode enforce")
    result_type: str | None = Field(
        description="of the policy in an RFC 8460 report; null where it is usable, or no TXT record asks for it"
    )
    findings: list[Finding] = Field(description="lint's on the text and the checker's own, the worst first")
    mx: list[MxCheck] = Field(description="the MX hosts, the most preferred first")
    reports_to: list[str] = Field(description="where senders send reports on TLS; empty where no record says so")
    reports_posted_here: bool = Field(description="whether one of these is of an app such as this, at `/v1/tlsrpt`")


def report(facts: Facts, more: Iterable[Finding] = ()) -> Check:
    """The check of a domain: `more` findings, as from a comparison with the store, are sorted in, the worst first."""
    verdict = judge(facts)
    record = report_record(facts.tlsrpt)
    findings = [*_txt(facts), *_policy_host(facts), *_text(facts), *_mx(facts), *_others(facts), *more]
    return Check(
        domain=facts.domain,
        verdict=verdict.verdict,
        if_enforced=verdict.if_enforced,
        result_type=verdict.result_type,
        findings=sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)),
        mx=[MxCheck.model_validate(mx, from_attributes=True) for mx in verdict.mx],
        reports_to=list(record.rua) if record else [],
        reports_posted_here=record is not None and record.posted_here,
    )


def finding(code: str, domain: str, message: str) -> Finding:
    """A finding of the checker's own table."""
    rule = RULES[code]
    return Finding(code=code, severity=rule.severity, domain=domain, message=message, remedy=rule.remedy)


def _txt(facts: Facts) -> Iterator[Finding]:
    name = f"_mta-sts.{facts.domain}"
    if facts.txt.error is not None:
        yield finding("txt_lookup_failed", facts.domain, f"{name}: {facts.txt.error}")
        return
    records = sts_records(facts.txt.records)
    if facts.txt_cname is not None:
        yield finding("txt_cname", facts.domain, f"{name} leads to {quoted(facts.txt_cname)}")
    others = [text for text in facts.txt.records if text not in records]
    misspelt = [text for text in others if "sts" in text.lower()]
    if not records and misspelt:
        message = f"{name} has {quoted(misspelt[0])}, which does not begin with 'v=STSv1;'"
        yield finding("txt_syntax", facts.domain, message)
    elif not records:
        yield finding("txt_missing", facts.domain, f"{name} has no record that begins with 'v=STSv1;'")
    elif len(records) > 1:
        yield finding("txt_several", facts.domain, f"{name} has {len(records)} records: senders use no policy")
    else:
        try:
            StsRecord.parse(records[0])
        except RecordSyntaxError as error:
            yield finding("txt_syntax", facts.domain, f"{name} has {quoted(records[0])}: {error}")
        if others:
            yield finding("txt_neighbours", facts.domain, f"{name} has {quoted(others[0])} beside the record")


def _policy_host(facts: Facts) -> Iterator[Finding]:
    host, name = facts.policy_host, policy_host(facts.domain)
    if host.lookup_error is not None:
        yield finding("host_lookup_failed", facts.domain, f"{name}: {host.lookup_error}")
    elif not host.addresses:
        yield finding("host_missing", facts.domain, f"{name} has no address")
    elif all(reached is None for _, reached in host.addresses):
        yield finding("host_private", facts.domain, f"{name} is {host.addresses[0][0]}: it was not asked")
    if host.cname is not None:
        yield finding("host_cname", facts.domain, f"{name} leads to {quoted(host.cname)}")
    reached = [address for address, reached in host.addresses if reached]
    for version in (4, 6):
        code = f"host_ipv{version}_unreachable"
        refusing = [a for a, took in host.addresses if took is False and ip_address(a).version == version]
        if refusing and reached and not any(ip_address(address).version == version for address in reached):
            yield finding(code, facts.domain, f"{name} takes no connection at {', '.join(refusing)}")
    fetched = host.fetched
    if fetched is None:
        return
    if fetched.problem is not None:
        yield finding(fetched.problem, facts.domain, f"{name} {fetched.detail or 'takes no connection'}")
    if fetched.session is not None:
        yield from _ends_soon(facts, name, fetched.session, "https_certificate_ends_soon")
    for seconds, code in _SLOW:
        if fetched.problem is None and fetched.seconds > seconds:
            yield finding(code, facts.domain, f"{name} took {fetched.seconds:.1f} s: {RULES[code].source}")
            break


def _ends_soon(facts: Facts, host: str, session: TlsSession, code: str) -> Iterator[Finding]:
    left = session.not_after - facts.time
    if left < _SOON:
        yield finding(
            code, facts.domain, f"the certificate of {host} ends on {_day(session.not_after)}, in {left.days} d"
        )


def _text(facts: Facts) -> Iterator[Finding]:
    """Lint on the text that was fetched, and where senders read it in two ways."""
    fetched = facts.policy_host.fetched
    if fetched is None or fetched.problem is not None or not has_policy_id(facts):
        return
    yield from lint_text(fetched.text, domain=facts.domain)
    strict, postfix = readings_of(facts)
    if strict is None and postfix is None:
        return
    if strict is None or postfix is None:
        takes, refuses = ("Postfix", "the RFC") if strict is None else ("the RFC", "Postfix")
        yield finding(
            "read_otherwise", facts.domain, f"{refuses} refuses the text, {takes} takes it: {_effect(postfix)}"
        )
    elif strict.mode != postfix.mode:
        message = f"the mode is {strict.mode} by the RFC, where the first counts, and {postfix.mode} for Postfix"
        yield finding("read_otherwise", facts.domain, message)
    else:
        for mx in facts.mx:
            if strict.matches(mx.host) != postfix.matches(mx.host):
                says = "is allowed by the RFC, but not by Postfix" if strict.matches(mx.host) else "only Postfix allows"
                yield finding("read_otherwise", facts.domain, f"{quoted(mx.host)} {says}")


def _effect(postfix: object) -> str:
    return "some senders enforce it, others deliver unprotected" if postfix is not None else "Postfix is unprotected"


def _mx(facts: Facts) -> Iterator[Finding]:
    domain, records = facts.domain, facts.mx_records
    if records is None:
        yield finding("mx_lookup_failed", domain, facts.mx_error)
    elif records.null:
        yield finding("mx_null", domain, f"{domain} says by a null MX that it takes no mail")
    elif facts.implicit_mx:
        yield finding("mx_implicit", domain, f"{domain} has no MX record: its own addresses take the mail")
    elif not records.hosts:
        yield finding("mx_none", domain, f"{domain} has neither an MX record nor an address")
    readings = [reading for reading in readings_of(facts) if reading is not None]
    for mx in facts.mx:
        if any(not reading.matches(mx.host) for reading in readings):
            yield finding("mx_not_covered", domain, f"no pattern matches the MX host {quoted(mx.host)}")
        yield from _smtp(facts, mx)
    for policy in readings[:1]:
        if isinstance(policy, Policy) and facts.mx:
            for pattern in policy.mx:
                if not any(Policy(mode="none", mx=(pattern,), max_age=0).matches(mx.host) for mx in facts.mx):
                    yield finding("pattern_unused", domain, f"mx {pattern} matches no MX host in DNS")


def _smtp(facts: Facts, mx: MxFacts) -> Iterator[Finding]:
    host = quoted(mx.host)[1:-1]
    if mx.lookup_error is not None:
        yield finding("smtp_unreachable", facts.domain, f"{host} was not checked: {mx.lookup_error}")
    elif not mx.results and mx.private:
        yield finding("smtp_private", facts.domain, f"{host} is {mx.private[0]}: it was not asked")
    elif not mx.results:
        yield finding("smtp_host_missing", facts.domain, f"{host} has no address")
    for result in mx.results:
        yield from _smtp_result(facts, host, result)
    if mx.tlsa:
        yield finding("tlsa", facts.domain, f"{host} has TLSA records: senders with DANE go by them first")


def _smtp_result(facts: Facts, host: str, result: SmtpResult) -> Iterator[Finding]:
    where = f"{host} ({result.address})"
    match result.outcome:
        case "tls":
            if result.session is not None:
                yield from _ends_soon(facts, where, result.session, "smtp_certificate_ends_soon")
        case "tls_failed":
            if result.failure is not None:
                code = _SMTP_TLS[result.failure.result_type]
                yield finding(code, facts.domain, f"{where}: {result.failure.reason}")
        case "no_starttls":
            yield finding("smtp_no_starttls", facts.domain, f"{where} does not offer STARTTLS")
        case "unreachable":
            yield finding("smtp_unreachable", facts.domain, f"{where} was not checked: {result.detail}")
        case "timeout":
            yield finding("smtp_timeout", facts.domain, f"{where} was not checked: {result.detail}")
        case "no_smtp":
            yield finding("smtp_no_smtp", facts.domain, f"{where} was not checked: {result.detail}")


def _others(facts: Facts) -> Iterator[Finding]:
    name = f"_smtp._tls.{facts.domain}"
    if facts.tlsrpt is not None:
        records = tlsrpt_records(facts.tlsrpt)
        if not records:
            yield finding("tlsrpt_missing", facts.domain, f"{name} has no record that begins with 'v=TLSRPTv1;'")
        elif len(records) > 1:
            yield finding("tlsrpt_several", facts.domain, f"{name} has {len(records)} records: senders send no report")
        else:
            try:
                TlsrptRecord.parse(records[0])
            except RecordSyntaxError as error:
                yield finding("tlsrpt_syntax", facts.domain, f"{name} has {quoted(records[0])}: {error}")
    if facts.authenticated:
        yield finding("dnssec", facts.domain, "the answer on the MX records is signed (DNSSEC)")


def _day(time: datetime) -> str:
    return f"{time:%Y-%m-%d}"
