"""The history of all domains in runs: what one person changed at one time for one reason; and taking a run back."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from policy_store.changes.change import Planned, Reason, Refused, differences_of
from policy_store.changes.desk import Desk
from policy_store.changes.operations import restore
from policy_store.policy import Policy, PolicySyntaxError
from policy_store.tables.entry import Entry
from policy_store.tables.history import Revision

_PAUSE = timedelta(minutes=5)  # a run that pauses for longer is two


@dataclass(frozen=True, slots=True)
class Step:
    """One revision and the one before it, None for the first of its domain."""

    revision: Revision
    before: Revision | None

    @property
    def differences(self) -> tuple[str, ...]:
        """What changed, a few words for each field; the note where a text is no policy."""
        before, after = _policy(self.before), _policy(self.revision)
        if after is None:
            return ("a text that is not a policy",)
        return differences_of(before, after) or ("the same policy again",)


@dataclass(frozen=True, slots=True)
class Run:
    """Steps of one person for one reason, the newest first, each at most some minutes after the one before it."""

    steps: tuple[Step, ...]

    @property
    def key(self) -> str:
        """What names the run: the first domain that it changed, and when."""
        first = self.steps[-1].revision
        return f"{first.key}-{first.domain}"

    @property
    def by(self) -> str:
        """Who made it."""
        return self.steps[0].revision.by

    @property
    def why(self) -> str:
        """The reason given."""
        return self.steps[0].revision.note

    @property
    def since(self) -> datetime:
        """When it began."""
        return self.steps[-1].revision.since

    @property
    def until(self) -> datetime:
        """When it ended."""
        return self.steps[0].revision.since

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that it changed, each once."""
        return tuple(dict.fromkeys(step.revision.domain for step in self.steps))


def runs(entries: Iterable[Entry]) -> list[Run]:
    """The runs of all domains, the newest first."""
    steps = [
        Step(revision, entry.revisions[place - 1] if place else None)
        for entry in entries
        for place, revision in enumerate(entry.revisions)
    ]
    steps.sort(key=lambda step: (step.revision.key, step.revision.domain), reverse=True)
    open_runs: dict[tuple[str, str], list[Step]] = {}
    found: list[list[Step]] = []
    for step in steps:
        who = (step.revision.by, step.revision.note)
        run = open_runs.get(who)
        if run is None or run[-1].revision.since - step.revision.since > _PAUSE:
            run = open_runs[who] = []
            found.append(run)
        run.append(step)
    return [Run(tuple(run)) for run in found]


def undo(desk: Desk, entry: Entry, run: Run, *, why: str = "", force: bool = False) -> Planned:
    """What was in force before the run put back in one domain, unless the domain has been changed again since."""
    last = next((step.revision for step in run.steps if step.revision.domain == entry.domain), None)
    if last is None or entry.newest is None or entry.newest.key != last.key:
        message = "it has been changed again since"
        remedy = f"see 'mta-sts history {entry.domain}'"
        return Refused(entry.domain, (Reason("changed_since", message, remedy),))
    first = next(step.revision for step in reversed(run.steps) if step.revision.domain == entry.domain)
    return restore(desk, entry, first.since - timedelta(seconds=1), why=why, force=force)


def _policy(revision: Revision | None) -> Policy | None:
    try:
        return revision.policy if revision else None
    except PolicySyntaxError:
        return None
