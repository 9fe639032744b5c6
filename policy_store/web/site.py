"""What every page works with: the desk, the copy of the store, what is under way, and how the page was started."""

from collections.abc import Callable
from dataclasses import dataclass, field

from policy_store.changes.desk import Desk
from policy_store.changes.records import Wanted
from policy_store.web.drafts import Drafts
from policy_store.web.session import Session
from policy_store.web.shelf import Shelf
from policy_store.web.tasks import Audits, Checks


@dataclass(frozen=True)
class Site:
    """One running page. `desk` gives a desk with the time of the call; `wanted` says which DNS records are shown."""

    desk: Callable[[], Desk]
    shelf: Shelf
    session: Session
    wanted: Wanted
    read_only: bool = False
    drafts: Drafts = field(default_factory=Drafts)
    checks: Checks = field(default_factory=Checks)
    audits: Audits = field(default_factory=Audits)

    @classmethod
    def over(cls, desk: Callable[[], Desk], *, wanted: Wanted, read_only: bool = False) -> "Site":
        """A page over the store of a desk."""
        return cls(desk, Shelf(lambda: desk().store, lambda: desk().now), Session(), wanted, read_only)
