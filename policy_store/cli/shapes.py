"""The JSON of the commands that look at policies: one model for each kind of object that they print."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from policy_store.policy import Mode
from policy_store.tables.history import Revision


class PolicyState(BaseModel):
    """What `list` and `show` say of a domain: the policy that senders get, and all that is wrong."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain; for a row that no request finds, its PartitionKey as stored")
    mode: Mode | None = Field(description="`enforce`, `testing` or `none`; null where no policy is served")
    mx: list[str] = Field(description="the patterns")
    max_age: int | None = Field(description="seconds; null where no policy is served")
    id: str | None = Field(description="the id of the newest revision, which DNS is to show; null before the first")
    since: datetime | None = Field(description="since when the newest revision has been in force")
    note: str = Field(description="the note in the row")
    dns: str | None = Field(description="with `--dns`, whether DNS shows the id; `right` where it does")
    problems: list[str] = Field(description="a sentence for everything that is wrong; empty where all is well")


class PolicyDetails(PolicyState):
    """What `show` says of a domain besides."""

    text: str | None = Field(description="the text that is served")
    by: str | None = Field(description="who wrote the newest revision")
    modified: datetime = Field(description="when the row was written")


class RevisionItem(BaseModel):
    """What `history` says of a revision."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    id: str = Field(description="the id for DNS, which `rollback` and `diff` take")
    since: datetime = Field(description="when the text came into force")
    by: str = Field(description="who wrote or found it")
    note: str = Field(description="the reason given")
    text: str = Field(description="the text as served")

    @classmethod
    def of(cls, revision: Revision) -> Self:
        """What is said of `revision`."""
        fields = ("domain", "id", "since", "by", "note", "text")
        return cls.model_validate({name: getattr(revision, name) for name in fields})


class Difference(BaseModel):
    """What `diff` says of two texts of a domain."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    before: str = Field(description="the id of the older text; empty for none at all")
    after: str = Field(description="the id of the newer text; empty for a row that is not recorded yet")
    lines: list[str] = Field(description="the unified difference, empty where the texts are equal")
