"""`mta-sts lint`: which places it looks at, what people and programs see of it, and when it fails."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient

from policy_store.lint.findings import Finding
from tests.cli.conftest import Run

_GOOD = {"mode": "testing", "mx": "mx.contoso.com", "max_age": 604800}
_TEXT = "version: STSv1\r\nmode: enforce\r\nms: mx.contoso.com\r\nmx: *.google.com\r\nmax_age: 604800\r\n"
_SEEN = """\
mta-sts.txt
  error near_key: line 3: the field is named 'ms': it must be mx
    Write version, mode, mx or max_age exactly like this, in lower case.
  warning mx_google_wildcard: line 4: *.google.com matches smtp.google.com, but
  not aspmx.l.google.com or the others
    Write smtp.google.com, or aspmx.l.google.com and *.aspmx.l.google.com:
    whichever the MX records name.
  info max_age_under_two_weeks: line 5: max_age is 604800 (1 week), less than
  two weeks (1209600)
    Raise it to 1209600 (two weeks), unless the MX hosts will change soon.
1 policy, error: 1, warning: 1, info: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The empty current folder."""
    return tmp_path


def _add(client: TableClient, domain: str, cells: dict[str, Any], row_key: str = "policy") -> None:
    client.create_entity({"PartitionKey": domain, "RowKey": row_key, **cells})


def _trimmed(text: str) -> str:
    return re.sub(r" +$", "", text, flags=re.MULTILINE)


class TestFiles:
    def test_people_see_place_line_sentence_and_remedy(self, run: Run, folder: Path) -> None:
        (folder / "mta-sts.txt").write_bytes(_TEXT.encode())
        result = run("lint", "mta-sts.txt")
        assert _trimmed(result.stdout) == _SEEN
        assert result.exit_code == 1

    def test_needs_no_store(self, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POLICY_STORE")
        (folder / "mta-sts.txt").write_bytes(_TEXT.encode())
        assert run("lint", "mta-sts.txt").exit_code == 1

    def test_a_folder_is_every_text_below_it(self, run: Run, folder: Path) -> None:
        for path in ("b/.well-known/mta-sts.txt", "a.contoso.com.txt", "README.md"):
            (folder / "texts" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "texts" / path).write_bytes(_TEXT.encode())
        found = json.loads(run("lint", "texts", "--json").stdout)
        files = [finding["file"] for finding in found if finding["code"] == "near_key"]
        assert files == ["texts/a.contoso.com.txt", "texts/b/.well-known/mta-sts.txt"]

    def test_a_folder_without_texts_is_wrong_use(self, run: Run, folder: Path) -> None:
        result = run("lint", ".")
        assert result.exit_code == 2
        assert "No file in . ends in .txt" in result.stderr

    def test_a_path_to_nothing_is_wrong_use(self, run: Run, folder: Path) -> None:
        result = run("lint", "./mta-sts.txt")
        assert result.exit_code == 2
        assert "There is no file './mta-sts.txt'" in result.stderr

    def test_warnings_alone_are_no_failure(self, run: Run, folder: Path) -> None:
        (folder / "mta-sts.txt").write_text("version: STSv1\nmode: testing\nmx: mx.contoso.com\nmax_age: 604800\n")
        result = run("lint", "mta-sts.txt")
        assert "line_ends_lf" in result.stdout
        assert result.exit_code == 0


class TestRows:
    def test_without_places_every_row_is_looked_at(self, run: Run, tables: tuple[TableClient, TableClient]) -> None:
        _add(tables[0], "Adatum.com", _GOOD)
        _add(tables[0], "contoso.com", {**_GOOD, "mode": "enforced"})
        _add(tables[0], "contoso.com", _GOOD, row_key="Policy")
        _add(tables[0], "fabrikam.com", _GOOD)
        result = run("lint", "--json")
        found = [(finding["domain"], finding["code"]) for finding in json.loads(result.stdout)]
        assert found == [("Adatum.com", "partition_key"), ("contoso.com", "row_key"), ("contoso.com", "mode_value")]
        assert result.exit_code == 1

    def test_json_is_an_array_of_findings(self, run: Run, tables: tuple[TableClient, TableClient]) -> None:
        _add(tables[0], "contoso.com", {**_GOOD, "max_age": 0})
        [finding] = json.loads(run("lint", "contoso.com", "--json").stdout)
        assert set(finding) == {"code", "severity", "domain", "file", "line", "message", "remedy"}
        assert Finding(**finding).code == "max_age_zero"

    def test_no_findings_are_an_empty_array(self, run: Run, tables: tuple[TableClient, TableClient]) -> None:
        _add(tables[0], "contoso.com", _GOOD)
        result = run("lint", "--json")
        assert json.loads(result.stdout) == []
        assert result.exit_code == 0

    def test_a_domain_is_read_as_people_write_it(self, run: Run, tables: tuple[TableClient, TableClient]) -> None:
        _add(tables[0], "contoso.com", {**_GOOD, "mx": "*.mx.microsoft"})
        _add(tables[0], "fabrikam.com", {**_GOOD, "mode": "on"})
        result = run("lint", "Contoso.com.", "fabrikam.com")
        assert result.exit_code == 1
        assert [line for line in _trimmed(result.stdout).splitlines() if not line.startswith(" ")] == [
            "contoso.com",
            "fabrikam.com",
            "2 policies, error: 2, warning: 0, info: 0",
        ]

    def test_an_unknown_domain_spoils_no_output(self, run: Run, tables: tuple[TableClient, TableClient]) -> None:
        _add(tables[0], "contoso.com", {**_GOOD, "mode": "on"})
        result = run("lint", "contoso.com", "fabrikam.com", "--json")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "fabrikam.com is neither a file nor in the store" in result.stderr
