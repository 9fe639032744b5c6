"""The verdicts of tests/data/verdicts.json, and the laws: reports may refuse and never excuse."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policy_store.policy import Policy
from policy_store.tables.history import Revision, key_of
from policy_store.tables.report_row import ReportRow
from policy_store.tlsrpt.case import Case, Demands
from policy_store.tlsrpt.evidence import RULES, verdict
from tests.conftest import load_cases
from tests.tlsrpt.making import entry, report, rows

_NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
_MX = ("mx1.contoso.com", "mx2.contoso.com")
_CASES = load_cases("verdicts.json")


def case_of(spec: dict[str, Any]) -> Case:
    """The case that a test's data describe."""
    revisions = []
    for revision in spec.get("revisions", [{"age": 40, "mode": "testing"}]):
        policy = Policy(mode=revision["mode"], mx=tuple(revision.get("mx", " ".join(_MX)).split()), max_age=604800)
        key = key_of(_NOW - timedelta(days=revision["age"]))
        revisions.append(Revision("contoso.com", key, key, policy.text))
    return Case(
        policy=revisions[-1].policy,
        revisions=revisions,
        rows=[row for each in spec["rows"] for row in _rows(each, revisions[-1].policy.mode)],
        now=_NOW,
        fresh_seconds=60,
        demands=Demands(**spec.get("demands", {})),
        **{name: spec[name] for name in ("mx_hosts", "failing_hosts", "names_us", "without_reports") if name in spec},
    )


def _rows(spec: dict[str, Any], mode: str) -> list[ReportRow]:
    """A row for each day from the first to the last age."""
    lines = spec.get("text", "\n".join(f"mx: {host}" for host in _MX)).split("\n")
    if lines[0].startswith("mx:"):
        lines = ["version: STSv1", f"mode: {mode}", *lines, "max_age: 604800"]
    first, last = spec["days"]
    found = []
    for age in range(first, last + 1):
        one = entry(
            ok=spec.get("ok", 0),
            lines=lines,
            type_=spec.get("type", "sts"),
            failures=[tuple(failure) for failure in spec.get("failures", ())],
            failed=spec.get("failed"),
        )
        octets = report((_NOW - timedelta(days=age)).date(), one, reporter=spec.get("by", "google.com"))
        found += rows(octets, via=spec.get("via", "https"), client=spec.get("client", "192.0.2.1"))
    return found


@pytest.mark.parametrize("spec", _CASES)
def test_the_verdict_is_that_of_the_first_rule_that_holds(spec: dict[str, Any]) -> None:
    found = verdict(case_of(spec))
    if spec["verdict"] is None:
        assert found is None
        return
    assert found is not None
    assert (found.rule, found.verdict) == (spec["rule"], spec["verdict"]), found.sentence
    assert found.code == spec.get("code", found.code)
    for words in spec.get("says", ()):
        assert words in found.sentence


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in RULES} == {case.values[0].get("rule") for case in _CASES} - {None}


@pytest.mark.parametrize("spec", _CASES)
def test_more_successes_never_lift_a_failure(spec: dict[str, Any]) -> None:
    """Anybody may post a report: a thousand good ones gain nothing against one bad one."""
    before = verdict(case_of(spec))
    flood = [{"days": [0, 20], "ok": 1000, "by": name, "via": "imported"} for name in ("google.com", "sender.example")]
    after = verdict(case_of({**spec, "rows": [*spec["rows"], *flood]}))
    if before is not None and before.rule in ("failures", "one_unverified_failure", "text_refused", "fetch_errors"):
        assert after is not None
        assert after.rule == before.rule


def test_strangers_can_put_a_promotion_off_but_for_a_week_at_most() -> None:
    spec = {"rows": [{"days": [3, 15], "ok": 20}, {"days": [0, 0], "failures": [["certificate-expired", "mx1", 9]]}]}
    case = case_of(spec)
    assert verdict(case) != verdict(replace(case, rows=case.rows[:-1]))
    later = verdict(replace(case, now=_NOW + timedelta(days=7)))
    assert later is not None
    assert later.verdict == "ready"
