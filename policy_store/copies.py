"""What one worker knows of the table of policies: the names in it, their texts, and which rows are invalid.

What is found arrives in any order, from requests and from the look at the whole table, so that a row version is taken
only if its Timestamp is later than that of the version before, and a row that is missing counts only against what was
taken in before that was found out. Touched on the event loop only, but for `holds`.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of
from policy_store.tables.row import InvalidRow, Row

COPIES_LIMIT = 100_000  # texts; beyond, the least recently used goes, and its name stays known
ABSENT_LIMIT = 10_000  # names without a row: strangers decide how many there are
RENDERED_LIMIT = 20_000  # answers made of the texts


@dataclass(slots=True, eq=False)
class Copy[T]:
    """One policy as a worker holds it: its text, the time of its row version or revision, that time as
    `YYYYMMDDhhmmssZ`, and when it was asked for (seconds of the worker's clock). `rendered` is what an answer needs.
    """

    text: bytes
    modified: datetime
    version: str
    read_at: float
    rendered: T | None = None


@dataclass(slots=True, eq=False)
class Broken:
    """An invalid row version: what the history said of its domain counts from `resolved_at` on, and is not asked for
    again before `retry_at` where it could not be read.
    """

    etag: str
    modified: datetime
    read_at: float
    resolved_at: float = float("-inf")
    retry_at: float = float("-inf")
    reported: bool = False  # whether the log says that its history cannot be read


class Copies[T]:
    """The names, copies and invalid rows. `on_text` is called with each row whose text is new to the worker,
    `on_unrecorded` with the last valid version of a row that is invalid now, where its text is newer than all
    revisions, and `on_invalid` with each version of a row that holds no policy.
    """

    def __init__(
        self,
        on_text: Callable[[Row], None],
        on_unrecorded: Callable[[Row], None],
        on_invalid: Callable[[InvalidRow], None],
    ) -> None:
        self._on_text = on_text
        self._on_unrecorded = on_unrecorded
        self._on_invalid = on_invalid
        self.names: set[str] = set()  # of reachable rows
        self.texts: OrderedDict[str, Copy[T]] = OrderedDict()  # the one asked for last is the last
        self.broken: dict[str, Broken] = {}
        self.absent: OrderedDict[str, float] = OrderedDict()  # when it was found out
        self._rendered: OrderedDict[Copy[T], None] = OrderedDict()

    def holds(self, domain: str, modified: datetime) -> bool:
        """Whether this version of the row was taken in already. May be asked in any thread."""
        broken = self.broken.get(domain)
        held = broken or self.texts.get(domain)
        return held is not None and held.modified == modified

    def take(self, row: Row | InvalidRow, began: float, *, asked_for: bool = True) -> None:
        """Take in a row that was read by a request which began at `began`. A text that nobody `asked_for` is held only
        while there is room.
        """
        domain = row.domain
        if isinstance(row, InvalidRow) and not row.reachable:
            return
        if domain not in self.names and self.absent.get(domain, began) > began:
            return  # deleted since
        broken, copy = self.broken.get(domain), self.texts.get(domain)
        seen = broken or copy
        if seen is not None and row.modified <= seen.modified:
            if row.modified == seen.modified:
                seen.read_at = max(seen.read_at, began)
            return
        self.absent.pop(domain, None)
        self.names.add(domain)
        if isinstance(row, InvalidRow):
            self.broken[domain] = Broken(row.etag, row.modified, began)
            self._on_invalid(row)
            return
        self.broken.pop(domain, None)
        if copy is None and not asked_for and len(self.texts) >= COPIES_LIMIT:
            return
        text = row.policy.text.encode("ascii")
        if copy is None or copy.text != text:
            self._on_text(row)
        # The SDK's own kind of datetime is five times as large.
        modified = datetime.combine(row.modified.date(), row.modified.timetz())
        self._hold(domain, Copy(text, modified, key_of(modified), began))

    def gone(self, domain: str, began: float, now: float) -> None:
        """Take in that a request which began at `began` found no row."""
        seen = self.broken.get(domain) or self.texts.get(domain)
        if seen is not None and seen.read_at >= began:
            return  # added since
        self.names.discard(domain)
        self.broken.pop(domain, None)
        if copy := self.texts.pop(domain, None):
            self._rendered.pop(copy, None)
        _remember(self.absent, domain, now, ABSENT_LIMIT)

    def resolve(self, domain: str, newest: tuple[Revision, Policy] | None, now: float) -> None:
        """Take in the newest readable revision of a domain whose row is invalid, and the policy in it: the newer of
        that and the copy is what there is to serve.
        """
        broken, copy = self.broken.get(domain), self.texts.get(domain)
        if broken is None:
            return
        broken.resolved_at = now
        if newest is not None and (copy is None or newest[0].key > copy.version):
            revision, policy = newest
            self._hold(domain, Copy(policy.text.encode("ascii"), revision.since, revision.key, now))
        elif copy is not None and (newest is None or newest[1].text.encode("ascii") != copy.text):
            self._on_unrecorded(Row(domain, Policy.parse(copy.text), "", "", copy.modified))

    def rendered(self, copy: Copy[T], rendered: T) -> T:
        """Hold what an answer with the copy needs; beyond the limit the one made first is forgotten."""
        copy.rendered = rendered
        self._rendered[copy] = None
        if len(self._rendered) > RENDERED_LIMIT:
            oldest, _ = self._rendered.popitem(last=False)
            oldest.rendered = None
        return rendered

    def missing(self, names: Iterable[str]) -> list[str]:
        """The known names that are not among `names`."""
        return sorted(self.names.difference(names))

    def _hold(self, domain: str, copy: Copy[T]) -> None:
        for before in (self.texts.get(domain), _remember(self.texts, domain, copy, COPIES_LIMIT)):
            if before:
                self._rendered.pop(before, None)


def _remember[V](held: OrderedDict[str, V], domain: str, value: V, limit: int) -> V | None:
    """Hold `value` as the most recently used; beyond the limit the least recently used goes, and is returned."""
    held[domain] = value
    held.move_to_end(domain)
    return held.popitem(last=False)[1] if len(held) > limit else None
