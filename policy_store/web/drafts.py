"""A change on its way: looked at, shown before it is made, confirmed, written. What is written is what was shown, each
row only while it is still the version that was looked at.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Literal

from azure.core.exceptions import AzureError

from policy_store.changes.brake import Question, needs_note, question, summary
from policy_store.changes.change import Change, Planned, Refused
from policy_store.changes.desk import Desk
from policy_store.changes.many import decide_all, write_all
from policy_store.changes.outcome import Outcome
from policy_store.web.shelf import Shelf
from policy_store.web.tasks import Keep, failure, in_background

LASTS = timedelta(minutes=30)  # so long what was looked at may be confirmed: DNS was asked for it, too

type Stage = Literal["looking", "shown", "writing", "done", "failed"]


@dataclass(frozen=True)
class Wish:
    """What a person wants: a title, the word for it when done (`changed`, `promoted`), and what decides of each item.

    `items` are domains, or whatever `decide` takes; `name_of` says which domain one is for, and `place_of` where it
    comes from; `said` is what else to know of where they come from. `force` goes ahead in spite of refusals; `why` is
    the reason.
    """

    title: str
    done: str
    items: Sequence[object]
    decide: Callable[[Desk, object, "Wish"], Planned]
    name_of: Callable[[object], str] = str
    place_of: Callable[[object], str] | None = None
    why: str = ""
    force: bool = False
    back: str = "/domains"
    said: Sequence[str] = ()


@dataclass
class Draft:
    """A wish and what has become of it. `planned` is what was decided, `outcomes` what was written."""

    wish: Wish
    made: datetime
    stage: Stage = "looking"
    planned: list[Planned] = field(default_factory=list)
    outcomes: list[Planned] = field(default_factory=list)
    question: Question | None = None
    error: str = ""
    _lock: Lock = field(default_factory=Lock)

    @property
    def total(self) -> int:
        """How many domains it is about."""
        return len(self.changes) if self.stage in ("writing", "done") else len(self.wish.items)

    @property
    def far(self) -> int:
        """How many of them are done with."""
        return len(self.outcomes) if self.stage in ("writing", "done") else len(self.planned)

    @property
    def running(self) -> bool:
        """Whether it goes on without anybody."""
        return self.stage in ("looking", "writing")

    @property
    def changes(self) -> list[Change]:
        """What would be written."""
        return [one for one in self.planned if isinstance(one, Change)]

    @property
    def others(self) -> list[Planned]:
        """What was decided against, or needs no change."""
        return [one for one in self.planned if not isinstance(one, Change)]

    @property
    def summary(self) -> list[str]:
        """What the changes come to, in few lines."""
        return summary(self.changes)

    @property
    def needs_reason(self) -> bool:
        """Whether a reason is missing without which it must not be written."""
        return needs_note(self.changes) and not self.wish.why.strip()

    @property
    def forcible(self) -> bool:
        """Whether force would go ahead where something was refused."""
        return any(isinstance(one, Refused) and one.forcible for one in self.planned)

    def placed(self) -> dict[int, str]:
        """Where what was planned comes from, by its place in `planned`; empty if it has no place."""
        place_of = self.wish.place_of
        return {} if place_of is None else {at: place_of(item) for at, item in enumerate(self.wish.items)}

    def counts(self) -> Counter[str]:
        """How many domains came to what: `changed`, `unchanged`, `refused`, `failed`."""
        done = self.outcomes if self.stage in ("writing", "done") else self.changes
        return Counter(Outcome.of(one).result for one in (*done, *self.others))

    def over(self, now: datetime) -> bool:
        """Whether it is too late to confirm it."""
        return now > self.made + LASTS

    def take(self) -> bool:
        """Whether the caller is the one who confirms it: once only, however often a form is sent."""
        with self._lock:
            if self.stage != "shown":
                return False
            self.stage = "writing"
            return True


class Drafts:
    """The changes on their way, the newest ones."""

    def __init__(self) -> None:
        self._keep: Keep[Draft] = Keep()

    def get(self, id_: str) -> Draft | None:
        """The draft with this id."""
        return self._keep.get(id_)

    def start(self, desk: Desk, wish: Wish) -> str:
        """Begin to decide; the id of the draft. Raises Busy."""
        draft = Draft(wish, desk.now)
        id_ = self._keep.put(draft, running=lambda one: one.running)
        in_background(lambda: _guarded(draft, lambda: _decide(draft, desk)), f"deciding {id_}")
        return id_

    def write(self, draft: Draft, desk: Desk, shelf: Shelf) -> None:
        """Begin to write what was confirmed; `draft.take` has said so."""
        in_background(lambda: _guarded(draft, lambda: _write(draft, desk, shelf)), "writing")

    def again(self, desk: Desk, draft: Draft, *, why: str, force: bool) -> str:
        """The same wish once more, with a reason; the id of the new draft. Raises Busy."""
        return self.start(desk, replace(draft.wish, why=why, force=force))


def _guarded(draft: Draft, work: Callable[[], None]) -> None:
    """Do the work; an error ends the draft with a sentence."""
    try:
        work()
    except Exception as error:
        draft.error, draft.stage = failure(error), "failed"


def _decide(draft: Draft, desk: Desk) -> None:
    wish = draft.wish
    for one in decide_all(lambda item: wish.decide(desk, item, wish), wish.items, wish.name_of):
        draft.planned.append(one)
    draft.question = question(desk.store.name, draft.changes)
    draft.stage = "shown" if draft.changes else "done"


def _write(draft: Draft, desk: Desk, shelf: Shelf) -> None:
    written: Iterator[Planned] = write_all(desk.store, draft.changes)
    try:
        for one in written:
            draft.outcomes.append(one)
    finally:
        with suppress(AzureError):  # then the next page reads the store
            shelf.changed([one.domain for one in draft.outcomes])
    draft.stage = "done"
