"""All that the tables hold of one domain, and the walk over all domains."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import attrgetter

from policy_store.policy import PolicySyntaxError
from policy_store.tables.history import History, Revision
from policy_store.tables.policies import PolicyTable
from policy_store.tables.row import InvalidRow, Row


@dataclass(frozen=True, slots=True)
class Entry:
    """All that both tables hold of one domain: the row that requests find, the rows under keys that no request asks
    for, and the revisions with the oldest first.
    """

    domain: str
    row: Row | InvalidRow | None
    unreachable: tuple[InvalidRow, ...]
    revisions: tuple[Revision, ...]

    @property
    def recorded(self) -> bool:
        """Whether the newest revision holds the row's text, so that nobody changed it by hand since."""
        return isinstance(self.row, Row) and bool(self.revisions) and self.revisions[-1].text == self.row.policy.text

    @property
    def vanished(self) -> bool:
        """Whether the row is gone although the policy was not taken back by mode none first (RFC 8461 section 8.3)."""
        if self.row is not None:
            return False
        for revision in reversed(self.revisions):
            with suppress(PolicySyntaxError):
                return revision.policy.mode != "none"
        return False


def walk(policies: PolicyTable, history: History, *, after: str = "") -> Iterator[Entry]:
    """Every domain of either table whose PartitionKey is greater than `after`, in the order of the keys.

    Pages of both tables are merged as they come, so that memory stays flat however many rows there are.
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
        yield Entry(domain, row, tuple(unreachable), tuple(revisions))
