"""How every command that changes policies runs: the decisions, the brake, the writes, and the counts at the end."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import typer

from policy_store.changes.brake import Question, needs_note, question, summary
from policy_store.changes.change import Change, Planned, Refused, Unchanged, difference
from policy_store.changes.many import decide_all, write_all
from policy_store.changes.outcome import Outcome
from policy_store.changes.selection import Selection
from policy_store.cli.errors import PROBLEM, UNREACHABLE, WRONG_USE, CommandError
from policy_store.cli.screen import coloured, complain, manner, print_json, printer, progress, say, suggest
from policy_store.dns_records import records_to_delegate
from policy_store.record_texts import block
from policy_store.tables.entry import Entry
from policy_store.tables.row import InvalidRow
from policy_store.tables.store import Store
from policy_store.times import shown, shown_due
from policy_store.txt_records import StsRecord

_FEW = 10  # named domains for which it prints that nothing changes


@dataclass
class Changing:
    """One run of a command over some domains. `done` is the word for it: `changed`, `promoted`, `removed`.

    `reason` is whether the operator gave a reason: it is required to take protection away from several domains.
    """

    store: Store
    done: str = "changed"
    dry_run: bool = False
    yes: bool = False
    verbose: bool = False
    json: bool = False
    reason: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _unreached: int = 0

    def run_selected(
        self, selection: Selection, decide: Callable[[Entry], Planned], what: str, *, gone: bool = False
    ) -> None:
        """Decide for each selected domain and carry it out. Domains without a row count only if `gone`.

        Raises what `run` raises, and NoMatch.
        """
        if selection.named:
            names = selection.domains
            planned = decide_all(lambda name: decide(self.store.entry(name)), names, str)
            self.run(planned, what if len(names) > 1 else "", len(names))
            return
        entries = (entry for entry in selection.entries(self.store) if gone or entry.row)
        self.run(decide_all(decide, entries, attrgetter("domain")), what)

    def run(self, planned: Iterable[Planned], what: str = "", total: int | None = None) -> None:
        """Print the result for each domain as it ends, and the counts whatever happens.

        Raises typer.Exit if one was refused or failed, CommandError if it needs a confirmation and gets none.
        """
        if not manner.quiet:
            manner.name_store()
        outcomes = self._outcomes(progress(planned, what, total) if what else planned)
        try:
            if self.json:
                print_json(map(Outcome.of, outcomes))
            else:
                for outcome in outcomes:
                    self._tell(outcome)
        finally:
            if not self.json:
                self._tally()
        if self.counts["changed"] and not self.json and (advice := self._next()):
            suggest(advice)
        if self.counts["failed"] and self._unreached == self.counts.total():
            raise typer.Exit(UNREACHABLE)
        if self.counts["refused"] or self.counts["failed"]:
            raise typer.Exit(PROBLEM)

    def _outcomes(self, planned: Iterable[Planned]) -> Iterator[Planned]:
        """The result for each domain: at once if nothing is written, the others after the confirmation."""
        changes: list[Change] = []
        for outcome in planned:
            if isinstance(outcome, Change):
                changes.append(outcome)
            else:
                yield self._counted(outcome)
        self._brake(changes)
        written = changes if self.dry_run else write_all(self.store, changes)
        many = len(changes) > _FEW and not self.dry_run
        for outcome in progress(written, self.done, len(changes)) if many else written:
            yield self._counted(outcome, alone=len(changes) == 1)

    def _counted(self, outcome: Planned, *, alone: bool = False) -> Planned:
        self.counts[Outcome.of(outcome).result] += 1
        self._unreached += any(reason.code == "storage" for reason in getattr(outcome, "reasons", ()))
        self._alone = alone
        return outcome

    _alone: bool = False

    def _brake(self, changes: Sequence[Change]) -> None:
        """Show a summary of many changes, and ask for confirmation. Raises CommandError."""
        asked = question(self.store.name, changes)
        if self.dry_run:
            if len(changes) > 1:
                for line in summary(changes):
                    complain(line) if self.json else say(line)
            return
        if asked is None:
            return
        if needs_note(changes) and not self.reason:
            raise CommandError("This takes protection away from several domains: give the reason with --note.")
        if self.yes or (not asked.typed and not sys.stdin.isatty()):
            return
        for line in _question_lines(asked):
            complain(line)
        if not sys.stdin.isatty():
            raise CommandError("Nothing was changed: --yes goes ahead without asking.", WRONG_USE)
        if not _confirmed(asked):
            raise CommandError("Nothing was changed.", PROBLEM)

    def _tell(self, outcome: Planned) -> None:
        match outcome:
            case Change():
                self._tell_change(outcome)
            case Unchanged():
                if self.counts.total() <= _FEW:
                    for line in _unchanged_lines(outcome, self.store.zone):
                        say(line)
            case _:
                complain(refusal(outcome, self.done))

    def _tell_change(self, change: Change) -> None:
        if change.after is None:
            say(f"{change.domain} {'would be' if self.dry_run else 'is'} removed.")
            for reason in change.reasons:
                say(f"{change.domain}: {reason}")
            return
        if (self.verbose or self._alone) and not manner.quiet:
            for line in coloured(_difference(change)):
                printer().print(line, soft_wrap=True)
        differences = ", ".join(change.differences)
        if self._alone and not _difference(change):
            say(f"{change.domain}: {differences}, the policy in force stays")
        elif not self._alone and not self.dry_run:  # a dry run has said it in the summary
            say(f"{change.domain}: {differences}")
        for sentence in (*noticed_lines(change), *_date_lines(change, self.store.zone)):
            say(sentence)
        if self.store.zone and change.entry.row is None and self._alone and not self.dry_run:
            for sentence in _delegation_lines(change.domain, self.store.zone):
                say(sentence)

    def _next(self) -> str:
        """What comes after this command; empty if the outcomes themselves say it."""
        return ""

    def _tally(self) -> None:
        counts = self.counts
        if counts.total() != 1 or not counts["changed"]:
            would = "would be " if self.dry_run else ""
            failed = f", {counts['failed']} failed" if counts["failed"] else ""
            kept = f"{counts['unchanged']} unchanged, {counts['refused']} refused"
            say(f"{counts['changed']} {would}{self.done}, {kept}{failed}")


def refusal(outcome: Planned, done: str) -> str:
    """The sentence for a domain that was refused or failed, with every reason."""
    reasons = "; ".join(map(str, getattr(outcome, "reasons", ())))
    remedy = " (or --force with --note)" if isinstance(outcome, Refused) and outcome.forcible else ""
    return f"{outcome.domain} was not {done}: {reasons}{remedy}."


def noticed_lines(change: Change) -> Iterator[str]:
    """What was noticed on the way: findings of lint except infos, and reasons."""
    domain = change.domain
    for found in change.findings:
        if found.severity != "info":
            yield f"{domain}: {found.severity}: {found.message} ({found.code}): {found.remedy}"
    yield from map(str, change.reasons)


def _delegation_lines(domain: str, zone: str) -> Iterator[str]:
    """The records that the customer of a new domain sets once, those for the app's host name aside."""
    yield f"Set once in the DNS of {domain} ('mta-sts dns show {domain} --letter' has a text for the customer):"
    for record in records_to_delegate(domain, delegate=zone):
        yield ""
        yield from block(record).splitlines()


