"""The operations: what a request to change one domain's policy leads to, decided before anything is written.

Each takes the desk and the entry of the domain, and returns a Change, or the reason why there is none. `write` makes
the change. Nothing here knows a terminal or a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from policy_store.changes.change import Change, Planned, Reason, Refused, Unchanged
from policy_store.changes.desk import Desk
from policy_store.changes.guard import (
    LONGEST_NOTE,
    drop_reasons,
    enforce_reasons,
    findings_of,
    lint_reasons,
    mx_reasons,
    not_checked_reasons,
    removal_reasons,
    report_verdict,
    short_reasons,
    testing_reasons,
    world_reasons,
)
from policy_store.delegation import record_name
from policy_store.life import RETIRED_MAX_AGE, TESTING, mx_usable_from, removal_date, retired, served_everywhere
from policy_store.policy import Mode, Policy, PolicySyntaxError
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision, key_of, newest_readable
from policy_store.tables.report_row import ReportRow
from policy_store.tables.row import InvalidRow, Row, too_long
from policy_store.times import shown
from policy_store.tlsrpt.case import DEMANDS, Demands

DEFAULT_MODE: Mode = "testing"
SLIP = timedelta(days=7)  # so long a text that was enforced may come back without a new testing period


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields to change; those that are None or empty stay."""

    mode: Mode | None = None
    max_age: int | None = None
    mx: tuple[str, ...] = ()
    add_mx: tuple[str, ...] = ()
    drop_mx: tuple[str, ...] = ()
    note: str | None = None
    customer: str | None = None


def add(
    desk: Desk,
    entry: Entry,
    policy: Policy,
    *,
    note: str | None = None,
    customer: str | None = None,
    why: str = "",
    force: bool = False,
) -> Planned:
    """The first policy of a domain. If the domain already has this policy, nothing changes."""
    if isinstance(entry.row, Row) and entry.row.policy == policy and note in (None, entry.row.note):
        return as_it_is(desk, entry)
    if entry.row is not None:
        remedy = f"change it with 'mta-sts edit {entry.domain}'"
        return _refused(entry, Reason("row_exists", "it has a row already", remedy))
    if not force and (reasons := short_reasons(entry, policy)):
        return Refused(entry.domain, tuple(reasons), forcible=True)
    return planned(desk, entry, policy, why=why or note or "", note=note, customer=customer)


def edit(desk: Desk, entry: Entry, wanted: Wanted, *, force: bool = False, named: bool = True) -> Planned:
    """The change from the present policy to `wanted`.

    If a pattern to drop is missing, a domain that was `named` is refused; one of many is left unchanged.
    """
    if entry.row is None:
        return _refused(entry, _no_row(desk, entry))
    fields, missing = _merged(entry.row, wanted)
    if missing:
        return _refused(entry, *missing)
    absent = [pattern for pattern in wanted.drop_mx if pattern not in _kept(entry.row, "mx", ())]
    if absent and named:
        message = f"it has no pattern {', '.join(absent)}"
        return _refused(entry, Reason("no_such_pattern", message, f"'mta-sts show {entry.domain}' lists those it has"))
    try:
        policy = Policy.model_validate(fields)
    except ValidationError as error:
        return _refused(entry, _no_policy(error))
    for_people = (wanted.note in (None, entry.note)) and (wanted.customer in (None, entry.customer))
    if isinstance(entry.row, Row) and entry.row.policy == policy and for_people:
        return as_it_is(desk, entry)
    if not force and (reasons := edit_reasons(desk, entry, policy)):
        return Refused(entry.domain, tuple(reasons), forcible=True)
    return planned(desk, entry, policy, why=wanted.note or "", note=wanted.note, customer=wanted.customer)


