"""What became of one domain, as programs read it: the JSON of every command that changes something."""

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from policy_store.changes.change import Change, Failed, Planned, Reason, Refused, Unchanged
from policy_store.lint.findings import Finding

type Result = Literal["changed", "unchanged", "refused", "failed"]


class ReasonItem(BaseModel):
    """Why something was not done, or what was noticed."""

    model_config = ConfigDict(frozen=True)

    code: str = Field(description="stays the same between versions")
    message: str = Field(description="what is wrong, or what was noticed")
    remedy: str = Field(description="what to do; empty if there is nothing to do")

    @classmethod
    def of(cls, reason: Reason) -> Self:
        """The model for `reason`."""
        return cls(code=reason.code, message=reason.message, remedy=reason.remedy)


class Outcome(BaseModel):
    """What became of a domain; in a dry run, what would become of it."""

    model_config = ConfigDict(frozen=True)

    domain: str = Field(description="the policy domain")
    result: Result = Field(
        description="`changed`; `unchanged`, since it was so already; `refused`, for the reasons given; `failed`, "
        "where the storage failed or somebody else changed the row meanwhile"
    )
    before: str | None = Field(default=None, description="the policy text in force before; null if there was none")
    after: str | None = Field(default=None, description="the policy text in force after; null if there is none")
    id: str | None = Field(default=None, description="the id that DNS should show; null in a dry run")
    publish_from: datetime | None = Field(default=None, description="from when DNS may show the id")
    usable_from: datetime | None = Field(
        default=None, description="from when MX records may name hosts that only new patterns allow; null without any"
    )
    removable_from: datetime | None = Field(
        default=None, description="from when the TXT record and the row of a retired domain may be deleted"
    )
    reasons: list[ReasonItem] = Field(default=[], description="why it was refused or failed, or what was noticed")
    findings: list[Finding] = Field(default=[], description="what lint says of the new policy, the worst first")

    @classmethod
    def of(cls, planned: Planned) -> Self:
        """The model for a result."""
        match planned:
            case Change():
                return cls(
                    domain=planned.domain,
                    result="changed",
                    before=planned.before.text if planned.before else None,
                    after=planned.after.text if planned.after else None,
                    id=planned.id,
                    publish_from=planned.publish_from,
                    usable_from=planned.usable_from,
                    removable_from=planned.removable_from,
                    reasons=list(map(ReasonItem.of, planned.reasons)),
                    findings=list(planned.findings),
                )
            case Unchanged():
                policy = planned.entry.in_force
                text = policy.text if policy else None
                return cls(
                    domain=planned.domain,
                    result="unchanged",
                    before=text,
                    after=text,
                    id=planned.id,
                    publish_from=planned.publish_from,
                    removable_from=planned.removable_from,
                    reasons=list(map(ReasonItem.of, planned.reasons)),
                )
            case Refused():
                reasons = list(map(ReasonItem.of, planned.reasons))
                return cls(domain=planned.domain, result="refused", reasons=reasons, findings=list(planned.findings))
            case Failed():
                return cls(domain=planned.domain, result="failed", reasons=list(map(ReasonItem.of, planned.reasons)))
