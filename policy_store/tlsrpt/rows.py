"""From a report to the rows that are kept of it: which domain an entry is about, who wrote it, and its key."""

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from policy_store.names import InvalidName, host_name
from policy_store.tables.report_row import LARGEST_RAW, Failure, ReportRow, Via
from policy_store.tlsrpt.causes import is_blocking
from policy_store.tlsrpt.report import Detail, PolicyEntry, Report

MOST_ENTRIES = 100  # of one report
MOST_FAILURES = 20  # of one entry, by cause and MX host
_MOST_DOMAINS = 20  # looked up for one report; a report is about one

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
# Where a registry sells names below a second label, as in example.co.uk: enough to tell senders apart.
_SECOND_LABELS = frozenset(
    ("ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "govt", "ne", "net", "nom", "or", "org")
)
_BEFORE_DOMAIN = re.compile(r"[_+]")
_LONGEST_REPORTER = 80
_LARGEST = 2**31 - 1  # of a number in a table


@dataclass(frozen=True, slots=True)
class Source:
    """How a report came: `client` is the address and `agent` the User-Agent of an HTTPS client, both clean."""

    via: Via
    received: datetime
    client: str = ""
    agent: str = ""


def rows_of(report: Report, source: Source, plain: bytes, is_ours: Callable[[str], bool]) -> list[ReportRow]:
    """The rows to keep of a report, whose JSON is `plain`; none where it is about no domain of ours.

    `is_ours` is asked once for each domain. An entry that names an MX host (`tlsa`, RFC 8460 section 4.4) or no domain
    goes to the one domain of ours that the others name; where none of them names one, the end of the report's id may.
    """
    named = dict.fromkeys(entry.policy.domain for entry in report.policies if entry.policy.domain)
    ours = {domain for domain in list(named)[:_MOST_DOMAINS] if is_ours(domain)}
    if not ours and any(_names_no_domain(entry) for entry in report.policies):
        ours = {domain for domain in _domain_in(report.id) if is_ours(domain)}
    whole = hashlib.sha256(plain).hexdigest()[:16]
    raw = gzip.compress(plain, mtime=0)
    reporter = reporter_of(report.contact, report.organization)
    rows: dict[str, ReportRow] = {}
    for entry in report.policies:
        domain = entry.policy.domain
        if domain not in ours:
            if len(ours) != 1 or not _names_no_domain(entry):
                continue
            (domain,) = ours
        failures, more = _failures(entry)
        first_of_its_domain = all(row.domain != domain for row in rows.values())
        row = ReportRow(
            domain=domain,
            day=report.range.day,
            reporter=reporter,
            hash=_hash(report, entry),
            start=report.range.start,
            end=report.range.until,
            organization=report.organization,
            contact=report.contact,
            report_id=report.id,
            type=entry.policy.type,
            text="\n".join(entry.policy.lines),
            ok=entry.summary.ok,
            failed=entry.summary.failed or min(sum(map(_sessions, entry.details)), _LARGEST),
            failures=failures,
            more=more,
            via=source.via,
            agent=source.agent,
            client=source.client,
            received=source.received,
            whole=whole,
            raw=raw if first_of_its_domain and len(raw) <= LARGEST_RAW else b"",
        )
        rows.setdefault(row.key, row)
        if len(rows) == MOST_ENTRIES:
            break
    return list(rows.values())


def reporter_of(contact: str, organization: str) -> str:
    """Who wrote a report: the registrable domain of its contact, else that of its organization, else the latter's name
    in lower-case letters, digits and hyphens; `unknown` where there is neither. It is safe as a part of a key.
    """
    for name in (contact.rpartition("@")[2], organization):
        try:
            labels = host_name(name.strip(" .<>")).split(".")
        except InvalidName:
            continue
        if len(labels) > 1:
            below_second = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LABELS
            return ".".join(labels[-3:] if below_second else labels[-2:])[-_LONGEST_REPORTER:]
    return _NOT_IN_A_NAME.sub("-", organization.lower()).strip("-")[:_LONGEST_REPORTER] or "unknown"


def _names_no_domain(entry: PolicyEntry) -> bool:
    return not entry.policy.domain or entry.policy.type == "tlsa"


def _domain_in(report_id: str) -> list[str]:
    """The domain at the end of an id, as Google (`_`), Microsoft (`+`) and tlsrpt-reporter (`_`) write it, if any."""
    try:
        return [host_name(_BEFORE_DOMAIN.split(report_id)[-1])]
    except InvalidName:
        return []


def _failures(entry: PolicyEntry) -> tuple[tuple[Failure, ...], int]:
    """The failures by cause, MX host and reason, those that block mail and the most frequent first; and how many
    sessions failed in those left out.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for detail in entry.details:
        counts[detail.type, detail.mx_host, detail.reason] += _sessions(detail)
    failures = [Failure(*cause, sessions) for cause, sessions in counts.items() if sessions]
    failures.sort(key=lambda failure: (not is_blocking(failure.type), -failure.sessions, failure.type, failure.mx_host))
    kept, others = failures[:MOST_FAILURES], failures[MOST_FAILURES:]
    return tuple(kept), min(sum(failure.sessions for failure in others), _LARGEST)


def _sessions(detail: Detail) -> int:
    """The failed sessions of a detail: one where it does not say how many."""
    return 1 if detail.sessions is None else detail.sessions


def _hash(report: Report, entry: PolicyEntry) -> str:
    """What tells entries of one reporter, day and domain apart: the first 16 hex digits of SHA-256 over all that the
    entry says, in an order of its own, so that a report has one key however it was written and sent.
    """
    said = (
        report.id,
        report.range.start.isoformat(),
        report.range.until.isoformat(),
        entry.policy.type,
        entry.policy.domain,
        sorted(entry.policy.mx_hosts),
        sorted(entry.policy.lines),
        entry.summary.ok,
        entry.summary.failed,
        sorted((detail.type, detail.mx_host, detail.reason, _sessions(detail)) for detail in entry.details),
    )
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