def roll_back(desk: Desk, entry: Entry, id_: str, *, why: str = "", force: bool = False) -> Planned:
    """An older text in force again, as a new revision; `id_` is a revision's id or key."""
    revision = next((r for r in reversed(entry.revisions) if id_ in (r.id, r.key)), None)
    if revision is None:
        latest = ", ".join(r.id for r in entry.revisions[-3:]) or "none"
        message = f"it has no revision {id_}; the latest are {latest}"
        return _refused(entry, Reason("no_such_revision", message, f"see 'mta-sts history {entry.domain}'"))
    try:
        policy = revision.policy
    except PolicySyntaxError as error:
        return _refused(entry, Reason("invalid_revision", f"the text of {revision.id} is not a policy: {error}"))
    if isinstance(entry.row, Row) and entry.row.policy == policy:
        return as_it_is(desk, entry)
    if not force and (reasons := edit_reasons(desk, entry, policy)):
        return Refused(entry.domain, tuple(reasons), forcible=True)
    return planned(desk, entry, policy, why=why or f"rollback to {revision.id}")


def promote(
    desk: Desk,
    entry: Entry,
    *,
    reports: Sequence[ReportRow] | None,
    after: timedelta = TESTING,
    demands: Demands = DEMANDS,
    without_reports: bool = False,
    why: str = "",
    force: bool = False,
) -> Planned:
    """From testing to enforce, once testing has lasted `after` and neither the policy nor the world nor the reports
    give a reason against it (RFC 8461 section 5).

    `reports` are those about the domain of the last 30 days, None if nobody receives any: they may refuse, and never
    excuse. What `force` overrides is recorded with the reason, and so is a promotion without reports.
    """
    if not isinstance(entry.row, Row):
        wrong = f"its row is invalid: {entry.row}" if entry.row else "it has no row"
        return _refused(entry, Reason("no_policy", wrong, "fix it first" if entry.row else "add it first"))
    policy = entry.row.policy
    if policy.mode == "enforce":
        return as_it_is(desk, entry)
    if policy.mode != "testing":
        remedy = f"set it to testing first, 'mta-sts edit {entry.domain} --mode testing'"
        return _refused(entry, Reason("not_testing", f"the mode is {policy.mode}", remedy))
    if not entry.recorded:
        return _refused(entry, Reason("not_recorded", "the row is not in the history yet", "run 'mta-sts audit' first"))
    enforced = policy.model_copy(update={"mode": "enforce"})
    refusing, _ = findings_of(entry, enforced)
    reasons = testing_reasons(entry, now=desk.now, after=after) + lint_reasons(refusing)
    reasons += short_reasons(entry, enforced)
    facts = desk.world.facts(entry.domain)
    reasons += world_reasons(entry, enforced, facts, zone=desk.store.zone)
    found = report_verdict(desk, entry, reports, facts, demands, without_reports=without_reports)
    if found is not None and found.verdict != "ready":
        reasons.append(Reason(found.code, f"the TLS reports say: {found.sentence}"))
    if reasons and not force:
        return Refused(entry.domain, tuple(reasons), forcible=True)
    if reasons:
        why += f" (forced: {', '.join(dict.fromkeys(reason.code for reason in reasons))})"
    if found is not None and found.rule == "without_reports":
        why += " (without reports)"
    return planned(desk, entry, enforced, why=why, reasons=not_checked_reasons(facts))


def retire(desk: Desk, entry: Entry, *, why: str = "") -> Planned:
    """The policy withdrawn: mode none, patterns kept, a day as max_age (RFC 8461 section 8.3). So is an invalid row's:
    another server may have served what it was meant to say.
    """
    policy = entry.in_force
    if policy is None and isinstance(entry.row, InvalidRow):
        policy = Policy(mode="none", mx=entry.row.readable.get("mx") or (), max_age=RETIRED_MAX_AGE)
        if too_long(policy):
            policy = policy.model_copy(update={"mx": ()})
    if policy is None:
        remedy = f"'mta-sts show {entry.domain}' says why"
        return _refused(entry, Reason("no_policy", "it has no policy", remedy))
    if isinstance(entry.row, Row) and policy == retired(policy):
        return as_it_is(desk, entry)
    return planned(desk, entry, retired(policy), why=why or "retired")


