"""What stands against a change to a valid policy: an enforce that nobody tried, a host that still takes mail."""

from collections.abc import Callable, Sequence

from policy_store.changes.write import in_force, with_row
from policy_store.cli import command
from policy_store.cli.command import PROBLEM, CommandError, Store
from policy_store.life import Refusal, drop_refusals
from policy_store.policy import Policy
from policy_store.tables.entry import Entry

type MxHosts = Callable[[str], Sequence[str] | None]
"""Looks up the MX hosts of a domain; None where they cannot be looked up."""


def refuse(store: Store, entry: Entry, policy: Policy, mx_hosts: MxHosts) -> None:
    """Raise CommandError with every reason not to put `policy` in force, where there is one.

    `enforce` is for promote, and an enforced policy drops a pattern only by lifecycle.drop_refusals. `mx_hosts` is
    asked only where the answer counts.
    """
    before = in_force(entry)
    if before is None or policy.mode != "enforce":
        return
    reasons: list[Refusal] = []
    if before.mode != "enforce":
        reasons = [Refusal("promote", f"it is in {before.mode}: enforce comes by 'mta-sts promote {entry.domain}'")]
    elif not set(before.mx) <= set(policy.mx):
        reasons = drop_refusals(
            before,
            policy,
            with_row(entry),
            now=command.now(),
            fresh_seconds=store.settings.fresh_seconds,
            mx_hosts=mx_hosts(entry.domain),
        )
    if reasons:
        sentences = "; ".join(refusal.message for refusal in reasons)
        raise CommandError(f"{entry.domain} was not changed: {sentences} (or --force with --note).", PROBLEM)
