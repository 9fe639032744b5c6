"""The table `tlsreports`: rows come back as they were, once, by domain and by day; whole days are deleted."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableSasPermissions, TableServiceClient, generate_table_sas

from dev.azurite import ACCOUNT, ACCOUNT_KEY, Azurite
from policy_store.tables.reports import TABLE, CannotMake, ReportTable, table_is_missing
from tests.tlsrpt.making import SAMPLES, entry, report, rows, yesterday

_DAY = yesterday()


@pytest.fixture
def reports_client(new_table: Callable[[], TableClient]) -> TableClient:
    """An empty table for reports, as the SDK sees it."""
    return new_table()


@pytest.fixture
def reports(reports_client: TableClient) -> ReportTable:
    """The reports of `reports_client`."""
    return ReportTable(reports_client)


def test_a_row_comes_back_as_it_was(reports: ReportTable) -> None:
    failures = [("certificate-expired", "mx1.contoso.com", 2, "Z\u00fcrich \U0001f512")]
    (row,) = rows(report(_DAY, entry(ok=7, failures=failures)))
    assert reports.add(row)
    assert reports.of_domain("contoso.com", _DAY, _DAY, raw=True) == [row]
    assert reports.of_domain("contoso.com", _DAY, _DAY) == [replace(row, raw=b"")]
    (brief,) = reports.all(_DAY, _DAY)
    without = replace(row, contact="", report_id="", agent="", raw=b"")
    assert replace(brief, start=row.start, end=row.end, received=row.received) == without


def test_a_report_that_comes_twice_is_one_row_and_a_person_vouches_for_what_was_posted(reports: ReportTable) -> None:
    octets = report(_DAY, entry(ok=1))
    (posted,), (imported,) = rows(octets), rows(octets, via="imported")
    assert [reports.add(row) for row in (posted, posted)] == [True, False]
    assert reports.of_domain("contoso.com", _DAY, _DAY)[0].via == "https"
    assert not reports.add(imported)
    assert not reports.add(posted)
    (kept,) = reports.of_domain("contoso.com", _DAY, _DAY)
    assert (kept.via, kept.client) == ("imported", posted.client)


def test_the_domains_come_in_the_order_of_the_other_tables(reports: ReportTable) -> None:
    names = ["a.com", "a.com-b.example", "a.com.au", "a.comb.example", "a0.com", "b.com"]
    for day in (_DAY, _DAY - timedelta(days=1)):
        for name in reversed(names):
            for row in rows(report(day, entry(name, ok=1))):
                reports.add(row)
    found = [row.domain for row in reports.all(_DAY - timedelta(days=3), _DAY)]
    assert found == [name for name in sorted(names) for _ in range(2)]
    assert [row.domain for row in reports.all(_DAY, _DAY, after="a.com.au")] == names[3:]
    for name in names:
        assert {row.domain for row in reports.of_domain(name, _DAY, _DAY)} == {name}


def test_days_before_one_are_deleted_whole(reports: ReportTable, reports_client: TableClient) -> None:
    for age in (0, 1, 2, 3):
        for row in rows(report(_DAY - timedelta(days=age), *(entry(f"d{n}.example", ok=1) for n in range(20)))):
            reports.add(row)
    for number in range(150):  # more than one transaction
        (row,) = rows(report(_DAY - timedelta(days=3), entry(ok=number)))
        reports_client.create_entity({**row.entity, "RowKey": f"contoso.com!x!{number}"})
    before = _DAY - timedelta(days=1)
    assert reports.delete_before(before, dry_run=True) == 190
    assert reports.delete_before(before) == 190
    assert reports.delete_before(before) == 0
    assert {row.day for row in reports.all(_DAY - timedelta(days=9), _DAY)} == {_DAY, before}


def test_a_row_that_no_receiver_wrote_is_left_out_and_told(
    reports: ReportTable, reports_client: TableClient, caplog: pytest.LogCaptureFixture
) -> None:
    (row,) = rows(report(_DAY, entry(ok=1)))
    reports.add(row)
    for number, change in enumerate(
        ({"ok": "many"}, {"details": "[[1]]"}, {"via": "pigeon"}, {"start": "x"}, {"RowKey": "contoso.com"})
    ):
        reports_client.create_entity({**row.entity, "RowKey": f"contoso.com!y!{number}", **change})
    with caplog.at_level(logging.ERROR):
        assert reports.of_domain("contoso.com", _DAY, _DAY) == [replace(row, raw=b"")]
        assert len(list(reports.all(_DAY, _DAY))) == 2  # the one whose time is wrong has none here
    assert len({record.getMessage() for record in caplog.records}) == 5


def test_every_real_report_fits_a_row(reports: ReportTable) -> None:
    from policy_store.tlsrpt.mails import find

    for found in find(SAMPLES):
        if not found.problem:
            for row in rows(found.octets):
                assert reports.add(row)
                assert row in reports.of_domain(row.domain, row.day, row.day, raw=True)


@pytest.mark.parametrize("letter", ["\U0001f512", "\u00fc", '"', "\\", "a"])
def test_a_report_of_the_longest_texts_in_any_letters_fits_a_row(reports: ReportTable, letter: str) -> None:
    """A cell has 32,768 UTF-16 units: what does not fit would be refused as if storage failed."""
    long = letter * 1000
    failures = [(f"{number}{long}", f"{number}{long}", 1, f"{number}{long}") for number in range(30)]
    text = {"organization-name": long, "contact-info": long, "report-id": long}
    for lines in ([long], [f"mx: {letter * 290}"] * 500):
        for row in rows(report(_DAY, entry(failures=failures, lines=lines), **text)):
            assert reports.add(row)
            assert row in reports.of_domain(row.domain, row.day, row.day, raw=True)


def _allowed(azurite: Azurite, table: str) -> TableClient:
    """`tlsreports` for a person who may use the rows of `table` and of no other, and may make no table."""
    key = AzureNamedKeyCredential(ACCOUNT, ACCOUNT_KEY)
    rights = TableSasPermissions(read=True, add=True, update=True, delete=True)
    until = datetime.now(UTC) + timedelta(hours=1)
    sas = AzureSasCredential(generate_table_sas(key, table, permission=rights, expiry=until))
    endpoint = azurite.connection_string.partition("TableEndpoint=")[2].rstrip(";")
    return TableClient(endpoint, TABLE, credential=sas)


@pytest.fixture
def no_reports(azurite: Azurite) -> None:
    """The store has no table of reports."""
    with (
        TableServiceClient.from_connection_string(azurite.connection_string) as service,
        suppress(ResourceNotFoundError),
    ):
        service.delete_table(TABLE)


_SDK_WARNS = "ignore:Testing an element:DeprecationWarning"  # where Azurite says 403 in XML


@pytest.mark.filterwarnings(_SDK_WARNS)
@pytest.mark.usefixtures("no_reports")
@pytest.mark.parametrize("table", [TABLE, "policies"])
def test_who_may_not_make_the_table_is_told_who_can(azurite: Azurite, table: str) -> None:
    with _allowed(azurite, table) as client, pytest.raises(CannotMake, match="tlsReports=true"):
        ReportTable(client).make_if_missing()


@pytest.mark.filterwarnings(_SDK_WARNS)
@pytest.mark.usefixtures("no_reports")
def test_who_may_use_the_other_tables_only_is_warned_once_and_goes_on_without_reports(
    azurite: Azurite, caplog: pytest.LogCaptureFixture
) -> None:
    """Azure answers 403 for a table that nobody gave rights on, there or not."""
    with _allowed(azurite, "policies") as client:
        reports = ReportTable(client)
        assert [reports.exists(), reports.exists()] == [False, False]
    (record,) = [record for record in caplog.records if record.name.startswith("policy_store")]
    assert "TLS reports are not considered" in record.getMessage()


def test_a_missing_table_is_known_as_such_and_made(azurite: Azurite) -> None:
    with TableClient.from_connection_string(azurite.connection_string, "nosuchreports") as client:
        reports = ReportTable(client)
        (row,) = rows(report(_DAY, entry(ok=1)))
        for call in (lambda: reports.add(row), lambda: reports.of_domain("a.com", _DAY, _DAY)):
            with pytest.raises(ResourceNotFoundError) as refused:
                call()
            assert table_is_missing(refused.value)
        reports.make_if_missing()
        reports.make_if_missing()
        assert reports.add(row)
