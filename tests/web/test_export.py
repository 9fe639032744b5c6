"""The pages as files open from disk, and a customer's folder has nothing of another customer."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableClient

from policy_store.changes.selection import NoMatch, Selection, read_conditions
from policy_store.policy import Policy
from policy_store.tables.report_row import Failure, ReportRow
from policy_store.web.export import FolderInUse, file_name, write_pages
from tests.web.conftest import Office
from tests.web.test_pages import add

_TESTING = Policy(mode="testing", mx=("*.mail.protection.outlook.com",), max_age=1209600)
_POLICY = Policy(mode="testing", mx=("mx.fabrikam.example",), max_age=1209600)


@pytest.fixture
def report(office: Office, tmp_path: Path) -> Path:
    """The report of a store with three customers."""
    add(office, "contoso.com", customer="Contoso", note="as for Fabrikam and Woodgrove")
    add(office, "fabrikam.com", _POLICY, customer="Fabrikam")
    add(office, "../../etc.example".replace("../../", ""), customer="../../Woodgrove <b>")
    add(office, "nobody.example")
    write_pages(tmp_path / "report", office.desk(), Selection())
    return tmp_path / "report"


def test_a_customers_folder_has_nothing_of_another(report: Path) -> None:
    pages = list((report / file_name("Contoso")).rglob("*.html"))
    assert len(pages) == 2
    for path in pages:
        text = path.read_text(encoding="utf-8").lower()
        for other in ("fabrikam", "woodgrove", "nobody.example", "ada@contoso"):
            assert other not in text, path
        assert ".." not in re.findall(r'(?:href|src)="([^"]*)"', text)


def test_nothing_that_people_or_senders_wrote_names_another_customer(
    office: Office, tables: tuple[TableClient, TableClient], tmp_path: Path
) -> None:
    """A customer may send mail to another, and report it; a cell, a reason or a failure may name anybody."""
    policies, history = tables
    for name in ("contoso.com", "sales.contoso.com"):
        add(office, name, _TESTING, customer="Contoso", note="as Fabrikam")
    newest = office.store.entry("contoso.com").newest
    assert newest is not None
    old = {"id": "Fabrikam1", "text": "for Fabrikam", "by": "ada@fabrikam.com", "note": "for Fabrikam"}
    history.create_entity({"PartitionKey": "contoso.com", "RowKey": "20260101000000Z", **old})
    cells = {"RowKey": "policy", "mode": "Fabrikam", "mx": "fabrikam_1", "max_age": "Fabrikam", "customer": "Contoso"}
    policies.create_entity({"PartitionKey": "broken.contoso.com", **cells, "Fabrikam": "1"})
    add(office, "fabrikam.com", customer="Fabrikam")
    office.store.reports.make_if_missing()
    for age in range(1, 9):
        office.store.reports.add(_report("contoso.com", _TESTING, office.desk().now, age, failed=3))
        office.store.reports.add(_report("sales.contoso.com", _TESTING, office.desk().now, age, failed=0))
    write_pages(tmp_path / "out", office.desk(), Selection())
    pages = list((tmp_path / "out" / file_name("Contoso")).rglob("*.html"))
    assert len(pages) == 4
    for path in pages:
        text = path.read_text(encoding="utf-8").lower()
        assert "fabrikam" not in text, (path, text[text.index("fabrikam") - 300 :][:400])
        assert "fabrikam" not in path.name
    said = " ".join(path.read_text(encoding="utf-8") for path in pages)
    assert "sender A reports failures" in said
    assert "The row is invalid" in said


def _report(domain: str, policy: Policy, now: datetime, age: int, *, failed: int) -> ReportRow:
    day = now - timedelta(days=age)
    failures = (
        (Failure("certificate-expired", "fabrikam-com.mail.protection.outlook.com", "Fabrikam says no", failed),)
        if failed
        else ()
    )
    return ReportRow(
        domain=domain,
        day=day.date(),
        reporter="fabrikam.com",
        hash=f"{age:016x}",
        start=day,
        end=day,
        organization="Fabrikam GmbH",
        contact="it@fabrikam.com",
        report_id=f"Fabrikam-{age}",
        type="sts",
        text="\n".join(policy.text.split("\r\n")),
        ok=20,
        failed=failed,
        failures=failures,
        more=0,
        via="imported",
        agent="Fabrikam",
        client="",
        received=now,
        whole=f"{age:016x}",
    )


def test_where_leaves_others_out_of_the_whole_folder(office: Office, tmp_path: Path) -> None:
    add(office, "contoso.com", customer="Contoso")
    add(office, "fabrikam.com", customer="Fabrikam")
    selection = Selection((), read_conditions(["customer = Contoso"]))
    assert write_pages(tmp_path / "out", office.desk(), selection) == 3
    for path in (tmp_path / "out").rglob("*"):
        assert "fabrikam" not in path.name.lower()
        assert path.is_dir() or "fabrikam" not in path.read_text(encoding="utf-8").lower()


def test_the_files_need_no_server_and_no_script(report: Path) -> None:
    for path in report.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<form" not in text
        assert "<b>" not in text
        for target in re.findall(r'(?:href|src)="([^"#]*)"', text):
            assert (path.parent / target).resolve().is_file(), (path, target)
            assert (path.parent / target).resolve().is_relative_to(report.resolve())


def test_a_folder_that_holds_something_is_left_alone(office: Office, tmp_path: Path) -> None:
    add(office, "contoso.com")
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FolderInUse, match="name a new folder"):
        write_pages(tmp_path, office.desk(), Selection())


def test_nothing_selected_is_said(office: Office, tmp_path: Path) -> None:
    with pytest.raises(NoMatch):
        write_pages(tmp_path / "out", office.desk(), Selection((), read_conditions(["customer = X"])))
