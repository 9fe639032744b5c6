"""A change of one domain's policy as data, and the other results of a request to change it."""

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
    """A policy that replaces that of `entry`; `after` is None if the row is removed.

    `by` and `why` are recorded with the revision; `note` and `customer` replace those in the row; None keeps them. `id`
    is the id for DNS: one that is kept from another policy host, or, after the change is written, that of its revision.
    DNS may show it from `publish_from`. MX records may name the hosts that only `new_patterns` allow from
    `usable_from`. The TXT record and the row of a retired domain may be deleted from `removable_from`. Before the
    change is written, these times are those of a write now. `reasons` are what else people should know.
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
        """Whether senders would deliver over connections that are not secure, or the row is removed while they may
        still have the policy cached.
        """
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
        found = list(differences_of(before, after))
        for name, new, old in (("customer", self.customer, self.entry.customer), ("note", self.note, self.entry.note)):
            if new is not None and new != old and self.entry.row is not None:
                found.append(f"{name} {old!r} -> {new!r}" if name == "customer" else "the note changes")
        if not found:
            found.append("the row is repaired" if isinstance(self.entry.row, InvalidRow) else "the row is recorded")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A domain that already is what was asked for; `reasons` are what people should know."""

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
    """A change that is refused, with every reason; `forcible` is whether `--force` makes it anyway."""

    domain: str
    reasons: tuple[Reason, ...]
    findings: tuple[Finding, ...] = ()
    forcible: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A change that failed, perhaps half-way."""

    domain: str
    reasons: tuple[Reason, ...]


type Planned = Change | Unchanged | Refused | Failed


def differences_of(before: Policy | None, after: Policy) -> tuple[str, ...]:
    """What changes from one policy to another, a few words for each field; empty if they are equal."""
    if before is None:
        return (f"new, mode {after.mode}, max_age {after.max_age}, mx {' '.join(after.mx) or '-'}",)
    found = []
    if before.mode != after.mode:
        found.append(f"mode {before.mode} -> {after.mode}")
    if before.max_age != after.max_age:
        found.append(f"max_age {before.max_age} -> {after.max_age}")
    found += [f"mx +{pattern}" for pattern in after.mx if pattern not in before.mx]
    found += [f"mx -{pattern}" for pattern in before.mx if pattern not in after.mx]
    if not found and before != after:
        found.append("mx in another order")
    return tuple(found)


def difference(before: str, after: str, names: tuple[str, str]) -> list[str]:
    """The lines of a unified difference between two policy texts."""
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
