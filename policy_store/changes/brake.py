"""The brake: which changes are shown and asked for before they are made, and what they come to in few lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from policy_store.changes.change import Change

MANY = 10  # domains: a change of more of them is asked for


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be confirmed before `count` domains are changed: a summary, and whether the number is to be typed.

    `protection` tells that senders would no longer hold back what does not pass.
    """

    store: str
    count: int
    summary: tuple[str, ...]
    protection: bool

    @property
    def typed(self) -> bool:
        """Whether a plain yes is too little: the number of domains is to be typed."""
        return self.count > 1


def question(store: str, changes: Sequence[Change]) -> Question | None:
    """What is to be asked before these changes are made; None where nothing is.

    Domains without a row do not count, since adding is no such change. Asked is for more than `MANY` domains, and for
    one that takes protection away.
    """
    counted = [change for change in changes if change.entry.row is not None]
    losing = sum(change.takes_protection_away for change in counted)
    if len(counted) <= MANY and not losing:
        return None
    return Question(store, len(counted), tuple(summary(counted)), losing > 0)


def needs_note(changes: Sequence[Change]) -> bool:
    """Whether the reason has to be given: protection is taken away from several domains."""
    return sum(change.takes_protection_away for change in changes if change.entry.row is not None) > 1


def summary(changes: Sequence[Change]) -> list[str]:
    """Equal changes in one line each, those of the most domains first: `229 domains: max_age 604800 -> 1209600`.

    A change that is one domain's own names it.
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
