"""Reports are heard before enforce: promote, plan, show and list, on a real table service and a real DNS server."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from policy_store.policy import Policy
from policy_store.tables.reports import TABLE, ReportTable
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.cli.test_promote import Later, Zone, later, resolver, served, zone
from tests.tlsrpt.making import entry, report, rows

__all__ = ["later", "resolver", "served", "zone"]  # fixtures of the tests of promote

_MX = ("mx1.contoso.com", "mx2.contoso.com")
_EXPIRED = ("certificate-expired", "mx2.contoso.com", 7)
_TODAY = datetime.now(UTC).date()


@pytest.fixture
def reports(azurite: Azurite, store: Store) -> Iterator[ReportTable]:
    """The empty table of reports."""
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        with suppress(ResourceNotFoundError):
            service.delete_table(TABLE)
        yield ReportTable(service.create_table(TABLE))
        with suppress(ResourceNotFoundError):
            service.delete_table(TABLE)


@pytest.fixture
def promoting(run: Run, store: Store, zone: Zone, resolver: str, later: Later) -> Any:
    """Run promote so many days after contoso.com came into testing; DNS is as it should be."""
    row = store.policies.add("contoso.com", Policy(mode="testing", mx=_MX, max_age=604800))
    revision = store.history.record(row, store.policies, by="test")
    zone["contoso.com"] = {"MX": ["10 mx1.contoso.com.", "20 mx2.contoso.com."]}
    zone["mx1.contoso.com"] = zone["mx2.contoso.com"] = {"A": ["192.0.2.1"]}  # which is not asked
    zone["_mta-sts.contoso.com"] = {"TXT": [f"v=STSv1; id={revision.id};"]}
    zone["_smtp._tls.contoso.com"] = {"TXT": ["v=TLSRPTv1; rua=https://app.example/v1/tlsrpt;"]}

    def promote(days: int, *words: str) -> Any:
        later(days=days, minutes=1)
        return run("promote", "contoso.com", "--resolver", resolver, *words)

    return promote


def _fill(reports: ReportTable, now_in: int, ages: range, by: str = "google.com", **members: Any) -> None:
    """A report for each day so many days before the one on which the command will run."""
    for age in ages:
        day = _TODAY + timedelta(days=now_in - age)
        for row in rows(report(day, entry(**members), reporter=by)):
            reports.add(row)


class TestPromote:
    def test_where_nobody_receives_reports_nothing_is_asked_of_them(self, promoting: Any) -> None:
        assert promoting(15).exit_code == 0

    def test_enough_clean_reports_let_it_go_on(self, promoting: Any, reports: ReportTable) -> None:
        _fill(reports, 20, range(3, 12), ok=3)
        done = promoting(20)
        assert done.exit_code == 0, done.output

    def test_a_failure_refuses_it_with_host_sender_and_day(self, promoting: Any, reports: ReportTable) -> None:
        _fill(reports, 20, range(3, 12), ok=3)
        _fill(reports, 20, range(1, 4), by="microsoft.com", ok=30, failures=[_EXPIRED])
        done = promoting(20)
        assert done.exit_code == 1
        for words in (
            "Microsoft Corporation reports failures at mx2.contoso.com",
            f"last on {_TODAY + timedelta(days=19)}",
            "certificate-expired",
            "Renew the certificate",
        ):
            assert words in done.stderr
        (item,) = json.loads(promoting(20, "--json").stdout)
        assert [reason["code"] for reason in item["reasons"]] == ["reports_fix"]

    def test_no_number_of_good_reports_excuses_another_reason(
        self, promoting: Any, reports: ReportTable, zone: Zone
    ) -> None:
        _fill(reports, 20, range(1, 19), ok=100_000)
        zone["contoso.com"] = {"MX": ["10 mx.elsewhere.example."]}
        done = promoting(20)
        assert done.exit_code == 1
        assert "mx.elsewhere.example" in done.stderr

    def test_too_few_reports_have_to_wait_unless_fewer_are_asked_for(
        self, promoting: Any, reports: ReportTable
    ) -> None:
        _fill(reports, 20, range(4, 6), ok=3)
        (item,) = json.loads(promoting(20, "--json").stdout)
        assert [reason["code"] for reason in item["reasons"]] == ["reports_wait"]
        done = promoting(20, "--report-days", "2", "--report-sessions", "6")
        assert done.exit_code == 0, done.output

    def test_without_any_report_it_takes_28_days_and_leave_to_go_without(
        self, promoting: Any, reports: ReportTable, store: Store
    ) -> None:
        del reports
        (item,) = json.loads(promoting(20, "--without-reports", "--json").stdout)
        assert [reason["code"] for reason in item["reasons"]] == ["reports_missing"]
        assert promoting(29).exit_code == 1
        done = promoting(29, "--without-reports", "--note", "a small domain")
        assert done.exit_code == 0, done.output
        assert store.history.revisions("contoso.com")[-1].note == "a small domain (without reports)"

    @pytest.mark.parametrize("record", [[], ["v=TLSRPTv1; rua=https://elsewhere.example/tls;"], ["v=TLSRPTv1;"]])
    def test_leave_to_go_without_is_none_where_no_report_could_come(
        self, promoting: Any, reports: ReportTable, zone: Zone, record: list[str]
    ) -> None:
        del reports
        zone["_smtp._tls.contoso.com"] = {"TXT": record} if record else {"A": ["192.0.2.1"]}
        done = promoting(29, "--without-reports")
        assert done.exit_code == 1
        assert "_smtp._tls is missing or does not name this app" in done.stderr

    def test_force_overrides_reports_too_and_that_is_recorded(
        self, promoting: Any, reports: ReportTable, store: Store
    ) -> None:
        _fill(reports, 20, range(1, 4), ok=30, failures=[_EXPIRED])
        assert promoting(20, "--force", "--note", "the host is gone").exit_code == 0
        assert store.history.revisions("contoso.com")[-1].note == "the host is gone (forced: reports_fix)"


class TestElsewhere:
    @pytest.mark.parametrize(
        ("ages", "members", "code", "waits_for"),
        [
            (range(3, 12), {"ok": 3}, "promote", "person"),
            (range(1, 4), {"ok": 30, "failures": [_EXPIRED]}, "reports_fix", "person"),
            (range(4, 6), {"ok": 3}, "reports_wait", "person"),
            (range(0), {}, "reports_missing", "person"),
        ],
    )
    def test_plan_has_what_the_reports_say(
        self, run: Run, promoting: Any, reports: ReportTable, ages: range, members: Any, code: str, waits_for: str
    ) -> None:
        promoting(20, "--dry-run")
        _fill(reports, 20, ages, **members)
        (task,) = json.loads(run("plan", "--json").stdout)
        assert (task["code"], task["waits_for"]) == (code, waits_for)

    def test_an_enforced_domain_whose_mail_is_refused_is_first_in_the_plan(
        self, run: Run, store: Store, reports: ReportTable, later: Later
    ) -> None:
        for domain in ("aaa.example", "contoso.com"):
            policy = Policy(mode="enforce" if domain == "contoso.com" else "testing", mx=_MX, max_age=604800)
            store.history.record(store.policies.add(domain, policy), store.policies, by="test")
        lines = ("version: STSv1", "mode: enforce", *(f"mx: {mx}" for mx in _MX), "max_age: 604800")
        _fill(reports, 20, range(1, 4), ok=30, lines=lines, failures=[_EXPIRED])
        later(days=20)
        tasks = json.loads(run("plan", "--json").stdout)
        assert [(task["domain"], task["code"]) for task in tasks] == [
            ("contoso.com", "reports_fix"),
            ("aaa.example", "reports_missing"),
        ]

    def test_show_and_list_have_the_verdict(self, run: Run, promoting: Any, reports: ReportTable) -> None:
        promoting(20, "--dry-run")
        assert json.loads(run("show", "contoso.com", "--json").stdout)["reports"]["code"] == "reports_missing"
        _fill(reports, 20, range(1, 4), ok=30, failures=[_EXPIRED])
        shown = json.loads(run("show", "contoso.com", "--json").stdout)["reports"]
        (listed,) = json.loads(run("list", "--reports", "--json").stdout)
        assert shown == listed["reports"]
        assert shown["verdict"] == "fix"
        assert "fix" in run("list", "--reports").stdout
        assert "certificate-expired" in run("show", "contoso.com").stdout

    def test_without_the_table_they_say_nothing_of_reports(self, run: Run, promoting: Any) -> None:
        promoting(20, "--dry-run")
        assert json.loads(run("show", "contoso.com", "--json").stdout)["reports"] is None
        assert json.loads(run("list", "--reports", "--json").stdout)[0]["reports"] is None
        assert [task["code"] for task in json.loads(run("plan", "--json").stdout)] == ["promote"]
