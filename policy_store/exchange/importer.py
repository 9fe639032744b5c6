"""What becomes of one domain of an import: added, changed, unchanged, left out, or refused with the reasons."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from policy_store.changes.change import DEFAULT_MAX_AGE, DEFAULT_MODE, make_policy
from policy_store.changes.guard import refuse
from policy_store.changes.write import findings_of, read_entry, write
from policy_store.cli.command import CommandError, Store, operator
from policy_store.exchange.proposal import Proposal
from policy_store.lint.known_names import is_microsofts
from policy_store.policy import Policy
from policy_store.sender.lookup import Lookup
from policy_store.tables.entry import Entry
from policy_store.tables.policies import RowChanged, RowExists
from policy_store.tables.row import Row

_NOTE = "imported"
_REPEATS = 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a domain, and the lines to print, each beginning with its place."""

    result: Literal["added", "changed", "unchanged", "left out", "refused"]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Importer:
    """Brings in one domain after the other, or many at once from several threads."""

    store: Store
    lookup: Lookup
    mx_from_dns: bool
    keep_ids: bool
    update: bool

    def bring_in(self, proposal: Proposal, *, dry_run: bool) -> Outcome:
        """Write what `proposal` says of its domain, all of it or nothing, or only tell what would happen."""
        domain = proposal.domain
        if proposal.problems or domain is None:
            return Outcome("refused", proposal.sentences)
        if proposal.mx is None and is_microsofts(domain):
            reason = f"{proposal.place}: {domain} is left out: Microsoft holds its DNS, so it cannot have a policy"
            return Outcome("left out", (reason,))
        try:
            return self._persistently(lambda: self._bring_in(domain, proposal, dry_run=dry_run))
        except RowChanged as error:
            return Outcome("refused", (f"{proposal.place}: {error}. Nothing was overwritten.",))
        except (CommandError, RowExists) as error:
            return Outcome("refused", (f"{proposal.place}: {error}",))

    def _persistently(self, bring_in: Callable[[], Outcome]) -> Outcome:
        """Try again once or twice where a connection breaks: the SDK repeats no write, but a domain can be repeated."""
        for _ in range(_REPEATS):
            with suppress(ServiceRequestError, ServiceResponseError):
                return bring_in()
        return bring_in()

    def _bring_in(self, domain: str, proposal: Proposal, *, dry_run: bool) -> Outcome:
        entry = read_entry(self.store, domain, brief=True)
        policy = self._policy(proposal, entry)
        row = entry.row
        if isinstance(row, Row) and row.policy == policy and proposal.note in (None, row.note):
            if entry.recorded or dry_run:
                return Outcome("unchanged")
            # An import that ended between its two writes, or a hand edit: the revision is still to come.
            policy_id, lines = self._id(proposal, entry, policy)
            self.store.history.record(row, self.store.policies, by=operator(), note=_NOTE, policy_id=policy_id)
            return Outcome("unchanged", tuple(lines))
        if row is not None and not self.update:
            raise CommandError(f"{domain} is here already with another policy or note: --update changes it.")
        refuse(self.store, entry, policy, self.lookup.mx_hosts)
        refusing, others = findings_of(entry, policy)
        if refusing:
            reasons = (f"{proposal.place}: {domain}: {f.message} ({f.code}): {f.remedy}" for f in refusing)
            return Outcome("refused", tuple(reasons))
        lines = [
            f"{proposal.place}: {domain}: {f.severity}: {f.message} ({f.code})" for f in others if f.severity != "info"
        ]
        policy_id, said = self._id(proposal, entry, policy)
        if not dry_run:
            write(self.store, entry, policy, note=_NOTE, row_note=proposal.note, policy_id=policy_id)
        return Outcome("added" if row is None else "changed", (*lines, *said))

    def _id(self, proposal: Proposal, entry: Entry, policy: Policy) -> tuple[str | None, list[str]]:
        """The id that DNS shows for this text, where it is to be kept, and what people are told of it."""
        if not self.keep_ids or (entry.revisions and entry.revisions[-1].text == policy.text):
            return None, []
        kept = self.lookup.id_of(entry.domain, policy)
        return kept.id, [f"{proposal.place}: {entry.domain}: {kept.reason}"]

    def _policy(self, proposal: Proposal, entry: Entry) -> Policy:
        """The policy that is meant: what the source leaves out is the row's, or as for `add`. Raises CommandError."""
        kept = entry.row.policy if isinstance(entry.row, Row) else None
        mode = proposal.mode or (kept.mode if kept else DEFAULT_MODE)
        max_age = proposal.max_age
        if max_age is None:
            max_age = kept.max_age if kept else DEFAULT_MAX_AGE
        mx = proposal.mx
        if mx is None and kept:
            mx = kept.mx
        elif mx is None and self.mx_from_dns:
            mx = self.lookup.patterns(entry.domain)
        elif mx is None and mode != "none":
            raise CommandError(f"{entry.domain} has no patterns: fill the column mx, or give --mx-from-dns.")
        return make_policy(mode, mx or (), max_age)