def remove(desk: Desk, entry: Entry, *, why: str = "", force: bool = False) -> Planned:
    """The row deleted, once no sender keeps the policy any more; the history stays.

    With `force`, a last revision of mode none keeps the reason, so that the audit does not report the row as gone.
    """
    if entry.row is None:
        if entry.revisions and not entry.vanished:
            return Unchanged(entry)
        return _refused(entry, Reason("no_row", "it has no row", "there is nothing to remove"))
    reasons = [] if force else removal_reasons(entry, now=desk.now, fresh_seconds=desk.store.fresh_seconds)
    if reasons:
        return Refused(entry.domain, tuple(reasons), forcible=True)
    why = f"removed by force: {why}" if force else ""
    return Change(entry, None, desk.by, why, reasons=(_record_stays(entry.domain, desk.store.zone),))


def _record_stays(domain: str, zone: str) -> Reason:
    """What is left to do once the row is removed."""
    if not zone:
        return Reason("record_stays", f"its TXT record {record_name(domain)} may still be in DNS", "delete it")
    message = f"its TXT record {record_name(domain)}.{zone} is not deleted with it"
    return Reason("record_stays", message, f"'mta-sts dns publish {domain}' deletes it")


def restore(desk: Desk, entry: Entry, time: datetime, *, why: str = "", force: bool = False) -> Planned:
    """What was in force at `time`, in force again with a new id, if it has changed since: it undoes a mistake.

    It does not matter that senders may still keep the newer policy. The older policy must match every MX host in DNS.
    If it was enforced within `SLIP`, it needs no new testing period.
    """
    then = newest_readable([revision for revision in entry.known if revision.since <= time])
    if then is None:
        if entry.row is None:
            return Unchanged(entry)
        message = f"it was not here at {shown(time)}"
        return _refused(entry, Reason("added_since", message, f"'mta-sts retire {entry.domain}' withdraws it"))
    revision, policy = then
    gone = entry.row is None and policy.mode == "none"
    if gone or (isinstance(entry.row, Row) and entry.row.policy == policy):
        return as_it_is(desk, entry) if entry.row else Unchanged(entry)
    reasons = [] if force else _restore_reasons(desk, entry, revision, policy)
    if reasons:
        return Refused(entry.domain, tuple(reasons), forcible=True)
    return planned(desk, entry, policy, why=why or f"back to what was in force at {shown(time)}, {revision.id}")


def planned(
    desk: Desk,
    entry: Entry,
    policy: Policy,
    *,
    why: str,
    note: str | None = None,
    customer: str | None = None,
    id_: str | None = None,
    reasons: Sequence[Reason] = (),
) -> Change | Refused:
    """The change to `policy` with its findings and dates, unless lint refuses it or the reason is too long."""
    refusing, others = findings_of(entry, policy)
    against = lint_reasons(refusing)
    if message := too_long(policy):
        against.append(Reason("too_long", message, "remove patterns"))
    against += [
        Reason("too_long", f"the {name} has {len(text)} characters", f"shorten it to {LONGEST_NOTE}")
        for name, text in (("reason", why), ("note", note or ""), ("customer", customer or ""))
        if len(text) > LONGEST_NOTE
    ]
    if against:
        return Refused(entry.domain, tuple(against), tuple(others))
    change = Change(entry, policy, desk.by, why, note, customer, id_, findings=tuple(others), reasons=tuple(reasons))
    key = key_of(desk.now)
    return dated(change, Revision(entry.domain, key, id_ or key, policy.text), desk.store.fresh_seconds)


def dated(change: Change, revision: Revision, fresh_seconds: float) -> Change:
    """The change with its dates, if its text is that of `revision`."""
    before, after = change.before, change.after
    revisions = change.entry.known if revision in change.entry.known else (*change.entry.known, revision)
    new: tuple[str, ...] = ()
    if before and after and before.mode != "none" and after.mode != "none":
        new = tuple(pattern for pattern in after.mx if pattern not in before.mx)
    return replace(
        change,
        publish_from=served_everywhere(revision, fresh_seconds),
        new_patterns=new,
        usable_from=mx_usable_from(revisions, fresh_seconds) if new else None,
        removable_from=removal_date(revisions, fresh_seconds),
    )


