"""DNS records as people take them over: a block on a terminal, a row of a CSV, and a letter to a customer."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from policy_store.dns_records import TTL, DnsRecord
from policy_store.times import shown_due

type RecordState = Literal["publish", "wait", "published by the app"]

CSV_COLUMNS = ("customer", "domain", "zone", "type", "name", "value", "ttl", "not_before", "state")


def state(record: DnsRecord, now: datetime, delegate: str = "") -> RecordState:
    """What is to be done about a record: nothing where it is in the zone `delegate`, which the app keeps itself."""
    if delegate and record.zone == delegate:
        return "published by the app"
    return "wait" if record.not_before and now < record.not_before else "publish"


def block(record: DnsRecord) -> str:
    """The record with its type, name and value on lines of their own, which are never folded, to be copied one by one.

    A last line says from when it may be published, where it has to wait.
    """
    lines = [f"Type:   {record.type}", f"Name:   {record.name}", f"Value:  {record.value}"]
    if record.not_before:
        lines.append(f"From:   {shown_due(record.not_before)}")
    return "\n".join(lines)


def csv_row(record: DnsRecord, *, customer: str, state: RecordState) -> dict[str, str]:
    """The record by the columns of CSV_COLUMNS; times are ISO 8601 in UTC, empty for at once."""
    not_before = f"{record.not_before:%Y-%m-%dT%H:%M:%SZ}" if record.not_before else ""
    values = (customer, record.domain, record.zone, record.type, record.name, record.value, str(TTL), not_before, state)
    return dict(zip(CSV_COLUMNS, values, strict=True))


def letter(records: Sequence[DnsRecord]) -> str:
    """A short text for a customer who delegates, in plain words, with the records that its DNS has to have.

    They are those of `records_to_delegate`, for one domain or several of one customer.
    """
    domains = list(dict.fromkeys(record.domain for record in records))
    named = domains[0] if len(domains) == 1 else f"{len(domains)} domains"
    return "\n".join(
        [
            f"Subject: DNS records for {named}",
            "",
            "Hello,",
            "",
            "we publish the MTA-STS policy of the domains below. It tells other mail servers",
            "to deliver your mail over encrypted connections only, to your own servers only.",
            "",
            "Please add these records to your DNS. You do this once: we keep everything that",
            "changes later on our side.",
            "",
            *_numbered(records),
            "Please note:",
            "",
            "* Copy names and values exactly as they are. If your DNS panel adds the domain to",
            "  each name by itself, leave it out of the name.",
            '* Turn off any proxy for these records ("DNS only" at Cloudflare).',
            *_notes(records),
            "",
            "When the records are there, please tell us. We check them and do the rest.",
            "",
        ]
    )


def _numbered(records: Sequence[DnsRecord]) -> Iterable[str]:
    for number, record in enumerate(records, 1):
        yield f"Record {number} of {len(records)}"
        yield from (f"    {line}" for line in block(record).splitlines())
        yield ""


def _notes(records: Sequence[DnsRecord]) -> Iterable[str]:
    """What to mind about the records that are there."""
    if any(record.name.startswith("_mta-sts.") and record.type == "CNAME" for record in records):
        yield "* If there is a TXT record at a name that begins with _mta-sts, ask us first. A CNAME"
        yield "  can only take its place: the two cannot exist side by side."
    if any(record.name.startswith("_smtp._tls.") for record in records):
        yield "* The record at _smtp._tls sends reports about encryption to us. If you have one"
        yield "  already and want to keep it, leave ours out."
