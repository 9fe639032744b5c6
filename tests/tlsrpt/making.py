"""Reports as the tests need them: the JSON of a report, and rows of it."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from policy_store.tables.report_row import ReportRow, Via
from policy_store.tlsrpt.reading import inflated, parse
from policy_store.tlsrpt.rows import Source, rows_of

SAMPLES = Path(__file__).parents[1] / "data" / "tls_reports"
LINES = ("version: STSv1", "mode: testing", "mx: mx1.contoso.com", "mx: mx2.contoso.com", "max_age: 604800")
REPORTERS = {
    "google.com": ("Google Inc.", "smtp-tls-reporting@google.com"),
    "microsoft.com": ("Microsoft Corporation", "tlsrpt-noreply@microsoft.com"),
    "sender.example": ("Sender", "tls@sender.example"),
}


def entry(
    domain: str = "contoso.com",
    *,
    ok: int = 0,
    lines: Sequence[str] = LINES,
    type_: str = "sts",
    failures: Sequence[tuple[str, str, int] | tuple[str, str, int, str]] = (),
    failed: int | None = None,
) -> dict[str, Any]:
    """A policy entry; each failure is a result type, an MX host and a number of sessions, and maybe a reason."""
    details = [
        {
            "result-type": failure[0],
            "receiving-mx-hostname": failure[1],
            "failed-session-count": failure[2],
            **({"failure-reason-code": failure[3]} if len(failure) == 4 else {}),
        }
        for failure in failures
    ]
    count = sum(failure[2] for failure in failures) if failed is None else failed
    return {
        "policy": {"policy-type": type_, "policy-string": list(lines), "policy-domain": domain},
        "summary": {"total-successful-session-count": ok, "total-failure-session-count": count},
        "failure-details": details,
    }


def report(day: date, *entries: dict[str, Any], reporter: str = "google.com", **members: Any) -> bytes:
    """The JSON of a report for one UTC day."""
    organization, contact = REPORTERS[reporter]
    text = {
        "organization-name": organization,
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": contact,
        "report-id": f"{day}T00:00:00Z_{reporter}",
        "policies": list(entries),
        **members,
    }
    return json.dumps(text).encode()


def rows(octets: bytes, *, via: Via = "https", client: str = "192.0.2.1", ours: str = "") -> list[ReportRow]:
    """The rows of a report; all domains are ours, or only `ours`."""
    plain = inflated(octets)
    received = datetime.now(UTC)
    return rows_of(parse(plain), Source(via, received, client), plain, lambda domain: ours in ("", domain))


def yesterday() -> date:
    """The UTC day before this one."""
    return (datetime.now(UTC) - timedelta(days=1)).date()