def as_it_is(desk: Desk, entry: Entry) -> Planned:
    """Nothing to change. A row that is not in the history yet is recorded."""
    fresh_seconds = desk.store.fresh_seconds
    if isinstance(entry.row, Row) and not entry.recorded:
        return dated(Change(entry, entry.row.policy, desk.by), entry.known[-1], fresh_seconds)
    newest = entry.newest
    return Unchanged(
        entry,
        id=newest.id if newest else None,
        publish_from=served_everywhere(newest, fresh_seconds) if newest else None,
        removable_from=removal_date(entry.revisions, fresh_seconds),
    )


def edit_reasons(desk: Desk, entry: Entry, policy: Policy) -> list[Reason]:
    """Why an edit must not put `policy` in force. It asks DNS only if the answer matters."""
    if reasons := enforce_reasons(entry, policy) + short_reasons(entry, policy):
        return reasons
    before = entry.in_force
    if before is None or policy.mode != "enforce" or set(before.mx) <= set(policy.mx):
        return []
    hosts = desk.world.mx_hosts(entry.domain)
    return drop_reasons(entry, policy, now=desk.now, fresh_seconds=desk.store.fresh_seconds, mx_hosts=hosts)


def _restore_reasons(desk: Desk, entry: Entry, revision: Revision, policy: Policy) -> list[Reason]:
    """Why not to go back to the text of `revision`."""
    if policy.mode == "none":
        return []
    if policy.mode == "testing":  # it refuses no message: a host that it lacks is worth knowing, an unknown one is not
        return [r for r in mx_reasons(policy, desk.world.mx_hosts(entry.domain)) if r.code == "mx_not_covered"]
    before = entry.in_force
    if before is not None and before.mode == "enforce":
        return mx_reasons(policy, desk.world.mx_hosts(entry.domain))
    place = entry.known.index(revision)
    until = entry.known[place + 1].since if place + 1 < len(entry.known) else desk.now
    if until < desk.now - SLIP:
        return enforce_reasons(entry, policy) or [Reason("too_long_ago", "it was enforced too long ago", "promote it")]
    return world_reasons(entry, policy, desk.world.facts(entry.domain), served_counts=False)


def _merged(row: Row | InvalidRow, wanted: Wanted) -> tuple[dict[str, Any], list[Reason]]:
    """The fields of the new policy, from `wanted` and from the row; and what an invalid row lacks."""
    fields: dict[str, Any] = {"mode": wanted.mode, "max_age": wanted.max_age, "mx": wanted.mx or None}
    missing = []
    for column, value in fields.items():
        if value is not None:
            continue
        fields[column] = _kept(row, column, None)
        if fields[column] is None:
            wrong = "; ".join(map(str, getattr(row, "problems", ())[:10]))
            remedy = f"fix it with --{column.replace('_', '-')}"
            missing.append(Reason("invalid_row", f"its row is invalid: {wrong}", remedy))
    if not missing:
        fields["mx"] = tuple(p for p in (*fields["mx"], *wanted.add_mx) if p not in wanted.drop_mx)
    return fields, missing


def _kept(row: Row | InvalidRow, column: str, default: Any) -> Any:
    return getattr(row.policy, column) if isinstance(row, Row) else row.readable.get(column, default)


def _no_row(desk: Desk, entry: Entry) -> Reason:
    near = desk.store.near(entry.domain)
    remedy = f"did you mean {near}?" if near else f"add it with 'mta-sts add {entry.domain}'"
    return Reason("no_row", "it has no row", remedy)


def _no_policy(error: ValidationError) -> Reason:
    sentences = (problem["msg"].removeprefix("Value error, ") for problem in error.errors())
    return Reason("no_policy", f"that is not a policy: {'; '.join(sentences)}")


def _refused(entry: Entry, *reasons: Reason) -> Refused:
    return Refused(entry.domain, reasons)
