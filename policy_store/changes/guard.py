"""Every reason against a change: what lint refuses, an enforce that nobody tried, a host that still takes mail, a
policy that senders still have cached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from policy_store.changes.change import Reason
from policy_store.changes.desk import Desk
from policy_store.durations import DAY, in_words
from policy_store.life import cached_until, in_testing_since, removal_date
from policy_store.lint.findings import Finding
from policy_store.lint.linter import lint_policy
from policy_store.policy import Policy
from policy_store.sender.facts import Facts, Fetched, PolicyHost
from policy_store.sender.policy_host import next_step, why_no_text
from policy_store.sender.published import TxtState, compare, not_delegated, served_word
from policy_store.sender.report import not_checked
from policy_store.sender.verdict import judge, passes_tls
from policy_store.tables.entry import Entry
from policy_store.tables.report_row import ReportRow
from policy_store.times import shown_due
from policy_store.tlsrpt.case import Case, Demands
from policy_store.tlsrpt.evidence import Verdict, verdict
from policy_store.txt_records import StsRecord, report_record

LONGEST_NOTE = 1000  # characters: a reason is a sentence, and two of them go into one row


def findings_of(entry: Entry, policy: Policy) -> tuple[list[Finding], list[Finding]]:
    """What lint says about writing `policy`: the errors that prevent it, and everything else that people should see.

    Errors that the current policy already has do not block an edit, unless the edit turns on enforce.
    """
    before = entry.in_force
    findings = lint_policy(policy, domain=entry.domain)
    known: set[tuple[str, str]] = set()
    if before and (policy.mode != "enforce" or before.mode == "enforce"):
        known = {(finding.code, finding.message) for finding in lint_policy(before, domain=entry.domain)}
    refusing = [f for f in findings if f.severity == "error" and (f.code, f.message) not in known]
    return refusing, [finding for finding in findings if finding not in refusing]


def lint_reasons(findings: Iterable[Finding]) -> list[Reason]:
    """Findings of lint as reasons."""
    return [Reason("lint", f"{finding.message} ({finding.code})", finding.remedy) for finding in findings]


def enforce_reasons(entry: Entry, policy: Policy) -> list[Reason]:
    """Why `policy` must not be enforced by an edit: only promote may do that, because it asks DNS and the hosts first.

    A new domain may begin with enforce: its policy was tested somewhere else.
    """
    before = entry.in_force
    if before is None or policy.mode != "enforce" or before.mode == "enforce":
        return []
    message = f"it is in {before.mode}"
    if before.mode == "none":
        remedy = f"set it to testing first, 'mta-sts promote {entry.domain}' then enforces it"
    else:
        remedy = f"enforce comes by 'mta-sts promote {entry.domain}'"
    return [Reason("promote", message, remedy)]


def short_reasons(entry: Entry, policy: Policy) -> list[Reason]:
    """Why `policy` must not be enforced with so short a max_age: somebody meant days and wrote seconds, and a sender
    forgets the policy before the next message. A policy that is already enforced with that max_age may stay.
    """
    before = entry.in_force
    known = before is not None and before.mode == "enforce" and before.max_age <= policy.max_age
    if policy.mode != "enforce" or policy.max_age >= DAY or known:
        return []
    message = f"max_age is {policy.max_age} ({in_words(policy.max_age)}), less than a day"
    return [Reason("max_age_under_a_day", message, "weeks are usual; days and weeks may be written as 60d and 8w")]


def drop_reasons(
    entry: Entry,
    policy: Policy,
    *,
    now: datetime,
    fresh_seconds: float,
    mx_hosts: Sequence[str] | None,
    still_cached: bool = True,
) -> list[Reason]:
    """Why patterns that `policy` drops must stay, if the policy in force is enforced.

    A host that DNS still lists must stay allowed (RFC 8461 section 5). Hosts of an older text must stay until that text
    has expired: a sender that still caches it may know none of the remaining hosts (section 8.1). Without
    `still_cached` that is ignored, for example to undo a mistake of an hour ago.
    """
    before = entry.in_force
    if before is None or before.mode != "enforce" or policy.mode != "enforce" or set(before.mx) <= set(policy.mx):
        return []
    reasons = [] if mx_hosts is not None else [_mx_unknown()]
    reasons += [
        Reason("mx_in_use", f"DNS still lists {host}, which no other pattern matches", "change the MX records first")
        for host in mx_hosts or ()
        if before.matches(host) and not policy.matches(host)
    ]
    expiry = cached_until(entry.known, fresh_seconds)
    if still_cached and expiry is not None and now < expiry:
        when = shown_due(expiry)
        reasons.append(
            Reason("still_cached", f"senders may keep an older policy until {when}", "drop the pattern then")
        )
    return reasons


def mx_reasons(policy: Policy, mx_hosts: Sequence[str] | None) -> list[Reason]:
    """Why `policy` must not be enforced with these MX hosts in DNS (None if they are unknown): under enforce a sender
    must not deliver to an MX host that no pattern matches (RFC 8461 section 5).
    """
    if mx_hosts is None:
        return [_mx_unknown()]
    if not mx_hosts:
        return [Reason("no_mx", "DNS shows no MX host that takes mail", "set the MX records first")]
    return [
        Reason("mx_not_covered", f"no pattern matches the MX host {host}", "add one with 'mta-sts edit --add-mx'")
        for host in mx_hosts
        if not policy.matches(host)
    ]


def testing_reasons(entry: Entry, *, now: datetime, after: timedelta) -> list[Reason]:
    """Why a policy in testing must not be promoted yet, by its revisions and the clock alone."""
    since = in_testing_since(entry.revisions)
    if since is None or now >= since + after:
        return []
    message = f"testing has lasted since {shown_due(since)}"
    return [Reason("too_soon", message, f"wait until {shown_due(since + after)} and read the reports")]


def world_reasons(
    entry: Entry, policy: Policy, facts: Facts, *, served_counts: bool = True, zone: str = ""
) -> list[Reason]:
    """Why `policy` must not be enforced by what a sending server finds: the MX hosts, how they take TLS (RFC 8461
    section 4), the policy host, and the id in DNS, without which senders go on with an older text (section 8.1).

    Without `served_counts` the last two are ignored, because what is served now is about to be replaced. `zone` is the
    zone that customers delegate to, where there is one.
    """
    hosts = None if facts.mx_records is None else tuple(mx.host for mx in facts.mx)
    reasons = mx_reasons(policy, hosts)
    if _would_defer(policy, facts):
        reasons.append(Reason("would_defer", "no MX host passes as a sender sees it", "'mta-sts check' says why"))
    if not served_counts:
        return reasons
    reasons += _served_reasons(entry, facts)
    if compare(facts.txt, entry.revisions).word != "right":
        remedy = not_delegated(entry.domain, facts.txt_cname, zone) or "see 'mta-sts dns check'"
        reasons.append(Reason("id_not_current", "the TXT record does not show the current id", remedy))
    return reasons


def not_checked_reasons(facts: Facts) -> list[Reason]:
    """What nobody could look at from here: no reason against enforce, and what people should know before."""
    return [Reason("not_checked", f"{facts.domain}: {sentence}") for sentence in not_checked(facts)]


def report_verdict(
    desk: Desk,
    entry: Entry,
    reports: Sequence[ReportRow] | None,
    facts: Facts,
    demands: Demands,
    *,
    without_reports: bool,
) -> Verdict | None:
    """What the TLS reports of a domain say together with what a sending server finds now; None where nobody receives
    any.
    """
    if reports is None or entry.in_force is None:
        return None
    record = report_record(facts.tlsrpt)
    failing = [mx.host for mx in facts.mx if any(passes_tls(each) is False for each in mx.results)]
    return verdict(
        Case(
            policy=entry.in_force,
            revisions=entry.revisions,
            rows=reports,
            now=desk.now,
            fresh_seconds=desk.store.fresh_seconds,
            demands=demands,
            mx_hosts=None if facts.mx_records is None else tuple(mx.host for mx in facts.mx),
            failing_hosts=failing,
            names_us=None if facts.tlsrpt is None else record is not None and record.leads_here,
            without_reports=without_reports,
        )
    )


def _would_defer(policy: Policy, facts: Facts) -> bool:
    """Whether a sender that has `policy` would deliver to none of the MX hosts that it allows."""
    allowed = tuple(mx for mx in facts.mx if policy.matches(mx.host))
    host = PolicyHost((("", Fetched(policy.text.encode("ascii"))),))
    had = replace(facts, txt=TxtState((StsRecord("1").text,)), policy_host=host, mx=allowed)
    return bool(allowed) and judge(had).if_enforced == "deferred"


def _served_reasons(entry: Entry, facts: Facts) -> list[Reason]:
    """Why senders would not get this policy: the policy host does not answer as one, or serves another text."""
    host = facts.policy_host
    if why := why_no_text(entry.domain, host):
        return [Reason("not_served", f"no sender gets the policy: {why}", next_step(entry.domain, host))]
    word, detail = served_word(host.counting[0][1].text, entry.revisions)
    if word == "newest text":
        return []
    return [Reason("not_served", detail, f"'mta-sts dns check {entry.domain}' says more")]


def removal_reasons(entry: Entry, *, now: datetime, fresh_seconds: float) -> list[Reason]:
    """Why the row must stay: senders may still have a policy cached that was not withdrawn, or not long enough ago (RFC
    8461 section 8.3). A row that was never valid was never served, and may be removed.
    """
    if entry.in_force is None and not entry.revisions:
        return []
    due = removal_date(entry.known, fresh_seconds)
    if due is None:
        return [Reason("not_retired", "its policy is not withdrawn yet", f"first 'mta-sts retire {entry.domain}'")]
    if now < due:
        return [Reason("still_cached", f"senders may keep an older policy until {shown_due(due)}", "repeat this then")]
    return []


def _mx_unknown() -> Reason:
    return Reason("mx_unknown", "the MX records could not be looked up", "try again")
