"""The one writer of changes: a conditional write of the row, then the revision that records it.

The row carries who, why and the id to keep, so that whoever comes next can record a change that stopped half-way.
"""

from dataclasses import replace

from policy_store.changes.change import Change, Failed, Reason
from policy_store.changes.operations import dated
from policy_store.life import retired
from policy_store.policy import Policy
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tables.intent import Intent
from policy_store.tables.policies import Overtaken
from policy_store.tables.row import Row
from policy_store.tables.store import Store

BY_HAND = "changed by hand"


def write(store: Store, change: Change) -> Change | Failed:
    """The change that was made, with its id and its dates; Failed if somebody else replaced the row right after.

    An edit made by hand is recorded before it is replaced. Raises RowExists or RowChanged if nothing was written, and
    an AzureError if the storage fails. Then it is unknown how much was written; repeating the change shows it.
    """
    try:
        return _remove(store, change) if change.after is None else _put(store, change, change.after)[1]
    except Overtaken as overtaken:
        revision = store.history.record(
            overtaken.row, store.policies, by=change.by, note=change.why, policy_id=change.id
        )
        recorded = f" and is recorded as {revision.id}" if revision.text == overtaken.row.policy.text else ""
        message = f"{change.domain} was changed{recorded}, but somebody else changed the row right after"
        remedy = f"see 'mta-sts history {change.domain}', and repeat this if it is still wanted"
        return Failed(change.domain, (Reason("overtaken", message, remedy),))


def _put(store: Store, change: Change, policy: Policy) -> tuple[Row, Change]:
    """The row with `policy`, and the change. Raises RowExists, RowChanged, Overtaken."""
    entry, by, why = change.entry, change.by, change.why
    if isinstance(entry.row, Row) and _is_wanted(change, entry.row, policy):
        row, why = entry.row, BY_HAND  # only the revision is missing; a command's reason is in the row
    else:
        newest = _recorded(store, entry, by)
        intent = Intent(by, why, change.id).tied(policy.text, newest.key if newest else "")
        note = entry.note if change.note is None else change.note
        customer = entry.customer if change.customer is None else change.customer
        if entry.row is None:
            row = store.policies.add(entry.domain, policy, note, customer=customer, intent=intent)
        else:
            row = store.policies.replace(
                entry.domain, entry.row.etag, policy, note, entry.row.others, customer=customer, intent=intent
            )
    revision = store.history.record(row, store.policies, by=by, note=why, policy_id=change.id)
    return row, replace(dated(change, revision, store.fresh_seconds), id=revision.id)


def _is_wanted(change: Change, row: Row, policy: Policy) -> bool:
    """Whether the row already is what the change wants."""
    return row.policy == policy and change.note in (None, row.note) and change.customer in (None, row.customer)


def _recorded(store: Store, entry: Entry, by: str) -> Revision | None:
    """The newest revision, after an edit made by hand was recorded."""
    if isinstance(entry.row, Row) and not entry.recorded:
        return store.history.record(entry.row, store.policies, by=by, note=BY_HAND)
    return entry.newest


def _remove(store: Store, change: Change) -> Change:
    """Delete the row; a last revision of mode none keeps the reason, if there is one."""
    row, made, policy = change.entry.row, change, change.before
    if change.why and policy is not None:
        row, made = _put(store, change, retired(policy))
    if row is not None:
        store.policies.delete(change.domain, row.etag)
    return replace(made, after=None)
