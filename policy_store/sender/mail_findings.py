"""What there is to say of the mail hosts: the MX records, each host, and the record that asks for reports."""

from collections.abc import Iterator
from ipaddress import ip_address

from policy_store.lint.findings import Finding
from policy_store.names import quoted
from policy_store.policy import Policy
from policy_store.sender.facts import Facts, MxFacts
from policy_store.sender.policy_findings import ends_soon
from policy_store.sender.reading import PostfixReading
from policy_store.sender.rules import finding
from policy_store.sender.smtp import SmtpResult
from policy_store.sender.verdict import readings_of
from policy_store.txt_records import RecordSyntaxError, TlsrptRecord, tlsrpt_records

_NOT_CHECKED = {"busy": "smtp_busy", "timeout": "smtp_timeout", "unreachable": "smtp_unreachable"}
_ANSWERED = {
    "no_starttls": "smtp_no_starttls",
    "starttls_refused": "smtp_starttls_refused",
    "no_ehlo": "smtp_no_ehlo",
    "refused": "smtp_refused",
    "no_smtp": "smtp_no_smtp",
}


def mail_findings(facts: Facts) -> Iterator[Finding]:
    """Everything about the mail hosts and the reports."""
    yield from _records(facts)
    yield from _patterns(facts)
    for mx in facts.mx:
        yield from _host(facts, mx)
    yield from _reports(facts)
    if facts.authenticated:
        yield finding("dnssec", facts.domain, "the answer on the MX records is signed (DNSSEC)")


def _records(facts: Facts) -> Iterator[Finding]:
    domain, records = facts.domain, facts.mx_records
    if records is None:
        yield finding("mx_lookup_failed", domain, facts.mx_error)
    elif records.null and records.hosts:
        others = ", ".join(quoted(mx.host)[1:-1] for mx in records.hosts[:3])
        yield finding("mx_null_and_others", domain, f"{domain} has a null MX and {others}: senders return mail at once")
    elif records.null:
        yield finding("mx_null", domain, f"{domain} says by a null MX that it takes no mail")
    elif facts.implicit_mx:
        yield finding("mx_implicit", domain, f"{domain} has no MX record: its own addresses take the mail")
    elif not records.hosts:
        yield finding("mx_none", domain, f"{domain} has neither an MX record nor an address")
    if skipped := sum(mx.skipped for mx in facts.mx):
        asked = len(facts.mx) - skipped
        yield finding("mx_many", domain, f"{domain} has {len(facts.mx)} MX hosts: only the first {asked} were checked")


def _patterns(facts: Facts) -> Iterator[Finding]:
    """Patterns and MX hosts that do not fit each other."""
    policies = [each.policy for each in readings_of(facts) if each.policy is not None and each.decides]
    breaking = [each for each in policies if isinstance(each, PostfixReading) and each.breaking]
    for each in breaking:
        message = f"Postfix sends no mail to the domain: mx {quoted(each.breaking)} spoils all patterns for it"
        yield finding("postfix_sends_nothing", facts.domain, message)
    for mx in facts.mx:
        if any(not policy.matches(mx.host) for policy in policies if policy not in breaking):
            yield finding("mx_not_covered", facts.domain, f"no pattern matches the MX host {quoted(mx.host)}")
    for policy in [policy for policy in policies if isinstance(policy, Policy)][:1]:
        names = {mx.host.lower().removesuffix(".") for mx in facts.mx}
        names |= {f"*.{parent}" for name in names if (parent := name.partition(".")[2])}
        for pattern in policy.mx if facts.mx else ():
            if pattern not in names:
                yield finding("pattern_unused", facts.domain, f"mx {pattern} matches no MX host in DNS")


def _host(facts: Facts, mx: MxFacts) -> Iterator[Finding]:
    domain, host = facts.domain, quoted(mx.host)[1:-1]
    if mx.skipped:
        return
    if _is_address(mx.host):
        yield finding("mx_is_address", domain, f"the MX record names the address {host}: it must name a host")
    elif mx.lookup_error is not None:
        yield finding("smtp_lookup_failed", domain, f"{host} was not checked: {mx.lookup_error}")
    elif not mx.results and mx.private:
        yield finding("smtp_private", domain, f"{host} is {mx.private[0]}: it was not asked")
    elif not mx.results and mx.cname is not None:
        yield finding("smtp_cname_nowhere", domain, f"{host} leads to {quoted(mx.cname)}, which has no address")
    elif not mx.results:
        yield finding("smtp_host_missing", domain, f"{host} has no address")
    if mx.cname is not None and (mx.results or mx.private):
        yield finding("mx_cname", domain, f"{host} is an alias of {quoted(mx.cname)}")
    for result in mx.results:
        yield from _result(facts, host, result)
    if mx.tlsa:
        yield finding("tlsa", domain, f"{host} has TLSA records: senders with DANE apply those first")


def _result(facts: Facts, host: str, result: SmtpResult) -> Iterator[Finding]:
    where = f"{host} ({result.address})"
    if result.session is not None:
        if result.session.underscore:
            message = f"{where}: a wildcard stands for a label with an underscore, which some senders refuse"
            yield finding("smtp_certificate_underscore", facts.domain, message)
        if ends := ends_soon(result.session, facts.time):
            yield finding("smtp_certificate_ends_soon", facts.domain, f"the certificate of {where} {ends}")
    elif result.failure is not None:
        yield finding(f"smtp_{result.failure.code}", facts.domain, f"{where}: {result.failure.reason}")
    elif result.outcome in _NOT_CHECKED:
        yield finding(_NOT_CHECKED[result.outcome], facts.domain, f"{where} was not checked: {result.detail}")
    elif result.outcome in _ANSWERED:
        yield finding(_ANSWERED[result.outcome], facts.domain, f"{where}: {result.detail}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _reports(facts: Facts) -> Iterator[Finding]:
    name = f"_smtp._tls.{facts.domain}"
    if facts.tlsrpt is None:
        return
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
