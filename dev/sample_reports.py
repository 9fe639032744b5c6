"""Thirty days of TLS reports about the sample policies, as Google, Microsoft and a Postfix server would write them."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from policy_store.policy import Policy
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.reading import parse
from policy_store.tlsrpt.rows import Source, rows_of

DAYS = 30

_SENDERS = {
    "google.com": ("Google Inc.", "smtp-tls-reporting@google.com", "209.85.220.41"),
    "microsoft.com": ("Microsoft Corporation", "tlsrpt-noreply@microsoft.com", "40.107.22.52"),
    "sender.example": ("Example Mail", "smtp-tls-reporting@sender.example", "198.51.100.25"),
}


def sample_reports(reported: Sequence[tuple[str, Policy, str]], now: datetime) -> Iterator[ReportRow]:
    """The rows of the reports about each domain with its policy, by what they are to show: `ready`, `waiting`,
    `expired` or nothing.
    """
    for domain, policy, shows in reported:
        for age in range(DAYS, 0, -1):
            day = now.date() - timedelta(days=age)
            match shows:
                case "ready":
                    yield from _rows("google.com", day, domain, policy, ok=9 + day.day % 7)
                    if day.weekday() < 5:
                        yield from _rows("microsoft.com", day, domain, policy, ok=14 + day.day % 5)
                case "waiting" if age in (3, 4):
                    yield from _rows("google.com", day, domain, policy, ok=2)
                case "expired":
                    yield from _rows("google.com", day, domain, policy, ok=20 + day.day % 9)
                    failed = 7 if age <= 3 else 0
                    yield from _rows("microsoft.com", day, domain, policy, ok=30 + day.day % 5 - failed, failed=failed)


def _rows(sender: str, day: date, domain: str, policy: Policy, *, ok: int, failed: int = 0) -> list[ReportRow]:
    """The rows of one report; Microsoft counts its sessions under DANE too."""
    organization, contact, client = _SENDERS[sender]
    summary = {"total-successful-session-count": ok, "total-failure-session-count": failed}
    details = {
        "result-type": "certificate-expired",
        "receiving-mx-hostname": policy.mx[-1],
        "failed-session-count": failed,
    }
    entry: dict[str, Any] = {
        "policy": {"policy-type": "sts", "policy-string": policy.text.splitlines(), "policy-domain": domain},
        "summary": summary,
        "failure-details": [details] if failed else [],
    }
    report = {
        "organization-name": organization,
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": contact,
        "report-id": f"{day}T00:00:00Z_{domain}",
        "policies": [entry],
    }
    plain = json.dumps(report).encode()
    received = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=36)
    return rows_of(parse(plain), Source("https", received, client, "sample"), plain, lambda _: True)
