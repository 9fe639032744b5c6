"""What the provider's zone has to hold for each domain, and from when: pure decisions over what the tables hold.

A customer sets a CNAME at `_mta-sts.<domain>` to the name of the same kind in the provider's zone once (RFC 8461
section 8.2). There the id of the text in force is published, never before every worker that can read storage serves
that text (section 8.1): a sender that saw the id too early would keep the old text under the new id.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from policy_store.life import served_everywhere
from policy_store.tables.entry import Entry
from policy_store.tables.history import newest_readable
from policy_store.tables.row import InvalidRow
from policy_store.txt_records import StsRecord, TlsrptRecord

MOST_RECORD_SETS = 10_000  # of a zone: learn.microsoft.com/azure/dns/dns-faq

# Besides what `life.served_everywhere` allows: the clocks of the table service, of the workers and of whoever publishes
# may differ by 10 seconds, and a read that began before the edit may end late.
MARGIN = timedelta(seconds=30)

_PREFIX = "_mta-sts."
_LONGEST_NAME = 253

type Reason = Literal["no row", "no revision", "not recorded", "name too long"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The TXT record that a domain has to have: what it says is in force since `in_force` (UTC), and may be published
    once that is `wait` ago.
    """

    text: str
    in_force: datetime
    wait: timedelta = timedelta()

    @property
    def since(self) -> datetime:
        """From when the record may be published."""
        return self.in_force + self.wait


@dataclass(frozen=True, slots=True)
class Left:
    """Why the record of a domain is left as it is: a code that stays the same between versions, and a sentence."""

    reason: Reason
    message: str


def record_name(domain: str) -> str:
    """The name, relative to the zone, of the record with the id of `domain`."""
    return _PREFIX + domain


def domain_of(name: str) -> str | None:
    """The domain whose id the record `name` of the zone holds; None for a name of another kind."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else None


def shared_reports(setting: str) -> str:
    """The record for TLS reports at `REPORTS_NAME` of the zone that POLICY_REPORTS_RECORD asks for, as it is published;
    empty where it asks for none. Raises RecordSyntaxError.
    """
    return TlsrptRecord.parse(setting.strip()).text if setting.strip() else ""


def wanted(entry: Entry, full_name: str, fresh_seconds: float) -> Wanted | Left:
    """What the record `full_name` has to hold for the domain of `entry`.

    What is in force is the row where it is valid, else the newest readable revision. Workers may serve another text
    until `fresh_seconds` after the revision, and after the row was written: somebody may have put another text into the
    row and taken it back. A domain whose row is gone keeps its record, since senders may keep the policy.
    """
    domain, row = entry.domain, entry.row
    if len(full_name) > _LONGEST_NAME:
        return Left("name too long", f"the record of {domain} would have a name of more than {_LONGEST_NAME} bytes")
    if row is None:
        return Left("no row", f"{domain} has no row: its record stays until somebody removes it")
    if isinstance(row, InvalidRow):
        found = newest_readable(entry.revisions)
        if found is None:
            return Left("no revision", f"{domain} has no id yet: its row is invalid, and it never had a valid one")
        revision = found[0]
    elif entry.newest is None or not entry.recorded:
        return Left("not recorded", f"{domain} has a text that is not recorded yet")
    else:
        revision = entry.newest
    wait = served_everywhere(revision, fresh_seconds) - revision.since + MARGIN
    return Wanted(StsRecord(revision.id).text, max(revision.since, row.modified), wait)
