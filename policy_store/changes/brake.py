"""The brake: which changes the operator has to confirm, and their summary in few lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from policy_store.changes.change import Change

MANY = 10  # domains: a change of more of them is asked for


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be confirmed before `count` domains are changed: a summary, and whether the number is to be typed.

    `protection` is whether the changes take protection away: senders would deliver over connections that are not
    secure.
    """

    store: str
    count: int
    summary: tuple[str, ...]
    protection: bool

    @property
    def typed(self) -> bool:
        """Whether the operator has to type the number of domains, because a plain yes is not enough."""
        return self.count > 1


def question(store: str, changes: Sequence[Change]) -> Question | None:
    """What the operator has to confirm before these changes are made; None if nothing.

    It asks for more than `MANY` domains, and for any change that takes protection away. New domains do not count.
    """
    counted = [change for change in changes if change.entry.row is not None]
    losing = sum(change.takes_protection_away for change in counted)
    if len(counted) <= MANY and not losing:
        return None
    return Question(store, len(counted), tuple(summary(counted)), losing > 0)


def needs_note(changes: Sequence[Change]) -> bool:
    """Whether a reason is required: the changes take protection away from several domains."""
    return sum(change.takes_protection_away for change in changes if change.entry.row is not None) > 1


def summary(changes: Sequence[Change]) -> list[str]:
    """One line for each group of equal changes, the largest group first: `229 domains: max_age 604800 -> 1209600`.

    A change of one domain only names it.
    """
    groups: Counter[str] = Counter()
    names: dict[str, str] = {}
    for change in changes:
        words = ", ".join(change.differences)
        groups[words] += 1
        names[words] = change.domain
    return [
        f"{count} domains: {words}" if count > 1 else f"{names[words]}: {words}"
        for words, count in groups.most_common()
    ]
