"""What the sentences of evidence.toml name: senders, days, failures, and what numbers prove."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from policy_store.life import in_testing_since
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.case import Facts, Met

_SHOWN = 2


def words(facts: Facts, rule: str) -> dict[str, Any]:
    """What the sentences name."""
    weight = {"text_refused": "text", "fetch_errors": "fetch"}.get(rule, "blocks")
    met = facts.of_weight(weight)
    rows = {"no_policy_seen": facts.not_found, "enforced": facts.enforced_rows}.get(rule, facts.good)
    passed = sum(row.ok for row in rows)
    last_failure = max((each.row.day for each in met), default=facts.today)
    silent_since = in_testing_since(facts.case.revisions) or facts.case.now
    return {
        "failures": _told(facts, met),
        "clear_on": last_failure + timedelta(days=facts.demands.failure_days),
        "who": _names(rows),
        "by_sender": _by_sender(rows if rows else facts.sts),
        "sessions": passed,
        "none_failed": _none_failed(facts, rows, passed),
        "senders": facts.senders,
        "wanted_senders": facts.demands.reporters,
        "days": facts.days,
        "counted": facts.counted,
        "window": facts.demands.window,
        "wanted_days": facts.demands.days,
        "wanted_sessions": facts.demands.sessions,
        "ready_on": facts.today + timedelta(days=facts.needed),
        "silent_days": facts.demands.silent_days,
        "silent_on": (silent_since + timedelta(days=facts.demands.silent_days)).astimezone(UTC).date(),
    }


def _none_failed(facts: Facts, rows: Sequence[ReportRow], passed: int) -> str:
    """That none failed, and what that proves: the rule of three, at 95 %."""
    if any(row.failed for row in rows):
        return f"none failed in the last {facts.demands.failure_days} days"
    proof = f"fewer than {300 / passed:.2g} % fail, 95 % sure" if passed > 3 else "too few to tell a rate"
    return f"none failed ({proof})"


def _told(facts: Facts, met: Sequence[Met]) -> str:
    """The failures as sentences: by sender, cause and MX host, the most frequent first, and each remedy once."""
    groups: dict[tuple[str, str, str], list[Met]] = {}
    for each in met:
        groups.setdefault((each.row.reporter, each.cause.code, each.failure.mx_host), []).append(each)
    ordered = sorted(groups.values(), key=lambda group: -sum(each.failure.sessions for each in group))
    sentences = [_sentence(facts, group) for group in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        sentences.append(f"And {len(ordered) - _SHOWN} more: 'mta-sts reports show' has them.")
    remedies = dict.fromkeys(group[0].cause.remedy for group in ordered[:_SHOWN])
    return " ".join([*sentences, *remedies])


def _sentence(facts: Facts, group: Sequence[Met]) -> str:
    first = group[0]
    days = {each.row.day for each in group}
    failed = sum(each.failure.sessions for each in group)
    theirs = [row for row in facts.sts if row.reporter == first.row.reporter and row.day > facts.failures_from]
    total = max(failed, sum(row.ok + row.failed for row in theirs))
    where = f" at {first.failure.mx_host}" if first.failure.mx_host else ""
    when = f"on {max(days)}" if len(days) == 1 else f"on {len(days)} days, last on {max(days)}"
    return (
        f"{first.row.organization or first.row.reporter} reports failures{where} {when}: {first.cause.what} "
        f"({first.cause.code}), {failed} of {total} sessions."
    )


def _names(rows: Sequence[ReportRow]) -> str:
    """The senders' names, those with the most sessions first."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for row in rows:
        counts[row.reporter] += row.ok + row.failed
        names.setdefault(row.reporter, row.organization or row.reporter)
    listed = [names[reporter] for reporter, _ in counts.most_common(3)]
    if len(counts) > 3:
        listed.append(f"{len(counts) - 3} more")
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1] if listed else "")))


def _by_sender(rows: Sequence[ReportRow]) -> str:
    """The senders' names with the days of each."""
    days = Counter(reporter for reporter, _ in {(row.reporter, row.day) for row in rows})
    names = {row.reporter: row.organization or row.reporter for row in rows}
    return ", ".join(f"{names[reporter]} {count}" for reporter, count in days.most_common(4))
