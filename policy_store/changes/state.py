"""The state of a domain, as people and programs read it: what senders get, the revisions, and what is wrong."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from policy_store.changes.change import difference
from policy_store.lint.linter import lint_row
from policy_store.policy import Mode
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision
from policy_store.tables.row import Row
from policy_store.tlsrpt.evidence import Verdict


class PolicyState(BaseModel):
    """A domain as `list` and `show` print it: the policy that senders get, and everything that is wrong."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain; for a row that no request finds, its PartitionKey as stored")
    mode: Mode | None = Field(description="`enforce`, `testing` or `none`; null if no policy is served")
    mx: list[str] = Field(description="the patterns")
    max_age: int | None = Field(description="seconds; null if no policy is served")
    id: str | None = Field(description="the id of the newest revision, which DNS should show; null before the first")
    since: datetime | None = Field(description="since when the newest revision has been in force")
    customer: str = Field(description="whose domain it is, as the row says")
    note: str = Field(description="the note in the row")
    dns: str | None = Field(description="with `--dns`, whether DNS shows the id; `right` if it does")
    reports: Verdict | None = Field(
        description="what TLS reports say, for `list` with `--reports`; null if they say nothing"
    )
    problems: list[str] = Field(description="one sentence for each problem; empty if there is none")


class PolicyDetails(PolicyState):
    """What `show` prints in addition."""

    text: str | None = Field(description="the text that is served")
    by: str | None = Field(description="who wrote the newest revision")
    modified: datetime = Field(description="when the row was written")


class RevisionItem(BaseModel):
    """A revision as `history` prints it."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    id: str = Field(description="the id for DNS, which `rollback` and `diff` take")
    since: datetime = Field(description="when the text came into force")
    by: str = Field(description="who wrote or found it")
    note: str = Field(description="the reason given")
    text: str = Field(description="the text as served")

    @classmethod
    def of(cls, revision: Revision) -> Self:
        """The model for `revision`."""
        fields = ("domain", "id", "since", "by", "note", "text")
        return cls.model_validate({name: getattr(revision, name) for name in fields})


class Difference(BaseModel):
    """Two texts of a domain as `diff` compares them."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    before: str = Field(description="the id of the older text; empty for none at all")
    after: str = Field(description="the id of the newer text; empty for a row that is not recorded yet")
    lines: list[str] = Field(description="the unified difference, empty where the texts are equal")


def state_of(entry: Entry, dns: str | None = None, reports: Verdict | None = None) -> PolicyState:
    """The state of the domain; `dns` is whether DNS shows the id, if it was asked, `reports` what reports say."""
    policy, newest = entry.in_force, entry.newest
    return PolicyState(
        domain=entry.domain,
        mode=policy.mode if policy else None,
        mx=list(policy.mx) if policy else [],
        max_age=policy.max_age if policy else None,
        id=newest.id if newest else None,
        since=newest.since if newest else None,
        customer=entry.customer,
        note=entry.note,
        dns=dns,
        reports=reports,
        problems=problems_of(entry),
    )


def details_of(entry: Entry, reports: Verdict | None = None) -> PolicyDetails:
    """Everything about a domain that has a row. Raises ValueError if it has none."""
    if entry.row is None:
        raise ValueError(f"{entry.domain} has no row")
    policy, newest = entry.in_force, entry.newest
    return PolicyDetails(
        **state_of(entry, reports=reports).model_dump(),
        text=policy.text if policy else None,
        by=newest.by if newest else None,
        modified=entry.row.modified,
    )


def problems_of(entry: Entry) -> list[str]:
    """A sentence for each problem of the domain, and for each warning of lint about a valid row."""
    problems = [str(problem) for problem in entry.problems()]
    if isinstance(entry.row, Row):
        problems += [f"{f.message}: {f.remedy}" for f in lint_row(entry.row) if f.severity != "info"]
    return problems


def difference_of(entry: Entry, before: Revision | None, after: Revision) -> Difference:
    """What changed between two texts of the domain; a text that is not recorded yet has no id."""
    ids = ["" if one is None or one not in entry.revisions else one.id for one in (before, after)]
    names = ("no policy" if before is None else ids[0], ids[1] or "the row, not recorded yet")
    lines = difference(before.text if before else "", after.text, names)
    return Difference(domain=entry.domain, before=ids[0], after=ids[1], lines=lines)
