"""The pages as files open from disk, and a customer's folder has nothing of another customer."""

import re
from pathlib import Path

import pytest

from policy_store.changes.selection import NoMatch, Selection, read_conditions
from policy_store.policy import Policy
from policy_store.web.export import FolderInUse, file_name, write_pages
from tests.web.conftest import Office
from tests.web.test_pages import add

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
