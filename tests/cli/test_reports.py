"""reports list, show, import and prune, on a real table service."""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError
from azure.data.tables import TableServiceClient

from dev.azurite import Azurite
from policy_store.cli.errors import DONE, PROBLEM, UNREACHABLE, WRONG_USE
from policy_store.policy import Policy
from policy_store.tables.report_row import ReportRow
from policy_store.tables.reports import TABLE, ReportTable
from policy_store.tables.store import Store
from tests.cli.conftest import Run
from tests.tlsrpt.making import SAMPLES, entry, report, rows

_MX = ("mx1.contoso.com", "mx2.contoso.com")
_TODAY = datetime.now(UTC).date()


@pytest.fixture
def reports(azurite: Azurite, store: Store) -> Iterator[ReportTable]:
    """The empty table of reports, beside contoso.com and fabrikam.com in testing for 40 days."""
    for domain in ("contoso.com", "fabrikam.com"):
        row = store.policies.add(domain, Policy(mode="testing", mx=_MX, max_age=604800))
        written = replace(row, modified=row.modified - timedelta(days=40))
        store.history.record(written, store.policies, by="ada@contoso")
    with TableServiceClient.from_connection_string(azurite.connection_string) as service:
        with suppress(ResourceNotFoundError):
            service.delete_table(TABLE)
        yield ReportTable(service.create_table(TABLE))
        with suppress(ResourceNotFoundError):
            service.delete_table(TABLE)


def _fill(reports: ReportTable, domain: str = "contoso.com", *, days: int = 20, **members: Any) -> None:
    for age in range(1, days + 1):
        for row in rows(report(_TODAY - timedelta(days=age), entry(domain, **members))):
            reports.add(row)


class TestList:
    def test_it_has_the_domains_with_reports_and_the_verdict_of_each(self, run: Run, reports: ReportTable) -> None:
        _fill(reports, ok=3)
        _fill(reports, "fabrikam.com", days=2, ok=1, failures=[("certificate-expired", "mx2.contoso.com", 2)])
        _fill(reports, "gone.example", days=1, ok=1)
        listed = {item["domain"]: item for item in json.loads(run("reports", "list", "--json").stdout)}
        assert {name: (item["sessions"], item["failed"], item["verdict"]) for name, item in listed.items()} == {
            "contoso.com": (60, 0, "ready"),
            "fabrikam.com": (6, 4, "fix"),
            "gone.example": (1, 0, None),
        }
        assert listed["contoso.com"]["reporters"] == ["google.com"]
        assert listed["contoso.com"]["last"] == (_TODAY - timedelta(days=1)).isoformat()
        assert "no policy of this domain" in listed["gone.example"]["sentence"]
        shown = run("reports", "list").stdout
        assert "ready" in shown
        assert "certificate-expired" in shown

    def test_in_a_pipe_it_is_data(self, run: Run, reports: ReportTable) -> None:
        assert run("reports", "list", "--format", "tsv").stdout == ""
        _fill(reports, ok=3)
        (line,) = run("reports", "list", "--format", "tsv").stdout.splitlines()
        assert line.split("\t")[:5] == ["contoso.com", "60", "0", "1", "ready"]
        days = run("reports", "show", "contoso.com", "--days", "2", "--format", "csv").stdout.splitlines()
        assert days[0] == "domain,day,sender,sessions,failed,held to,revision,came by"
        assert [day.split(",")[:2] for day in days[1:]] == [
            ["contoso.com", (_TODAY - timedelta(days=ago)).isoformat()] for ago in (1, 2)
        ]

    def test_only_the_days_asked_for_count(self, run: Run, reports: ReportTable) -> None:
        _fill(reports, ok=3)
        (item,) = json.loads(run("reports", "list", "--days", "2", "--json").stdout)
        assert (item["sessions"], item["verdict"]) == (6, "ready")

    def test_without_reports_it_says_so(self, run: Run, reports: ReportTable) -> None:
        del reports
        assert run("reports", "list").stdout == "No report in the last 30 days.\n"
        assert run("reports", "list", "--json").stdout == "[]\n"

    @pytest.mark.usefixtures("store")
    def test_a_store_without_the_table_is_one_sentence(self, run: Run) -> None:
        for words in (("list",), ("show", "contoso.com"), ("prune",)):
            done = run("reports", *words)
            assert done.exit_code == PROBLEM
            assert "no table tlsreports" in done.stderr


class TestShow:
    def test_it_has_days_failures_with_remedy_and_the_revision(
        self, run: Run, store: Store, reports: ReportTable
    ) -> None:
        _fill(reports, days=3, ok=4, failures=[("certificate-expired", "mx2.contoso.com", 2, "X509 \x1b[31m")])
        details = json.loads(run("reports", "show", "contoso.com", "--json").stdout)
        (revision,) = store.history.revisions("contoso.com")
        assert [(day["sessions"], day["failed"], day["revision"]) for day in details["days"]] == [
            (6, 2, revision.id)
        ] * 3
        (failure,) = details["failures"]
        assert (failure["cause"], failure["mx_host"], failure["sessions"], failure["days"], failure["blocks"]) == (
            "certificate-expired",
            "mx2.contoso.com",
            6,
            3,
            True,
        )
        shown = run("reports", "show", "contoso.com").stdout
        assert "Renew the certificate" in shown
        assert "fix:" in shown
        assert "\x1b" not in shown

    def test_raw_prints_the_reports_as_they_came(self, run: Run, reports: ReportTable) -> None:
        octets = report(_TODAY - timedelta(days=1), entry(ok=1), extra={"anything": "new"})
        for row in rows(gzip.compress(octets)):
            reports.add(row)
        assert json.loads(run("reports", "show", "contoso.com", "--raw").stdout) == json.loads(octets)

    def test_of_a_domain_without_reports_it_says_what_is_missing(self, run: Run, reports: ReportTable) -> None:
        del reports
        shown = run("reports", "show", "contoso.com")
        assert shown.exit_code == DONE
        assert "0 sessions" in shown.stdout
        assert "--without-reports" in shown.stdout

    def test_two_contents_under_one_id_are_told(self, run: Run, reports: ReportTable) -> None:
        _fill(reports, days=1, ok=1)
        _fill(reports, days=1, ok=2)
        assert "made up" in run("reports", "show", "contoso.com").stdout


