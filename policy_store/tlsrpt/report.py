"""A TLS report (RFC 8460 section 4) as real senders write it: much is missing, null or misspelt.

Only a date range and a list of policies are required. Everything else that is unknown is kept as it is or left out.
"""

from datetime import date, datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from policy_store.tlsrpt.values import Count, Domain, Host, Kind, Lines, List, Object, Text, Time

LONGEST_RANGE = timedelta(days=8)

_MOST_POLICIES = 1000
_LONGEST_NAME = 60
_DIVIDERS = str.maketrans("", "", "-_ ")


def _spelled(name: str, *misspelt: str, **more: Any) -> Any:
    """A member of an object: its name in RFC 8460, and names that senders give it besides.

    Letter case, hyphens, underscores and spaces never count.
    """
    return Field(validation_alias=AliasChoices(name, *misspelt), **more)


def _letters(name: str) -> str:
    return name.lower().translate(_DIVIDERS)


class _Part(BaseModel):
    """An object of a report. A member that is null or an empty text is absent, and so is one of an unknown name."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    known: ClassVar[dict[str, str]] = {}  # by the letters of every spelling

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.known = {}
        for field in cls.model_fields.values():
            if isinstance(field.validation_alias, AliasChoices):
                name, *_ = choices = [str(choice) for choice in field.validation_alias.choices]
                cls.known |= {_letters(choice): name for choice in choices}

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        """The members by their names in RFC 8460; of several the last, as JSON has it."""
        if not isinstance(value, dict):
            return value
        return {
            cls.known[letters]: member
            for name, member in value.items()
            if member is not None
            and member != ""
            and len(name) < _LONGEST_NAME
            and (letters := _letters(name)) in cls.known
        }


class DateRange(_Part):
    """When the sessions took place; some senders write local times and call them UTC, some leave the end out."""

    start: Time = _spelled("start-datetime", "start")
    end: Time | None = _spelled("end-datetime", "end", default=None)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until < self.start:
            raise ValueError("it ends before it begins")
        return self

    @property
    def until(self) -> datetime:
        """The end; a day after the beginning where none is given."""
        return self.start + timedelta(days=1) if self.end is None else self.end

    @property
    def day(self) -> date:
        """The UTC day that the middle of the range is in: right for the UTC day that RFC 8460 section 4.1 asks for,
        and for one that is given in local time with a false `Z`.
        """
        return (self.start + (self.until - self.start) / 2).date()

    def problem(self, now: datetime, oldest: timedelta | None = None) -> str:
        """Why a report about this time is not taken; empty if it is."""
        if oldest is not None and self.start < now - oldest:
            return f"it begins more than {oldest.days} days ago"
        if self.until > now + timedelta(days=1):
            return "it ends in the future"
        if self.until - self.start > LONGEST_RANGE:
            return f"it is about more than {LONGEST_RANGE.days} days"
        return ""


class Detail(_Part):
    """Failed sessions of one kind (RFC 8460 section 4.3)."""

    type: Kind = _spelled("result-type", default="")
    mx_host: Host = _spelled("receiving-mx-hostname", "receiving-mx-host", "receiving-mx", default="")
    reason: Text = _spelled("failure-reason-code", "failure-reason", default="")
    sessions: Count | None = _spelled(
        "failed-session-count", "failed-sessions-count", "failure-session-count", "failed-count", default=None
    )


class PolicyPart(_Part):
    """The policy that the sender applied to the sessions: its type, its domain, its text as the sender saw it, and the
    MX hosts that it names besides.
    """

    type: Kind = _spelled("policy-type", default="")
    domain: Domain = _spelled("policy-domain", default="")
    lines: Lines = _spelled("policy-string", "policy-strings", default=())
    mx_hosts: Lines = _spelled("mx-host", "mx-hosts", "mx-host-pattern", default=())


class Summary(_Part):
    """How many sessions there were."""

    ok: Count = _spelled(
        "total-successful-session-count",
        "total-successful-sessions-count",
        "total-success-session-count",
        "total-successful-count",
        "total-success-count",
        "successful-session-count",
        default=0,
    )
    failed: Count = _spelled(
        "total-failure-session-count",
        "total-failure-sessions-count",
        "total-failed-session-count",
        "total-failure-count",
        "total-failed-count",
        "failure-session-count",
        "failed-session-count",
        default=0,
    )


class PolicyEntry(_Part):
    """What a report says of one policy."""

    policy: Object[PolicyPart] = _spelled("policy", default=PolicyPart())
    summary: Object[Summary] = _spelled("summary", default=Summary())
    details: List[Detail] = _spelled("failure-details", "failure-detail", default=[])


class Report(_Part):
    """One report. Texts are clean: one line, printable, at most 200 characters."""

    organization: Text = _spelled("organization-name", "organisation-name", "organization", default="")
    range: DateRange = _spelled("date-range")
    contact: Text = _spelled("contact-info", "contact", default="")
    id: Text = _spelled("report-id", default="")
    policies: List[PolicyEntry] = _spelled("policies", max_length=_MOST_POLICIES)