def _date_lines(change: Change, zone: str) -> Iterator[str]:
    """What to do next, and from when."""
    domain = change.domain
    known = {revision.id for revision in change.entry.revisions}
    if change.id is not None and change.id not in known and change.publish_from is not None:
        yield f"{domain}: {_publication(domain, change.id, shown_due(change.publish_from), zone)}"
    if change.usable_from is not None:
        when = shown_due(change.usable_from)
        yield f"{domain}: MX records may name {', '.join(change.new_patterns)} from {when} on"
    if change.removable_from is not None:
        yield f"{domain}: the TXT record and the row have to stay until {shown_due(change.removable_from)}"


def to_publish(domain: str, id_: str) -> str:
    """The sentence that says what to publish."""
    return f"publish TXT _mta-sts.{domain} {StsRecord(id_).text}"


def _publication(domain: str, id_: str, when: str, zone: str) -> str:
    if zone:
        return f"the app publishes the id {id_} in {zone} by itself, from {when} on"
    return f"{to_publish(domain, id_)} from {when} on"


def _unchanged_lines(outcome: Unchanged, zone: str) -> Iterator[str]:
    domain = outcome.domain
    yield from map(str, outcome.reasons)
    if outcome.id is not None and outcome.publish_from is not None:
        yield f"{domain} is unchanged: {_publication(domain, outcome.id, shown(outcome.publish_from), zone)}"
    if outcome.removable_from is not None:
        yield f"{domain}: the TXT record and the row have to stay until {shown_due(outcome.removable_from)}"


def _difference(change: Change) -> list[str]:
    before, domain = change.before, change.domain
    name = "no policy" if before is None else "in force"
    if before and isinstance(change.entry.row, InvalidRow):
        name = "in force, the row is invalid"
    after = change.after.text if change.after else ""
    return difference(before.text if before else "", after, (f"{domain} ({name})", f"{domain} (new)"))


def _question_lines(asked: Question) -> Iterator[str]:
    domains = "1 domain" if asked.count == 1 else f"{asked.count} domains"
    yield f"This changes {domains} of the store {asked.store}:"
    yield from (f"  {line}" for line in asked.summary)
    if asked.protection:
        yield "It takes protection away: senders will deliver mail even if an attacker could read it."


def _confirmed(asked: Question) -> bool:
    wanted = str(asked.count) if asked.typed else "y"
    print(f"Type {wanted} to go on: " if asked.typed else "Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    return answer == wanted or (not asked.typed and answer == "yes")