class TestImport:
    def test_each_file_is_told_and_a_second_time_adds_nothing(
        self, run: Run, reports: ReportTable, tmp_path: Path
    ) -> None:
        for name in ("google_sts.eml", "google_https.json", "microsoft_https.json.gz"):
            shutil.copy(SAMPLES / name, tmp_path)
        (tmp_path / "good.json").write_bytes(report(_TODAY, entry("contoso.com", ok=1)))
        (tmp_path / "none.txt").write_bytes(b"hello")
        first = run("reports", "import", str(tmp_path), "--json")
        assert first.exit_code == PROBLEM
        results = {Path(item["file"]).name: item for item in json.loads(first.stdout)}
        assert (results["good.json"]["new"], results["good.json"]["domains"]) == (1, ["contoso.com"])
        assert "no domain of this store" in results["google_sts.eml"]["problem"]
        assert "neither a mail" in results["none.txt"]["problem"]
        again = run("reports", "import", str(tmp_path / "good.json"))
        assert again.exit_code == DONE
        assert "0 entries added, 1 known already, 0 not taken" in again.stdout
        assert reports.of_domain("contoso.com", _TODAY, _TODAY)[0].via == "imported"

    def test_an_old_report_is_taken_and_one_of_the_future_is_not(
        self, run: Run, reports: ReportTable, tmp_path: Path
    ) -> None:
        old, future = _TODAY - timedelta(days=400), _TODAY + timedelta(days=4)
        (tmp_path / "old").write_bytes(report(old, entry(ok=1)))
        (tmp_path / "soon").write_bytes(report(future, entry(ok=1)))
        done = run("reports", "import", str(tmp_path))
        assert "1 entries added" in done.stdout
        assert "it ends in the future" in done.stdout
        assert len(reports.of_domain("contoso.com", old, old)) == 1

    def test_the_table_is_made_where_it_is_missing(self, run: Run, reports: ReportTable, tmp_path: Path) -> None:
        from azure.data.tables import TableServiceClient as Service

        with Service.from_connection_string(os.environ["POLICY_STORE"]) as service:
            service.delete_table(TABLE)
        (tmp_path / "one").write_bytes(report(_TODAY, entry(ok=1)))
        assert run("reports", "import", str(tmp_path)).exit_code == DONE
        assert len(reports.of_domain("contoso.com", _TODAY, _TODAY)) == 1

    def test_the_table_is_not_made_where_nothing_is_there_to_import(
        self, run: Run, store: Store, reports: ReportTable, azurite: Azurite, tmp_path: Path
    ) -> None:
        del reports
        with TableServiceClient.from_connection_string(azurite.connection_string) as service:
            service.delete_table(TABLE)
        assert "0 reports" in run("reports", "import", str(tmp_path)).stdout
        (tmp_path / "stranger").write_bytes(report(_TODAY, entry("stranger.example", ok=1)))
        (tmp_path / "none.txt").write_bytes(b"hello")
        assert run("reports", "import", str(tmp_path)).exit_code == PROBLEM
        assert not store.reports.exists()

    def test_what_was_added_is_told_though_storage_fails_then(
        self, run: Run, reports: ReportTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, count in (("1.json", 1), ("2.json", 2)):
            (tmp_path / name).write_bytes(report(_TODAY, entry(ok=count)))
        add = ReportTable.add

        def only_one(table: ReportTable, row: ReportRow) -> bool:
            if row.ok == 2:
                raise ServiceRequestError("no connection")
            return add(table, row)

        monkeypatch.setattr(ReportTable, "add", only_one)
        done = run("reports", "import", str(tmp_path))
        assert done.exit_code == UNREACHABLE
        assert "1 entries added" in done.stdout
        assert len(reports.of_domain("contoso.com", _TODAY, _TODAY)) == 1


class TestPrune:
    def test_days_before_the_age_are_deleted(self, run: Run, reports: ReportTable) -> None:
        for age in (1, 399, 401, 500):
            for row in rows(report(_TODAY - timedelta(days=age), entry(ok=1))):
                reports.add(row)
        assert run("reports", "prune", "--dry-run").stdout.startswith("2 rows of days before ")
        assert run("reports", "prune", "--older-than", "400d").stdout.startswith("2 rows")
        assert run("reports", "prune", "--older-than", "9w").stdout.startswith("1 rows")
        assert len(list(reports.all(_TODAY - timedelta(days=600), _TODAY))) == 1

    @pytest.mark.parametrize("age", ["59d", "8w", "0", "", "a year", "-400d", "99999d"])
    def test_an_age_that_a_verdict_needs_or_that_is_none_is_refused(
        self, run: Run, reports: ReportTable, age: str
    ) -> None:
        del reports
        done = run("reports", "prune", f"--older-than={age}")
        assert done.exit_code == WRONG_USE
        assert "at least 60d" in done.stderr
