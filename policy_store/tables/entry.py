"""Everything about one domain in the tables: what is in force, and what is wrong. And the walk over all domains."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import Literal

from policy_store.policy import Policy
from policy_store.tables.history import History, Revision, key_of, newest_readable
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow, Row

type ProblemCode = Literal["invalid_row", "unreachable_row", "vanished_row", "unrecorded_edit"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a domain's state: a code that stays the same between versions, a sentence, and what to do.

    `version` is the ETag of the row, or the key of the newest revision if the row is gone.
    """

    code: ProblemCode
    message: str
    remedy: str
    version: str

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything about one domain in both tables: the row that requests find, rows under keys that no request asks for,
    and the revisions, the oldest first.
    """

    domain: str
    row: Row | InvalidRow | None
    unreachable: tuple[InvalidRow, ...] = ()
    revisions: tuple[Revision, ...] = ()

    @property
    def in_force(self) -> Policy | None:
        """The policy that senders get: the row's, or that of the newest readable revision while the row is invalid."""
        if isinstance(self.row, Row):
            return self.row.policy
        found = newest_readable(self.revisions) if self.row is not None else None
        return found[1] if found else None

    @property
    def newest(self) -> Revision | None:
        """The newest revision."""
        return self.revisions[-1] if self.revisions else None

    @property
    def recorded(self) -> bool:
        """Whether the newest revision has the row's text: nobody has changed it by hand since."""
        return isinstance(self.row, Row) and bool(self.revisions) and self.revisions[-1].text == self.row.policy.text

    @property
    def known(self) -> tuple[Revision, ...]:
        """The revisions, and the one that the row will become if nobody has recorded it yet."""
        if not isinstance(self.row, Row) or self.recorded:
            return self.revisions
        key = key_of(self.row.modified)
        return (*self.revisions, Revision(self.domain, key, key, self.row.policy.text))

    @property
    def vanished(self) -> bool:
        """Whether the row is gone although the policy was not withdrawn with mode none first (RFC 8461 section 8.3)."""
        if self.row is not None:
            return False
        found = newest_readable(self.revisions)
        return found is not None and found[1].mode != "none"

    @property
    def note(self) -> str:
        """The note in the row, if it can be read."""
        return self._for_people("note")

    @property
    def customer(self) -> str:
        """The customer in the row, if it can be read."""
        return self._for_people("customer")

    def _for_people(self, column: Literal["note", "customer"]) -> str:
        if isinstance(self.row, InvalidRow):
            return str(self.row.readable.get(column, ""))
        return str(getattr(self.row, column)) if self.row else ""

    def problems(self) -> list[Problem]:
        """What is wrong with the state of the domain, one sentence for each problem."""
        found = [
            Problem("unreachable_row", f"no request finds the row: {row}", "add it under the right keys", row.etag)
            for row in self.unreachable
        ]
        if isinstance(self.row, InvalidRow):
            stays = "its last good revision stays in force" if self.in_force else "nothing is served"
            message = f"the row is invalid, {stays}: {self.row}"
            found.append(Problem("invalid_row", message, "fix it with 'mta-sts edit'", self.row.etag))
        elif isinstance(self.row, Row) and not self.recorded:
            message = "the row was changed by hand and has no id yet"
            found.append(Problem("unrecorded_edit", message, "'mta-sts audit' records it", self.row.etag))
        elif self.vanished:
            message = "the row is gone, but senders may keep the policy"
            remedy = "bring it back with 'mta-sts rollback', then retire it"
            found.append(Problem("vanished_row", message, remedy, self.revisions[-1].key))
        return found


def walk(policies: PolicyTable, history: History, *, after: str = "") -> Iterator[Entry]:
    """Every domain of either table whose PartitionKey is greater than `after`, in the order of the keys.

    Pages of both tables are merged as they come, so that memory does not grow with the number of rows. A row that seems
    to have vanished is looked for again: it may have been added after the walk had passed its place.
    """
    items: Iterator[Row | InvalidRow | Revision] = merge(
        policies.rows(after=after), history.all_revisions(after=after), key=attrgetter("domain")
    )
    for domain, group in groupby(items, key=attrgetter("domain")):
        row: Row | InvalidRow | None = None
        unreachable: list[InvalidRow] = []
        revisions: list[Revision] = []
        for item in group:
            if isinstance(item, Revision):
                revisions.append(item)
            elif isinstance(item, InvalidRow) and not item.reachable:
                unreachable.append(item)
            else:
                row = item
        entry = Entry(domain, row, tuple(unreachable), tuple(revisions))
        yield replace(entry, row=row_of(policies, domain)) if entry.vanished else entry


def entry_of(policies: PolicyTable, history: History, domain: str) -> Entry:
    """All that both tables hold of `domain`; two requests."""
    return Entry(domain, row_of(policies, domain), (), tuple(history.revisions(domain)))


def row_of(policies: PolicyTable, domain: str) -> Row | InvalidRow | None:
    """The row of `domain`, valid or not; None if there is none. One request."""
    try:
        return policies.get(domain)
    except InvalidRow as invalid:
        return invalid
