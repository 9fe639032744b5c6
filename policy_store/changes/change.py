"""A change of one domain's policy as data, and what else can come of a wish to change it."""

import difflib
from dataclasses import dataclass
from datetime import datetime

from policy_store.lint.findings import Finding
from policy_store.policy import Policy
from policy_store.tables.entry import Entry
from policy_store.tables.row import InvalidRow


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was not done, or what was noticed: a code that stays the same between versions, a sentence, and
    what to do.
    """

    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Change:
    """A policy that replaces what `entry` holds; `after` is None where the row is removed.

    `by` and `why` are recorded with the revision; `note` and `customer` replace those in the row, which None keeps.
    `id` is the id for DNS: one to keep from elsewhere, or once the change is written that of its revision. From
    `publish_from` on DNS may show it; from `usable_from` on MX records may name hosts that only `new_patterns` allow;
    and from `removable_from` on the TXT record and the row of a retired domain may go. Until the change is written
    these times are what they would be if it were written now. `reasons` tell what else people should know of it.
    """

    entry: Entry
    after: Policy | None
    by: str
    why: str = ""
    note: str | None = None
    customer: str | None = None
    id: str | None = None
    findings: tuple[Finding, ...] = ()
    reasons: tuple[Reason, ...] = ()
    publish_from: datetime | None = None
    new_patterns: tuple[str, ...] = ()
    usable_from: datetime | None = None
    removable_from: datetime | None = None

    @property
    def domain(self) -> str:
        """The policy domain."""
        return self.entry.domain

    @property
    def before(self) -> Policy | None:
        """The policy in force before; None where there was none."""
        return self.entry.in_force

    @property
    def takes_protection_away(self) -> bool:
        """Whether senders would no longer hold back what does not pass, or the row goes while they may hold it."""
        before = self.before
        if self.after is None:
            return bool(self.why) or (before is not None and before.mode != "none")
        if before is None or before.mode == self.after.mode:
            return False
        return before.mode == "enforce" or self.after.mode == "none"

    @property
    def differences(self) -> tuple[str, ...]:
        """What changes, a few words for each field: `mode testing -> enforce`, `mx +mx2.example`."""
        before, after = self.before, self.after
        if after is None:
            return ("the row is removed",)
        found: list[str] = []
        if before is None:
            found.append(f"new, mode {after.mode}, max_age {after.max_age}, mx {' '.join(after.mx) or '-'}")
        else:
            if before.mode != after.mode:
                found.append(f"mode {before.mode} -> {after.mode}")
            if before.max_age != after.max_age:
                found.append(f"max_age {before.max_age} -> {after.max_age}")
            found += [f"mx +{pattern}" for pattern in after.mx if pattern not in before.mx]
            found += [f"mx -{pattern}" for pattern in before.mx if pattern not in after.mx]
            if not found and before != after:
                found.append("mx in another order")
        for name, new, old in (("customer", self.customer, self.entry.customer), ("note", self.note, self.entry.note)):
            if new is not None and new != old and self.entry.row is not None:
                found.append(f"{name} {old!r} -> {new!r}" if name == "customer" else "the note changes")
        if not found:
            found.append("the row is repaired" if isinstance(self.entry.row, InvalidRow) else "the row is recorded")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A domain that is as it should be already; `reasons` tell what people should know of it."""

    entry: Entry
    reasons: tuple[Reason, ...] = ()
    id: str | None = None
    publish_from: datetime | None = None
    removable_from: datetime | None = None

    @property
    def domain(self) -> str:
        """The policy domain."""
        return self.entry.domain


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that must not be made, with every reason; `forcible` tells that `--force` goes ahead all the same."""

    domain: str
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...] = ()
    forcible: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A change that could not be made, or of which it is not known how far it came."""

    domain: str
    reasons: tuple[Reason, ...]


type Planned = Change | Unchanged | Refused | Failed


def difference(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """The lines of a unified difference between two policy texts."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
