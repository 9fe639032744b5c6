"""One careful write for every command that changes a policy: lint, a conditional write, the revision, and what to
publish from when.
"""

from datetime import UTC, datetime, timedelta

from policy_store.cli.command import PROBLEM, CommandError, Store, operator
from policy_store.dns_records import StsRecord
from policy_store.life import served_everywhere
from policy_store.lint.findings import Finding
from policy_store.lint.linter import lint_policy
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.entry import Entry, walk
from policy_store.tables.history import Revision, key_of
from policy_store.tables.row import InvalidRow, Row

_BY_HAND = "changed by hand"


def read_entry(store: Store, domain: str, *, brief: bool = False) -> Entry:
    """All that the store holds of `domain`; two requests, in `brief` only one where there is no row."""
    row: Row | InvalidRow | None
    try:
        row = store.policies.get(domain)
    except InvalidRow as invalid:
        row = invalid
    if brief and row is None:
        return Entry(domain, None, (), ())
    return Entry(domain, row, (), tuple(store.history.revisions(domain)))


def domains_with_rows(store: Store) -> list[str]:
    """Every domain of the store that has a row, whether or not it is valid, in key order."""
    return [entry.domain for entry in walk(store.policies, store.history) if entry.row is not None]


def in_force(entry: Entry) -> Policy | None:
    """The policy that senders get: the row's, or the newest revision's while the row is invalid."""
    if isinstance(entry.row, Row):
        return entry.row.policy
    if entry.row is None or not entry.revisions:
        return None
    try:
        return entry.revisions[-1].policy
    except PolicySyntaxError:
        return None


def note_of(entry: Entry) -> str:
    """The note in the row, as far as it can be read."""
    if isinstance(entry.row, InvalidRow):
        return str(entry.row.readable.get("note", ""))
    return entry.row.note if entry.row else ""


def with_row(entry: Entry) -> tuple[Revision, ...]:
    """The revisions, with the one that the row is to become where nobody has recorded it yet."""
    row = entry.row
    if not isinstance(row, Row) or entry.recorded:
        return entry.revisions
    key = key_of(row.modified)
    return (*entry.revisions, Revision(entry.domain, key, key, row.policy.text))


def findings_of(entry: Entry, policy: Policy) -> tuple[list[Finding], list[Finding]]:
    """What lint says about writing `policy`: the errors that refuse it, and all else that people should see.

    An error that the policy in force has already does not hinder an edit that leaves it, such as one back to testing;
    it does where the mode becomes enforce.
    """
    before = in_force(entry)
    findings = lint_policy(policy, domain=entry.domain)
    known: set[tuple[str, str]] = set()
    if before and (policy.mode != "enforce" or before.mode == "enforce"):
        known = {(finding.code, finding.message) for finding in lint_policy(before, domain=entry.domain)}
    refusing = [f for f in findings if f.severity == "error" and (f.code, f.message) not in known]
    return refusing, [finding for finding in findings if finding not in refusing]


def write(
    store: Store,
    entry: Entry,
    policy: Policy,
    *,
    note: str = "",
    row_note: str | None = None,
    policy_id: str | None = None,
) -> tuple[Row, Revision]:
    """Write `policy` as the row of the domain whose state was read as `entry`, and record the revision.

    `note` says why and is recorded; `row_note` replaces the note in the row, which otherwise stays, as unknown columns
    do. `policy_id` is the id that DNS shows for this very text already. A text that somebody put into the row by hand
    is recorded before it goes. Raises CommandError where lint finds an error, RowExists, RowChanged.
    """
    refusing, _ = findings_of(entry, policy)
    if refusing:
        reasons = "; ".join(f"{finding.message} ({finding.code}): {finding.remedy}" for finding in refusing)
        raise CommandError(f"{entry.domain} was not changed: {reasons}", PROBLEM)
    row = entry.row
    if row is None:
        written = store.policies.add(entry.domain, policy, row_note or "")
    else:
        if isinstance(row, Row) and not entry.recorded:
            store.history.record(row, store.policies, by=operator(), note=_BY_HAND)
        new_note = note_of(entry) if row_note is None else row_note
        written = store.policies.replace(entry.domain, row.etag, policy, new_note, row.others)
    revision = store.history.record(written, store.policies, by=operator(), note=note, policy_id=policy_id)
    return written, revision


def to_publish(store: Store, revision: Revision) -> str:
    """What people are told after a write: the TXT record, and from when DNS may show it."""
    since = served_everywhere(revision, store.settings.fresh_seconds)
    return f"publish {StsRecord(revision.id).text} from {shown_due(since)} on"


def shown(time: datetime) -> str:
    """A time for people: `2026-11-24 19:30 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def shown_due(time: datetime) -> str:
    """A time before which something must not happen, for people: the next full minute."""
    return shown(time + timedelta(minutes=1) - timedelta(microseconds=1))
