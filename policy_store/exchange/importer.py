"""What a place of a source comes to for its domain: a change, nothing to change, or the reasons against it."""

from dataclasses import dataclass

from pydantic import ValidationError

from policy_store.changes.change import Planned, Reason, Refused, Unchanged
from policy_store.changes.desk import Desk
from policy_store.changes.operations import DEFAULT_MODE, as_it_is, edit_reasons, planned
from policy_store.durations import DEFAULT_MAX_AGE
from policy_store.exchange.proposal import Proposal, sentence
from policy_store.lint.known_names import is_microsofts
from policy_store.policy import Policy
from policy_store.sender.lookup import NoPatterns
from policy_store.tables.entry import Entry
from policy_store.tables.row import Row

WHY = "imported"
LEFT_OUT = "left_out"  # the code of what is no problem and does not come in


@dataclass(frozen=True, slots=True)
class Importer:
    """Decides for one domain after the other, or for many at once from several threads.

    `mx_from_dns` proposes patterns where the source has none, `keep_ids` takes over the id that DNS shows for the same
    text, `update` changes domains that are here already; `customer` is that of all domains whose line names none. `why`
    is recorded; `force` overrides what stands against an edit.
    """

    desk: Desk
    mx_from_dns: bool = False
    keep_ids: bool = False
    update: bool = False
    customer: str | None = None
    why: str = ""
    force: bool = False

    def decide(self, proposal: Proposal) -> Planned:
        """What `proposal` comes to. Raises an AzureError where the store cannot be read."""
        domain = proposal.domain
        if proposal.problems or domain is None:
            return Refused(domain or "", tuple(Reason(found.code, sentence(found)) for found in proposal.problems))
        if proposal.mx is None and is_microsofts(domain):
            message = "it is left out: Microsoft runs its DNS, so it cannot have a policy"
            return Unchanged(Entry(domain, None), (Reason(LEFT_OUT, message),))
        entry = self.desk.store.entry(domain, brief=True)
        try:
            policy = self._policy(proposal, entry)
        except NoPatterns as error:
            return Refused(domain, (Reason("no_patterns", str(error)),))
        except ValidationError as error:
            sentences = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
            return Refused(domain, (Reason("no_policy", f"that is not a policy: {sentences}"),))
        return self._decide(proposal, entry, policy)

    def _decide(self, proposal: Proposal, entry: Entry, policy: Policy) -> Planned:
        desk, row = self.desk, entry.row
        customer = self.customer if proposal.customer is None else proposal.customer
        same = isinstance(row, Row) and row.policy == policy and proposal.note in (None, row.note)
        if same and customer in (None, entry.customer) and entry.recorded:
            return as_it_is(desk, entry)
        if row is not None and not same and not self.update:
            message = "it is here already with another policy or note"
            return Refused(entry.domain, (Reason("row_exists", message, "--update changes it"),))
        if not same and not self.force and (reasons := edit_reasons(desk, entry, policy)):
            return Refused(entry.domain, tuple(reasons), forcible=True)
        id_, said = self._id(entry, policy)
        return planned(
            desk, entry, policy, why=self.why or WHY, note=proposal.note, customer=customer, id_=id_, reasons=said
        )

    def _id(self, entry: Entry, policy: Policy) -> tuple[str | None, tuple[Reason, ...]]:
        """The id that DNS shows for this text, where it is to be kept, and what people are told of it."""
        if not self.keep_ids or (entry.newest and entry.newest.text == policy.text):
            return None, ()
        kept = self.desk.world.id_of(entry.domain, policy)
        return kept.id, (Reason("id", kept.reason),)

    def _policy(self, proposal: Proposal, entry: Entry) -> Policy:
        """The policy that is meant: what the source leaves out is the row's, or as for `add`.

        Raises NoPatterns, and ValidationError where there is none.
        """
        kept = entry.row.policy if isinstance(entry.row, Row) else None
        mode = proposal.mode or (kept.mode if kept else DEFAULT_MODE)
        max_age = proposal.max_age
        if max_age is None:
            max_age = kept.max_age if kept else DEFAULT_MAX_AGE
        mx = proposal.mx
        if mx is None and kept:
            mx = kept.mx
        elif mx is None and self.mx_from_dns:
            mx = self.desk.world.patterns(entry.domain)
        elif mx is None and mode != "none":
            raise NoPatterns("it has no patterns: fill the column mx, or give --mx-from-dns")
        return Policy(mode=mode, mx=mx or (), max_age=max_age)
