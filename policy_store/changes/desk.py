"""What every operation is given: the store, the person, the time, and a way to look at the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from policy_store.policy import Policy
from policy_store.sender.facts import Facts
from policy_store.sender.lookup import KeptId
from policy_store.tables.store import Store


class World(Protocol):
    """What operations ask DNS, policy hosts and mail hosts. They ask only for what they need."""

    def mx_hosts(self, domain: str) -> Sequence[str] | None:
        """The MX host names of the domain, the most preferred first; None if the lookup fails."""

    def patterns(self, domain: str) -> tuple[str, ...]:
        """The patterns to propose for the MX hosts of the domain. Raises sender.lookup.NoPatterns."""

    def facts(self, domain: str) -> Facts:
        """All that a sending server would find out about the domain."""

    def id_of(self, domain: str, policy: Policy) -> KeptId:
        """The id that DNS shows for this very policy."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Who works on which store, when (UTC), and how the world is asked."""

    store: Store
    by: str
    now: datetime
    world: World
